"""Power response of a dish, alone and averaged over a drift and a band."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import speed_of_light
from scipy.special import j1

from contimg.checkout import located

if TYPE_CHECKING:  # planning imports this module, and these are slow
    from astropy.wcs import WCS

FWHM_WAVELENGTHS_PER_DIAMETER = 1.029
"""Full width at half power of an Airy disk, in units of wavelength / diameter."""

TABLE_REFERENCE_HZ = 1.405e9
"""A beam table gives angles at this frequency; the pattern shrinks as 1 / frequency."""

_PROFILE_POINTS_PER_FWHM = 1000
_GRID_POINTS_PER_FWHM = 60


@dataclass(frozen=True)
class Dish:
    """What is needed to know a dish's beam.

    Attributes
    ----------
    model : "airy" (uniformly lit), "gaussian" (of the Airy disk's width) or "table".
    diameter_m : diameter, metres.
    table : CSV with columns ``angle_deg`` (ascending from 0, at 1.405 GHz) and ``power`` (1 at 0);
        needed by the model "table" only.
    """

    model: Literal["airy", "gaussian", "table"] = "airy"
    diameter_m: float = 4.65
    table: Path | None = None

    def fwhm_rad(self, freq_hz: float) -> float:
        """Full width at half power of an Airy disk of this diameter, radians."""
        return FWHM_WAVELENGTHS_PER_DIAMETER * speed_of_light / (freq_hz * self.diameter_m)


def dish_of(options: Mapping[str, Any], diameter_m: float) -> Dish:
    """The dish that the configuration's `beam` block means, of a diameter in metres."""
    table = located(options["table"]) if options.get("table") else None
    return Dish(options["model"], diameter_m, table)


def airy_power(theta_rad: ArrayLike, freq_hz: ArrayLike, diameter_m: float) -> NDArray:
    """Power of a uniformly lit circular aperture: (2 J1(x) / x)^2, x = pi D sin(theta) / lambda.

    Parameters
    ----------
    theta_rad : angle from the axis, radians; behind the dish (> pi/2) the power is 0.
    freq_hz : frequency, Hz; broadcast against `theta_rad`.
    diameter_m : diameter, metres.

    Returns
    -------
    Power, 1 on the axis, of the broadcast shape.
    """
    theta = np.asarray(theta_rad, dtype=float)
    x = np.pi * diameter_m * np.sin(theta) * np.asarray(freq_hz) / speed_of_light
    safe = np.where(np.abs(x) < 1e-6, 1.0, x)
    power = np.where(np.abs(x) < 1e-6, 1.0, (2.0 * j1(safe) / safe) ** 2)
    return np.where(np.abs(theta) > np.pi / 2, 0.0, power)


def gaussian_power(theta_rad: ArrayLike, freq_hz: ArrayLike, diameter_m: float) -> NDArray:
    """Gaussian beam of the Airy disk's width at half power, 1.029 lambda / D.

    Parameters and Returns as for `airy_power`.
    """
    theta = np.asarray(theta_rad, dtype=float)
    fwhm = FWHM_WAVELENGTHS_PER_DIAMETER * speed_of_light / (np.asarray(freq_hz) * diameter_m)
    return np.where(
        np.abs(theta) > np.pi / 2, 0.0, np.exp(-4.0 * np.log(2.0) * (theta / fwhm) ** 2)
    )


def table_power(theta_rad: ArrayLike, freq_hz: ArrayLike, table: Path) -> NDArray:
    """Power from a table of angle (scaled to 1.405 GHz) against power; 0 beyond its last angle.

    Parameters and Returns as for `airy_power`; `table` as in `Dish`.

    Raises
    ------
    ValueError
        When the table is not a beam.
    """
    angle_deg, power = _read_table(Path(table))
    scaled = np.degrees(np.abs(np.asarray(theta_rad, dtype=float)))
    scaled = scaled * np.asarray(freq_hz) / TABLE_REFERENCE_HZ
    return np.interp(scaled, angle_deg, power, right=0.0)


def power(theta_rad: ArrayLike, freq_hz: ArrayLike, dish: Dish) -> NDArray:
    """Power response of `dish` at `theta_rad` (radians) and `freq_hz` (Hz), 1 on the axis."""
    if dish.model == "airy":
        return airy_power(theta_rad, freq_hz, dish.diameter_m)
    if dish.model == "gaussian":
        return gaussian_power(theta_rad, freq_hz, dish.diameter_m)
    if dish.model == "table" and dish.table is not None:
        return table_power(theta_rad, freq_hz, dish.table)
    raise ValueError(
        f"beam model {dish.model!r} with table {dish.table}: "
        "expected 'airy', 'gaussian', or 'table' with a CSV file"
    )


def drift_averaged_beam(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    pointings: NDArray[np.float64],
    weights_time: ArrayLike,
    freq_hz: ArrayLike,
    weights_freq: ArrayLike,
    dish: Dish,
) -> NDArray[np.float32]:
    """Power response averaged over integrations and channels, weighted as imaged.

    Parameters
    ----------
    ra_deg, dec_deg : ICRS positions of one shape, degrees; NaN gives NaN.
    pointings : (n_int, 2) ICRS right ascension and declination of the dish, degrees; one row for
        a telescope that tracks.
    weights_time : (n_int,) weight of each integration.
    freq_hz, weights_freq : (n_chan,) channel centres and weights.
    dish : the dish.

    Returns
    -------
    Power in [0, 1], float32, of the shape of `ra_deg`.

    Notes
    -----
    The beam depends on the separation only, so the average over channels is one radial profile,
    tabulated in the squared chord (in which it is smooth on the axis).
    """
    positions = _unit_vectors(ra_deg, dec_deg)
    centres = _unit_vectors(pointings[:, 0], pointings[:, 1])
    share = _normalised(weights_time)
    frequencies, channel_share = np.atleast_1d(freq_hz), _normalised(weights_freq)
    largest = max(np.nanmax(_chord_squared(positions, c), initial=0.0) for c in centres)
    grid, profile = _radial_profile(largest, frequencies, channel_share, dish)
    total = np.zeros(positions.shape[:-1])
    for weight, centre in zip(share, centres, strict=True):
        total += weight * np.interp(_chord_squared(positions, centre), grid, profile)
    return total.astype(np.float32)


def beam_image(
    wcs: "WCS",
    shape: tuple[int, int],
    pointings: NDArray[np.float64],
    weights_time: ArrayLike,
    freq_hz: ArrayLike,
    weights_freq: ArrayLike,
    dish: Dish,
) -> NDArray[np.float32]:
    """`drift_averaged_beam` on every pixel of an image.

    Parameters
    ----------
    wcs : celestial WCS of the image.
    shape : (ny, nx).
    pointings, weights_time, freq_hz, weights_freq, dish : as for `drift_averaged_beam`.

    Returns
    -------
    (ny, nx) float32.

    Raises
    ------
    ValueError
        When the image reaches beyond the sky.

    Notes
    -----
    Evaluated on a grid of 60 points across the beam at half power (or on every pixel, when those
    are coarser) and interpolated by a bicubic spline; the error is below 1e-6.
    """
    from scipy.interpolate import RectBivariateSpline  # slow, and not for planning

    step_deg = np.degrees(dish.fwhm_rad(float(np.max(freq_hz)))) / _GRID_POINTS_PER_FWHM
    scale_deg = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))
    rows, columns = (_coarse_axis(n, max(1.0, step_deg / scale_deg)) for n in shape)
    ra, dec = wcs.all_pix2world(*np.meshgrid(columns, rows), 0)
    if not np.all(np.isfinite(ra)):
        raise ValueError(f"an image of {shape} pixels reaches beyond the sky: make it smaller")
    coarse = drift_averaged_beam(
        ra, dec, pointings, weights_time, freq_hz, weights_freq, dish
    ).astype(float)
    spline = RectBivariateSpline(rows, columns, coarse)
    fine = spline(np.arange(shape[0]), np.arange(shape[1])).astype(np.float32)
    return np.clip(fine, 0.0, 1.0, out=fine)


