"""The documented score of extreme scattering events: the best dip against white noise.

Dips. A light curve is compared with S(t) = B (1 - d T((t - t0) / W)), T one of three shapes of
unit depth and unit full width at half depth: a Gaussian, a flat trough, and a flat trough
between two caustic spikes (Fiedler et al. 1987). W runs from 14 to 180 days in steps of at most
25 %, t0 from the first epoch to the last in steps of W/6; B and d follow by weighted least
squares. Only dips count (0 < d <= 1), with at least two epochs within W/2 of t0 and three
beyond 0.75 W. The search takes times to W/60; the best dip is fitted anew at the exact times.

`dip_false_alarm` bounds the probability that a constant source of Gaussian noise reaches the
source's largest chi-squared gain anywhere on the grid. For one shape and width the templates,
whitened and of unit length, form a curve on the sphere as t0 moves; with L its length,
P(max > z) <= Q(z) + L/(2 pi) exp(-z^2/2) (Hotelling 1939; Johnstone & Siegmund 1989), summed
over shapes and widths. The gain is divided by the noise scale: the largest of 1, what the
typical source of the table shows, and what this source's residuals from the dip show. Where
these residuals are more than the errors explain (p < 0.01), Hotelling's bound for noise of
unknown scale is used if it is larger:
P(max r > r0) <= 1/2 P(Beta(1/2, (n-1)/2) > r0^2) + L/(2 pi) (1 - r0^2)^((n-2)/2), n = N - 1.
It knows white noise only: slow variation of another kind is not noise to it. The search against
correlated noise is another module's.

`ese_score` = 0.5 significance + 0.2 timescale + 0.2 amplitude + 0.1 |asymmetry|, where
significance = -log10(dip_false_alarm) / 4 cut to 0..1; timescale is 1 for 14 <= W <= 180 days;
amplitude is 1 for a peak to trough of 0.2 to 2.0 of the baseline, rises from 0 at 0.1, and is
0 above 2; asymmetry = (centroid of the deficit - time of the lowest epoch) / (W/2), cut to
-1..1, over the epochs within W of t0, the deficit being max(0, 1 - S/B).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from contimg.dip_search import SHAPES, Dips, best_dips
from contimg.epochs import Epochs, Floats, over_chunks
from contimg.tables import options_from

_FULL_SIGNIFICANCE_DEX = 4.0
DOCUMENTED_THRESHOLD = 0.6
_EPOCHS_AT_ONCE = 40_000


@dataclass(frozen=True)
class DipOptions:
    """What counts as a dip.

    Attributes
    ----------
    min_fwhm_days, max_fwhm_days : range of widths.
    min_epochs : sources with fewer usable epochs are not searched.
    """

    min_fwhm_days: float = 14.0
    max_fwhm_days: float = 180.0
    min_epochs: int = 8


def fit_dips(
    epochs: Epochs, options: Mapping[str, Any] | None = None, threads: int = 1
) -> pd.DataFrame:
    """Fit the best dip of every source.

    Parameters
    ----------
    epochs : light curves.
    options : keys of `DipOptions`.
    threads : sources are shared out among them; the result does not depend on it.

    Returns
    -------
    dips : one row a source, in the order of `epochs.sources`: asymmetry, timescale_days,
        amplitude, depth, centre_mjd (NaN without a dip), ese_score (0) and dip_false_alarm (1).
    """
    settings = options_from(DipOptions, options)
    fit = partial(_fit_chunk, scale=noise_scale(epochs), options=settings)
    return pd.DataFrame(over_chunks(fit, epochs, _EPOCHS_AT_ONCE, threads))


def noise_scale(epochs: Epochs) -> float:
    """Return the factor, 1 or more, by which the typical source's variance exceeds its errors.

    The median over sources of chi-squared against the mean over its own median; 1 where
    fewer than ten sources have four epochs.
    """
    found = over_chunks(_chi_squared, epochs, _EPOCHS_AT_ONCE)
    many = found["count"] >= 4
    if many.sum() < 10:
        return 1.0
    expected = stats.chi2.median(found["count"][many] - 1)
    return max(1.0, float(np.median(found["chi2"][many] / expected)))


def _chi_squared(epochs: Epochs) -> dict[str, NDArray]:
    weight, residual, _ = _against_constant(epochs)
    return {
        "count": np.isfinite(epochs.flux_jy).sum(axis=1),
        "chi2": (weight * residual**2).sum(axis=1),
    }


def _against_constant(epochs: Epochs) -> tuple[Floats, Floats, Floats]:
    """Return weights and residuals, 0 where there is no epoch, and the weighted mean."""
    there = np.isfinite(epochs.flux_jy)
    weight = np.where(there, epochs.error_jy, np.inf) ** -2.0
    flux = np.where(there, epochs.flux_jy, 0.0)
    with np.errstate(invalid="ignore"):
        mean = (weight * flux).sum(axis=1) / weight.sum(axis=1)
    return weight, np.where(there, flux - mean[:, None], 0.0), mean


def _fit_chunk(epochs: Epochs, scale: float, options: DipOptions) -> dict[str, NDArray]:
    """Return the columns of `fit_dips` for a few sources."""
    there = np.isfinite(epochs.flux_jy)
    count = there.sum(axis=1)
    weight, residual, mean = _against_constant(epochs)
    searched = (count >= max(options.min_epochs, 5)) & (mean > 0)
    rows = np.flatnonzero(searched)
    start = np.where(there, epochs.mjd, np.inf).min(axis=1, initial=np.inf)
    days = np.where(there, epochs.mjd - np.where(searched, start, 0.0)[:, None], 0.0)
    widths = options.min_fwhm_days, options.max_fwhm_days
    data = days[rows], weight[rows], residual[rows], mean[rows]
    dips = best_dips(*data, *widths)
    found = describe(dips, *data, scale)
    columns: dict[str, NDArray] = {
        "ese_score": np.zeros(len(count)),
        "dip_false_alarm": np.ones(len(count)),
    }
    dipping = rows[dips.gain > 0]
    for name, values in found.items():
        column = columns.setdefault(name, np.full(len(count), np.nan))
        column[dipping] = values[dips.gain > 0]
    columns["centre_mjd"][dipping] += start[dipping]
    return columns


def describe(
    dips: Dips, days: Floats, weight: Floats, residual: Floats, mean: Floats, scale: float
) -> dict[str, NDArray]:
    """Return what the table says of each dip; rows without a dip are meaningless.

    Parameters
    ----------
    dips, days, weight, residual, mean : of `contimg.dip_search.best_dips`.
    scale : noise scale of the table, a factor of the variance.

    Returns
    -------
    columns : those of `fit_dips`, (Nsources,) each; centre_mjd from the first epoch.
    """
    there = weight > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (days - dips.centre_days[:, None]) / dips.fwhm_days[:, None]
        flux = np.where(there, (residual + mean[:, None]) / dips.baseline_jy[:, None], np.nan)
    values = np.select(
        [dips.shape[:, None] == i for i in range(len(SHAPES))], [s(x) for s in SHAPES]
    )
    lowest = np.where(there, values, np.inf).min(axis=1, initial=np.inf)
    highest = np.where(there, values, -np.inf).max(axis=1, initial=-np.inf)
    amplitude = dips.depth * (highest - np.minimum(lowest, 0.0))
    chi2 = (weight * residual**2).sum(axis=1)
    false_alarm = false_alarm_probability(dips, there.sum(axis=1), chi2, scale)
    asymmetry = _asymmetry(x, 1 - flux)
    return {
        "asymmetry": asymmetry,
        "timescale_days": dips.fwhm_days,
        "amplitude": amplitude,
        "ese_score": ese_score(false_alarm, dips.fwhm_days, amplitude, asymmetry),
        "dip_false_alarm": false_alarm,
        "depth": dips.depth,
        "centre_mjd": dips.centre_days,
    }


def ese_score(
    false_alarm: Floats, timescale_days: Floats, amplitude: Floats, asymmetry: Floats
) -> Floats:
    """Return the weighted score, 0 to 1; the formula is in the module's docstring."""
    dex = -np.log10(np.maximum(false_alarm, 1e-300))
    significance = np.clip(dex / _FULL_SIGNIFICANCE_DEX, 0, 1)
    timescale = (timescale_days >= 14.0) & (timescale_days <= 180.0)
    size = np.where(amplitude <= 2.0, np.clip((amplitude - 0.1) / 0.1, 0, 1), 0.0)
    return 0.5 * significance + 0.2 * timescale + 0.2 * size + 0.1 * np.abs(asymmetry)


