"""What to do next while a telescope writes raw files: the decisions of scripts/watch.py.

Pure functions of what was seen (names, sizes, times), of the time now and of the options. The
script does the rest: it lists, starts Snakemake and logs. All times are seconds since 1970.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import NamedTuple

from contimg.groups import RawName, clusters, parse_raw_name

ARRIVING, WHOLE, TIMED_OUT = "arriving", "whole", "timed out"
DONE, WAITING, GIVEN_UP = "done", "waiting", "given up"


@dataclass(frozen=True)
class Options:
    """How the watcher decides.

    Attributes
    ----------
    settle_s : a file that has not changed for so long is whole.
    timeout_s : a group to which nothing has come for so long is taken as it is.
    retries : how often a failed product is tried again.
    batch : groups asked for in one run, at most.
    schedulers : dates that run at once, at most.
    n_subbands, min_subbands, name_tolerance_s : as `ingest` of the configuration has them.
    once : end when nothing is left to do; a date is over as soon as its groups are taken.
    """

    settle_s: float = 30.0
    timeout_s: float = 900.0
    retries: int = 2
    batch: int = 16
    schedulers: int = 2
    n_subbands: int = 16
    min_subbands: int = 14
    name_tolerance_s: float = 60.0
    once: bool = False


class Stamp(NamedTuple):
    """A file as a listing shows it; `changed_s` (ctime) is what no copying program can set."""

    size: int
    modified_s: float
    changed_s: float


class Sighting(NamedTuple):
    """A file's stamp, and when the watcher first saw it with that size and time."""

    stamp: Stamp
    since_s: float


class Input(NamedTuple):
    """What a product was asked for with: a file as it then was."""

    name: str
    size: int
    modified_s: float


@dataclass(frozen=True)
class Arrival:
    """The files of one group, as far as they have come.

    Attributes
    ----------
    cluster : parsed names, in order of subband.
    inputs : its files as they are.
    n_subbands : distinct valid subband numbers.
    last_s : when the last of them came or changed.
    newest_s : the latest time that a file carries, to compare products with.
    state : arriving, whole or timed out.
    """

    cluster: tuple[RawName, ...]
    inputs: frozenset[Input]
    n_subbands: int
    last_s: float
    newest_s: float
    state: str

    @property
    def ready(self) -> bool:
        return self.state != ARRIVING


@dataclass(frozen=True)
class Product:
    """Something that Snakemake can be asked for: a group's photometry, or a date's page.

    Attributes
    ----------
    target : its path.
    inputs : the files that it depends on, as they are.
    newest_s : the latest time that one of them carries.
    made_s : its own time; minus infinity when it is not there.
    """

    target: str
    inputs: frozenset[Input]
    newest_s: float
    made_s: float

    @property
    def current(self) -> bool:
        return self.made_s >= self.newest_s


@dataclass(frozen=True)
class Attempt:
    """What became of asking for a product with these inputs."""

    inputs: frozenset[Input]
    done: bool = False
    failures: int = 0


@dataclass(frozen=True)
class Day:
    """A date as the next run sees it.

    Attributes
    ----------
    date : YYYY-MM-DD.
    groups : photometry of the groups that are ready and that the index accepts, in time order.
    uncalibrated : photometry that was rejected for want of the calibration that there is now.
    page : the report, once the date is over; None before.
    held_by : calibrator group that is still arriving and would be drawn into any run; "" if none.
    calibrated : whether its calibration is newer than the raw files of the groups that wait.
    """

    date: str
    groups: Sequence[Product] = ()
    uncalibrated: Sequence[Product] = ()
    page: Product | None = None
    held_by: str = ""
    calibrated: bool = False


@dataclass(frozen=True)
class Run:
    """One call of Snakemake."""

    date: str
    products: tuple[Product, ...]


def newest_dates(names: Iterable[str], n_dates: int) -> dict[str, list[str]]:
    """Return the names that begin with the newest dates of raw files, by date, ascending."""
    by_start: dict[str, list[str]] = {}
    for name in names:
        by_start.setdefault(name[:10], []).append(name)
    found: dict[str, list[str]] = {}
    for start in sorted(by_start, reverse=True):
        if len(found) == n_dates:
            break
        if any(map(parse_raw_name, by_start[start])):
            found[start] = by_start[start]
    return dict(reversed(found.items()))


def sighted(
    listing: Mapping[str, Stamp], before: Mapping[str, Sighting], now_s: float
) -> dict[str, Sighting]:
    """Note since when each listed file has had its size and time; forget those that are gone."""
    found = {}
    for name, stamp in listing.items():
        known = before.get(name)
        same = known is not None and known.stamp[:2] == stamp[:2]
        found[name] = Sighting(stamp, known.since_s if known and same else now_s)
    return found


def arrivals(sightings: Mapping[str, Sighting], now_s: float, options: Options) -> list[Arrival]:
    """Put the files into groups and say how far each has come, in order of time."""
    named = [parsed for name in sightings if (parsed := parse_raw_name(name))]
    return [
        arrival(cluster, sightings, now_s, options)
        for cluster in clusters(named, options.name_tolerance_s)
    ]


