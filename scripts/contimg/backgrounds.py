"""Flux that varies without an event: correlated backgrounds, and what light curves say of them.

A light curve over its baseline is y(t) = b (1 + n(t)) + noise. n has the covariance m^2 k(dt):

    drw      k = exp(-dt / tau)                            damped random walk
    smooth   k = (1 + r) exp(-r), r = sqrt(3) dt / tau     Matern 3/2: once differentiable
    white    m = 0

and the noise is independent, of variance sigma_i^2 + j^2: the errors, and a jitter j. m and j are
fractions of the baseline. The likelihood is Gaussian, with b marginalised by a flat prior
(restricted likelihood). m and j have exponential priors, tau a log-uniform one. All are on a grid.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KERNELS = WHITE, DRW, SMOOTH = "white", "drw", "smooth"
_LN_2PI = float(np.log(2 * np.pi))
# Modulations and jitters are powers of this.
_STEP = float(np.sqrt(2))


@dataclass(frozen=True)
class BackgroundOptions:
    """Which backgrounds are tried, and how likely each is beforehand.

    Attributes
    ----------
    modulation_scale, jitter_scale : means of the exponential priors.
    max_modulation, max_jitter : largest tried.
    drw_days, smooth_days : timescales tried.
    """

    modulation_scale: float = 0.03
    jitter_scale: float = 0.02
    max_modulation: float = 0.5
    max_jitter: float = 0.3
    drw_days: tuple[float, ...] = (3.0, 8.0, 20.0, 50.0, 120.0, 300.0, 1000.0)
    smooth_days: tuple[float, ...] = (3.0, 6.0, 12.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, eq=False)
class Grid:
    """Backgrounds to try, (Ngrid,) each.

    Attributes
    ----------
    kernel : number of the kernel and timescale in `kernels`.
    modulation, jitter : fractions of the baseline.
    log_prior : up to a constant.
    kernels : names and timescales (NaN of white).
    n_jitters, n_modulations : the grid is first the white ones by jitter, then for each other
        kernel and timescale all modulations at the first jitter, at the second, ...
    ranges : first and last + 1 of the white ones, the damped random walks and the smooth ones.
    """

    kernel: Integers
    modulation: Floats
    jitter: Floats
    log_prior: Floats
    kernels: tuple[tuple[str, float], ...]
    n_jitters: int
    n_modulations: int
    ranges: tuple[tuple[int, int], ...]


def make_grid(error: float, options: BackgroundOptions) -> Grid:
    """Return the backgrounds to try where the typical error is `error`, a fraction.

    Modulations and jitters are powers of sqrt(2), from where they begin to matter.
    """
    jitters = (_power_of(0.35 * error), _power_of(options.max_jitter))
    modulations = (_power_of(min(0.3 * error, 0.01)), _power_of(options.max_modulation))
    return _grid(jitters, modulations, options)


@lru_cache(maxsize=64)
def _grid(
    jitter_powers: tuple[int, int], modulation_powers: tuple[int, int], options: BackgroundOptions
) -> Grid:
    jitters, modulations = np.append(0.0, _powers(*jitter_powers)), _powers(*modulation_powers)
    kernels = [(WHITE, np.nan)]
    kernels += [(DRW, float(days)) for days in options.drw_days]
    kernels += [(SMOOTH, float(days)) for days in options.smooth_days]
    points = [(0, jitter, 0.0) for jitter in jitters]
    points += [
        (number, jitter, modulation)
        for number in range(1, len(kernels))
        for jitter in jitters
        for modulation in modulations
    ]
    kernel, jitter, modulation = np.array(points).T
    size = len(jitters) * len(modulations)
    edges = np.cumsum(
        [0, len(jitters), len(options.drw_days) * size, len(options.smooth_days) * size]
    ).tolist()
    ranges = tuple(pairwise(edges))
    prior = -modulation / options.modulation_scale - jitter / options.jitter_scale
    return Grid(
        kernel.astype(np.int64),
        modulation,
        jitter,
        prior,
        tuple(kernels),
        len(jitters),
        len(modulations),
        ranges,
    )


def _power_of(value: float) -> int:
    return int(np.floor(np.log(value) / np.log(_STEP) + 1e-9))


def _powers(first: int, last: int) -> Floats:
    return np.power(_STEP, np.arange(first, max(first, last) + 1), dtype=np.float64)


def correlation(kernel: str, timescale_days: float, days: Floats) -> Floats:
    """Return k of a kernel at time differences."""
    if kernel == WHITE:
        return np.zeros_like(days)
    if kernel == DRW:
        return np.exp(-np.abs(days) / timescale_days)
    ratio = np.sqrt(3) * np.abs(days) / timescale_days
    return (1 + ratio) * np.exp(-ratio)


def log_posterior(
    left: Floats, one_one: Floats, log_det: Floats, log_prior: Floats, n_epochs: Integers | int
) -> Floats:
    """Return the log posterior of backgrounds, the baseline marginalised.

    Parameters
    ----------
    left : chi-squared about the best baseline.
    one_one : 1' C^-1 1.
    log_det : ln det C.
    log_prior : of the background.
    n_epochs : used.
    """
    return log_prior - 0.5 * (left + log_det + np.log(one_one) + (n_epochs - 1) * _LN_2PI)


def fitted(
    one_one: Floats, one_y: Floats, one_t: Floats, t_y: Floats, t_t: Floats
) -> tuple[Floats, Floats, Floats]:
    """Fit y = b (1 - f t) by generalised least squares.

    Parameters
    ----------
    one_one, one_y, one_t, t_y, t_t : inner products with the inverse covariance.

    Returns
    -------
    gain : half of the decrease of chi-squared, 0 where not 0 < f <= 1.
    baseline, fraction : b and f.
    """
    gain, slope = gains(one_one, one_y, one_t, t_y, t_t)
    with np.errstate(divide="ignore", invalid="ignore"):
        baseline = (one_y + slope * one_t) / one_one
        return gain, baseline, slope / baseline


def gains(
    one_one: Floats, one_y: Floats, one_t: Floats, t_y: Floats, t_t: Floats
) -> tuple[Floats, Floats]:
    """Return the gain of `fitted`, and b f."""
    mean_t = one_t / one_one
    norm = t_t - mean_t * one_t
    cross = mean_t * one_y - t_y
    good = (cross > 0) & (norm > 1e-6 * t_t)
    # f <= 1 is cross / norm <= b.
    good &= cross <= (one_y * norm + cross * one_t) / one_one
    slope = cross / np.where(good, norm, 1.0)
    return np.where(good, 0.5 * cross * slope, 0.0), slope
