"""Relative gains of images, from the sources that they have in common.

Model: the flux of source k in image i, at direction cosines (l, m) from the image's centre, is

    f_ik = (g_i0 + g_i1 l + g_i2 m) S_k + noise,
    var_ik = sigma_ik^2 + (reference_scatter^2 + excess_k) (g_i S_k)^2,

solved for all images and references together by alternating weighted least squares with Huber
weights. `excess_k`, the relative excess variance of a reference, is estimated from its
leave-one-out residuals, so that a reference that varies loses its weight. The gradient
has a Gaussian prior of mean zero. Gains are linear in the flux, so faint fluxes and negative
ones bias nothing.

A source never normalises itself. The references are dealt into folds; everything of a fold is
left out of a solution of all images, and what that solution finds (fluxes, excess variances, Huber
weights) gives each source of the fold its gains, from all references but the source itself: its
own term is taken out of the image's small normal matrix (`contimg.leave_out`).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from contimg.anderson import Anderson
from contimg.measurements import Bools, Floats, Ints, Measurements, medians

_PLAIN_ITERATIONS, _WEIGHTS_EVERY = 3, 4
OUTLIER_SIGMA = 5.0
"""Residuals beyond so many sigma add no more to a reference's excess variance."""
MIN_JUDGED = 5
"""An image with fewer references is not judged by their scatter."""
_MEDIAN_CHI2 = 0.45494
"""Median of chi-squared with one degree of freedom."""


@dataclass(frozen=True)
class GainOptions:
    """How gains are solved.

    Attributes
    ----------
    order : 0 for a gain an image, 1 for a gain and a linear gradient over the field.
    min_reference_snr : a reference counts in an image where its flux exceeds so many sigma.
    min_references : an image with fewer is not normalised.
    gradient_prior_per_deg : standard deviation of the prior on the gradient, a degree.
    reference_scatter : relative scatter granted to every reference, so that the brightest one
        does not decide alone; a fitted error model has its b instead.
    max_folds : folds that the references are dealt into.
    huber_sigma : residuals beyond so many sigma lose weight.
    min_gain, max_gain : an image whose gain lies outside is refused.
    max_image_scatter : so is one whose references' robust reduced chi-squared is so many times
        that of the median image.
    unnormalised_gain_error : relative error of an image without gain, where fewer than five
        good images tell what it should be.
    max_iterations, tolerance : the solver stops when a few iterations change the gains by less
        than this fraction of their standard errors (rms).
    """

    order: int = 1
    min_reference_snr: float = 5.0
    min_references: int = 3
    gradient_prior_per_deg: float = 0.02
    reference_scatter: float = 0.01
    max_folds: int = 5
    huber_sigma: float = 2.5
    min_gain: float = 0.3
    max_gain: float = 3.0
    max_image_scatter: float = 10.0
    unnormalised_gain_error: float = 0.1
    max_iterations: int = 50
    tolerance: float = 1e-3

    @property
    def n_terms(self) -> int:
        """Coefficients of an image."""
        return 1 if self.order == 0 else 3


@dataclass(frozen=True)
class GainSolution:
    """Gains of images.

    Attributes
    ----------
    coefficients : (Nimages, 1 or 3) gain at the centre and its gradient a degree.
    covariance : (Nimages, 1 or 3, 1 or 3) of the coefficients.
    shared : the part of the covariance that comes from the references' own scatter: the same
        in all images of a transit, as noise is not.
    n_references : (Nimages,) references that were used.
    solved : (Nimages,) whether there were enough of them.
    chi2_nu : (Nimages,) robust reduced chi-squared of the references, each against the gain
        without it; NaN without a solution.
    refused : (Nimages,) scatter too large, or gain out of range.
    flux, excess : (Nsources,) flux in Jy and relative excess variance of the references.
    used : (Nsources,) whether the source served as a reference.
    n_iterations, change : of the solver, and what the last one changed, in standard errors of
        the gains (rms).
    """

    coefficients: Floats
    covariance: Floats
    shared: Floats
    n_references: Ints
    solved: Bools
    chi2_nu: Floats
    refused: Bools
    flux: Floats
    excess: Floats
    used: Bools
    n_iterations: int
    change: float

    @property
    def good(self) -> Bools:
        """Images whose gain can be divided out."""
        return self.solved & ~self.refused


def bright_references(
    measurements: Measurements, candidate: Bools, options: GainOptions
) -> tuple[Bools, Floats]:
    """Return the rows that may lead gains, and the (Nsources,) median fluxes."""
    flux = medians(measurements.source, measurements.flux_jy, measurements.n_sources)
    enough = flux[measurements.source] > options.min_reference_snr * measurements.error_jy
    return enough & candidate[measurements.source], flux


