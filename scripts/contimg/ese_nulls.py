"""Simulated light curves without events, searched like the real ones.

Sources are grouped by cadence and by relative error. For each group null light curves are drawn
from all backgrounds that its sources could have: white noise, and correlated noise of each kernel
and timescale of the options, its modulation drawn from a log-uniform law between a quarter of the
errors and four times the largest that was fitted in the group; half of them have a jitter too.
"""

import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.backgrounds import DRW, SMOOTH, WHITE, correlation
from contimg.epochs import Epochs, Floats
from contimg.ese_search import search_batch

# Two sources have one cadence when, week by week, this part of their epochs agrees.
_SAME_CADENCE = 0.8
_WEEK_DAYS = 7.0
_LARGEST_MODULATION = 0.5
# Fluxes that are searched at once, by one process: to set a search up takes time, too.
_PIECE = 600_000
# White noise is the commonest: its light curves are as many as those of this many kernels.
_WHITE_SHARE = 4


@dataclass(frozen=True)
class NullOptions:
    """How many light curves without events are simulated, and of which backgrounds.

    Attributes
    ----------
    n_nulls : light curves for each kernel and timescale.
    n_class : of all these, so many whose fits are nearest to a source's are its class.
    null_drw_days, null_smooth_days : timescales of the two kernels.
    null_error_step : sources whose relative errors are within this factor share a group.
    max_cadences : at most so many cadences are told apart.
    """

    n_nulls: int = 3000
    n_class: int = 400
    null_drw_days: Sequence[float] = (3.0, 10.0, 30.0, 100.0, 300.0)
    null_smooth_days: Sequence[float] = (5.0, 15.0, 50.0)
    null_error_step: float = 1.5
    max_cadences: int = 12


@dataclass(frozen=True)
class Group:
    """Sources that share nulls.

    Attributes
    ----------
    mjd : (Nepochs,) times of the typical source.
    errors : (Nepochs,) standard errors as fractions of the baseline.
    largest_modulation : of the fits of its sources.
    """

    mjd: tuple[float, ...]
    errors: tuple[float, ...]
    largest_modulation: float = 0.0

    @property
    def error(self) -> float:
        """The typical relative error."""
        return float(np.median(self.errors))

    @property
    def words(self) -> str:
        span = self.mjd[-1] - self.mjd[0]
        return f"{len(self.mjd)} epochs in {span:.0f} d, errors {100 * self.error:.2g} %"


