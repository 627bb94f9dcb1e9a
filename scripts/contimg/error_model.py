"""What the errors of light curves are, from the differences of a source's successive transits.

The noise of a map is not the scatter of a source over its epochs: sidelobes of the same sky through
the same antennas are the same on every date. So the errors from the maps are scaled,

    sigma^2 = (a error)^2 + (b S)^2,

by what successive transits differ by. What varies slowly cancels in a difference, and the rest of
the variable sources is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import erf, erfc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLIP_SIGMA = 2.5
"""Differences count as at most so many sigma."""
SOURCE_SIGMA = 3.0
"""Sources whose mean squared difference is beyond so many of its sigma lose weight."""
_SMALLEST = 1e-3
"""The fitted variance is at least this fraction of the map's."""


@dataclass(frozen=True)
class ErrorModel:
    """The scale of the errors.

    Attributes
    ----------
    a, b : of sigma^2 = (a error)^2 + (b S)^2.
    a_err, b_err : standard errors, NaN where nothing was fitted.
    fitted : whether they were fitted.
    n_sources, n_differences : what there was to fit to.
    reason : why nothing was fitted.
    """

    a: float
    b: float
    a_err: float
    b_err: float
    fitted: bool
    n_sources: int
    n_differences: int
    reason: str = ""


@dataclass(frozen=True)
class Transits:
    """Transits of sources, sorted by source and time, (N,).

    Attributes
    ----------
    source : number of the source.
    flux_jy : normalised flux.
    noise_variance : its variance from the map's noise, that of the gain's references included.
    scatter_variance : what (b S)^2 of every image adds to it, for b = 1.
    other_variance : of the references that vary; taken as it is.
    """

    source: Ints
    flux_jy: Floats
    noise_variance: Floats
    scatter_variance: Floats
    other_variance: Floats


def not_fitted(
    scale: Mapping[str, float], reason: str, n_sources: int = 0, n_differences: int = 0
) -> ErrorModel:
    """Return the model of a given a and b, and why they were not fitted."""
    nan = float("nan")
    return ErrorModel(scale["a"], scale["b"], nan, nan, False, n_sources, n_differences, reason)


def fit_error_model(
    transits: Transits, min_transits: int, min_sources: int, otherwise: Mapping[str, float]
) -> ErrorModel:
    """Fit a and b to the differences of each source's successive transits.

    Parameters
    ----------
    transits : of sources that are believed to be constant.
    min_transits : a source with fewer does not count.
    min_sources : with fewer sources nothing is fitted.
    otherwise : a and b when nothing is fitted.

    Notes
    -----
    A difference D of variance v = a^2 n + b^2 s + o (sums over its two transits) has
    E[min(D^2, c^2 v)] = kappa(c) v when it is Gaussian. Regressing min(D^2, c^2 v) / kappa on
    n and s with weights v^-2 until v stays as it is, solves the maximum-likelihood equations of a
    and b with bounded influence (Huber 1981, proposal 2), without bias for Gaussian errors.
    """
    counts = np.bincount(transits.source) if len(transits.source) else np.zeros(0, dtype=int)
    same = transits.source[1:] == transits.source[:-1]
    use = same & (counts[transits.source[1:]] >= min_transits) if len(counts) else same
    n_sources, n_differences = int(np.sum(counts >= min_transits)), int(np.sum(use))
    if n_sources < min_sources:
        reason = (
            f"{n_sources} sources have {min_transits} transits or more, {min_sources} are needed"
        )
        return not_fitted(otherwise, reason, n_sources, n_differences)

    def both(values: Floats) -> Floats:
        return (values[1:] + values[:-1])[use]

    square = np.diff(transits.flux_jy)[use] ** 2
    terms = np.stack([both(transits.noise_variance), both(transits.scatter_variance)], axis=1)
    other = both(transits.other_variance)
    squares = _fit_variances(square, terms, other, transits.source[1:][use])
    variance = terms @ squares + other
    information = (terms / variance[:, None] ** 2).T @ terms / 2
    # Successive differences share a transit: their squares correlate by 1/4 on both sides.
    errors = np.sqrt(np.diag(np.linalg.pinv(information)) * 1.5)
    a, b = np.sqrt(squares)
    return ErrorModel(
        a=float(a),
        b=float(b),
        a_err=float(errors[0] / (2 * a)) if a > 0 else float("nan"),
        b_err=float(errors[1] / (2 * b)) if b > 0 else float(np.sqrt(errors[1])),
        fitted=True,
        n_sources=n_sources,
        n_differences=n_differences,
    )


def clipped_mean_square(clip: float) -> float:
    """Return E[min(z^2, clip^2)] of a standard normal z."""
    inside = erf(clip / np.sqrt(2)) - clip * np.sqrt(2 / np.pi) * np.exp(-(clip**2) / 2)
    return float(inside + clip**2 * erfc(clip / np.sqrt(2)))


def _fit_variances(square: Floats, terms: Floats, other: Floats, source: Ints) -> Floats:
    """Return a^2 and b^2."""
    kappa = clipped_mean_square(CLIP_SIGMA)
    ratio = np.median(square / np.maximum(terms[:, 0], 1e-300)) / 0.45494
    squares = np.array([max(float(ratio), _SMALLEST), 0.0])
    for _ in range(200):
        before = squares
        variance = np.maximum(terms @ squares, _SMALLEST * terms[:, 0]) + other
        bounded = np.minimum(square, CLIP_SIGMA**2 * variance) / kappa
        weight = _source_weights(bounded / variance, source) / variance
        squares, _ = nnls(terms * weight[:, None], (bounded - other) * weight)
        if np.all(np.abs(squares - before) <= 1e-6 * (before + 1e-12)):
            break
    return np.asarray(squares, dtype=np.float64)


def _source_weights(relative: Floats, source: Ints) -> Floats:
    """Return weights that take those sources down that differ by more than constant ones do.

    The mean of m squared successive differences has a variance of 3/m, not 2/m: neighbours share
    a transit.
    """
    count = np.maximum(np.bincount(source), 1)
    beyond = np.bincount(source, relative) / count - 1
    limit = SOURCE_SIGMA * np.sqrt(3 / count)
    return (np.minimum(1.0, limit / np.maximum(beyond, 1e-9)) ** 2)[source]
