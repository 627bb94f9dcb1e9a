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

from collections.abc import Callable
from functools import cache

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

    Parameters
    ----------
    flux, error : (Nsources, Nepochs) in Jy, NaN where there is no epoch.
    min_vs : a pair counts for m from this |Vs| on.

    Returns
    -------
    pairs : (Nsources,) each: `vs_largest` the largest |Vs| of any pair (0 with one epoch);
        among the pairs with |Vs| >= min_vs the one of largest |m| (of these the largest |Vs|):
        `m_max`, `vs_max`, and its columns `first` < `second`; 0, 0, -1 and -1 without one.
        They are those of all pairs, none of which is held in memory.
    """
    order = np.argsort(flux, axis=1, kind="stable")  # NaN come last
    count = np.isfinite(flux).sum(axis=1)
    s = np.take_along_axis(flux, order, axis=1)
    variance = np.take_along_axis(np.where(np.isfinite(flux), error, np.inf) ** 2, order, axis=1)
    numbers, positions = np.zeros((len(flux), 3)), np.full((len(flux), 2), -1)
    _compiled()(s, variance, count, min_vs**2, numbers, positions)
    pair = np.take_along_axis(order, np.maximum(positions, 0), axis=1)
    pair = np.where(positions < 0, -1, np.sort(pair, axis=1))
    return {
        "vs_largest": np.sqrt(numbers[:, 0]),
        "vs_max": np.sqrt(numbers[:, 1]),
        "m_max": numbers[:, 2],
        "first": pair[:, 0],
        "second": pair[:, 1],
    }


def _search_pairs(s, variance, count, min_vs2, numbers, positions):  # type: ignore[no-untyped-def]
    """Go through the pairs of each row, from the farthest apart in flux; plain loops, compiled.

    Of two epochs that lie between two others in flux, the difference is smaller, and where
    fluxes are positive, |m| too. So a row is left where no pair that remains can matter.

    Parameters
    ----------
    s, variance : (Nsources, Nepochs) sorted by flux, `count` (Nsources,) epochs in each.
    min_vs2 : square of the least |Vs| that counts for m.
    numbers : (Nsources, 3) for the squares of vs_largest and vs_max, and m_max, 0 before.
    positions : (Nsources, 2) for the pair of m_max, -1 before.
    """
    for row in range(len(s)):
        n = count[row]
        flux, v = s[row], variance[row]
        if n < 2:
            continue
        smallest = np.sort(v[:n])[:2].sum() * (1 - 1e-9)
        largest, vs2_max, m_max = 0.0, 0.0, 0.0
        for i in range(n - 1):
            for j in range(n - 1, i, -1):
                difference = flux[j] - flux[i]
                square = difference * difference
                total = flux[j] + flux[i]
                m = abs(2 * difference / total) if total != 0 else -1.0  # undefined: none
                if square < smallest * largest and (
                    square < smallest * min_vs2 or (flux[0] > 0 and m < m_max * (1 - 1e-9))
                ):
                    break
                vs2 = square / (v[i] + v[j])
                largest = max(largest, vs2)
                if vs2 >= min_vs2 and (m > m_max or (m == m_max and vs2 > vs2_max)):
                    m_max, vs2_max = m, vs2
                    positions[row, 0], positions[row, 1] = i, j
            else:
                continue
            if j == n - 1:
                break
        numbers[row, 0], numbers[row, 1], numbers[row, 2] = largest, vs2_max, m_max


@cache
def _compiled() -> Callable[..., None]:
    """Compile at the first use; importing the compiler takes half a second."""
    from numba import njit

    return njit(nogil=True)(_search_pairs)


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