def solve_gains(references: Measurements, flux: Floats, options: GainOptions) -> GainSolution:
    """Solve the gains of all images from the references' rows.

    Images whose references scatter far more than those of other images are refused, and the rest
    is solved again without them.

    Parameters
    ----------
    references : rows of references only, where they are bright enough.
    flux : (Nsources,) fluxes to start with.

    Returns
    -------
    solution : images that too few references reach have gain 1 and solved False. The mean
        central gain of the good images that share references, directly or through others, is 1.
    """
    first = _solve(references, flux, options)
    typical = np.nanmedian(first.chi2_nu) if first.solved.any() else np.nan
    judged = first.n_references >= max(MIN_JUDGED, options.min_references)
    with np.errstate(invalid="ignore"):
        bad = judged & (first.chi2_nu > options.max_image_scatter * typical)
    if not bad.any():
        return first
    again = _solve(references.rows(~bad[references.image]), flux, options)
    kept = {}
    for name in ("coefficients", "covariance", "shared", "n_references", "solved", "chi2_nu"):
        old, new = getattr(first, name), getattr(again, name)
        kept[name] = np.where(bad.reshape(-1, *[1] * (old.ndim - 1)), old, new)
    return GainSolution(
        **kept,
        refused=again.refused | bad,
        flux=again.flux,
        excess=again.excess,
        used=again.used,
        n_iterations=again.n_iterations,
        change=again.change,
    )


def _solve(rows: Measurements, flux: Floats, options: GainOptions) -> GainSolution:
    n_references = np.bincount(rows.image, minlength=rows.n_images)
    solved = n_references >= max(1, options.min_references)
    rows = rows.rows(solved[rows.image])
    fields = _fields(rows)
    coefficients = np.zeros((rows.n_images, options.n_terms))
    coefficients[:, 0] = 1.0
    gain = np.ones(len(rows.flux_jy))
    excess = np.zeros(rows.n_sources)
    weights = row_weights(rows, gain, flux, excess, options)
    faster = Anderson()
    judged = gain
    for iteration in range(1, options.max_iterations + 1):
        before = flux
        coefficients, inverse = image_step(rows, flux, weights, solved, options)
        coefficients = _with_mean_one(coefficients, fields, solved, options)
        gain = rows.gain(coefficients)
        flux = source_step(rows, gain, weights, flux)
        if iteration <= _PLAIN_ITERATIONS or iteration % _WEIGHTS_EVERY == 0:
            gain_variance = rows.quadratic(inverse)
            leverage = weights * flux[rows.source] ** 2 * gain_variance
            excess = excess_variance(rows, gain, flux, excess, gain_variance, leverage, options)
            weights = row_weights(rows, gain, flux, excess, options)
            change = _change(judged, gain, gain_variance)
            judged = gain
            if change < options.tolerance:
                break
        if iteration > _PLAIN_ITERATIONS:
            precision = np.bincount(rows.source, weights * gain**2, rows.n_sources)
            flux = faster.next_point(before, flux, np.sqrt(precision))
    _, inverse = image_step(rows, flux, weights, solved, options)
    centre = coefficients[:, 0]
    return GainSolution(
        coefficients=coefficients,
        covariance=inverse,
        shared=shared_covariance(rows, gain, flux, weights, excess, inverse, options),
        n_references=n_references.astype(np.int64),
        solved=solved,
        chi2_nu=_image_scatter(rows, gain, flux, weights, excess, inverse, options),
        refused=solved & ~((options.min_gain <= centre) & (centre <= options.max_gain)),
        flux=flux,
        excess=excess,
        used=np.bincount(rows.source, minlength=rows.n_sources) > 0,
        n_iterations=iteration,
        change=change,
    )


def _change(before: Floats, now: Floats, variance: Floats) -> float:
    """Return the rms change of the gains in their standard errors."""
    return float(np.sqrt(np.mean((now - before) ** 2 / variance))) if len(now) else 0.0


def row_weights(
    rows: Measurements, gain: Floats, flux: Floats, excess: Floats, options: GainOptions
) -> Floats:
    """Return Huber weight / variance of each row."""
    expected = gain * flux[rows.source]
    relative = options.reference_scatter**2 + excess[rows.source]
    variance = rows.error_jy**2 + relative * expected**2
    residual = np.abs(rows.flux_jy - expected) / np.sqrt(variance)
    return np.minimum(1.0, options.huber_sigma / np.maximum(residual, 1e-12)) / variance


def image_step(
    rows: Measurements, flux: Floats, weights: Floats, solved: Bools, options: GainOptions
) -> tuple[Floats, Floats]:
    """Return gain coefficients and their covariance, (Nimages, P) and (Nimages, P, P)."""
    model = flux[rows.source]
    right = np.stack(
        [
            np.bincount(rows.image, weights * model * rows.flux_jy * f, rows.n_images)
            for f in rows.basis(options.n_terms)
        ],
        axis=1,
    )
    normal = _outer_sums(rows, weights * model**2, options.n_terms)
    for p in range(1, options.n_terms):
        normal[:, p, p] += options.gradient_prior_per_deg**-2
    normal[~solved] = np.eye(options.n_terms)
    right[~solved] = np.eye(options.n_terms)[0]
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return np.einsum("ipq,iq->ip", inverse, right), inverse


