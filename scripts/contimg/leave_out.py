"""The gain at each measurement, solved without the source that it belongs to."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contimg.measurements import Bools, Floats, Ints, Measurements
from contimg.normalise import (
    GainOptions,
    GainSolution,
    bright_references,
    excess_variance,
    image_step,
    row_weights,
    shared_covariance,
    solve_gains,
    source_step,
)

STATUSES = ("ok", "unnormalised", "bad_gain", "bad_scatter")
_ROUNDS = 3
"""Rounds of flux, excess variance and Huber weights for references outside of a solution."""


@dataclass(frozen=True)
class RowGains:
    """What is divided out at (Nrows,) measurements.

    Attributes
    ----------
    gain, gain_err : gain and its standard error.
    shared_err : the part of gain_err that all images of a transit share.
    n_references : references that led the gain.
    status : number of one of `STATUSES`.
    """

    gain: Floats
    gain_err: Floats
    shared_err: Floats
    n_references: Ints
    status: NDArray[np.int8]


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
    leads, flux = bright_references(measurements, candidate, options)
    full = solve_gains(measurements.rows(leads), flux, options)
    gains = evaluate(full, measurements, options)
    folds = fold_of_sources(candidate, options.max_folds)
    for fold in range(int(folds.max(initial=-1)) + 1):
        own = folds[measurements.source] == fold
        if own.any():
            found = _fold_gains(measurements, own, leads, flux, options)
            for name, values in vars(found).items():
                getattr(gains, name)[own] = values
    return gains, full


def gains_of_one_solution(
    measurements: Measurements, candidate: Bools, options: GainOptions
) -> tuple[RowGains, GainSolution]:
    """Return gains as `gains_without_self`, from one solution for all sources.

    Each source is taken out of its own gains, but not out of the other references' mean fluxes
    and weights: good enough to fit an error model to, at a fraction of the time.
    """
    leads, flux = bright_references(measurements, candidate, options)
    full = solve_gains(measurements.rows(leads), flux, options)
    weights = _all_weights(measurements, leads, full, options)
    return _downdated(measurements, full, full.flux, weights, full.excess, options), full


def evaluate(solution: GainSolution, rows: Measurements, options: GainOptions) -> RowGains:
    """Return a solution's gain at each row, of sources that took no part in it."""
    none = np.zeros(len(rows.flux_jy))
    return _downdated(rows, solution, solution.flux, none, solution.excess, options)


def gain_spread(gains: Floats, options: GainOptions) -> float:
    """Return the robust scatter of good images' gains: the error of taking 1 for a gain."""
    if len(gains) < 5:
        return options.unnormalised_gain_error
    return float(1.4826 * np.median(np.abs(gains - np.median(gains))))


def _fold_gains(
    measurements: Measurements, own: Bools, leads: Bools, flux: Floats, options: GainOptions
) -> RowGains:
    """Return the gains at a fold's rows, each source's from all references but itself.

    Parameters
    ----------
    own : (Nrows,) rows of the fold's sources.
    leads : (Nrows,) rows that lead gains.
    flux : (Nsources,) each source's own median flux.
    """
    solution = solve_gains(measurements.rows(leads & ~own), flux, options)
    known = solution.good[measurements.image]
    outside = measurements.rows(leads & own & known)
    fold_flux, excess = _outside_references(outside, solution, flux, options)
    in_fold = np.zeros(measurements.n_sources, dtype=bool)
    in_fold[measurements.source[own]] = True
    fluxes = np.where(in_fold, fold_flux, solution.flux)
    excesses = np.where(in_fold, excess, solution.excess)
    state = replace(solution, flux=fluxes, excess=excesses)
    references = measurements.rows(leads)
    weights = _all_weights(measurements, leads, state, options)
    n_references = np.bincount(references.image, minlength=references.n_images).astype(np.int64)
    solved = n_references >= max(1, options.min_references)
    coefficients, inverse = image_step(references, fluxes, weights[leads], solved, options)
    gain = references.gain(coefficients)
    shared = shared_covariance(references, gain, fluxes, weights[leads], excesses, inverse, options)
    updated = replace(
        state,
        coefficients=coefficients,
        covariance=inverse,
        shared=shared,
        n_references=n_references,
        solved=solved,
    )
    rows = measurements.rows(own)
    return _downdated(rows, updated, fluxes, weights[own], excesses, options)


def _outside_references(
    rows: Measurements, solution: GainSolution, flux: Floats, options: GainOptions
) -> tuple[Floats, Floats]:
    """Return fluxes and excess variances of references that a solution was made without."""
    gain = rows.gain(solution.coefficients)
    gain_variance = rows.quadratic(solution.covariance)
    excess = np.zeros(rows.n_sources)
    for _ in range(_ROUNDS):
        weights = row_weights(rows, gain, flux, excess, options)
        flux = source_step(rows, gain, weights, flux)
        excess = excess_variance(rows, gain, flux, excess, gain_variance, 0.0, options)
    return flux, excess


def _all_weights(
    rows: Measurements, leads: Bools, solution: GainSolution, options: GainOptions
) -> Floats:
    """Return the weights of all rows that lead gains, 0 for the others.

    Where the solution has no gain no residual tells an outlier.
    """
    known = solution.good[rows.image]
    gain = np.where(known, rows.gain(solution.coefficients), 1.0)
    weights = row_weights(rows, gain, solution.flux, solution.excess, options)
    unknown = replace(options, huber_sigma=np.inf)
    plain = row_weights(rows, gain, solution.flux, solution.excess, unknown)
    return np.where(leads, np.where(known, weights, plain), 0.0)


def _downdated(
    rows: Measurements,
    solution: GainSolution,
    flux: Floats,
    weights: Floats,
    excess: Floats,
    options: GainOptions,
) -> RowGains:
    """Return the gain at each row with the row's own term taken out of the image's solution.

    Parameters
    ----------
    weights : (Nrows,) the weight that each row had in it, 0 for none.

    Notes
    -----
    With N the image's normal matrix, b the functions of position, S the flux, w the weight and
    h = w S^2 b'N^-1 b, Sherman & Morrison (1950) give (N - w S^2 b b')^-1 b = N^-1 b / (1 - h).
    """
    gain = rows.gain(solution.coefficients)
    q = rows.quadratic(solution.covariance)
    shared = rows.quadratic(solution.shared)
    model = flux[rows.source]
    h = weights * model**2 * q
    free = np.maximum(1 - h, 1e-9)
    own_scatter = (options.reference_scatter**2 + excess[rows.source]) * (gain * model) ** 2
    shared = np.maximum(shared - (q * weights * model) ** 2 * own_scatter, 0.0) / free**2
    without = gain - q * weights * model * (rows.flux_jy - gain * model) / free
    variance = np.maximum(q / free, shared)
    n_references = solution.n_references[rows.image] - (weights > 0)
    unsolved = n_references < max(1, options.min_references)
    centre = solution.coefficients[:, 0]
    spread = gain_spread(centre[solution.good], options)
    in_range = (options.min_gain <= centre) & (centre <= options.max_gain)
    refused = ~in_range[rows.image] | (without <= 0)
    scattered = solution.refused[rows.image] & solution.solved[rows.image]
    status = np.where(unsolved, 1, np.where(refused, 2, np.where(scattered, 3, 0)))
    return RowGains(
        gain=np.where(unsolved, 1.0, without),
        gain_err=np.where(unsolved, spread, np.sqrt(variance)),
        shared_err=np.where(unsolved, 0.0, np.sqrt(shared)),
        n_references=n_references,
        status=status.astype(np.int8),
    )