def false_alarm_probability(
    dips: Dips, n_epochs: NDArray[np.int64], chi2: Floats, scale: float
) -> Floats:
    """Bound the probability that noise gains as much chi-squared on the grid, (Nsources,).

    Parameters
    ----------
    dips : the best ones, with number and length of the curves that were searched.
    n_epochs : (Nsources,) 5 or more.
    chi2 : (Nsources,) of the constant.
    scale : noise scale of the table.
    """
    degrees = n_epochs - 4
    left = np.maximum(chi2 - dips.gain, 0.0)
    z2 = dips.gain / np.maximum(scale, left / degrees)
    length = dips.length / (2 * np.pi)
    known = dips.n_curves * stats.norm.sf(np.sqrt(z2)) + length * np.exp(-z2 / 2)
    n = n_epochs - 1
    with np.errstate(invalid="ignore"):
        r2 = np.minimum(dips.gain / chi2, 1.0)
    unknown = dips.n_curves * 0.5 * stats.beta.sf(r2, 0.5, (n - 1) / 2)
    unknown += length * (1 - r2) ** ((n - 2) / 2)
    too_much = stats.chi2.sf(left / scale, degrees) < 0.01
    return np.minimum(1.0, np.where(too_much, np.maximum(known, unknown), known))


def _asymmetry(x: Floats, deficit: Floats) -> Floats:
    """Return the asymmetry of each dip; `x` in widths from its centre, `deficit` NaN if none."""
    weight = np.where((np.abs(x) <= 1) & (deficit > 0), deficit, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        centroid = (weight * np.where(weight > 0, x, 0.0)).sum(axis=1) / weight.sum(axis=1)
        lowest = x[np.arange(len(x)), weight.argmax(axis=1)]
        return np.nan_to_num(np.clip(2 * (centroid - lowest), -1, 1))
