"""Sources whose apparent flux changes while they drift through the beam, and over the band.

CLEAN models a constant source with a flat spectrum. At the edge of the beam a source's apparent
flux changes by tens of per cent within a group and by a factor over the band, and what CLEAN
cannot model stays in the image as sidelobes. So the change about the mean that is imaged is
subtracted from the calibrated set: a constant source of the mean is left. What is subtracted has
no weighted mean, so neither an error of the catalogue nor of the beam gets into a source's flux.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contimg.beam import Dish, dish_of, power
from contimg.calibration_table import parallel_hands
from contimg.catalog import read_sources, unit_vectors
from contimg.digests import Digest, digest_of_arrays
from contimg.sky import REFERENCE_HZ, icrs_cosines, turned

REACH_FWHM = 1.5
"""Sources are looked up to here from the phase centre: the first null is at 1.2 widths."""

NO_SOURCES = pd.DataFrame(columns=["ra_deg", "dec_deg", "s_nvss", "alpha"], dtype=float)
"""Catalogue rows of a sky that is not known."""


@dataclass(frozen=True)
class ChangingSky:
    """Point sources seen through a beam that drifts over them.

    Attributes
    ----------
    ra_deg, dec_deg : (n,) ICRS, degrees.
    lmn : (n, 3) direction cosines l, m, n - 1 about the phase centre, for scaled UVW.
    flux_jy : (n_chan, n) Stokes I, before the beam.
    mean_jy : (n_chan, n) apparent flux, averaged with the weights that are imaged: over the band,
        or over the part of it that a channel belongs to.
    rms_jy : (n,) weighted rms of the change about the mean.
    freq_hz : (n_chan,) channel centres.
    vectors : (n_integrations, 3) unit vectors of the dish's axis.
    integration_mjd : (n_integrations,) times of the vectors, ascending.
    dish : the dish.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    lmn: NDArray[np.float64]
    flux_jy: NDArray[np.float64]
    mean_jy: NDArray[np.float64]
    rms_jy: NDArray[np.float64]
    freq_hz: NDArray[np.float64]
    vectors: NDArray[np.float64]
    integration_mjd: NDArray[np.float64]
    dish: Dish

    def apparent_jy(self, mjd: float) -> NDArray[np.float64]:
        """Fluxes through the beam at a time, (n_chan, n); between integrations interpolated."""
        axis = np.array([np.interp(mjd, self.integration_mjd, one) for one in self.vectors.T])
        chord = np.linalg.norm(unit_vectors(self.ra_deg, self.dec_deg) - axis, axis=1)
        theta = 2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0))
        return self.flux_jy * power(theta, self.freq_hz[:, None], self.dish)

    def change_jy(self, mjd: float) -> NDArray[np.float64]:
        """Difference from the mean at a time, (n_chan, n)."""
        return self.apparent_jy(mjd) - self.mean_jy

    def chosen(self, which: NDArray[np.bool_]) -> "ChangingSky":
        """Those of the sources for which `which` is True."""
        return replace(
            self,
            ra_deg=self.ra_deg[which],
            dec_deg=self.dec_deg[which],
            lmn=self.lmn[which],
            flux_jy=self.flux_jy[:, which],
            mean_jy=self.mean_jy[:, which],
            rms_jy=self.rms_jy[which],
        )

    def digest(self) -> str:
        """Digest of positions, fluxes and means."""
        names = ("ra_deg", "dec_deg", "lmn", "flux_jy", "mean_jy")
        return digest_of_arrays([(name, getattr(self, name)) for name in names])


def sky_of_set(
    figures: Mapping[str, Any], catalog: Path, options: Mapping[str, Any], beam: Mapping[str, Any]
) -> ChangingSky:
    """The catalogue's sources that change in a calibrated set.

    Parameters
    ----------
    figures : of the set's status: place, channels, times, pointings and weights.
    catalog : catalogs/master_sources.sqlite3.
    options : enabled, min_change_jy, min_response, n_parts.
    beam : the block of the configuration.
    """
    centre_deg = (figures["ra_deg"], figures["dec_deg"])
    sources = NO_SOURCES
    dish = dish_of(beam, figures["dish_diameter_m"])
    if options["enabled"]:
        radius_deg = REACH_FWHM * np.degrees(dish.fwhm_rad(min(figures["freq_hz"])))
        sources = read_sources(catalog, *centre_deg, radius_deg, options["min_change_jy"])
    return changing_sky(
        sources,
        centre_deg,
        figures["freq_hz"],
        figures["pointing"],
        figures["integration_mjd"],
        figures["weight_time"],
        figures["weight_freq"],
        dish,
        options["min_change_jy"],
        options["min_response"],
        options["n_parts"],
    )


