"""The apparent sky around a calibrator: who is in it, where, and how bright through the beam."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import erfa
import numpy as np
import pandas as pd
from astropy.coordinates import get_body_barycentric_posvel
from astropy.time import Time
from numpy.typing import ArrayLike, NDArray
from scipy.constants import speed_of_light

from contimg.beam import Dish, power
from contimg.catalog import separation_deg, unit_vectors

REFERENCE_HZ = 1.4e9
"""The frequency of catalogue fluxes (NVSS) and of the VLA list's 20 cm fluxes."""

SAME_SOURCE_ARCSEC = 30.0
"""A catalogue source this close to the calibrator is the calibrator (NVSS's beam is 45 arcsec)."""

TYPICAL_ALPHA = -0.7
"""Spectral index of a neighbour without one of its own."""


JD_OF_MJD_ZERO = 2400000.5

PYUVDATA_ARC_RAD = np.pi / 360
"""Half of the arc along which pyuvdata measures where north is."""


@dataclass(frozen=True)
class Sky:
    """Point sources, the calibrator first.

    Attributes
    ----------
    ra_deg, dec_deg : (n_sources,) ICRS, degrees.
    flux_jy : (n_chan, n_sources) Stokes I, before the beam.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    flux_jy: NDArray[np.float64]


def model_sky(
    calibrator: Mapping[str, Any],
    neighbours: pd.DataFrame,
    freq_hz: NDArray[np.float64],
    spectrum_jy: NDArray[np.float64] | None = None,
) -> Sky:
    """Put the calibrator and its neighbours together; the calibrator is in it once.

    Parameters
    ----------
    calibrator : ra_deg, dec_deg and, without a spectrum, flux_jy (at 20 cm).
    neighbours : catalogue rows: ra_deg, dec_deg, s_nvss (Jy), alpha.
    freq_hz : (n_chan,) channel centres.
    spectrum_jy : (n_chan,) flux of a standard calibrator. Without it the spectrum is a power law
        with the index of the calibrator's own catalogue row, or flat.

    Returns
    -------
    sky : fluxes S = S_1.4 (nu / 1.4 GHz)^alpha.
    """
    ratio = np.asarray(freq_hz)[:, None] / REFERENCE_HZ
    ra_deg, dec_deg = float(calibrator["ra_deg"]), float(calibrator["dec_deg"])
    distance = separation_deg(ra_deg, dec_deg, neighbours["ra_deg"], neighbours["dec_deg"])
    is_calibrator = np.asarray(distance) <= SAME_SOURCE_ARCSEC / 3600.0
    if spectrum_jy is None:
        own = neighbours["alpha"][is_calibrator].dropna()
        alpha = float(own.iloc[0]) if len(own) else 0.0
        spectrum_jy = float(calibrator["flux_jy"]) * ratio[:, 0] ** alpha
    others = neighbours[~is_calibrator]
    alphas = others["alpha"].astype(float).fillna(TYPICAL_ALPHA).to_numpy()
    fluxes = others["s_nvss"].to_numpy(dtype=float) * ratio**alphas
    return Sky(
        np.append(ra_deg, others["ra_deg"].to_numpy(dtype=float)),
        np.append(dec_deg, others["dec_deg"].to_numpy(dtype=float)),
        np.column_stack([spectrum_jy, fluxes]),
    )


def apparent_flux_jy(
    sky: Sky, pointing_deg: ArrayLike, freq_hz: NDArray[np.float64], dish: Dish
) -> NDArray[np.float64]:
    """Fluxes through the beam of a dish at one pointing.

    Parameters
    ----------
    sky : the sources.
    pointing_deg : (2,) ICRS direction of the dish's axis, degrees.
    freq_hz : (n_chan,) channel centres.
    dish : the dish.

    Returns
    -------
    (n_chan, n_sources) Jy.
    """
    ra_deg, dec_deg = np.asarray(pointing_deg, dtype=float)
    theta = np.radians(separation_deg(ra_deg, dec_deg, sky.ra_deg, sky.dec_deg))
    return sky.flux_jy * power(np.asarray(theta), np.asarray(freq_hz)[:, None], dish)


def apparent_cosines(
    ra_deg: ArrayLike, dec_deg: ArrayLike, centre_deg: tuple[float, float], mjd: float
) -> NDArray[np.float64]:
    """Direction cosines of apparent places, about the apparent place of a phase centre.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) ICRS, degrees.
    centre_deg : right ascension and declination of the phase centre, ICRS.
    mjd : time.

    Returns
    -------
    (n, 3) l, m, n - 1 that belong to UVW as they are in a science set, whose axes follow the
        phase centre's apparent place and the ICRS north there.

    Notes
    -----
    The aberration of a moving observer: Klioner 2003, AJ 125, 1580, eq. 10. Next to
    cosines of ICRS places times `aberration_scale` it has the second order: 0.04 arcsec at 2.4 deg.
    """
    velocity = earth_velocity(mjd)
    ra0, dec0 = np.radians(centre_deg)
    north = np.array([-np.sin(dec0) * np.cos(ra0), -np.sin(dec0) * np.sin(ra0), np.cos(dec0)])
    centre = aberrated(unit_vectors([centre_deg[0]], [centre_deg[1]]), velocity)[0]
    north -= (north @ centre) * centre
    north /= np.linalg.norm(north)
    seen = aberrated(unit_vectors(ra_deg, dec_deg), velocity)
    below = -0.5 * ((seen - centre) ** 2).sum(axis=1)
    return np.column_stack([seen @ np.cross(north, centre), seen @ north, below])


def aberrated(vectors: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where an observer of this velocity (of light's) sees directions, (n, 3) unit vectors."""
    along = vectors @ velocity
    root = np.sqrt(1.0 - velocity @ velocity)
    seen = root * vectors + np.outer(1.0 + along / (1.0 + root), velocity)
    return seen / (1.0 + along[:, None])


