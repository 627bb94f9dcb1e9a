"""How far each group of each date has come, from the names of files that runs leave.

Listing folders is all that most of it takes, so that it is quick for an archive and right while
runs are in progress. JSONs are opened for groups whose date is not yet put together.
"""

import json
import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contimg.groups import (
    DATE,
    GROUP,
    INCOMPLETE_SUFFIX,
    RAW_NAME,
    STANDARD_SUFFIX,
    RawName,
    clusters,
    date_of_group,
    shift_date,
)
from contimg.inventory import Inventory
from contimg.run_traces import in_progress, is_of, last_line, last_moment, listed
from contimg.status import read_status
from contimg.tables import METADATA_KEY

# In the order in which a group passes them; the last two are ends of another kind.
STATES = (
    "waiting",
    "planned",
    "converted",
    "calibrated",
    "imaged",
    "measured",
    "rejected",
    "failed",
)
# What shows that a group has come so far, the last first: state, folder, end of the name.
MARKS = (
    ("measured", "photometry", ".parquet"),
    ("imaged", "images", ".image.json"),
    ("calibrated", "ms/calibrated", ".ms.json"),
    ("converted", "ms/science", ".ms.json"),
)
IN_NAME = re.compile(rf"{GROUP.pattern}(?=\.[^/]*$)")
IDLE_S = 3600.0  # nothing done for so long: nobody was at work


@dataclass
class GroupProgress:
    """One group, or one job of a whole date (where `state` is failed).

    Attributes
    ----------
    name : GROUP; for jobs of a date, DATE or the mosaic's NAME.
    state : one of `STATES`.
    reason : why it waits, was rejected or failed.
    rule : the rule that failed; running : the one at work, if any.
    """

    name: str
    state: str
    reason: str = ""
    rule: str = ""
    running: str = ""


@dataclass
class DateProgress:
    """A date: its groups, its failed jobs that are no group's, whether it has its page.

    Attributes
    ----------
    measured_s, converted_s : when each group's photometry, and the status of its science set, was
        written, seconds since 1970.
    """

    date: str
    groups: list[GroupProgress]
    failed_jobs: list[GroupProgress] = field(default_factory=list)
    finished: bool = False
    measured_s: list[float] = field(default_factory=list)
    converted_s: list[float] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(STATES, 0)
        for group in self.groups:
            found[group.state] += 1
        return found

    @property
    def groups_per_hour(self) -> float | None:
        """Groups measured in an hour of work, pauses left out; None where that cannot be told."""
        moments = sorted([*self.measured_s, *self.converted_s])
        steps = [later - earlier for earlier, later in pairwise(moments)]
        busy_s = sum(step for step in steps if step <= IDLE_S)
        return len(self.measured_s) / busy_s * 3600 if busy_s and self.measured_s else None


@dataclass(frozen=True)
class Raw:
    """Raw files that belong together by the clock in their names: how many subbands are there."""

    name: str
    subbands: int
    unfinished: int


@dataclass(frozen=True, order=True)
class LastJob:
    """The job that wrote a log last: when, and whether it ended well then."""

    moment_s: float
    ended: bool
    rule: str
    name: str
    log: Path


@dataclass(frozen=True)
class Indexed:
    """What an index says of a group: why it was rejected, and how many files it had then."""

    reason: str
    n_files: int


def raw_groups(names: Iterable[str], ingest: Mapping[str, Any]) -> dict[str, list[Raw]]:
    """Put the names in incoming together, by DATE of the earliest name.

    Parameters
    ----------
    names : of files.
    ingest : the block of the configuration.
    """
    whole: dict[str, set[str]] = {}
    partly: dict[str, set[str]] = {}
    for name in names:
        finished = not name.endswith(INCOMPLETE_SUFFIX)
        text = name if finished else name.removesuffix(INCOMPLETE_SUFFIX) + ".hdf5"
        if (match := RAW_NAME.fullmatch(text)) and int(match[2]) < ingest["n_subbands"]:
            (whole if finished else partly).setdefault(match[1], set()).add(match[2])
    stamps = [stamp for text in whole.keys() | partly.keys() if (stamp := stamp_of(text))]
    found: dict[str, list[Raw]] = {}
    for cluster in clusters(stamps, ingest["name_tolerance_s"]):
        texts = [stamp.name for stamp in cluster]
        subbands = set().union(*(whole.get(text, set()) for text in texts))
        writing = set().union(*(partly.get(text, set()) for text in texts)) - subbands
        first = min(texts)
        found.setdefault(date_of_group(first), []).append(Raw(first, len(subbands), len(writing)))
    return found


def seconds_of(name: str) -> float:
    """Return the time that a GROUP or a raw name's stamp tells, seconds since 1970.

    Raises
    ------
    ValueError
        When it is no time.
    """
    return datetime.fromisoformat(f"{name}+00:00").timestamp()


