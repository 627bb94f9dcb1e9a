"""How often sources without an event reach the statistic of the search.

The distribution of the statistic without events depends on the background, which is not known but
fitted. So the class of a source is what the fit without an event says of it: kernel, modulation,
timescale and jitter, and the scatter, beside its cadence and errors. Its nulls are the simulated
light curves (`contimg.ese_nulls`) whose own fits are nearest to the source's, whatever background
they were drawn from: a probability that is conditional on (nearly) all that the data tell of the
background does not depend on which background it is. With few epochs most fits are white, and the
scatter is what tells more: how much there is for an event to explain.

The tail. Above its 90 % quantile q the statistic s of a class is taken as exponential:
P(> s) = 0.1 G((s - q) / scale), G(y) = exp(-y) but for a bend that all classes of a group have in
common. The scale over q is the mean of s / q - 1 of the nulls around that are above q, four times
as many as q is from: it varies less from class to class than q, and few are so far out. G is
measured by judging each null as a source is, by the class that it has among the others, down to
0.025, and goes on as steeply as it falls there. Below q, P is the empirical fraction.

The empirical rate. The light curves of the archive turned over, 2 B - S about the baseline B (a
median), hold no dips of lenses, but all else that the archive has. The same search on them gives
(1 + number of flipped sources with as large a statistic) / (1 + number of flipped sources).
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.backgrounds import Integers
from contimg.epochs import Epochs, Floats
from contimg.ese_nulls import (
    Group,
    NullOptions,
    group_sources,
    relative_errors,
    simulate,
    tasks_of,
)
from contimg.ese_search import search
from contimg.tables import options_from

logger = logging.getLogger(__name__)

TAIL = 0.1
_KNOTS = np.array([1.0, 0.5, 0.25, 0.1, 0.05, 0.025])
_STEEP = 3  # the tail goes on as it falls between this knot and the last
_WIDE = 4
_LEAST = 1e-3
_FEWEST = 400  # nulls; of fewer none is beyond the last knot
_WHITE = -2.0  # first coordinate of a fit without a correlated background
_FITTED = ("null_background", "null_modulation", "null_timescale_days", "null_jitter")


@dataclass(frozen=True)
class Bend:
    """What the tails of a group have in common.

    Attributes
    ----------
    excess : (Nknots,) excess over q, in units of the scale, that the parts `_KNOTS` reach.
    beyond : scale from the last knot on, in the same units.
    """

    excess: Floats
    beyond: float

    def part(self, excess: Floats) -> Floats:
        """Return G, the part of the tail above an excess."""
        inside = np.exp(np.interp(excess, self.excess, np.log(_KNOTS)))
        after = np.maximum(excess - self.excess[-1], 0.0)
        return inside * np.exp(-after / self.beyond)


EXPONENTIAL = Bend(-np.log(_KNOTS), 1.0)


@dataclass(frozen=True)
class Tail:
    """Distribution of the statistic without events, of one class.

    Attributes
    ----------
    statistics : sorted, of the nulls.
    start, scale : q, and by how much the tail falls to 1/e.
    """

    statistics: Floats
    start: float
    scale: float
    bend: Bend = EXPONENTIAL

    def probability(self, statistic: Floats) -> Floats:
        """Return the probability that a null reaches a statistic."""
        n = len(self.statistics)
        reached = n - np.searchsorted(self.statistics, statistic, side="left")
        empirical = (1 + reached) / (1 + n)
        tail = TAIL * self.bend.part(np.maximum(statistic - self.start, 0) / self.scale)
        return np.where(statistic > self.start, tail, np.maximum(empirical, TAIL))


def fit_tail(statistics: Floats, bend: Bend = EXPONENTIAL) -> Tail:
    """Fit the tail of the statistics of nulls."""
    start = _start(statistics)
    return Tail(np.sort(statistics), start, _mean_above(statistics - start), bend)


def _start(statistics: Floats) -> float:
    return max(float(np.quantile(statistics, 1 - TAIL)), _LEAST)


def _mean_above(excess: Floats) -> float:
    above = excess[excess > 0]
    return max(float(above.mean()), _LEAST) if len(above) else _LEAST


def common_bend(excess: Floats) -> Bend:
    """Measure G from nulls of many classes.

    Parameters
    ----------
    excess : (Nnulls,) over q of the class, in scales, of nulls that had no part in the fit of it.
    """
    if len(excess) < _FEWEST:
        return EXPONENTIAL
    knots = np.maximum(np.quantile(excess, 1 - TAIL * _KNOTS), 0.0)
    knots[0] = 0.0
    beyond = float((knots[-1] - knots[_STEEP]) / np.log(_KNOTS[_STEEP] / _KNOTS[-1]))
    return Bend(knots, beyond) if beyond > 0 else EXPONENTIAL


def coordinates(fits: pd.DataFrame, error: Floats | float) -> Floats:
    """Place fits without an event so that like ones are near: (Nrows, 5).

    Modulation and jitter count in powers of two from a quarter of the errors on; timescale and
    kernel count as far as the modulation exceeds that, and the scatter (in powers of two of the
    errors, from half of them on, in steps of 7 %) as far as it does not: a modulation that is
    fitted tells the same.

    Parameters
    ----------
    fits : null_background, null_modulation, null_timescale_days, null_jitter, null_chi2_nu.
    error : typical relative error, one or (Nrows,). What counts is the background in units of it:
        so sources whose errors differ a little from those of their group's nulls find their like.
    """
    modulation = fits["null_modulation"].fillna(0.0).to_numpy(dtype=float)
    jitter = fits["null_jitter"].fillna(0.0).to_numpy(dtype=float)
    days = fits["null_timescale_days"].fillna(0.0).to_numpy(dtype=float)
    counts = modulation**2 / (modulation**2 + (error / 4) ** 2)
    scatter = np.sqrt(fits["null_chi2_nu"].fillna(1.0).to_numpy(dtype=float))
    smooth = (fits["null_background"] == "smooth").to_numpy()
    with np.errstate(divide="ignore"):
        octaves = np.where(days > 0, np.log2(np.maximum(days, 1e-3) / 10), 0.0)
    columns = [
        np.log2(np.hypot(modulation, error / 4) / error),
        np.log2(np.hypot(jitter, error / 2) / error),
        0.5 * counts * octaves,
        counts * smooth,
        np.round((1 - counts) * np.round(np.log2(np.maximum(scatter, 0.5)), 1), 1),
    ]
    return np.round(np.stack(columns, axis=1), 2)


def is_white(places: Floats) -> NDArray[np.bool_]:
    """Return whether fits, by their `coordinates`, have no correlated background."""
    return places[..., 0] == _WHITE


class Nulls:
    """The searched nulls of one group."""

    def __init__(self, group: Group, found: pd.DataFrame, n_class: int) -> None:
        self.error = group.error
        self.n_class = n_class
        self.statistics = found["ese_llr"].to_numpy(dtype=float)
        places = coordinates(found, group.error)
        self.axes = np.ascontiguousarray(places.T)  # in this order distances are quick
        alike = list(_alike(places))
        self.above = np.empty(len(found))  # s / q - 1 of each null, q of its class of the others
        for place, rows in alike:
            near = self.near(place, n_class + 1)
            for row in rows:
                start = _start(self.statistics[near[near != row]])
                self.above[row] = self.statistics[row] / start - 1
        excess, white = np.empty(len(found)), is_white(places)
        for place, rows in alike:
            excess[rows] = self.above[rows] / self._relative_scale(place)
        self.bends = {kind: common_bend(excess[white == kind]) for kind in (True, False)}

    def near(self, place: Floats, count: int) -> Integers:
        """Return which nulls are the nearest `count`, and those that are as near as the last."""
        distance = np.sum((self.axes - place[:, None]) ** 2, axis=0)
        nth = min(count, len(distance)) - 1
        return np.flatnonzero(distance <= np.partition(distance, nth)[nth] + 1e-9)

    def _relative_scale(self, place: Floats) -> float:
        return _mean_above(self.above[self.near(place, _WIDE * self.n_class)])

    def tail(self, place: Floats) -> Tail:
        statistics = np.sort(self.statistics[self.near(place, self.n_class)])
        start = _start(statistics)
        scale = start * self._relative_scale(place)
        return Tail(statistics, start, scale, self.bends[bool(is_white(place))])

    def probabilities(self, fits: pd.DataFrame, error: Floats | None = None) -> pd.DataFrame:
        """Return n_nulls, tail_start, tail_scale and ese_false_alarm of sources of the group.

        Parameters
        ----------
        fits : what the search found of them.
        error : (Nsources,) their relative errors; those of the group if not given.
        """
        statistic = fits["ese_llr"].to_numpy(dtype=float)
        where = coordinates(fits, self.error if error is None else error)
        columns = np.empty((len(fits), 4))
        for place, mine in _alike(where):
            tail = self.tail(place)
            columns[mine] = (len(tail.statistics), tail.start, tail.scale, 0.0)
            columns[mine, 3] = tail.probability(statistic[mine])
        names = ["n_nulls", "tail_start", "tail_scale", "ese_false_alarm"]
        return pd.DataFrame(columns, fits.index, names).astype({"n_nulls": np.int64})


def _alike(places: Floats) -> Iterator[tuple[Floats, Integers]]:
    """Go through the places that there are, with the rows that have each."""
    unique, inverse, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    yield from zip(unique, np.split(order, np.cumsum(counts)[:-1]), strict=True)


def false_alarms(
    epochs: Epochs,
    found: pd.DataFrame,
    options: Mapping[str, Any] | None = None,
    processes: int = 1,
) -> pd.DataFrame:
    """Return the false-alarm probabilities of all sources.

    Parameters
    ----------
    epochs : light curves.
    found : what the search found, a row a source, in the order of `epochs.sources`.
    options : keys of `contimg.ese_nulls.NullOptions` and of the search.
    processes : that share the simulations; the values do not depend on it.

    Returns
    -------
    table : a row a source, columns of the schema ESE_FALSE_ALARMS; probability 1 for sources
        that were not searched.
    """
    search_options = dict(options or {})
    settings = options_from(NullOptions, search_options)
    number, groups = group_sources(epochs, found, settings)
    error = relative_errors(epochs, found)
    keys = [name for name in ("source_id", "freq_hz") if name in epochs.sources]
    table = epochs.sources[keys].assign(
        null_class="", n_nulls=0, tail_start=np.nan, tail_scale=np.nan, ese_false_alarm=1.0
    )
    for one, group in enumerate(groups):
        rows = np.flatnonzero(number == one)
        tasks = tasks_of(group, settings, search_options)
        logger.info(
            "group %d of %d, %d sources of %s: %d light curves without events",
            one + 1, len(groups), len(rows), group.words, sum(task.n for task in tasks),
        )  # fmt: skip
        nulls = Nulls(group, pd.concat(simulate(tasks, processes)), settings.n_class)
        fits = found.iloc[rows]
        probabilities = nulls.probabilities(fits, error[rows])
        for name in probabilities:
            table.loc[table.index[rows], name] = probabilities[name].to_numpy()
        table.loc[table.index[rows], "null_class"] = class_words(fits, group)
    n_searched = int((number >= 0).sum())
    table["ese_false_alarm_archive"] = -np.expm1(
        n_searched * np.log1p(-np.minimum(table["ese_false_alarm"], 1 - 1e-16))
    )
    table.loc[number < 0, "ese_false_alarm_archive"] = 1.0
    flipped = flipped_statistics(epochs, search_options, processes)
    flipped[number < 0] = np.nan
    table["flipped_llr"] = flipped
    table["flipped_false_alarm"] = flipped_rate(found["ese_llr"].to_numpy(dtype=float), flipped)
    table["n_flipped"] = int(np.isfinite(flipped).sum())
    return table


def class_words(fits: pd.DataFrame, group: Group) -> list[str]:
    """Say in words which class each source is of."""
    words = []
    for fit in fits[list(_FITTED)].itertuples(index=False):
        kernel, modulation, days, jitter = fit
        said = "white" if not modulation > 0 else f"{kernel} {100 * modulation:.2g} % {days:.3g} d"
        words.append(
            f"{said}{f', jitter {100 * jitter:.2g} %' if jitter > 0 else ''}; {group.words}"
        )
    return words


def flipped_statistics(epochs: Epochs, options: Mapping[str, Any], processes: int = 1) -> Floats:
    """Return the statistic of each light curve turned over about its median."""
    middle = np.full(len(epochs.flux_jy), np.nan)
    some = np.isfinite(epochs.flux_jy).any(axis=1)
    middle[some] = np.nanmedian(epochs.flux_jy[some], axis=1)
    turned = replace(epochs, flux_jy=2 * middle[:, None] - epochs.flux_jy)
    found = search(turned, options, processes)
    return found["ese_llr"].to_numpy(dtype=float).copy()


def flipped_rate(statistics: Floats, flipped: Floats) -> Floats:
    """Return (1 + number of flipped statistics at least as large) / (1 + their number)."""
    known = np.sort(flipped[np.isfinite(flipped)])
    reached = len(known) - np.searchsorted(known, statistics, side="left")
    rate = (1 + reached) / (1 + len(known))
    return np.where(np.isfinite(statistics), rate, 1.0)
