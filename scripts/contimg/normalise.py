"""Relative gains of images, from the sources that they have in common.

Model: the flux of source k in image i, at direction cosines (l, m) from the image's centre, is

    f_ik = (g_i0 + g_i1 l + g_i2 m) S_k + noise,
    var_ik = sigma_ik^2 + (reference_scatter^2 + excess_k) (g_i S_k)^2,

solved for all images and references together by alternating weighted least squares with Huber
weights. `excess_k`, the relative excess variance of a reference, is estimated from its
leave-one-out residuals, so that a reference that varies loses its weight. The gradient
has a Gaussian prior of mean zero. Gains are linear in the flux, so faint fluxes and negative
ones bias nothing.

A source never normalises itself: the references are dealt into folds, and the sources of a
fold get the gains that were solved without any of them (`fold_of_sources`).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
        does not decide alone.
    max_folds : folds that the references are dealt into; up to so many references, each one
        is a fold of its own and the gains are leave-one-out gains.
    huber_sigma : residuals beyond so many sigma lose weight.
    min_gain, max_gain : an image whose gain lies outside is refused.
    unnormalised_gain_error : relative error of an image without gain, where fewer than five
        good images tell what it should be.
    max_iterations, tolerance : the solver stops when no gain changes by more than this.
    """

    order: int = 1
    min_reference_snr: float = 5.0
    min_references: int = 3
    gradient_prior_per_deg: float = 0.02
    reference_scatter: float = 0.01
    max_folds: int = 20
    huber_sigma: float = 2.5
    min_gain: float = 0.3
    max_gain: float = 3.0
    unnormalised_gain_error: float = 0.1
    max_iterations: int = 50
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Measurements:
    """Forced fluxes as arrays of shape (Nrows,).

    Attributes
    ----------
    image, source : indices from 0 below n_images and n_sources.
    flux_jy, error_jy : flux and its standard error, positive, in Jy.
    l_deg, m_deg : direction cosines from the image's centre, x 180/pi.
    """

    image: Ints
    source: Ints
    flux_jy: Floats
    error_jy: Floats
    l_deg: Floats
    m_deg: Floats
    n_images: int
    n_sources: int

    def rows(self, wanted: Bools) -> "Measurements":
        """Return some of the rows, with the numbering unchanged."""
        names = ("image", "source", "flux_jy", "error_jy", "l_deg", "m_deg")
        return replace(self, **{name: getattr(self, name)[wanted] for name in names})

    def basis(self, order: int) -> Floats:
        """Return the (Nrows, 1 or 3) functions that the gain is a sum of."""
        constant = np.ones(len(self.flux_jy))
        columns = [constant] if order == 0 else [constant, self.l_deg, self.m_deg]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class GainSolution:
    """Gains of images.

    Attributes
    ----------
    coefficients : (Nimages, 1 or 3) gain at the centre and its gradient a degree.
    covariance : (Nimages, 1 or 3, 1 or 3) of the coefficients.
    n_references : (Nimages,) references that were used.
    solved : (Nimages,) whether there were enough of them.
    excess : (Nsources,) relative excess variance of the references.
    used : (Nsources,) whether the source served as a reference.
    """

    coefficients: Floats
    covariance: Floats
    n_references: Ints
    solved: Bools
    excess: Floats
    used: Bools


@dataclass(frozen=True)
class RowGains:
    """Gain, its standard error, references and image status at (Nrows,) measurements."""

    gain: Floats
    gain_err: Floats
    n_references: Ints
    status: NDArray[np.object_]


def fold_of_sources(candidate: Bools, max_folds: int) -> Ints:
    """Deal the candidate references into folds, in the order of their numbers.

    The folds depend on the catalogue only, never on a flux. Sources that are no candidates
    get -1: no gain depends on them, so they need no fold of their own.
    """
    folds = np.full(len(candidate), -1, dtype=np.int64)
    count = int(candidate.sum())
    folds[candidate] = np.arange(count) % max(1, min(count, max_folds))
    return folds


def gains_without_self(
    measurements: Measurements, candidate: Bools, options: GainOptions
) -> tuple[RowGains, GainSolution]:
    """Return the gain at each measurement, solved without the source that it belongs to.

    Parameters
    ----------
    measurements : all usable rows.
    candidate : (Nsources,) sources that may serve as references.

    Returns
    -------
    gains : at each row.
    full : the solution of all references, for the record.
    """
    folds = fold_of_sources(candidate, options.max_folds)
    fold_of_row = folds[measurements.source]
    full = solve_gains(measurements.rows(fold_of_row >= 0), options)
    gains = RowGains(
        gain=np.ones(len(fold_of_row)),
        gain_err=np.zeros(len(fold_of_row)),
        n_references=np.zeros(len(fold_of_row), dtype=np.int64),
        status=np.full(len(fold_of_row), "ok", dtype=object),
    )
    for fold in np.unique(fold_of_row):
        others = (fold_of_row >= 0) & (fold_of_row != fold)
        solution = full if fold < 0 else solve_gains(measurements.rows(others), options)
        own = fold_of_row == fold
        found = evaluate(solution, measurements.rows(own), options)
        for name, values in vars(found).items():
            getattr(gains, name)[own] = values
    return gains, full


