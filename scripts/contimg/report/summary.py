"""What became of each group of a date, put together from the stages' status files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from contimg.groups import mjd_of_group
from contimg.status import Status

STAGES = ("files", "visibilities", "image", "photometry")


@dataclass(frozen=True)
class Stage:
    """How one stage ended for one group: ok, partial, rejected, or none when it never came."""

    name: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class GroupRow:
    """One group of a date.

    Attributes
    ----------
    group : GROUP.
    stages : in the order of `STAGES`.
    subbands, missing : subband numbers.
    flagged_fraction : of the calibrated visibilities; None when unknown.
    figures : key figures of the image.
    check : key figures of the photometry.
    digests : of the visibilities and of the image.
    tables : whose tables calibrated it, and how these came to serve; empty when none did.
    """

    group: str
    stages: tuple[Stage, ...]
    subbands: Sequence[int] = ()
    missing: Sequence[int] = ()
    flagged_fraction: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    check: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    tables: str = ""

    @property
    def state(self) -> str:
        """rejected, partial or ok."""
        states = {stage.state for stage in self.stages}
        return next((state for state in ("rejected", "partial") if state in states), "ok")

    @property
    def rejected_at(self) -> Stage | None:
        """The first stage that rejected the group; its reason is the cause of the others'."""
        return next((stage for stage in self.stages if stage.state == "rejected"), None)

    @property
    def reason(self) -> str:
        """Why it is not ok, empty when it is: the cause of a rejection, or all that is amiss."""
        if self.rejected_at:
            return self.rejected_at.reason
        return "; ".join(stage.reason for stage in self.stages if stage.state == "partial")

    @property
    def mid_mjd(self) -> float:
        """Mid-time of the image, or the start of the group where there is no image."""
        return self.figures.get("mid_mjd") or mjd_of_group(self.group)


def group_rows(
    index: Mapping[str, Any],
    calibrated: Mapping[str, Status],
    imaged: Mapping[str, Status],
    photometry: pd.DataFrame,
    checks: Mapping[str, Mapping[str, Any]],
) -> list[GroupRow]:
    """Return one row a group, in order of time.

    Parameters
    ----------
    index : content of index/DATE.json.
    calibrated, imaged : status by group.
    photometry : rows of the date's photometry table.
    checks : what the photometry's metadata tells of each group: `status`, `reason`, `figures`,
        `failed_checks`, and `subbands` where there are subband images.
    """
    measured = set(photometry["group"]) if len(photometry) else set()
    found = {entry["group"]: entry for entry in index["groups"]}
    rows = []
    for group in sorted({*found, *calibrated, *imaged}):
        entry = found.get(group, {})
        told = checks.get(group, {})
        check = {**told, **told.get("figures", {})}
        stages = (
            stage_of_index(entry),
            stage_of_status("visibilities", calibrated.get(group)),
            stage_of_status("image", imaged.get(group)),
            stage_of_photometry(check, group in measured, imaged.get(group)),
        )
        figures = calibrated[group].figures if group in calibrated else {}
        rows.append(
            GroupRow(
                group=group,
                stages=stages,
                subbands=entry.get("subbands", ()),
                missing=entry.get("missing", ()),
                flagged_fraction=figures.get("flagged_fraction"),
                figures=imaged[group].figures if group in imaged else {},
                check=check,
                digests={
                    name: statuses[group].digest
                    for name, statuses in (("visibilities", calibrated), ("image", imaged))
                    if group in statuses
                },
                tables=tables_of(figures),
            )
        )
    return rows


def tables_of(figures: Mapping[str, Any]) -> str:
    """Name the tables that calibrated a group, from the figures of its calibrated visibilities."""
    tables = figures.get("tables") or {}
    source = figures.get("calibration_source", "")
    if not tables:
        return ""
    date, time = tables["group"].split("T")
    said = {"own": "own", "": "tables"}.get(source, f"{source} from {date}")
    return f"{said}, {time}"


def stage_of_index(entry: Mapping[str, Any]) -> Stage:
    """Return the first stage: whether the raw files are all there."""
    state = {"complete": "ok"}.get(entry.get("status", "none"), entry.get("status", "none"))
    reason = entry.get("reason", "")
    if not reason and entry.get("missing"):
        reason = f"subband {', '.join(map(str, entry['missing']))} missing"
    return Stage("files", state, reason)


def stage_of_status(name: str, status: Status | None) -> Stage:
    if status is None:
        return Stage(name, "none")
    if status.ok and status.failed_checks:
        return Stage(name, "partial", "check failed: " + ", ".join(status.failed_checks))
    return Stage(name, status.status, status.reason)


def stage_of_photometry(
    check: Mapping[str, Any], measured: bool, image: Status | None = None
) -> Stage:
    """Return the last stage; what the image failed already is not told again."""
    told = image.failed_checks if image else []
    failed = [reason for reason in check.get("failed_checks") or [] if reason not in told]
    if failed:
        return Stage("photometry", "partial", "check failed: " + ", ".join(failed))
    lost = [one for one in check.get("subbands", ()) if one["status"] == "rejected"]
    if lost:
        reasons = [f"subband image {one['subband']}: {one['reason']}" for one in lost]
        return Stage("photometry", "partial", "; ".join(reasons))
    if "status" in check:
        return Stage("photometry", check["status"], check.get("reason") or "")
    return Stage("photometry", "ok" if measured else "none")


def rejections(rows: Sequence[GroupRow]) -> list[dict[str, Any]]:
    """Return each stage and reason of rejection with its groups, the most frequent first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        stage = row.rejected_at
        if stage:
            groups.setdefault((stage.name, stage.reason), []).append(row.group)
    found = [
        {"stage": stage, "reason": reason, "groups": names}
        for (stage, reason), names in groups.items()
    ]
    return sorted(found, key=lambda one: (-len(one["groups"]), one["groups"]))


def counts(rows: Sequence[GroupRow]) -> dict[str, int]:
    """Return how many groups are ok, partial and rejected."""
    states = [row.state for row in rows]
    return {state: states.count(state) for state in ("ok", "partial", "rejected")}


def median_of(values: Sequence[float | None]) -> float | None:
    """Return the median of the values that are known, None when none is."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.median(known)) if known else None