@functools.lru_cache(maxsize=8)
def _read_table(path: Path) -> tuple[NDArray, NDArray]:
    import pandas as pd

    table = pd.read_csv(path, comment="#")
    if not {"angle_deg", "power"} <= set(table.columns):
        raise ValueError(
            f"{path}: columns {list(table.columns)} found, 'angle_deg' and 'power' expected"
        )
    angle_deg, values = (table[name].to_numpy(dtype=float) for name in ("angle_deg", "power"))
    is_beam = (
        len(angle_deg) > 1
        and angle_deg[0] == 0.0
        and np.all(np.diff(angle_deg) > 0)
        and np.isclose(values[0], 1.0)
        and np.all((values >= 0) & (values <= 1.0 + 1e-6))
    )
    if not is_beam:
        raise ValueError(
            f"{path}: not a beam: angles must ascend from 0 and powers start at 1, within 0 to 1"
        )
    return angle_deg, values


def _radial_profile(
    largest_chord_squared: float, freq_hz: NDArray, share: NDArray, dish: Dish
) -> tuple[NDArray, NDArray]:
    """Channel-averaged power on a uniform grid of squared chords from 0 to the largest."""
    half_power = (dish.fwhm_rad(float(np.max(freq_hz))) / 2.0) ** 2
    n_points = int(largest_chord_squared / half_power * _PROFILE_POINTS_PER_FWHM) + 2
    grid = np.linspace(0.0, largest_chord_squared, min(n_points, 200_000))
    theta = 2.0 * np.arcsin(np.clip(np.sqrt(grid) / 2.0, 0.0, 1.0))
    profile = np.zeros_like(grid)
    for frequency, weight in zip(freq_hz, share, strict=True):
        profile += weight * power(theta, frequency, dish)
    return grid, profile


def _normalised(weights: ArrayLike) -> NDArray[np.float64]:
    values = np.atleast_1d(np.asarray(weights, dtype=float))
    total = values.sum()
    if not (np.all(values >= 0) and total > 0):
        raise ValueError("beam weights must not be negative, and some must be positive")
    return values / total


def _unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _chord_squared(vectors: NDArray, centre: NDArray) -> NDArray[np.float64]:
    return np.sum((vectors - centre) ** 2, axis=-1)


def _coarse_axis(n: int, step: float) -> NDArray[np.float64]:
    return np.linspace(0.0, n - 1.0, max(4, int(np.ceil((n - 1) / step)) + 1))
