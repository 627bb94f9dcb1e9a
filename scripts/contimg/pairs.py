"""The two-epoch metrics: the pair of epochs that differs most, and how often noise does that.

For a pair of epochs a, b (Mooley et al. 2016): Vs = (S_a - S_b) / hypot(sigma_a, sigma_b) and
m = 2 (S_a - S_b) / (S_a + S_b).

A light curve of N epochs has N (N-1)/2 pairs, so that some pair is far apart by chance. For
noise of equal errors the largest |Vs| is the range of N standard normal numbers over sqrt(2):

    P(range > r) = N int phi(x) [Q(x)^(N-1) - (Q(x) - Q(x+r))^(N-1)] dx,   r = sqrt(2) |Vs|

with x the smallest of the numbers and Q the upper tail of the normal distribution. For unequal
errors this is an upper bound (the theorem behind the Tukey-Kramer test: Hayter 1984, Annals of
Statistics 12, 61).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]

# Beyond this range the sum over pairs is the probability to 1e-4 of its value, for N < 1e5.
_FAR = 16.0
_SMALLEST = np.linspace(-16.0, 8.0, 241)  # grid of the smallest number; 0.1 is ample
_AT_ONCE = 20_000


def largest_pairs(flux: Floats, error: Floats, min_vs: float) -> dict[str, NDArray]:
    """Return the most significant pair and the largest modulation of each light curve.

    The epochs are sorted by flux and compared at ever smaller distance in that order. A light
    curve is left as soon as no pair that remains can matter, which for most is after a few
    steps; no more than one step's pairs are in memory. The result is that of all pairs.

    Parameters
    ----------
    flux, error : (Nsources, Nepochs) in Jy, NaN where there is no epoch.
    min_vs : a pair counts for m from this |Vs| on.

    Returns
    -------
    pairs : (Nsources,) each: `vs_largest` the largest |Vs| of any pair (0 with one epoch);
        among the pairs with |Vs| >= min_vs the one of largest |m| (of these the largest |Vs|):
        `m_max`, `vs_max`, and its columns `first` < `second`; 0, 0, -1 and -1 without one.
    """
    n_sources, n_epochs = flux.shape
    result = {
        "vs_largest": np.zeros(n_sources),
        "vs_max": np.zeros(n_sources),
        "m_max": np.zeros(n_sources),
        "first": np.full(n_sources, -1),
        "second": np.full(n_sources, -1),
    }
    if n_epochs < 2:
        return result
    order = np.argsort(flux, axis=1, kind="stable")  # NaN come last
    s = np.take_along_axis(flux, order, axis=1)
    e = np.take_along_axis(np.where(np.isfinite(flux), error, np.nan), order, axis=1)
    left = np.flatnonzero(np.isfinite(s[:, :2]).sum(axis=1) == 2)
    s, e, order = s[left], e[left], order[left]
    smallest = _smallest_hypot(e)
    for lag in range(n_epochs - 1, 0, -1):
        if not len(left):
            break
        low, high = s[:, :-lag], s[:, lag:]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            difference = high - low
            square = difference**2 / (e[:, :-lag] ** 2 + e[:, lag:] ** 2)
        reach = np.fmax.reduce(difference, axis=1)
        largest = np.sqrt(np.fmax.reduce(square, axis=1))
        result["vs_largest"][left] = np.fmax(result["vs_largest"][left], largest)
        m_bound = np.full(len(left), np.inf)
        positive = s[:, 0] > 0
        wanted = (largest >= min_vs * (1 - 1e-9)) | (positive & (result["m_max"][left] > 0))
        if wanted.any():
            rows = np.flatnonzero(wanted)
            m_bound[rows] = _take_larger_m(
                result, left[rows], s[rows], e[rows], order[rows], lag, min_vs
            )
        # Pairs that are nearer in order lie within one of these: none differs by more, and of
        # positive fluxes none has a larger m.
        may_exceed = ~(reach < smallest * result["vs_largest"][left] * (1 - 1e-9))
        may_count = ~(reach < smallest * min_vs * (1 - 1e-9))
        may_count &= ~(positive & (result["m_max"][left] > m_bound * (1 + 1e-9)))
        alive = may_exceed | may_count
        if alive.sum() < 0.8 * len(left):
            left, s, e, order = left[alive], s[alive], e[alive], order[alive]
            smallest = smallest[alive]
    return result


def _smallest_hypot(error: Floats) -> Floats:
    """Return hypot of the two smallest errors of each row; NaN where there are fewer."""
    two = np.sort(error, axis=1)[:, :2]
    return np.hypot(two[:, 0], two[:, 1])


def _take_larger_m(
    result: dict[str, NDArray],
    numbers: NDArray[np.int64],
    s: Floats,
    e: Floats,
    order: NDArray[np.int64],
    lag: int,
    min_vs: float,
) -> Floats:
    """Enter the pairs at this lag into the result; return the largest |m| of any, (Nrows,)."""
    difference = s[:, lag:] - s[:, :-lag]
    with np.errstate(divide="ignore", invalid="ignore"):
        every_m = np.abs(2 * difference / (s[:, lag:] + s[:, :-lag]))
        vs = difference / np.hypot(e[:, lag:], e[:, :-lag])
    m = np.where((vs >= min_vs) & np.isfinite(every_m), every_m, -1.0)
    line = np.arange(len(numbers))
    best_m = m.max(axis=1)
    best = np.where(m == best_m[:, None], vs, -1.0).argmax(axis=1)
    best_vs = vs[line, best]
    known_m, known_vs = result["m_max"][numbers], result["vs_max"][numbers]
    better = (best_m > known_m) | ((best_m == known_m) & (best_vs > known_vs))
    better &= best_m >= 0
    rows = numbers[better]
    result["m_max"][rows], result["vs_max"][rows] = best_m[better], best_vs[better]
    pair = np.stack([order[line, best], order[line, best + lag]])[:, better]
    result["first"][rows], result["second"][rows] = pair.min(axis=0), pair.max(axis=0)
    return np.fmax.reduce(every_m, axis=1)


def pair_probability(vs: Floats, n_epochs: NDArray[np.int64]) -> Floats:
    """Return the probability that noise has a pair of epochs of at least this |Vs|.

    Parameters
    ----------
    vs : (Nsources,) largest |Vs| of any pair.
    n_epochs : (Nsources,).

    Returns
    -------
    p : (Nsources,) exact for equal Gaussian errors, an upper bound for unequal ones; NaN with
        less than two epochs. See the module's docstring.
    """
    result = np.full(len(vs), np.nan)
    reach = np.sqrt(2) * np.asarray(vs, dtype=float)
    many = n_epochs >= 2
    far = many & (reach > _FAR)
    pairs = n_epochs[far] * (n_epochs[far] - 1.0)
    result[far] = np.minimum(pairs * stats.norm.sf(reach[far] / np.sqrt(2)), 1.0)
    near = np.flatnonzero(many & ~far)
    for start in range(0, len(near), _AT_ONCE):
        rows = near[start : start + _AT_ONCE]
        result[rows] = _range_tail(reach[rows], n_epochs[rows].astype(float))
    return result


def _range_tail(reach: Floats, n: Floats) -> Floats:
    """Return P(range of n standard normal numbers > reach), by the trapezoidal rule.

    Q^(n-1) - (Q - Q(x+r))^(n-1) is taken as a product, which keeps the digits of small ones.
    """
    log_tail = special.log_ndtr(-_SMALLEST)
    log_ratio = special.log_ndtr(-(_SMALLEST + reach[:, None])) - log_tail
    power = n[:, None] - 1.0
    with np.errstate(divide="ignore"):
        kept = np.log1p(-np.exp(np.minimum(log_ratio, 0.0)))  # -inf: all the way
    density = stats.norm.pdf(_SMALLEST) * np.exp(power * log_tail) * -np.expm1(power * kept)
    step = _SMALLEST[1] - _SMALLEST[0]
    return np.clip(n * density.sum(axis=1) * step, 0.0, 1.0)