@dataclass(frozen=True)
class NullTask:
    """The nulls of one kernel and timescale for one group.

    Attributes
    ----------
    modulations : smallest and largest; both 0 for white noise.
    jitters : smallest and largest; half of the light curves have none.
    search : options of the search.
    """

    group: Group
    kernel: str
    timescale_days: float
    modulations: tuple[float, float]
    jitters: tuple[float, float]
    n: int
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Follows from cadence, kernel and timescale: the same numbers whatever else is simulated.

        The fitted limits of modulation and jitter only scale what is drawn: where their last
        digits differ, so do those of the nulls, and no more.
        """
        said = f"{self.group.words}, {self.kernel}, {float(self.timescale_days)}"
        return zlib.crc32(said.encode())


def group_sources(
    epochs: Epochs, found: pd.DataFrame, options: NullOptions
) -> tuple[NDArray[np.int64], list[Group]]:
    """Group sources by cadence and relative error.

    Parameters
    ----------
    epochs : light curves.
    found : of the search, a row a source of `epochs`.
    options : null_error_step, max_cadences.

    Returns
    -------
    number : (Nsources,) group of each source; -1 of those that were not searched.
    groups : by number.
    """
    error = relative_errors(epochs, found)
    searched = np.flatnonzero(np.isfinite(error) & (found["null_background"] != "").to_numpy())
    cadence, typical = cadences(epochs, searched, options.max_cadences)
    step = np.log(options.null_error_step)
    level = np.round(np.log(error[searched]) / step).astype(int)
    keys = list(zip(cadence.tolist(), level.tolist(), strict=True))
    modulation = found["null_modulation"].to_numpy(dtype=float)[searched]
    number = np.full(len(found), -1, dtype=np.int64)
    groups: list[Group] = []
    for key in sorted(set(keys)):
        members = np.array([one == key for one in keys])
        number[searched[members]] = len(groups)
        source = typical[key[0]]
        there = np.isfinite(epochs.flux_jy[source])
        errors = epochs.error_jy[source, there]
        errors = errors / np.median(errors) * np.median(error[searched[members]])
        largest = 2.0 ** np.ceil(np.log2(max(modulation[members].max(), 1e-3)))
        groups.append(
            Group(tuple(epochs.mjd[source, there].tolist()), tuple(errors.tolist()), largest)
        )
    return number, groups


def relative_errors(epochs: Epochs, found: pd.DataFrame) -> Floats:
    """Return the typical error of each source over its baseline, NaN where there is none."""
    baseline = found["null_baseline_jy"].to_numpy(dtype=float)
    error = np.full(len(baseline), np.nan)
    some = np.isfinite(epochs.flux_jy).any(axis=1) & (baseline > 0)
    there = np.isfinite(epochs.flux_jy[some])
    error[some] = np.nanmedian(np.where(there, epochs.error_jy[some], np.nan), axis=1)
    return error / np.where(some, baseline, np.nan)


def cadences(
    epochs: Epochs, rows: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], list[int]]:
    """Tell cadences apart by the number of epochs in each week.

    Returns
    -------
    number : (len(rows),) cadence of each source.
    typical : row in `epochs` of each cadence's first source; those of many epochs come first.
    """
    mjd = epochs.mjd[rows]
    there = np.isfinite(epochs.flux_jy[rows])
    start = np.nanmin(mjd, initial=np.inf) if len(rows) else 0.0
    week = np.where(there, (mjd - start) // _WEEK_DAYS, -1).astype(np.int64)
    counts = np.zeros((len(rows), week.max(initial=0) + 1), dtype=np.int16)
    line, place = np.nonzero(there)
    np.add.at(counts, (line, week[line, place]), 1)
    kinds, inverse = np.unique(counts, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    of_kind = np.zeros(len(kinds), dtype=np.int64)
    chosen: list[int] = []
    for kind in np.argsort(-kinds.sum(axis=1), kind="stable"):
        alike = np.minimum(kinds[kind], kinds[chosen]).sum(axis=1) / np.maximum(
            kinds[kind], kinds[chosen]
        ).sum(axis=1)
        if not chosen or (alike.max() < _SAME_CADENCE and len(chosen) < most):
            of_kind[kind] = len(chosen)
            chosen.append(int(kind))
        else:
            of_kind[kind] = int(alike.argmax())
    typical = [int(rows[np.flatnonzero(inverse == kind)[0]]) for kind in chosen]
    return of_kind[inverse], typical


def tasks_of(group: Group, options: NullOptions, search: Mapping[str, Any]) -> list[NullTask]:
    """Return what is simulated for a group."""
    smallest = group.error / 4
    largest = min(_LARGEST_MODULATION, 4 * max(group.largest_modulation, group.error / 2))
    jitters = (group.error / 3, 3 * group.error)
    tasks = [
        NullTask(group, WHITE, 0.0, (0.0, 0.0), jitters, _WHITE_SHARE * options.n_nulls, search)
    ]
    kernels = [(DRW, days) for days in options.null_drw_days]
    kernels += [(SMOOTH, days) for days in options.null_smooth_days]
    return tasks + [
        NullTask(group, kernel, days, (smallest, largest), jitters, options.n_nulls, search)
        for kernel, days in kernels
    ]


def draw(task: NullTask) -> Floats:
    """Draw light curves of mean 1, (n, Nepochs)."""
    random = np.random.default_rng([task.seed, task.n])
    mjd, errors = np.array(task.group.mjd), np.array(task.group.errors)
    jitter = log_uniform(random, task.jitters, task.n) * (random.random((task.n, 1)) < 0.5)
    noise = np.hypot(errors, jitter) * random.standard_normal((task.n, len(mjd)))
    if task.kernel == WHITE:
        return 1 + noise
    days = np.abs(mjd[:, None] - mjd)
    covariance = correlation(task.kernel, task.timescale_days, days)
    # A smooth kernel on a dense cadence is singular but for rounding.
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(mjd)))
    flicker = random.standard_normal((task.n, len(mjd))) @ root.T
    return 1 + log_uniform(random, task.modulations, task.n) * flicker + noise


def log_uniform(random: np.random.Generator, limits: tuple[float, float], n: int) -> Floats:
    """Return (n, 1) numbers between limits."""
    low, high = np.log(limits)
    return np.exp(random.uniform(low, high, (n, 1)))


def simulate(tasks: Sequence[NullTask], processes: int) -> list[pd.DataFrame]:
    """Draw and search the nulls of one group; a table a task, a row a light curve.

    They are searched in pieces of a fixed size, so that the result does not depend on the number
    of processes.
    """
    group, search = tasks[0].group, tasks[0].search
    flux = np.concatenate([draw(task) for task in tasks])
    most = max(200, _PIECE // len(group.mjd))
    pieces = [(group, flux[first : first + most], search) for first in range(0, len(flux), most)]
    if processes <= 1 or len(pieces) < 2:
        found = [_searched(piece) for piece in pieces]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
            found = list(pool.map(_searched, pieces))
    table = pd.concat(found, ignore_index=True)
    ends = np.cumsum([task.n for task in tasks])
    return [table.iloc[end - task.n : end] for task, end in zip(tasks, ends, strict=True)]


def _searched(piece: tuple[Group, Floats, Mapping[str, Any]]) -> pd.DataFrame:
    group, flux, options = piece
    errors = np.broadcast_to(np.array(group.errors), flux.shape)
    return search_batch(np.array(group.mjd), flux, errors, options)