def stamp_of(text: str) -> RawName | None:
    """Return a stamp of time as a raw name without a subband; None when it is no time."""
    try:
        return RawName(seconds_of(text) / 86400, 0, text)
    except ValueError:
        return None


@dataclass
class Archive:
    """A working directory as it stands now.

    Parameters
    ----------
    directory : the working directory.
    config : the configuration; `incoming` and `ingest` are used.
    live : whether a run lives there; what is half made belongs to it, or was interrupted.
    only : the dates that will be asked for; all when empty.
    """

    directory: Path
    config: Mapping[str, Any]
    live: bool = False
    only: Collection[str] = ()

    def __post_init__(self) -> None:
        ingest, incoming = self.config["ingest"], self.directory / self.config["incoming"]
        names = listed(incoming)
        near = {shift_date(date, days) for date in self.only for days in (-1, 0, 1)}
        self.raw = raw_groups([n for n in names if not near or n[:10] in near], ingest)
        if any(name.endswith(STANDARD_SUFFIX) for name in names):
            found = Inventory({**self.config, "incoming": str(incoming)}).standard_groups
            for group in found:
                alone = Raw(group.name, ingest["n_subbands"], 0)
                self.raw.setdefault(date_of_group(group.name), []).append(alone)
        self.in_progress = in_progress(self.directory)
        self.remade = {match[0] for path in self.in_progress if (match := IN_NAME.search(path))}

    def dates(self) -> list[str]:
        """Return the dates of which there is anything, ascending."""
        folders = ("ms/science", "images", "photometry", "logs")
        names = {name for folder in folders for name in listed(self.directory / folder)}
        found = {name for name in names if DATE.fullmatch(name)} | self.raw.keys()
        return sorted(found & set(self.only) if self.only else found)

    def progress_of(self, date: str) -> DateProgress:
        """Return how far a date's groups have come."""
        index, reached = self._index(date), self._reached(date)
        times = self._times("photometry", ".parquet", date)
        told, told_s = self._told_by_table(date)
        found = {
            name: GroupProgress(name, "rejected" if entry.reason else "planned", entry.reason)
            for name, entry in index.items()
        }
        for name, state in reached.items():
            found[name] = GroupProgress(name, state)
            if state == "measured" and name in told and times.get(name, 0.0) <= told_s:
                rejected, reason = told[name]
            else:
                rejected, reason = self._asked(date, name, state)
            if rejected:
                found[name] = GroupProgress(name, "rejected", reason)
        self._add_raw(date, found, {n: index[n] for n in index.keys() - reached.keys()})
        done = DateProgress(date, [found[name] for name in sorted(found)])
        done.finished = (self.directory / "report" / date / "index.html").is_file()
        done.measured_s = list(times.values())
        done.converted_s = list(self._times("ms/science", ".ms.json", date).values())
        self._add_jobs(date, done, times.keys() - self.remade)
        return done

    def _index(self, date: str) -> dict[str, Indexed]:
        """Return what the index says of each group that it lists."""
        try:
            content = json.loads((self.directory / "index" / f"{date}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return {
            entry["group"]: Indexed(
                entry["reason"] if entry["status"] == "rejected" else "", len(entry["files"])
            )
            for entry in content["groups"]
        }

    def _reached(self, date: str) -> dict[str, str]:
        """Return how far the groups have come of which there is any product."""
        reached: dict[str, str] = {}
        for state, folder, suffix in MARKS:
            for name in listed(self.directory / folder / date):
                group = name.removesuffix(suffix)
                if name.endswith(suffix) and GROUP.fullmatch(group):
                    reached.setdefault(group, state)
        return reached

    def _times(self, folder: str, suffix: str, date: str) -> dict[str, float]:
        """Return when a product of each group was written, seconds since 1970."""
        times = {}
        with suppress(FileNotFoundError), os.scandir(self.directory / folder / date) as found:
            for entry in found:
                group = entry.name.removesuffix(suffix)
                if entry.name.endswith(suffix) and GROUP.fullmatch(group):
                    with suppress(FileNotFoundError):
                        times[group] = entry.stat().st_mtime
        return times

    def _told_by_table(self, date: str) -> tuple[dict[str, tuple[bool, str]], float]:
        """Return whether each group was rejected, and why, by the date's table; and its time."""
        path = self.directory / "photometry" / date / "photometry.parquet"
        try:
            groups, written_s = metadata_of(path).get("groups", {}), path.stat().st_mtime
        except FileNotFoundError:
            return {}, 0.0
        found = {n: (one["status"] == "rejected", one["reason"]) for n, one in groups.items()}
        return found, written_s

    def _asked(self, date: str, group: str, state: str) -> tuple[bool, str]:
        """Return whether a group's last product says that it is rejected, and why."""
        folder, suffix = next(mark[1:] for mark in MARKS if mark[0] == state)
        path = self.directory / folder / date / f"{group}{suffix}"
        try:
            if suffix == ".parquet":
                content = metadata_of(path)
                return content.get("status") == "rejected", content.get("reason", "")
            status = read_status(path)
        except (FileNotFoundError, ValueError):  # made again, or being written, at this moment
            return False, ""
        return not status.ok, status.reason

    def _add_raw(
        self, date: str, found: dict[str, GroupProgress], untouched: Mapping[str, Indexed]
    ) -> None:
        """Compare groups with the raw files: some wait, some are planned, some got more files."""
        ingest = self.config["ingest"]
        known = Times(found)
        for raw in self.raw.get(date, []):
            name = known.nearest(raw.name, ingest["name_tolerance_s"])
            if name is None and self._is_of_next_date(raw, date):
                continue
            enough = raw.subbands >= ingest["min_subbands"]
            if name is None:
                wanting = f"{raw.subbands} of {ingest['n_subbands']} subbands"
                wanting += f", {raw.unfinished} being written" if raw.unfinished else ""
                state, reason = ("planned", "") if enough else ("waiting", wanting)
                found[raw.name] = GroupProgress(raw.name, state, reason)
            elif enough and name in untouched and raw.subbands > untouched[name].n_files:
                found[name] = GroupProgress(name, "planned")

    def _is_of_next_date(self, raw: Raw, date: str) -> bool:
        """Whether raw files named just before midnight belong to a group after it, or reversed."""
        tolerance_s = self.config["ingest"]["name_tolerance_s"]
        moment = datetime.fromisoformat(raw.name)
        reach = timedelta(seconds=tolerance_s)
        around = {f"{there:%Y-%m-%d}" for there in (moment - reach, moment + reach)}
        for other in around - {date}:
            names = self._index(other).keys() | self._reached(other).keys()
            if Times(names).nearest(raw.name, tolerance_s):
                return True
        return False

    def _add_jobs(self, date: str, done: DateProgress, passed: Collection[str]) -> None:
        """Look at the last job of each group, and at those of the date: did they end well?"""
        last: dict[str, LastJob] = {}
        for rule in sorted(listed(self.directory / "logs" / date)):
            for file in listed(self.directory / "logs" / date / rule):
                name = file.removesuffix(".log")
                if name in passed or not file.endswith(".log"):
                    continue
                log = self.directory / "logs" / date / rule / file
                job = LastJob(*last_moment(log, self._benchmark(log)), rule, name, log)
                key = name if GROUP.fullmatch(name) else f"{rule}/{name}"
                last[key] = max(job, last.get(key, job))
        groups = {group.name: group for group in done.groups}
        for job in (job for job in last.values() if not job.ended):
            told = self._told_of(date, job)
            if job.name not in groups:
                if told.state and not GROUP.fullmatch(job.name):
                    done.failed_jobs.append(told)
                continue
            group = groups[job.name]
            group.running, group.rule = told.running, told.rule
            if told.state:
                group.state, group.reason = told.state, told.reason

    def _benchmark(self, log: Path) -> Path:
        relative = log.relative_to(self.directory / "logs").with_suffix("")
        return self.directory / "benchmarks" / relative.parent / f"{relative.name}.jsonl"

    def _told_of(self, date: str, job: LastJob) -> GroupProgress:
        """Return a job that did not end well as one that is at work, or as one that failed."""
        at_work = any(is_of(path, date, job.name) for path in self.in_progress)
        if at_work and self.live:
            return GroupProgress(job.name, "", running=job.rule)
        reason = last_line(job.log) or "its log is empty"
        reason = f"interrupted; last line: {reason}" if at_work else reason
        return GroupProgress(job.name, "failed", reason, job.rule)


class Times:
    """Names of groups in order of time, to find the one nearest to another time."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)
        self._seconds = [seconds_of(name) for name in self._names]

    def nearest(self, name: str, tolerance_s: float) -> str | None:
        """Return the group within a tolerance, or None."""
        moment = seconds_of(name)
        place = bisect_left(self._seconds, moment)
        beside = [i for i in (place - 1, place) if 0 <= i < len(self._names)]
        best = min(beside, key=lambda i: abs(self._seconds[i] - moment), default=None)
        if best is None or abs(self._seconds[best] - moment) > tolerance_s:
            return None
        return self._names[best]


def metadata_of(path: Path) -> dict[str, Any]:
    """Return what the metadata of one of our tables says; nothing for a half-written one."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid:
        return {}
    return json.loads(metadata.get(METADATA_KEY, b"{}"))
