"""What a field's own gains are solved against: its CLEAN image, or catalogue sources.

Models are predicted by python-casacore's side of the house, never beside casatools; they are
small and are pickled to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.beam import Dish
from contimg.fits import read_image
from contimg.sky import REFERENCE_HZ, TYPICAL_ALPHA, Sky, apparent_flux_jy
from contimg.status import Rejected


@dataclass(frozen=True)
class Rows:
    """Rows of a set.

    Attributes
    ----------
    mjd : (n_rows,) times.
    uvw_m : (n_rows, 3) metres, CASA's sign.
    antenna1, antenna2 : (n_rows,) ids.
    """

    mjd: NDArray[np.float64]
    uvw_m: NDArray[np.float64]
    antenna1: NDArray[np.int32]
    antenna2: NDArray[np.int32]


class Model(Protocol):
    """A sky that gives visibilities."""

    def visibilities(self, rows: Rows, freq_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Stokes I, (n_rows, n_chan), Jy."""


@dataclass(frozen=True)
class ImageModel:
    """A CLEAN model: an image of point sources on pixels, constant in time and frequency."""

    path: Path
    threads: int = 1

    def visibilities(self, rows: Rows, freq_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        from contimg.predict import predict_image  # loads python-casacore

        image = read_image(self.path, require_beam=False)
        cell_rad = float(np.radians(image.pixel_scale_deg))
        return predict_image(rows.uvw_m, freq_hz, image.data, cell_rad, threads=self.threads)

    def require_flux(self) -> float:
        """Return the model's flux, Jy.

        Raises
        ------
        Rejected
            When there is none.
        """
        total = float(read_image(self.path, require_beam=False).data.sum(dtype=float))
        if not total > 0:
            raise Rejected("CLEAN found nothing to solve against")
        return total


@dataclass(frozen=True)
class PointModel:
    """Point sources whose fluxes change with time.

    Attributes
    ----------
    lmn : (n_sources, 3) direction cosines l, m, n - 1 that go with the set's UVW.
    flux_jy : function of a time (MJD) that gives (n_chan, n_sources) at the set's channels.
    """

    lmn: NDArray[np.float64]
    flux_jy: Callable[[float], NDArray[np.float64]]

    def visibilities(self, rows: Rows, freq_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        from contimg.predict import predict_visibilities  # loads python-casacore

        found = np.zeros((len(rows.mjd), len(freq_hz)), dtype=np.complex64)
        if not len(self.lmn):
            return found
        times, integration = np.unique(rows.mjd, return_inverse=True)
        for number, mjd in enumerate(times):
            at = integration == number
            found[at] = predict_visibilities(
                rows.uvw_m[at], rows.antenna1[at], rows.antenna2[at],
                self.lmn, self.flux_jy(mjd), freq_hz,
            )  # fmt: skip
        return found


@dataclass(frozen=True)
class ThroughBeam:
    """Sources through the beam as it drifts.

    Attributes
    ----------
    sky : the sources, before the beam, at the channels of the set.
    pointing_deg : (n_integrations, 2) ICRS directions of the dishes.
    integration_mjd : (n_integrations,) their times.
    freq_hz : (n_chan,) channel centres.
    dish : the dish.
    """

    sky: Sky
    pointing_deg: NDArray[np.float64]
    integration_mjd: NDArray[np.float64]
    freq_hz: NDArray[np.float64]
    dish: Dish

    def apparent_jy(self, mjd: float) -> NDArray[np.float64]:
        """Fluxes at the integration nearest to a time, (n_chan, n_sources)."""
        pointing = self.pointing_deg[np.abs(self.integration_mjd - mjd).argmin()]
        return apparent_flux_jy(self.sky, pointing, self.freq_hz, self.dish)


@dataclass(frozen=True)
class Together:
    """The sum of models."""

    models: tuple[Model, ...]

    def visibilities(self, rows: Rows, freq_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        total = self.models[0].visibilities(rows, freq_hz)
        for model in self.models[1:]:
            total += model.visibilities(rows, freq_hz)
        return total


def catalogue_sky(sources: pd.DataFrame, freq_hz: NDArray[np.float64]) -> Sky:
    """Catalogue rows as a sky: S = S_1.4 (nu / 1.4 GHz)^alpha.

    Parameters
    ----------
    sources : ra_deg, dec_deg, s_nvss (Jy), alpha.
    freq_hz : (n_chan,) channel centres.
    """
    alpha = sources["alpha"].astype(float).fillna(TYPICAL_ALPHA).to_numpy()
    ratio = np.asarray(freq_hz)[:, None] / REFERENCE_HZ
    flux_jy = sources["s_nvss"].to_numpy(dtype=float) * ratio**alpha
    ra_deg, dec_deg = (sources[name].to_numpy(dtype=float) for name in ("ra_deg", "dec_deg"))
    return Sky(ra_deg, dec_deg, flux_jy)