def turn_of_uvw_rad(centre_deg: tuple[float, float], mjd: float) -> float:
    """Angle by which pyuvdata turns the UVW of a drift scan that it phases to an ICRS direction.

    Returns
    -------
    (u + i v) exp(i angle) has its v along the ICRS north; up to 4e-5, 0.14 arcsec/deg.

    Notes
    -----
    pyuvdata (3.2) measures the angle between the north of ICRS and of date along a degree of the
    meridian of date, but at its southern end, half a degree from the centre: there it is smaller
    by sin(angle) tan(dec) times half a degree. A calibrator off the centre would carry the turn
    over to all fields, as a shift: 0.13 arcsec for one at 1.3 deg.
    """
    ra, dec = np.radians(centre_deg)
    pole = erfa.pnm06a(JD_OF_MJD_ZERO, mjd)[2]
    east = pole @ np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = pole @ np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    return -float(PYUVDATA_ARC_RAD * np.sin(np.arctan2(east, north)) * np.tan(dec))


def turned(vectors: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    """Turn the first two of the columns x, y, z: (x + i y) exp(i angle)."""
    x, y, z = vectors.T
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.column_stack([cosine * x - sine * y, sine * x + cosine * y, z])


def earth_velocity(mjd: float) -> NDArray[np.float64]:
    """Barycentric velocity of the Earth, ICRS, in units of the speed of light."""
    _, velocity = get_body_barycentric_posvel("earth", Time(mjd, format="mjd"))
    return np.asarray(velocity.xyz.to_value("m/s")) / speed_of_light


def aberration_scale(centre_deg: tuple[float, float], mjd: float) -> float:
    """Factor by which the Earth's motion scales apparent offsets from a direction.

    Parameters
    ----------
    centre_deg : right ascension and declination, ICRS.
    mjd : time.

    Returns
    -------
    1 - v.s / c, within 1e-4 of 1: the field ahead of the Earth is contracted.

    Notes
    -----
    UVW follows the phase centre's apparent place, aberration included, while offsets from it are
    ICRS. At 1.4 deg the difference is up to 0.5 arcsec. UVW times this factor belong to ICRS
    offsets, which is how calibrated sets have them.
    """
    ahead = unit_vectors([centre_deg[0]], [centre_deg[1]])[0]
    return float(1.0 - earth_velocity(mjd) @ ahead)


def icrs_cosines(
    ra_deg: ArrayLike, dec_deg: ArrayLike, centre_deg: tuple[float, float], mjd: float
) -> NDArray[np.float64]:
    """Direction cosines that belong to the UVW of a calibrated set.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) ICRS, degrees.
    centre_deg : right ascension and declination of the phase centre, ICRS.
    mjd : middle of the group.

    Returns
    -------
    (n, 3) l, m, n - 1 of apparent places over `aberration_scale`: UVW of a calibrated set are
        scaled by it, so that offsets in the set are ICRS offsets.
    """
    apparent = apparent_cosines(ra_deg, dec_deg, centre_deg, mjd)
    return apparent / aberration_scale(centre_deg, mjd)
