"""Which calibration tables serve a date: its own, pinned ones, or those of an earlier date.

Tables live at cal/DATE/GROUP.{bcal,gcal,kcal} below the working directory, a status file beside
each. What earlier dates have published is looked up when the choice is made, and the choice
holds the tables' digests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date as calendar_date
from pathlib import Path
from typing import Any

from contimg.status import Rejected, Status, read_status

CALIBRATION = Path("cal")


@dataclass(frozen=True)
class Tables:
    """The tables solved on one group; paths are relative to the working directory.

    Attributes
    ----------
    group, date : names.
    bcal, gcal, kcal : tables; kcal is None when delays were not solved.
    mid_mjd : middle of the group.
    declination_deg : apparent declination of the pointing; None where none is known.
    calibrator : name.
    digests : digest of each table's values, by bcal, gcal, kcal.
    """

    group: str
    date: str
    bcal: str
    gcal: str
    kcal: str | None
    mid_mjd: float
    declination_deg: float | None
    calibrator: str
    digests: dict[str, str]


@dataclass(frozen=True)
class Considered:
    """Tables that were not taken, and why."""

    group: str
    date: str
    why_not: str


@dataclass(frozen=True)
class Choice:
    """What serves a date.

    Attributes
    ----------
    source : own, borrowed or pinned.
    tables : ordered by time.
    considered : what was looked at and not taken.
    """

    source: str
    tables: list[Tables]
    considered: list[Considered]

    def figures(self) -> dict[str, Any]:
        return asdict(self)


def choose(
    date: str,
    declination_deg: float | None,
    solutions: Sequence[Path],
    calibration: Mapping[str, Any],
) -> Choice:
    """Choose the tables of a date.

    Parameters
    ----------
    date : YYYY-MM-DD.
    declination_deg : apparent declination of the date's pointing, or None.
    solutions : status files of the date's own gain tables.
    calibration : the configuration's block: pinned_tables, borrow_days, strip_tolerance_deg.

    Raises
    ------
    Rejected
        When nothing fits; the reason lists what was considered.
    """
    if calibration["pinned_tables"]:
        return pinned(calibration["pinned_tables"])
    tables, considered = passing([prefix_of(path) for path in solutions])
    if tables:
        return Choice("own", tables, considered)
    tables, not_borrowed = borrowed(date, declination_deg, calibration)
    considered += not_borrowed
    if not tables:
        raise Rejected(f"no calibration for {date}: {explained(considered)}")
    return Choice("borrowed", tables, considered)


def pinned(prefixes: Sequence[str]) -> Choice:
    """Take the tables that the configuration names, as cal/DATE/GROUP.

    Raises
    ------
    Rejected
        When one of them is missing or did not pass: a pinned table is never replaced.
    """
    tables, considered = passing([Path(prefix) for prefix in prefixes])
    if considered:
        raise Rejected(f"pinned calibration tables: {explained(considered)}")
    return Choice("pinned", tables, [])


def borrowed(
    date: str, declination_deg: float | None, calibration: Mapping[str, Any]
) -> tuple[list[Tables], list[Considered]]:
    """Find the tables of the nearest earlier date that has any of the same declination strip."""
    considered: list[Considered] = []
    for earlier in earlier_dates(date, calibration["borrow_days"]):
        statuses = sorted((CALIBRATION / earlier).glob("*.gcal.json"))
        found, not_passing = passing([prefix_of(path) for path in statuses])
        considered += not_passing
        fitting = []
        for tables in found:
            why_not = off_strip(tables, declination_deg, calibration["strip_tolerance_deg"])
            if why_not:
                considered.append(Considered(tables.group, tables.date, why_not))
            else:
                fitting.append(tables)
        if fitting:
            return fitting, considered
    return [], considered


def earlier_dates(date: str, days: float) -> list[str]:
    """Dates with a folder in cal/, before `date` and within `days` of it, the nearest first."""
    today = calendar_date.fromisoformat(date)
    found = []
    for folder in CALIBRATION.glob("*-*-*"):
        try:
            age = (today - calendar_date.fromisoformat(folder.name)).days
        except ValueError:
            continue  # a folder of the user's
        if 0 < age <= days:
            found.append(folder.name)
    return sorted(found, reverse=True)


def off_strip(tables: Tables, declination_deg: float | None, tolerance_deg: float) -> str:
    """Why tables of another pointing cannot be borrowed, or ""."""
    if declination_deg is None or tables.declination_deg is None:
        return "declination not known"
    difference = abs(tables.declination_deg - declination_deg)
    if difference > tolerance_deg:
        return (
            f"declination {tables.declination_deg:.3f} deg is {difference:.3f} deg off, "
            f"{tolerance_deg} deg allowed"
        )
    return ""


def passing(prefixes: Sequence[Path]) -> tuple[list[Tables], list[Considered]]:
    """Part the tables that passed their gates from those that did not; the former by time."""
    tables, considered = [], []
    for prefix in prefixes:
        try:
            tables.append(read_tables(prefix))
        except Rejected as rejected:
            considered.append(Considered(prefix.name, prefix.parent.name, str(rejected)))
    return sorted(tables, key=lambda one: one.mid_mjd), considered


def read_tables(prefix: Path) -> Tables:
    """Read the status files of one group's tables.

    Parameters
    ----------
    prefix : cal/DATE/GROUP.

    Raises
    ------
    Rejected
        When a table is missing or failed its gate.
    """
    gains = passed(prefix, "gcal")
    statuses = {"bcal": passed(prefix, "bcal"), "gcal": gains}
    if "kcal" in gains.inputs:
        statuses["kcal"] = passed(prefix, "kcal")
    for kind, status in statuses.items():
        if gains.inputs.get(kind, status.digest) != status.digest:
            raise Rejected(f"{prefix.name}.{kind} has changed since the gains were solved on it")
    figures = gains.figures
    declination = figures.get("apparent_dec_deg")
    return Tables(
        group=prefix.name,
        date=prefix.parent.name,
        bcal=f"{prefix}.bcal",
        gcal=f"{prefix}.gcal",
        kcal=f"{prefix}.kcal" if "kcal" in statuses else None,
        mid_mjd=figures["mid_mjd"],
        declination_deg=figures.get("dec_deg") if declination is None else declination,
        calibrator=figures["calibrator"],
        digests={kind: status.digest for kind, status in sorted(statuses.items())},
    )


def passed(prefix: Path, kind: str) -> Status:
    """Status of a table of a group, which passed its gate and is there."""
    path = prefix.with_name(f"{prefix.name}.{kind}.json")
    if not path.is_file():
        raise Rejected(f"{path.name} is missing")
    status = read_status(path)
    if not status.ok:
        raise Rejected(status.reason)
    if not path.with_suffix("").is_dir():
        raise Rejected(f"{path.with_suffix('').name} is missing")
    return status


def prefix_of(status: Path) -> Path:
    """cal/DATE/GROUP of cal/DATE/GROUP.gcal.json."""
    return status.with_name(status.name.removesuffix(".gcal.json"))


def explained(considered: Sequence[Considered]) -> str:
    """One line for people."""
    if not considered:
        return "no calibrator was solved on it, and no earlier date has tables"
    return "; ".join(f"{one.group}: {one.why_not}" for one in considered)
