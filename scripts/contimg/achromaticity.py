"""How the depth of a dip goes with wavelength, from the light curves of subband images.

The dip that was found in the whole band, S(t) = B (1 - d T((t - t0) / W)), is fitted to each
subband with t0, W and the shape T held: B and d are free. Then d = A (lambda / lambda_0)^x is
fitted to the depths. Refraction by plasma goes as wavelength squared, and what that does to the
flux depends on the lens; x is measured, not assumed. An eclipse or an error of a gain has x = 0.

Where the true dip has another shape than T, all subbands miss it alike, and the depths stay
comparable. So the errors of the depths are scaled by what the subbands' residuals show after
their weighted mean at each epoch is taken off, and not by how well T fits.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import curve_fit

from contimg.epochs import Epochs, Floats, usable_epochs
from contimg.ese import SHAPES

# Mid-times of a transit differ between subbands by an image that one of them lacks.
_SAME_TRANSIT_DAYS = 0.25
_MIN_EPOCHS = 4


@dataclass(frozen=True)
class DepthSpectrum:
    """Depths of one dip in n subbands, and how they go with wavelength; NaN: not known.

    Attributes
    ----------
    freq_hz, depth, depth_err : (n,) of the subbands with enough epochs in and out of the dip.
    exponent, exponent_err : x of depth ~ wavelength^x.
    achromatic_p : probability that equal depths scatter as much.
    """

    freq_hz: Floats
    depth: Floats
    depth_err: Floats
    exponent: float = np.nan
    exponent_err: float = np.nan
    achromatic_p: float = np.nan


def depth_spectrum(
    subbands: Epochs, shape: str, centre_mjd: float, fwhm_days: float
) -> DepthSpectrum:
    """Fit one dip to the subband light curves of its source.

    Parameters
    ----------
    subbands : a row a subband of one source, with column freq_hz.
    shape : name of one of `contimg.ese.SHAPES`.
    centre_mjd, fwhm_days : of the dip in the whole band.
    """
    template = {one.__name__: one for one in SHAPES}[shape]
    dip = np.where(
        np.isfinite(subbands.flux_jy), template((subbands.mjd - centre_mjd) / fwhm_days), np.nan
    )
    base, depth, error = _fitted_depths(dip, subbands.flux_jy, subbands.error_jy)
    good = np.isfinite(error) & (base > 0)
    depth, error = depth[good], error[good]
    freq_hz = subbands.sources["freq_hz"].to_numpy(dtype=float)[good]
    left = subbands.flux_jy[good] / base[good, None] - (1 - depth[:, None] * dip[good])
    relative = subbands.error_jy[good] / base[good, None]
    error = error * _noise_scale(subbands.mjd[good], left, relative)
    if len(depth) < 2:
        return DepthSpectrum(freq_hz, depth, error)
    weight = error**-2
    scatter = np.sum(weight * (depth - np.average(depth, weights=weight)) ** 2)
    exponent, exponent_err = _exponent(freq_hz, depth, error)
    return DepthSpectrum(
        freq_hz, depth, error, exponent, exponent_err, float(stats.chi2.sf(scatter, len(depth) - 1))
    )


def with_depth_spectra(
    candidates: pd.DataFrame, subband_curves: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, dict[str, list[float]]]]:
    """Add n_subbands, depth_exponent, depth_exponent_err and achromatic_p to candidates.

    Parameters
    ----------
    candidates : source_id, shape, centre_mjd, fwhm_days, reason; the reason is added to.
    subband_curves : light curves of the subband images (`subband` from 0).

    Returns
    -------
    candidates : with the columns.
    depths : by source_id: freq_hz, depth and depth_err of each subband.
    """
    curves = dict(iter(subband_curves.groupby("source_id")))
    spectra = []
    for one in candidates.itertuples():
        spectrum = DepthSpectrum(*np.empty((3, 0)))
        if one.source_id in curves:
            epochs = usable_epochs(curves[one.source_id])
            spectrum = depth_spectrum(epochs, one.shape, one.centre_mjd, one.fwhm_days)
        spectra.append(spectrum)
    added = candidates.assign(
        n_subbands=np.array([len(one.depth) for one in spectra], dtype=np.int64),
        depth_exponent=np.array([one.exponent for one in spectra], dtype=float),
        depth_exponent_err=np.array([one.exponent_err for one in spectra], dtype=float),
        achromatic_p=np.array([one.achromatic_p for one in spectra], dtype=float),
    )
    reasons = [why + in_words(one) for why, one in zip(added.reason, spectra, strict=True)]
    depths = {
        source_id: {name: getattr(one, name).tolist() for name in ("freq_hz", "depth", "depth_err")}
        for source_id, one in zip(added.source_id, spectra, strict=True)
    }
    return added.assign(reason=pd.Series(reasons, added.index, dtype=object)), depths


def in_words(spectrum: DepthSpectrum) -> str:
    """Say how the depth goes with wavelength; nothing when it is not known."""
    if not np.isfinite(spectrum.exponent):
        return ""
    return (
        f"; depth goes as wavelength^({spectrum.exponent:.1f} ± {spectrum.exponent_err:.1f}) over "
        f"{len(spectrum.depth)} subbands, chance of that if achromatic {spectrum.achromatic_p:.2g}"
    )


def _fitted_depths(dip: Floats, flux: Floats, error: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit base and depth of each row by weighted least squares; NaN where they are not told.

    Parameters
    ----------
    dip, flux, error : (n, Nepochs) template, flux and its error, NaN without an epoch.
    """
    there = np.isfinite(dip) & np.isfinite(flux)
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


def _noise_scale(mjd: Floats, left: Floats, relative_err: Floats) -> float:
    """Return the factor, 1 or more, by which subbands differ from each other beyond their errors.

    Parameters
    ----------
    mjd, left, relative_err : (n, Nepochs) times, residuals as fractions of the base, their errors.
    """
    row, column = np.nonzero(np.isfinite(left))
    order = np.argsort(mjd[row, column], kind="stable")
    row, column = row[order], column[order]
    late = np.diff(mjd[row, column], prepend=-np.inf) > _SAME_TRANSIT_DAYS
    transit: NDArray[np.int64] = np.cumsum(late) - 1
    residual, weight = left[row, column], relative_err[row, column] ** -2.0
    total = np.bincount(transit, weight)
    common = np.bincount(transit, weight * residual) / total
    squares = np.sum(weight * (residual - common[transit]) ** 2)
    # Each subband's base and depth are fitted, of which the mean over subbands takes one pair.
    degrees = len(residual) - len(total) - 2 * (len(left) - 1)
    return float(np.sqrt(max(1.0, squares / degrees))) if degrees > 0 else 1.0


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