def evaluate(solution: GainSolution, rows: Measurements, options: GainOptions) -> RowGains:
    """Return a solution's gain at each row; status ok, unnormalised or bad_gain."""
    basis = rows.basis(options.order)
    centre = solution.coefficients[:, 0]
    gain = np.einsum("rp,rp->r", basis, solution.coefficients[rows.image])
    variance = np.einsum("rp,rpq,rq->r", basis, solution.covariance[rows.image], basis)
    in_range = (options.min_gain <= centre) & (centre <= options.max_gain)
    good_image = solution.solved & in_range
    refused = (solution.solved & ~in_range)[rows.image] | (gain <= 0)
    unsolved = ~solution.solved[rows.image]
    spread = gain_spread(centre[good_image], options)
    status = np.where(unsolved, "unnormalised", np.where(refused, "bad_gain", "ok"))
    return RowGains(
        gain=np.where(unsolved, 1.0, gain),
        gain_err=np.where(unsolved, spread, np.sqrt(variance)),
        n_references=solution.n_references[rows.image],
        status=status.astype(object),
    )


def gain_spread(gains: Floats, options: GainOptions) -> float:
    """Return the robust scatter of good images' gains: the error of taking 1 for a gain."""
    if len(gains) < 5:
        return options.unnormalised_gain_error
    return float(1.4826 * np.median(np.abs(gains - np.median(gains))))


def solve_gains(references: Measurements, options: GainOptions) -> GainSolution:
    """Solve the gains of all images from the references' rows.

    Parameters
    ----------
    references : rows of candidate references only; those too faint are left out here.

    Returns
    -------
    solution : images that too few references reach have gain 1 and solved False. The mean
        central gain of the good images that share references, directly or through others, is 1.
    """
    flux = _medians(references.source, references.flux_jy, references.n_sources)
    bright = flux[references.source] > options.min_reference_snr * references.error_jy
    rows = references.rows(bright)
    n_references = np.bincount(rows.image, minlength=rows.n_images)
    solved = n_references >= max(1, options.min_references)
    rows = rows.rows(solved[rows.image])
    fields = _fields(rows)
    n_terms = rows.basis(options.order).shape[1]
    coefficients = np.zeros((rows.n_images, n_terms))
    coefficients[:, 0] = 1.0
    excess = np.zeros(rows.n_sources)
    weights = _weights(rows, np.ones(len(rows.flux_jy)), flux, excess, options)
    for _ in range(options.max_iterations):
        previous = coefficients
        coefficients, inverse = _image_step(rows, flux, weights, solved, options)
        coefficients = _with_mean_one(coefficients, fields, solved, options)
        gain = np.einsum("rp,rp->r", rows.basis(options.order), coefficients[rows.image])
        flux = _source_step(rows, gain, weights, flux)
        excess = _excess_variance(rows, gain, flux, weights, inverse, options)
        weights = _weights(rows, gain, flux, excess, options)
        if np.abs(coefficients - previous).max(initial=0.0) < options.tolerance:
            break
    _, inverse = _image_step(rows, flux, weights, solved, options)
    used = np.bincount(rows.source, minlength=rows.n_sources) > 0
    return GainSolution(coefficients, inverse, n_references.astype(np.int64), solved, excess, used)


