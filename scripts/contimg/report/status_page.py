"""The page about the work itself, and the JSON that it is made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader

from contimg.progress import STATES, DateProgress, GroupProgress
from contimg.report.pages import TEMPLATES, environment
from contimg.report.text import plural
from contimg.rule_times import MOST_RECORDS, RuleTimes
from contimg.status import written_whole

# Not among the templates of the dates' pages, which are made again when one of those changes.
OWN_TEMPLATES = Path(__file__).parent / "live"
# From the left: what is done with, then the rest, the least advanced last.
BAR_STATES = ("measured", "rejected", "failed", *reversed(STATES[: STATES.index("measured")]))


def status_content(
    dates: Sequence[DateProgress], rules: Sequence[RuleTimes], now: datetime, live: bool
) -> dict[str, Any]:
    """Return what `report/status.json` holds.

    Parameters
    ----------
    dates : in any order; the newest comes first in the content.
    rules : times of the rules.
    now : when it was looked, with a time zone.
    live : whether a run lives in the working directory.
    """
    measured_s = [moment for date in dates for moment in date.measured_s]
    return {
        "seen": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "live": live,
        "counts": {state: sum(date.counts[state] for date in dates) for state in STATES},
        "measured_last_hour": sum(moment > now.timestamp() - 3600 for moment in measured_s),
        "measured_last_day": sum(moment > now.timestamp() - 86400 for moment in measured_s),
        "dates": [content_of(date) for date in sorted(dates, key=lambda d: d.date, reverse=True)],
        "rules": [asdict(rule) for rule in rules],
    }


def content_of(date: DateProgress) -> dict[str, Any]:
    """Return a date's part of the content."""
    by_state: dict[str, list[str]] = {state: [] for state in STATES}
    for group in date.groups:
        by_state[group.state].append(group.name)
    told = {
        state: [
            {"group": group.name, "reason": group.reason}
            for group in date.groups
            if group.state == state
        ]
        for state in ("rejected", "waiting")
    }
    failed = [group for group in date.groups if group.state == "failed"]
    return {
        "date": date.date,
        "finished": date.finished,
        "n_groups": len(date.groups),
        "counts": date.counts,
        "groups_per_hour": date.groups_per_hour,
        "groups": by_state,
        **told,
        "failed": [failure(date.date, job) for job in [*failed, *date.failed_jobs]],
        "running": [
            {"group": group.name, "rule": group.running} for group in date.groups if group.running
        ],
    }


def failure(date: str, job: GroupProgress) -> dict[str, str]:
    log = f"logs/{date}/{job.rule}/{job.name}.log"
    return {"name": job.name, "rule": job.rule, "reason": job.reason, "log": log}


def page_of(content: Mapping[str, Any]) -> str:
    """Return `report/status.html`, made from the content of `report/status.json`."""
    own = environment()
    own.loader = FileSystemLoader([OWN_TEMPLATES, TEMPLATES])
    dates = [{**date, "n_running": len(date["running"])} for date in content["dates"]]
    brief = ("date", "finished", "n_groups", "counts", "groups_per_hour")
    return own.get_template("status.html.j2").render(
        states=STATES,
        bar_states=BAR_STATES,
        seen=content["seen"],
        summary=summary_of(content),
        key_figures=key_figures(content),
        dates=dates,
        failures=[{**one, "date": date["date"]} for date in dates for one in date["failed"]],
        running=gathered((one["rule"], one["group"]) for d in dates for one in d["running"]),
        rejections=by_reason(dates, "rejected"),
        waiting=by_reason(dates, "waiting"),
        rules=content["rules"],
        most_records=MOST_RECORDS,
        data={**content, "dates": [{name: date[name] for name in brief} for date in dates]},
    )


def write_status_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write `report/status.html`, whole or not at all."""
    page = page_of(content)
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def by_reason(dates: Iterable[Mapping[str, Any]], state: str) -> list[dict[str, Any]]:
    """Return the groups of a state by reason, the most frequent first."""
    found = gathered((one["reason"], one["group"]) for date in dates for one in date[state])
    return [{"reason": one["rule"], "groups": one["groups"]} for one in found]


def gathered(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for key, group in pairs:
        groups.setdefault(key, []).append(group)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"rule": key, "groups": names} for key, names in ordered]


def summary_of(content: Mapping[str, Any]) -> str:
    """Say in one line how far everything is."""
    counts = content["counts"]
    words = [f"{counts[state]:,} {state}" for state in reversed(STATES) if counts[state]]
    line = f"{plural(len(content['dates']), 'date')}, {plural(sum(counts.values()), 'group')}"
    line += f": {', '.join(words)}." if words else "."
    return line + (" A run is at work." if content["live"] else " No run is at work.")


def key_figures(content: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    counts = content["counts"]
    pages = sum(date["finished"] for date in content["dates"])
    return [
        ("groups measured", f"{counts['measured']:,}", f"of {sum(counts.values()):,}"),
        ("dates with a page", f"{pages:,}", f"of {len(content['dates']):,}"),
        ("measured in the last hour", f"{content['measured_last_hour']:,}", "groups"),
        ("in the last day", f"{content['measured_last_day']:,}", "groups"),
        ("rejected", f"{counts['rejected']:,}", ""),
        ("failed", f"{counts['failed']:,}", ""),
    ]