def arrival(
    cluster: Sequence[RawName],
    sightings: Mapping[str, Sighting],
    now_s: float,
    options: Options,
) -> Arrival:
    """Say how far a group has come.

    It is whole when all its subbands are there and none of its files has changed, before the
    watcher's eyes, for `settle_s`. It is timed out when nothing has come for `timeout_s`; a
    watcher that has just started goes by the files' own times there, so that it does not wait anew.
    """
    seen = [sightings[name.name] for name in cluster]
    subbands = {name.subband for name in cluster if name.subband < options.n_subbands}
    last_s = max(min(one.since_s, one.stamp.changed_s) for one in seen)
    settled = now_s - max(one.since_s for one in seen) >= options.settle_s
    state = ARRIVING
    if settled and len(subbands) >= options.n_subbands:
        state = WHOLE
    elif settled and now_s - last_s >= options.timeout_s:
        state = TIMED_OUT
    return Arrival(
        cluster=tuple(cluster),
        inputs=frozenset(
            Input(name.name, one.stamp.size, one.stamp.modified_s)
            for name, one in zip(cluster, seen, strict=True)
        ),
        n_subbands=len(subbands),
        last_s=last_s,
        newest_s=max(max(one.stamp[1:]) for one in seen),
        state=state,
    )


def is_over(
    of_date: Sequence[Arrival], later_ones_came: bool, now_s: float, options: Options
) -> bool:
    """Whether a date's page may be asked for: nothing of it is on its way any more.

    Parameters
    ----------
    of_date : the date's groups.
    later_ones_came : whether there are groups of a later date.
    """
    if not of_date or not all(one.ready for one in of_date):
        return False
    quiet_s = now_s - max(one.last_s for one in of_date)
    return options.once or later_ones_came or quiet_s >= options.timeout_s


def state_of(product: Product, attempts: Mapping[str, Attempt], retries: int) -> str:
    """Say whether a product is done, to be asked for, or given up.

    What this process has not asked for yet is judged by the files' times. What it has is done
    until its inputs change, even while it was made; files that are cleared away change nothing.
    """
    attempt = attempts.get(product.target)
    if attempt is None:
        return DONE if product.current else WAITING
    if not product.inputs <= attempt.inputs:
        return WAITING
    if attempt.done:
        return DONE
    return GIVEN_UP if attempt.failures > retries else WAITING


def waiting(
    products: Iterable[Product], attempts: Mapping[str, Attempt], retries: int
) -> list[Product]:
    """Pick the products that are to be asked for; those never tried come first."""
    found = [one for one in products if state_of(one, attempts, retries) == WAITING]
    return sorted(found, key=lambda one: failures_of(one, attempts))


def failures_of(product: Product, attempts: Mapping[str, Attempt]) -> int:
    """Return how often a product has failed with the inputs that it has."""
    attempt = attempts.get(product.target)
    return attempt.failures if attempt and product.inputs <= attempt.inputs else 0


def next_runs(
    days: Sequence[Day],
    attempts: Mapping[str, Attempt],
    running: Collection[str],
    options: Options,
) -> list[Run]:
    """Choose the calls of Snakemake to start now.

    One a date, `schedulers` in all, the earlier date first. New groups go before all else; then
    comes the date's page, for which Snakemake makes again what is stale, or, as long as the date
    is not over, what was rejected before its calibration came. Since a date may borrow the tables
    of an earlier one, it waits while that has groups to do and no calibration yet.

    Parameters
    ----------
    days : the dates watched, ascending.
    attempts : what became of the products asked for, by target.
    running : dates that have a run.
    """
    groups, later = [], []
    for day in days:
        new = waiting(day.groups, attempts, options.retries)
        if day.date not in running and not day.held_by:
            last = page_if_wanted(day, attempts, options.retries)
            again = last or waiting(day.uncalibrated, attempts, options.retries)
            if new:
                groups.append(Run(day.date, tuple(new[: options.batch])))
            elif again:
                later.append(Run(day.date, tuple(again[: options.batch])))
        if new and not day.calibrated:
            break
    return [*groups, *later][: max(options.schedulers - len(running), 0)]


def page_if_wanted(day: Day, attempts: Mapping[str, Attempt], retries: int) -> list[Product]:
    """Return the date's page if it is to be asked for.

    It is asked for once when a group was given up (Snakemake then makes what does not need that
    group), and else as often as any product.
    """
    if day.page is None:
        return []
    gave_up = any(state_of(one, attempts, retries) == GIVEN_UP for one in day.groups)
    return waiting([day.page], attempts, 0 if gave_up else retries)


def after_run(
    attempts: Mapping[str, Attempt], run: Run, succeeded: bool, current: Collection[str]
) -> dict[str, Attempt]:
    """Note what became of a run.

    Parameters
    ----------
    succeeded : whether Snakemake made all that it was asked for.
    current : targets that are there and newer than their inputs, whatever Snakemake said.
    """
    noted = dict(attempts)
    for product in run.products:
        if succeeded or product.target in current:
            noted[product.target] = Attempt(product.inputs, done=True)
        else:
            failures = failures_of(product, attempts) + 1
            noted[product.target] = Attempt(product.inputs, failures=failures)
    return noted


@dataclass(frozen=True)
class Tally:
    """What is told of a date.

    Attributes
    ----------
    latencies_s : from a group's last file to its photometry, by product.
    backlog, largest_backlog : groups that wait or run, now and at most.
    """

    latencies_s: Mapping[str, float] = field(default_factory=dict)
    backlog: int = 0
    largest_backlog: int = 0

    def with_latency(self, target: str, latency_s: float) -> "Tally":
        return replace(self, latencies_s={**self.latencies_s, target: latency_s})

    def with_backlog(self, n_groups: int) -> "Tally":
        largest = max(self.largest_backlog, n_groups)
        return replace(self, backlog=n_groups, largest_backlog=largest)

    def __str__(self) -> str:
        if not self.latencies_s:
            return "no photometry was waited for"
        latencies = self.latencies_s.values()
        return (
            f"{len(latencies)} groups, from last file to photometry {median(latencies):.0f} s "
            f"(median), {max(latencies):.0f} s (largest); largest backlog {self.largest_backlog}"
        )