def fit_error_model(flux_jy: Floats, error_jy: Floats, source: Ints) -> tuple[float, float]:
    """Fit sigma^2 = (a error)^2 + (b S)^2 to the scatter of the sources over their epochs.

    Parameters
    ----------
    flux_jy, error_jy : (Nrows,) normalised fluxes and their errors.
    source : (Nrows,) the source of each row.

    Returns
    -------
    a, b : (1, 0) when fewer than five sources have four rows or more.

    Notes
    -----
    Each source's variance is (1.4826 MAD)^2 with the small-sample factor n/(n-0.8) of Croux &
    Rousseeuw (1992); non-negative least squares with weights 1/model^2 and Huber's, so that
    variable sources do not decide.
    """
    table = pd.DataFrame({"flux": flux_jy, "error": error_jy, "source": source})
    groups = table.groupby("source")
    centre = groups.flux.transform("median")
    count = groups.size()
    mad = (table.flux - centre).abs().groupby(table.source).median()
    enough = count >= 4
    if enough.sum() < 5:
        return 1.0, 0.0
    variance = ((1.4826 * mad * count / (count - 0.8)) ** 2)[enough].to_numpy()
    terms = np.stack([groups.error.median()[enough] ** 2, groups.flux.median()[enough] ** 2], 1)
    model = terms[:, 0]
    squares = np.array([1.0, 0.0])
    for _ in range(20):
        relative = variance / model - 1
        weight = np.minimum(1.0, 2.0 / np.maximum(np.abs(relative), 1e-9)) ** 0.5 / model
        squares, _ = nnls(terms * weight[:, None], variance * weight)
        model = np.maximum(terms @ squares, 0.01 * terms[:, 0])
    return float(np.sqrt(squares[0])), float(np.sqrt(squares[1]))


def _medians(index: Ints, values: Floats, length: int) -> Floats:
    """Return the median of the values at each index, 0 where there is none."""
    return (
        pd.Series(values).groupby(index).median().reindex(range(length), fill_value=0.0).to_numpy()
    )


def _fields(rows: Measurements) -> Ints:
    """Number the fields: images that references link, directly or through other images."""
    size = rows.n_images + rows.n_sources
    links = coo_array(
        (np.ones(len(rows.image)), (rows.image, rows.n_images + rows.source)), shape=(size, size)
    )
    _, labels = connected_components(links, directed=False)
    return labels[: rows.n_images].astype(np.int64)


def _weights(
    rows: Measurements, gain: Floats, flux: Floats, excess: Floats, options: GainOptions
) -> Floats:
    """Return Huber weight / variance of each row."""
    expected = gain * flux[rows.source]
    relative = options.reference_scatter**2 + excess[rows.source]
    sigma = np.sqrt(rows.error_jy**2 + relative * expected**2)
    residual = np.abs(rows.flux_jy - expected) / sigma
    huber = np.minimum(1.0, options.huber_sigma / np.maximum(residual, 1e-12))
    return huber / sigma**2


def _image_step(
    rows: Measurements, flux: Floats, weights: Floats, solved: Bools, options: GainOptions
) -> tuple[Floats, Floats]:
    """Return gain coefficients and their covariance, (Nimages, P) and (Nimages, P, P)."""
    basis = rows.basis(options.order)
    n_terms = basis.shape[1]
    model = flux[rows.source]
    normal = np.zeros((rows.n_images, n_terms, n_terms))
    right = np.zeros((rows.n_images, n_terms))
    for p in range(n_terms):
        right[:, p] = np.bincount(
            rows.image, weights * model * rows.flux_jy * basis[:, p], rows.n_images
        )
        for q in range(n_terms):
            normal[:, p, q] = np.bincount(
                rows.image, weights * model**2 * basis[:, p] * basis[:, q], rows.n_images
            )
        if p > 0:
            normal[:, p, p] += options.gradient_prior_per_deg**-2
    normal[~solved] = np.eye(n_terms)
    right[~solved] = np.eye(n_terms)[0]
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return np.einsum("ipq,iq->ip", inverse, right), inverse


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


def _source_step(rows: Measurements, gain: Floats, weights: Floats, flux: Floats) -> Floats:
    """Return each reference's flux given the gains."""
    above = np.bincount(rows.source, weights * gain * rows.flux_jy, rows.n_sources)
    below = np.bincount(rows.source, weights * gain**2, rows.n_sources)
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), flux)


def _excess_variance(
    rows: Measurements,
    gain: Floats,
    flux: Floats,
    weights: Floats,
    inverse: Floats,
    options: GainOptions,
) -> Floats:
    """Return each reference's relative variance beyond its errors and `reference_scatter`.

    Residuals are taken against the gain without the row itself (residual / (1 - leverage)):
    otherwise a reference that happens to lead the gain would look the steadiest, gain weight
    and lead it the more.
    """
    basis = rows.basis(options.order)
    model = flux[rows.source]
    gain_variance = np.einsum("rp,rpq,rq->r", basis, inverse[rows.image], basis)
    free = np.maximum(1 - weights * model**2 * gain_variance, 0.05)
    residual = (rows.flux_jy - gain * model) / free
    expected = rows.error_jy**2 + (gain_variance / free) * model**2
    count = np.bincount(rows.source, minlength=rows.n_sources)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (residual**2 * (count / (count - 1))[rows.source] - expected) / model**2
        mean = np.bincount(rows.source, relative, rows.n_sources) / count
    return np.where(count > 1, np.maximum(mean - options.reference_scatter**2, 0.0), 0.0)
