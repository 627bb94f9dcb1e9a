"""Extreme scattering events: the best dip of a light curve, how sure it is, and a score.

Dips. A light curve is compared with S(t) = B (1 - d T((t - t0) / W)), T one of three shapes of
unit depth and unit full width at half depth: a Gaussian, a flat trough, and a flat trough
between two caustic spikes (Fiedler et al. 1987). t0 and W run over a grid, W from 14 to 180
days; B and d follow by weighted least squares. Only dips count (0 < d <= 1), with at least two
epochs within W/2 of t0 and three beyond 0.75 W. Centres lie between the first and last epoch.

`ese_llr` = ln L(dip) - ln L(constant), each at its best excess jitter: ln L =
-1/2 sum[(S - model)^2 / (sigma^2 + j^2) + ln(sigma^2 + j^2)].

`ese_false_alarm` bounds the probability that a constant source of Gaussian noise reaches the
source's largest chi-squared gain anywhere on the grid. For one shape and width the templates,
whitened and of unit length, form a curve on the sphere as t0 moves; with L its length,
P(max > z) <= Q(z) + L/(2 pi) exp(-z^2/2) (Hotelling 1939; Johnstone & Siegmund 1989), summed
over shapes and widths. The gain is divided by the noise scale: the largest of 1, what the
typical source of the table shows, and what this source's residuals from the dip show. Where
these residuals are more than the errors explain (p < 0.01), Hotelling's bound for noise of
unknown scale is used if it is larger:
P(max r > r0) <= 1/2 P(Beta(1/2, (n-1)/2) > r0^2) + L/(2 pi) (1 - r0^2)^((n-2)/2), n = N - 1.

`ese_score` = 0.5 significance + 0.2 timescale + 0.2 amplitude + 0.1 |asymmetry|, where
significance = -log10(ese_false_alarm) / 4 cut to 0..1; timescale is 1 for 14 <= W <= 180 days;
amplitude is 1 for a peak to trough of 0.2 to 2.0 of the baseline, rises from 0 at 0.1, and is
0 above 2; asymmetry = (centroid of the deficit - time of the lowest epoch) / (W/2), cut to
-1..1, over the epochs within W of t0, the deficit being max(0, 1 - S/B).
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from contimg.epochs import Epochs, Floats
from contimg.tables import options_from

# Times are rounded to this before templates are made, so that sources observed in the same
# nights share them; it is under 1 % of the narrowest dip.
_TIME_STEP_DAYS = 0.1
_JITTERS = np.concatenate([[0.0], np.geomspace(0.005, 0.64, 11)])
_FULL_SIGNIFICANCE_DEX = 4.0
DOCUMENTED_THRESHOLD = 0.6
_WING = 0.75


@dataclass(frozen=True)
class DipOptions:
    """What counts as a dip and as a candidate.

    Attributes
    ----------
    min_fwhm_days, max_fwhm_days : range of widths.
    min_epochs : sources with fewer usable epochs are not searched.
    min_score : candidates score more than this.
    max_false_alarm : and have at most this false-alarm probability.
    """

    min_fwhm_days: float = 14.0
    max_fwhm_days: float = 180.0
    min_epochs: int = 6
    min_score: float = 0.6
    max_false_alarm: float = 1e-3


@dataclass(frozen=True)
class Templates:
    """Dips on a grid.

    Attributes
    ----------
    values, squares : (Ntemplates, Nepochs) templates and their squares.
    products : (Ntemplates - 1, Nepochs) each template times the next.
    centre_days, fwhm_days : (Ntemplates,) centre from the first epoch, and width.
    curve : (Ntemplates,) number of the curve, one shape and width, that a template is on.
    shape : (Ntemplates,) number in `SHAPES`.
    """

    values: Floats
    squares: Floats
    products: Floats
    centre_days: Floats
    fwhm_days: Floats
    curve: NDArray[np.int64]
    shape: NDArray[np.int64]


@dataclass(frozen=True)
class Dip:
    """The best dip of one source; NaN where there is none."""

    asymmetry: float = np.nan
    timescale_days: float = np.nan
    amplitude: float = np.nan
    ese_score: float = 0.0
    ese_llr: float = 0.0
    ese_false_alarm: float = 1.0
    depth: float = np.nan
    centre_mjd: float = np.nan
    n_epochs_in_dip: int = 0
    incomplete: bool = False
    shape: str = ""


def gaussian(x: Floats) -> Floats:
    """Dip of unit depth and full width at half depth."""
    return np.exp(-4 * np.log(2) * x**2)


def flat(x: Floats) -> Floats:
    """Trough with a flat minimum and steep walls."""
    return np.exp(-np.log(2) * (2 * x) ** 8)


def caustic(x: Floats) -> Floats:
    """Flat trough between two spikes of 0.4 of its depth, just outside its walls."""
    spikes = gaussian((x - 0.68) / 0.2) + gaussian((x + 0.68) / 0.2)
    return flat(x) - 0.4 * spikes


SHAPES = (gaussian, flat, caustic)


def fit_dips(epochs: Epochs, options: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Fit the best dip of every source.

    Parameters
    ----------
    epochs : light curves.
    options : keys of `DipOptions`.

    Returns
    -------
    dips : one row a source, in the order of `epochs.sources`; the attributes of `Dip`.
    """
    settings = options_from(DipOptions, options)
    scale = noise_scale(epochs)
    dips = []
    for mjd, flux, error in zip(epochs.mjd, epochs.flux_jy, epochs.error_jy, strict=True):
        there = np.isfinite(flux)
        dips.append(fit_dip(mjd[there], flux[there], error[there], scale, settings))
    names = [column.name for column in fields(Dip)]
    table = pd.DataFrame([astuple(dip) for dip in dips], columns=names)
    return table.astype({column.name: column.type for column in fields(Dip)})


