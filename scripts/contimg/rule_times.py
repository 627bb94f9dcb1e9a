"""How long rules take and how much memory, from the benchmark records that every job writes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contimg.report.text import is_number
from contimg.run_traces import listed

MOST_RECORDS = 300  # of a rule


@dataclass(frozen=True)
class RuleTimes:
    """Time (s) and peak memory (MB) of a rule's newest jobs."""

    rule: str
    n_jobs: int
    median_s: float
    max_s: float
    median_mb: float | None
    max_mb: float | None


def rule_times(directory: Path, dates: Iterable[str], most: int = MOST_RECORDS) -> list[RuleTimes]:
    """Return the rules' times from the benchmark records of the newest dates, slowest first.

    Parameters
    ----------
    dates : those to look at.
    most : how many records of each rule are read at most.
    """
    records: dict[str, list[dict[str, Any]]] = {}
    for date in sorted(dates, reverse=True):
        for rule in listed(directory / "benchmarks" / date):
            wanted = most - len(records.setdefault(rule, []))
            if wanted > 0:
                folder = directory / "benchmarks" / date / rule
                newest = sorted(listed(folder), reverse=True)[:wanted]
                records[rule] += [one for name in newest if (one := last_record(folder / name))]
    found = [times_of(rule, jobs) for rule, jobs in records.items() if jobs]
    return sorted(found, key=lambda times: (-times.median_s, times.rule))


def last_record(path: Path) -> dict[str, Any]:
    """Return a benchmark file's last record; nothing when it is being written."""
    try:
        content = json.loads(path.read_text().strip().rpartition("\n")[2])
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and is_number(content.get("s")) else {}


def times_of(rule: str, jobs: list[dict[str, Any]]) -> RuleTimes:
    seconds = [job["s"] for job in jobs]
    memory = [job["max_rss"] for job in jobs if is_number(job.get("max_rss"))]
    return RuleTimes(
        rule,
        len(jobs),
        median(seconds),
        max(seconds),
        median(memory) if memory else None,
        max(memory, default=None),
    )
