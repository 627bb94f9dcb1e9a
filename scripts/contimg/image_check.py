"""Is an image good? Its figures against what the data allow, and the limits that they must keep."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import label

from contimg.fits import Image
from contimg.flux_check import failed_limits
from contimg.noise import robust_rms

_BOWL_SIGMA = 6.0
_PSF_FINENESS = 10


def thermal_noise_jy(
    sefd_jy: float, effective_visibilities: float, channel_width_hz: float, seconds: float
) -> float:
    """Noise of a Stokes I image that the receivers alone would make.

    Parameters
    ----------
    sefd_jy : system equivalent flux density of one antenna and polarization.
    effective_visibilities : (sum w)^2 / sum w^2 over the visibilities (of both polarizations
        together), w being the weights as imaged; their number with natural weights.
    channel_width_hz, seconds : bandwidth and time of one visibility, after averaging.

    Returns
    -------
    Jy/beam. With natural weights SEFD / sqrt(2 N (N-1) bandwidth time) for N antennas (Taylor,
    Carilli & Perley 1999, Synthesis Imaging in Radio Astronomy II, eq. 9-23), which flags and
    weights raise.
    """
    one_visibility = sefd_jy / (2.0 * np.sqrt(channel_width_hz * seconds))
    return float(one_visibility / np.sqrt(effective_visibilities))


def check_figures(
    restored: Image,
    residual: NDArray[np.float32],
    background: NDArray[np.float32],
    noise: NDArray[np.float32],
    thermal_jy: float,
) -> dict[str, float]:
    """Figures of an image and of its residuals.

    Parameters
    ----------
    restored : the image, not corrected for the primary beam.
    residual : (ny, nx) what CLEAN left.
    background, noise : (ny, nx) of the residuals, as `noise.background_and_rms` gives them.
    thermal_jy : see `thermal_noise_jy`; NaN when unknown.

    Returns
    -------
    ``rms_jy`` of the residuals (robust, of the whole image); ``peak_jy`` and ``minimum_jy``;
    ``dynamic_range`` and ``negative_bowl``: these two over the rms; ``thermal_jy`` and
    ``rms_over_thermal``; ``negative_over_peak``: the deepest hole beyond 6 rms over the peak;
    ``residual_peak_jy``; ``background_over_rms``: standard deviation of the background over the
    median noise (structure larger than beams); ``residual_kurtosis``: excess kurtosis of
    (residual - background) / noise, 0 for noise, large for sidelobes and rings around a few
    sources; ``beam_major_arcsec`` and the beam's other figures.
    """
    # Neighbours in a beam say the same: every second pixel along each axis is enough.
    thin = np.s_[::2, ::2]
    rms = robust_rms(residual[thin])
    peak, minimum = float(restored.data.max()), float(restored.data.min())
    deviation = (residual[thin] - background[thin]) / noise[thin]
    squares = np.square(deviation[np.isfinite(deviation)])
    hole = max(0.0, -minimum - _BOWL_SIGMA * rms)
    beam = restored.beam
    return {
        "peak_jy": peak,
        "minimum_jy": minimum,
        "rms_jy": rms,
        "dynamic_range": peak / rms if rms > 0 else float("nan"),
        "negative_bowl": minimum / rms if rms > 0 else float("nan"),
        "thermal_jy": thermal_jy,
        "rms_over_thermal": rms / thermal_jy,
        "negative_over_peak": hole / peak,
        "residual_peak_jy": float(np.abs(residual).max()),
        "background_over_rms": float(np.std(background[thin]) / np.median(noise[thin])),
        "residual_kurtosis": float(np.mean(squares**2) / np.mean(squares) ** 2) - 3.0,
        "beam_major_arcsec": beam.bmaj_deg * 3600,
        "beam_minor_arcsec": beam.bmin_deg * 3600,
        "beam_pa_deg": beam.bpa_deg,
        "beam_axis_ratio": beam.bmaj_deg / beam.bmin_deg,
    }


def dirty_peak(
    model: NDArray[np.float32], psf: NDArray[np.float32], residual: NDArray[np.float32]
) -> float:
    """Peak of the image before CLEAN, by residual + model * psf at the likeliest pixels.

    Parameters
    ----------
    model, psf, residual : (ny, nx) of one run of CLEAN; the PSF's peak is at n/2.

    Returns
    -------
    The larger absolute value at the brightest pixels of model and residual, Jy/beam.
    """
    rows, columns = np.nonzero(model)
    flux = model[rows, columns].astype(float)
    places = [np.unravel_index(int(np.abs(residual).argmax()), residual.shape)]
    if flux.size:
        brightest = int(np.abs(flux).argmax())
        places.append((rows[brightest], columns[brightest]))
    middle = [n // 2 for n in psf.shape]
    values = []
    for row, column in places:
        dy, dx = row - rows + middle[0], column - columns + middle[1]
        inside = (dy >= 0) & (dy < psf.shape[0]) & (dx >= 0) & (dx < psf.shape[1])
        values.append(residual[row, column] + flux[inside] @ psf[dy[inside], dx[inside]])
    return float(np.abs(values).max())


def beam_area_ratio(restored: Image, psf: NDArray[np.float32]) -> float:
    """Area in which the restoring beam exceeds a half, over that of the PSF's central lobe.

    A fit that went wrong (a plateau of sidelobes, a PSF without a clear lobe) is far from 1.
    """
    covariance = restored.beam_covariance_pixels()
    beam_area = 2 * np.pi * np.log(2) * np.sqrt(np.linalg.det(covariance))
    reach = int(np.ceil(1.5 * restored.beam.bmaj_deg / restored.pixel_scale_deg)) + 2
    ny, nx = psf.shape
    rows = np.arange(max(0, ny // 2 - reach), min(ny, ny // 2 + reach + 1))
    columns = np.arange(max(0, nx // 2 - reach), min(nx, nx // 2 + reach + 1))
    part = psf[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    step = 1.0 / _PSF_FINENESS
    fine = [np.arange(axis[0], axis[-1] + step / 2, step) for axis in (rows, columns)]
    values = RectBivariateSpline(rows, columns, part)(*fine)
    lobes, _ = label(values > 0.5 * psf[ny // 2, nx // 2])
    centre = lobes[
        int(np.argmin(np.abs(fine[0] - ny // 2))), int(np.argmin(np.abs(fine[1] - nx // 2)))
    ]
    return float(beam_area / ((lobes == centre).sum() * step**2))


def failed_checks(figures: Mapping[str, float], limits: Mapping[str, Any]) -> list[str]:
    """Return why an image fails `imaging.checks` of the configuration; empty when it is good."""
    anything = float("inf")
    bright = figures["dynamic_range"] >= limits["enough_dynamic_range"]
    most = anything if bright else limits["max_rms_over_thermal"]
    ranges = {
        "rms_over_thermal": (limits["min_rms_over_thermal"], most),
        "dynamic_range": (limits["min_dynamic_range"], anything),
        "negative_over_peak": (-anything, limits["max_negative_over_peak"]),
        "residual_over_dirty": (-anything, limits["max_residual_over_dirty"]),
        "background_over_rms": (-anything, limits["max_background_over_rms"]),
        "residual_kurtosis": (-anything, limits["max_residual_kurtosis"]),
        "beam_axis_ratio": (-anything, limits["max_beam_axis_ratio"]),
        "beam_area_ratio": tuple(limits["beam_area_range"]),
    }
    return failed_limits(figures, ranges)
