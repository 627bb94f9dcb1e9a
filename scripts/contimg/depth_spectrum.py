"""How the depth of a dip goes with wavelength: a number that describes, and decides nothing.

The dip that was fitted to the common light curve is fitted to each subband, its centre, width and
shape held: base and depth are free. Then depth = A (lambda / lambda_0)^x is fitted. Bending by
plasma goes as wavelength squared, but what that does to the depth depends on the lens: behind a
strong one all subbands are dark, and x is near 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

Floats = NDArray[np.float64]

_MIN_EPOCHS = 4


@dataclass(frozen=True)
class DepthSpectrum:
    """Depths of one dip in n subbands, and how they go with wavelength; NaN: not known.

    Attributes
    ----------
    freq_hz, depth, depth_err : (n,) of the subbands with enough epochs in and out of the dip.
    exponent, exponent_err : x of depth ~ wavelength^x.
    """

    freq_hz: Floats
    depth: Floats
    depth_err: Floats
    exponent: float = np.nan
    exponent_err: float = np.nan


def depth_spectrum(
    freq_hz: Floats, flux: Floats, error: Floats, dip: Floats, scale: float
) -> DepthSpectrum:
    """Fit the depth of one dip in each subband.

    Parameters
    ----------
    freq_hz : (n,).
    flux, error : (n, Nepochs), NaN without a measurement.
    dip : (Nepochs,) of unit depth.
    scale : by which subbands differ from each other more than their errors say.
    """
    base, depth, depth_err = _fitted_depths(dip, flux, error)
    good = np.isfinite(depth_err) & (base > 0)
    freq_hz, depth, depth_err = freq_hz[good], depth[good], depth_err[good] * scale
    if len(depth) < 2:
        return DepthSpectrum(freq_hz, depth, depth_err)
    return DepthSpectrum(freq_hz, depth, depth_err, *_exponent(freq_hz, depth, depth_err))


def _fitted_depths(dip: Floats, flux: Floats, error: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit base and depth of each row by weighted least squares; NaN where they are not told.

    Parameters
    ----------
    dip : (Nepochs,).
    flux, error : (n, Nepochs), NaN without a measurement.
    """
    there = np.isfinite(flux)
    weight = np.where(there, error, np.inf) ** -2.0
    value, x = np.where(there, flux, 0.0), np.where(there, dip, 0.0)
    w, wx, wxx = weight.sum(1), (weight * x).sum(1), (weight * x**2).sum(1)
    wy, wxy = (weight * value).sum(1), (weight * x * value).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = w * wxx - wx**2
        told = (there.sum(1) >= _MIN_EPOCHS) & (determinant > 1e-9 * w * wxx)
        base = (wxx * wy - wx * wxy) / determinant
        slope = (w * wxy - wx * wy) / determinant
        depth = -slope / base
        # d = -slope / base; variances of slope and base and their covariance are
        # w, wxx and -wx over the determinant.
        variance = (w + depth**2 * wxx - 2 * depth * wx) / determinant / base**2
        depth_err = np.sqrt(variance)
    base, depth, depth_err = (np.where(told, one, np.nan) for one in (base, depth, depth_err))
    return base, depth, depth_err


def _exponent(freq_hz: Floats, depth: Floats, error: Floats) -> tuple[float, float]:
    """Fit depth = A (reference / frequency)^x; return x and its standard error."""
    reference_hz = np.exp(np.mean(np.log(freq_hz)))
    if np.ptp(freq_hz) == 0 or not np.average(depth, weights=error**-2) > 0:
        return np.nan, np.nan
    try:
        found, covariance = curve_fit(
            lambda ratio, height, x: height * ratio**x,
            reference_hz / freq_hz,
            depth,
            p0=(np.average(depth, weights=error**-2), 0.0),
            sigma=error,
            absolute_sigma=True,
        )
    except RuntimeError:  # no convergence: the depths are noise
        return np.nan, np.nan
    return float(found[1]), float(np.sqrt(covariance[1, 1]))