def shared_covariance(
    rows: Measurements,
    gain: Floats,
    flux: Floats,
    weights: Floats,
    excess: Floats,
    inverse: Floats,
    options: GainOptions,
) -> Floats:
    """Return the covariance of the coefficients that the references' own scatter makes."""
    model = flux[rows.source]
    scatter = (options.reference_scatter**2 + excess[rows.source]) * (gain * model) ** 2
    sums = _outer_sums(rows, (weights * model) ** 2 * scatter, options.n_terms)
    return np.asarray(inverse @ sums @ inverse, dtype=np.float64)


def source_step(rows: Measurements, gain: Floats, weights: Floats, flux: Floats) -> Floats:
    """Return each reference's flux given the gains."""
    above = np.bincount(rows.source, weights * gain * rows.flux_jy, rows.n_sources)
    below = np.bincount(rows.source, weights * gain**2, rows.n_sources)
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), flux)


def excess_variance(
    rows: Measurements,
    gain: Floats,
    flux: Floats,
    excess: Floats,
    gain_variance: Floats,
    leverage: Floats | float,
    options: GainOptions,
) -> Floats:
    """Return each reference's relative variance beyond its errors and `reference_scatter`.

    Residuals are taken against the gain without the row itself (residual / (1 - leverage)):
    otherwise a reference that happens to lead the gain would look the steadiest, gain weight
    and lead it the more. The images count by what they tell of the variance, given the
    `excess` found before; so a bad image is bounded by `OUTLIER_SIGMA`.
    """
    model = flux[rows.source]
    free = np.maximum(1 - np.asarray(leverage), 0.05)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (rows.error_jy**2 + gain_variance / free * model**2) / model**2
        variance = errors + options.reference_scatter**2 + excess[rows.source]
        square = ((rows.flux_jy - gain * model) / (free * model)) ** 2
        count = np.bincount(rows.source, minlength=rows.n_sources)
        square *= (count / (count - 1))[rows.source]
        beyond = np.minimum(square, OUTLIER_SIGMA**2 * variance) - errors
        weight = variance**-2
        above = np.bincount(rows.source, weight * beyond, rows.n_sources)
        mean = above / np.bincount(rows.source, weight, rows.n_sources)
        found = np.maximum(mean - options.reference_scatter**2, 0.0)
    return np.where(count > 1, found, 0.0)


def _outer_sums(rows: Measurements, weights: Floats, n_terms: int) -> Floats:
    """Return each image's sum of weight b b', (Nimages, P, P), b the functions of position."""
    sums = np.empty((rows.n_images, n_terms, n_terms))
    terms = rows.basis(n_terms)
    for p, first in enumerate(terms):
        for q, second in enumerate(terms[: p + 1]):
            found = np.bincount(rows.image, weights * first * second, rows.n_images)
            sums[:, p, q] = sums[:, q, p] = found
    return sums


def _image_scatter(
    rows: Measurements,
    gain: Floats,
    flux: Floats,
    weights: Floats,
    excess: Floats,
    inverse: Floats,
    options: GainOptions,
) -> Floats:
    """Return each image's median squared residual in sigma, over that of Gaussian noise."""
    model = flux[rows.source]
    variance = rows.error_jy**2
    variance += (options.reference_scatter**2 + excess[rows.source]) * (gain * model) ** 2
    free = np.maximum(1 - weights * model**2 * rows.quadratic(inverse), 0.05)
    square = (rows.flux_jy - gain * model) ** 2 / (variance * free)
    found = medians(rows.image, square, rows.n_images) / _MEDIAN_CHI2
    return np.where(np.bincount(rows.image, minlength=rows.n_images) > 0, found, np.nan)


def _fields(rows: Measurements) -> Ints:
    """Number the fields: images that references link, directly or through other images."""
    size = rows.n_images + rows.n_sources
    links = coo_array(
        (np.ones(len(rows.image)), (rows.image, rows.n_images + rows.source)), shape=(size, size)
    )
    _, labels = connected_components(links, directed=False)
    return labels[: rows.n_images].astype(np.int64)


def _with_mean_one(
    coefficients: Floats, fields: Ints, solved: Bools, options: GainOptions
) -> Floats:
    """Scale the gains of each field so that the mean over its good images is 1."""
    centre = coefficients[:, 0]
    good = solved & (options.min_gain <= centre) & (centre <= options.max_gain)
    total = np.bincount(fields[good], centre[good], fields.max(initial=0) + 1)
    count = np.bincount(fields[good], minlength=len(total))
    mean = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    return coefficients / np.where(solved, mean[fields], 1.0)[:, None]