def noise_scale(epochs: Epochs) -> float:
    """Return the factor, 1 or more, by which the typical source's variance exceeds its errors.

    The median over sources of chi-squared against the mean over its own median; 1 where
    fewer than ten sources have four epochs.
    """
    there = np.isfinite(epochs.flux_jy)
    count = there.sum(axis=1)
    many = count >= 4
    if many.sum() < 10:
        return 1.0
    weight = np.where(there, epochs.error_jy, np.inf)[many] ** -2.0
    flux = np.where(there, epochs.flux_jy, 0.0)[many]
    mean = (weight * flux).sum(axis=1) / weight.sum(axis=1)
    chi2 = (weight * (flux - mean[:, None]) ** 2).sum(axis=1)
    return max(1.0, float(np.median(chi2 / stats.chi2.median(count[many] - 1))))


def fit_dip(
    mjd: Floats, flux_jy: Floats, error_jy: Floats, scale: float, options: DipOptions
) -> Dip:
    """Fit the best dip of one light curve.

    Parameters
    ----------
    mjd, flux_jy, error_jy : (Nepochs,) usable epochs in order of time.
    scale : noise scale of the table, a factor of the variance.

    Returns
    -------
    dip : the default one (score 0, false alarm 1) where nothing dips.
    """
    if len(mjd) < options.min_epochs:
        return Dip()
    mean = np.average(flux_jy, weights=error_jy**-2)
    start = mjd[0]
    steps = np.round((mjd - start) / _TIME_STEP_DAYS).astype(int)
    grid = make_templates(tuple(steps.tolist()), options.min_fwhm_days, options.max_fwhm_days)
    if mean <= 0 or not len(grid.values):
        return Dip()
    variance = error_jy**2 + (_JITTERS[:, None] * mean) ** 2
    gain, slope, base, constant = _least_squares(grid, flux_jy, 1 / variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -slope / base
    gain = np.where((base > 0) & (depth > 0) & (depth <= 1), gain, 0.0)
    if not (gain > 0).any():
        return Dip()
    normalisation = np.log(variance).sum(axis=1)
    likelihood = -0.5 * (constant - gain + normalisation)
    best, jitter = np.unravel_index(np.argmax(likelihood), likelihood.shape)
    llr = likelihood[best, jitter] - np.max(-0.5 * (constant + normalisation))
    if gain[best, jitter] == 0:
        return Dip()
    false_alarm = false_alarm_probability(grid, error_jy**-2, gain[:, 0].max(), constant[0], scale)
    found_depth = float(depth[best, jitter])
    centre, width = start + grid.centre_days[best], float(grid.fwhm_days[best])
    shape = grid.values[best]
    amplitude = found_depth * float(shape.max() - min(shape.min(), 0.0))
    asymmetry = _asymmetry(mjd, 1 - flux_jy / base[best, jitter], centre, width)
    offset = mjd - centre
    return Dip(
        asymmetry=asymmetry,
        timescale_days=width,
        amplitude=amplitude,
        ese_score=ese_score(false_alarm, width, amplitude, asymmetry),
        ese_llr=float(max(llr, 0.0)),
        ese_false_alarm=false_alarm,
        depth=found_depth,
        centre_mjd=float(centre),
        n_epochs_in_dip=int((np.abs(offset) <= width / 2).sum()),
        incomplete=not ((offset < -_WING * width).any() and (offset > _WING * width).any()),
        shape=SHAPES[grid.shape[best]].__name__,
    )


def ese_score(
    false_alarm: float, timescale_days: float, amplitude: float, asymmetry: float
) -> float:
    """Return the weighted score, 0 to 1; the formula is in the module's docstring."""
    significance = np.clip(-np.log10(max(false_alarm, 1e-300)) / _FULL_SIGNIFICANCE_DEX, 0, 1)
    timescale = float(14.0 <= timescale_days <= 180.0)
    size = np.clip((amplitude - 0.1) / 0.1, 0, 1) if amplitude <= 2.0 else 0.0
    return float(0.5 * significance + 0.2 * timescale + 0.2 * size + 0.1 * abs(asymmetry))


def false_alarm_probability(
    grid: Templates, weight: Floats, gain: float, chi2: float, scale: float
) -> float:
    """Bound the probability that noise gains as much chi-squared on this grid.

    Parameters
    ----------
    grid : the templates that were tried.
    weight : (Nepochs,) 1 / sigma^2.
    gain : largest chi-squared gain of a dip over a constant.
    chi2 : chi-squared of the constant.
    scale : noise scale of the table.
    """
    n_curves, length = _curve_lengths(grid, weight)
    degrees = len(weight) - 4
    left = max(chi2 - gain, 0.0)
    z2 = gain / max(scale, left / degrees)
    known = n_curves * stats.norm.sf(np.sqrt(z2)) + length / (2 * np.pi) * np.exp(-z2 / 2)
    if stats.chi2.sf(left / scale, degrees) >= 0.01:
        return float(min(1.0, known))
    n = len(weight) - 1
    r2 = min(gain / chi2, 1.0)
    unknown = n_curves * 0.5 * stats.beta.sf(r2, 0.5, (n - 1) / 2)
    unknown += length / (2 * np.pi) * (1 - r2) ** ((n - 2) / 2)
    return float(min(1.0, max(known, unknown)))


@lru_cache(maxsize=64)
def make_templates(steps: tuple[int, ...], min_fwhm: float, max_fwhm: float) -> Templates:
    """Return the admissible dips for epochs at these times.

    Parameters
    ----------
    steps : times in units of 0.1 days.
    min_fwhm, max_fwhm : days.
    """
    days = np.array(steps) * _TIME_STEP_DAYS
    n_widths = max(2, int(np.ceil(np.log(max_fwhm / min_fwhm) / np.log(1.25))) + 1)
    values: list[Floats] = []
    centres: list[Floats] = []
    widths: list[Floats] = []
    curves: list[NDArray[np.int64]] = []
    shapes: list[NDArray[np.int64]] = []
    number = 0
    for width in np.geomspace(min_fwhm, max_fwhm, n_widths):
        centre = np.arange(days[0], days[-1] + width / 12, width / 6)
        x = (days - centre[:, None]) / width
        inside, outside = np.abs(x) <= 0.5, np.abs(x) > _WING
        allowed = (inside.sum(axis=1) >= 2) & (outside.sum(axis=1) >= 3)
        # A gap in the allowed centres starts another curve.
        pieces = np.cumsum(np.diff(np.flatnonzero(allowed), prepend=-2) > 1)
        for kind, shape in enumerate(SHAPES):
            values.append(shape(x[allowed]))
            centres.append(centre[allowed])
            widths.append(np.full(int(allowed.sum()), width))
            curves.append(pieces + number)
            shapes.append(np.full(int(allowed.sum()), kind))
            number += int(pieces.max(initial=0))
    joined = np.concatenate(values)
    return Templates(
        values=joined,
        squares=joined**2,
        products=joined[1:] * joined[:-1],
        centre_days=np.concatenate(centres),
        fwhm_days=np.concatenate(widths),
        curve=np.concatenate(curves),
        shape=np.concatenate(shapes),
    )


def _least_squares(
    grid: Templates, flux: Floats, weight: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit base + slope x template for each template and each row of weights.

    Returns chi-squared gain, slope and base, (Ntemplates, Nweights), and the constant's
    chi-squared, (Nweights,). The constant is taken out first, which keeps all digits.
    """
    total = weight.sum(axis=1)
    mean = (weight @ flux) / total
    residual = flux - mean[:, None]
    constant = (weight * residual**2).sum(axis=1)
    first = _sums(grid.values, weight)
    second = _sums(grid.squares, weight)
    norm = second - first**2 / total
    cross = _sums(grid.values, weight * residual)
    sharp = norm > 1e-9 * second
    safe = np.where(sharp, norm, 1.0)
    slope = np.where(sharp, cross / safe, 0.0)
    return slope**2 * safe, slope, mean - slope * first / total, constant


def _sums(templates: Floats, weight: Floats) -> Floats:
    """Return templates times weights summed over epochs, (Ntemplates, Nweights).

    Not `@`: a threaded BLAS is slower on matrices of this size, and its last digits depend on
    the number of threads.
    """
    return np.einsum("te,we->tw", templates, weight, optimize=False)


def _curve_lengths(grid: Templates, weight: Floats) -> tuple[int, float]:
    """Return the number of curves of templates on the sphere and their summed length."""
    first = _sums(grid.values, weight[None])[:, 0]
    total = weight.sum()
    square = _sums(grid.squares, weight[None])[:, 0]
    norm = square - first**2 / total
    inner = _sums(grid.products, weight[None])[:, 0] - first[1:] * first[:-1] / total
    sharp = norm > 1e-9 * square
    neighbours = sharp[1:] & sharp[:-1] & (grid.curve[1:] == grid.curve[:-1])
    cosine = inner[neighbours] / np.sqrt(norm[1:] * norm[:-1])[neighbours]
    angles = np.arccos(np.clip(cosine, -1, 1))
    return len(np.unique(grid.curve[sharp])), float(angles.sum())


def _asymmetry(mjd: Floats, deficit: Floats, centre: float, width: float) -> float:
    near = np.abs(mjd - centre) <= width
    weight = np.maximum(deficit[near], 0.0)
    if weight.sum() <= 0:
        return 0.0
    centroid = np.average(mjd[near], weights=weight)
    lowest = mjd[near][np.argmax(weight)]
    return float(np.clip((centroid - lowest) / (width / 2), -1, 1))