def changing_sky(
    sources: pd.DataFrame,
    centre_deg: tuple[float, float],
    freq_hz: ArrayLike,
    pointings: ArrayLike,
    integration_mjd: ArrayLike,
    weight_time: ArrayLike,
    weight_freq: ArrayLike,
    dish: Dish,
    min_change_jy: float = 0.0,
    min_response: float = 0.0,
    n_parts: int = 1,
) -> ChangingSky:
    """Choose the sources whose apparent flux changes, and average what is imaged of them.

    Parameters
    ----------
    sources : catalogue rows: ra_deg, dec_deg, s_nvss (Jy), alpha.
    centre_deg : right ascension and declination of the phase centre.
    freq_hz, weight_freq : (n_chan,) channel centres and shares of the weight.
    pointings, integration_mjd, weight_time : (n_integrations, 2) right ascension and declination
        of the dish, times and shares of the weight.
    dish : the dish.
    min_change_jy : smallest rms of the change, over integrations and channels.
    min_response : smallest mean response of the beam: no model of a beam knows its sidelobes.
    n_parts : equal parts of the band that are imaged each by itself; each has its own mean.

    Returns
    -------
    The sources above the limits, in their order.

    Notes
    -----
    The spectrum is S_1.4 (nu / 1.4 GHz)^alpha where the catalogue has an index, else flat: then
    the change is the beam's alone, and an index that is not known is not made up.
    """
    strong = sources[sources["s_nvss"] > min_change_jy]  # a response is at most 1
    ra_deg, dec_deg, flux_14, alpha = (
        strong[name].to_numpy(dtype=float) for name in ("ra_deg", "dec_deg", "s_nvss", "alpha")
    )
    frequencies, mjd = np.asarray(freq_hz, dtype=float), np.asarray(integration_mjd, dtype=float)
    axes = np.asarray(pointings, dtype=float)
    ratio = frequencies[:, None] / REFERENCE_HZ
    unknown, middle = np.zeros((len(frequencies), len(strong))), float(mjd.mean())
    sky = ChangingSky(
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        lmn=icrs_cosines(ra_deg, dec_deg, centre_deg, middle),
        flux_jy=flux_14 * ratio ** np.nan_to_num(alpha),
        mean_jy=unknown,
        rms_jy=unknown[0],
        freq_hz=frequencies,
        vectors=unit_vectors(axes[:, 0], axes[:, 1]),
        integration_mjd=mjd,
        dish=dish,
    )
    first, second = np.zeros_like(unknown), np.zeros_like(unknown)
    for time, share in zip(mjd, np.asarray(weight_time), strict=True):
        apparent = sky.apparent_jy(time)
        first += share * apparent
        second += share * apparent**2
    weights = np.asarray(weight_freq, dtype=float)
    mean = mean_of_parts(first, weights, n_parts)
    rms = np.sqrt(np.maximum(weights @ (second - 2 * first * mean + mean**2), 0.0))
    sky = replace(sky, mean_jy=mean, rms_jy=rms)
    bright = weights @ first >= min_response * flux_14
    return sky.chosen((rms > 0) & (rms >= min_change_jy) & bright)


def mean_of_parts(
    values: NDArray[np.float64], weight_freq: NDArray[np.float64], n_parts: int
) -> NDArray[np.float64]:
    """Replace channels by the weighted mean of the part of the band that they belong to.

    Parameters
    ----------
    values : (n_chan, n).
    weight_freq : (n_chan,); a part without weight has the plain mean.
    n_parts : parts as WSClean's -channels-out makes them: number p begins at channel
        floor(n_chan p / n_parts).
    """
    part = ((np.arange(len(values)) + 1) * n_parts - 1) // len(values)
    mean = np.empty_like(values)
    for number in range(n_parts):
        inside = part == number
        weight = weight_freq[inside] if weight_freq[inside].any() else None
        mean[inside] = np.average(values[inside], axis=0, weights=weight)
    return mean


def changes_of(ms: Path, sky: ChangingSky) -> Callable[..., NDArray[np.complex64]]:
    """Return the function of (time in s, UVW, antennas 1, antennas 2) that gives visibilities.

    They are of the shape of DATA, (n_rows, n_chan, n_pol), and 0 in the cross hands.
    """
    from contimg.predict import predict_visibilities

    parallel = parallel_hands(ms)

    def changes(
        time_s: float,
        uvw_m: NDArray[np.float64],
        antenna1: NDArray[np.int32],
        antenna2: NDArray[np.int32],
    ) -> NDArray[np.complex64]:
        flux = sky.change_jy(time_s / 86400.0)
        stokes_i = predict_visibilities(uvw_m, antenna1, antenna2, sky.lmn, flux, sky.freq_hz)
        return stokes_i[:, :, None] * parallel

    return changes


def settle(ms: Path, sky: ChangingSky, uvw_scale: float, uvw_turn_rad: float = 0.0) -> str:
    """Scale and turn the UVW of a calibrated set and subtract the changes of sources.

    Parameters
    ----------
    ms : calibrated set as `contimg.transform.transform` wrote it.
    sky : sources on the set's channels; there may be none.
    uvw_scale, uvw_turn_rad : `contimg.sky.aberration_scale` and `turn_of_uvw_rad`: with them,
        offsets in the set are ICRS offsets.

    Returns
    -------
    Digest of the set's visibilities, weights and UVW as they are then; flagged ones count as 0.
    """
    import casacore.tables

    digest = Digest()
    with casacore.tables.table(str(ms), readonly=False, ack=False) as table:
        weights = "WEIGHT_SPECTRUM" if "WEIGHT_SPECTRUM" in table.colnames() else "WEIGHT"
        changes = changes_of(ms, sky)
        for part in table.iter("TIME"):
            data, flag, weight, uvw, first, second = (
                part.getcol(name)
                for name in ("DATA", "FLAG", weights, "UVW", "ANTENNA1", "ANTENNA2")
            )
            uvw = uvw_scale * (turned(uvw, uvw_turn_rad) if uvw_turn_rad else uvw)
            if len(sky.lmn):
                data -= changes(part.getcell("TIME", 0), uvw, first, second)
                part.putcol("DATA", data)
            part.putcol("UVW", uvw)
            data[flag] = 0
            used = weight if weight.ndim == flag.ndim else weight[:, None]
            digest.add("DATA", data)
            digest.add("WEIGHT", np.where(flag, np.float32(0), used))
            digest.add("UVW", uvw)
    return digest.hex()
