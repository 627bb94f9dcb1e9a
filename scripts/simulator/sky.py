"""The simulated sky: a catalogue of point sources, and where they stand at a moment."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.coordinates import AltAz, SkyCoord
from astropy.time import Time
from numpy.typing import NDArray

from simulator.array import telescope_location
from simulator.lightcurve import REFERENCE_HZ, chromatic_factor, flux_factor, is_variable
from simulator.seeds import stream
from simulator.settings import Calibrator, Settings, Simulation

MATCH_ARCSEC = 10.0


@dataclass(frozen=True)
class Sky:
    """Point sources: ICRS positions, fluxes at 1.4 GHz, spectral indices, light curves."""

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    flux_jy: NDArray[np.float64]
    spectral_index: NDArray[np.float64]
    light_curves: tuple[Settings | None, ...]

    @property
    def names(self) -> list[str]:
        """JHHMMSS.s+DDMMSS of each source."""
        return [source_name(ra, dec) for ra, dec in zip(self.ra_deg, self.dec_deg, strict=True)]

    @property
    def variable(self) -> NDArray[np.bool_]:
        """Whether each source varies."""
        return np.array([is_variable(curve) for curve in self.light_curves], dtype=bool)

    def select(self, wanted: NDArray[np.bool_]) -> "Sky":
        """Return the sources where `wanted`."""
        return Sky(
            self.ra_deg[wanted],
            self.dec_deg[wanted],
            self.flux_jy[wanted],
            self.spectral_index[wanted],
            tuple(c for c, keep in zip(self.light_curves, wanted, strict=True) if keep),
        )

    def flux_at(self, mjd: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fluxes at 1.4 GHz at the times `mjd`, shape (n_times, n_sources), Jy."""
        factor = np.ones((len(mjd), len(self.flux_jy)))
        for index, curve in enumerate(self.light_curves):
            if curve is not None:
                factor[:, index] = flux_factor(mjd, curve)
        return factor * self.flux_jy

    def across_band(
        self, flux_jy: NDArray[np.float64], freq_hz: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Spread fluxes of one moment, (n_sources,) at 1.4 GHz, over the band: light curves only.

        The shape is (n_freqs, n_sources), or as it was where all is the same at all frequencies;
        spectral indices are not in it.
        """
        if not any(curve and curve.get("chromatic") for curve in self.light_curves):
            return flux_jy
        found = np.tile(flux_jy, (len(freq_hz), 1))
        for index, curve in enumerate(self.light_curves):
            if curve is not None and curve.get("chromatic"):
                steady = self.flux_jy[index]
                found[:, index] = steady * chromatic_factor(flux_jy[index] / steady, freq_hz, curve)
        return found

    def spectrum(self, freq_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return flux / flux at 1.4 GHz, shape (n_freqs, n_sources)."""
        return np.asarray((freq_hz[:, None] / REFERENCE_HZ) ** self.spectral_index)


def read_sky(surveys: list[Path], calibrator: Calibrator, simulation: Simulation) -> Sky:
    """Return the calibrator and the sources of the surveys.

    Parameters
    ----------
    surveys : CSV files with ra_deg, dec_deg and peak_jy.

    Raises
    ------
    ValueError
        When a light curve's position matches no source, or an empty sky is left.
    """
    alone = np.array([[calibrator.ra_deg, calibrator.dec_deg, calibrator.flux_jy]])
    listed = [read_survey(survey) for survey in surveys]
    ra_deg, dec_deg, flux_jy = np.concatenate([alone, *listed]).T
    index = stream(simulation.seed, "spectral index").normal(size=len(ra_deg))
    index *= simulation.spectral_index_rms
    index[0] = 0.0
    curves = matched_light_curves(ra_deg, dec_deg, simulation.light_curves)
    return Sky(ra_deg, dec_deg, flux_jy, index, curves)


def read_survey(survey: Path) -> NDArray[np.float64]:
    """Return (n, 3): ra_deg, dec_deg, peak_jy of a survey's CSV."""
    with survey.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = ("ra_deg", "dec_deg", "peak_jy")
    return np.array([[float(row[name]) for name in columns] for row in rows]).reshape(-1, 3)


def matched_light_curves(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], specs: tuple[Settings, ...]
) -> tuple[Settings | None, ...]:
    """Give each light curve to the source nearest to its position, within 10 arcsec."""
    curves: list[Settings | None] = [None] * len(ra_deg)
    places = SkyCoord(ra_deg, dec_deg, unit="deg")
    for spec in specs:
        wanted = SkyCoord(spec["ra_deg"], spec["dec_deg"], unit="deg")
        offset_arcsec = places.separation(wanted).arcsec
        nearest = int(np.argmin(offset_arcsec))
        if offset_arcsec[nearest] > MATCH_ARCSEC:
            raise ValueError(
                f"simulation.light_curves: no source within {MATCH_ARCSEC} arcsec of "
                f"{spec['ra_deg']}, {spec['dec_deg']}; the nearest is at "
                f"{ra_deg[nearest]}, {dec_deg[nearest]}"
            )
        curves[nearest] = spec
    return tuple(curves)


def directions_enu(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], time: Time
) -> NDArray[np.float64]:
    """Return the apparent directions at the telescope, without refraction.

    Parameters
    ----------
    ra_deg, dec_deg : (n_sources,), ICRS.
    time : (n_times,).

    Returns
    -------
    (n_times, n_sources, 3) unit vectors: east, north, up.
    """
    frame = AltAz(obstime=time[:, None], location=telescope_location())
    sky = SkyCoord(ra_deg[None, :], dec_deg[None, :], unit="deg").transform_to(frame)
    east_north_up = [
        np.cos(sky.alt) * np.sin(sky.az),
        np.cos(sky.alt) * np.cos(sky.az),
        np.sin(sky.alt),
    ]
    return np.stack([axis.value for axis in east_north_up], axis=-1)


def source_name(ra_deg: float, dec_deg: float) -> str:
    """Return JHHMMSS.s+DDMMSS of an ICRS position, truncated as the IAU asks.

    >>> source_name(123.4002, -48.2173)
    'J081336.0-481302'
    """
    tenths = int(np.floor(ra_deg % 360 / 15 * 36000 + 1e-6))
    arcsec = int(np.floor(abs(dec_deg) * 3600 + 1e-6))
    hms = f"{tenths // 36000:02d}{tenths // 600 % 60:02d}{tenths // 10 % 60:02d}.{tenths % 10}"
    dms = f"{arcsec // 3600:02d}{arcsec // 60 % 60:02d}{arcsec % 60:02d}"
    return f"J{hms}{'-' if dec_deg < 0 else '+'}{dms}"
