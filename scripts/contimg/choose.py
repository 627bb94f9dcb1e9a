"""Which calibration tables serve a date: its own, pinned ones, or those of an earlier date.

Tables live at cal/DATE/GROUP.{bcal,gcal,kcal} below the working directory, a status file beside
each. What earlier dates have published is looked up when the choice is made, and the choice
holds the tables' digests. The choice is made for each declination that the dishes stood at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date as calendar_date
from pathlib import Path
from typing import Any

from contimg.calibration_table import read_bandpass
from contimg.gates import bandpass_change, judged_change
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
class Compared:
    """A bandpass of the date beside the previous one of its strip.

    Attributes
    ----------
    group : of the date's own table.
    previous : group, date and digest of the bandpass before it.
    change : figures of `contimg.gates.bandpass_change`, or None.
    verdict : "", warning or refused.
    why : of the verdict.
    """

    group: str
    previous: dict[str, str]
    change: dict[str, Any] | None
    verdict: str
    why: str


@dataclass(frozen=True)
class Strip:
    """What serves the groups of one declination.

    Attributes
    ----------
    declination_deg : apparent; None where the telescope tracks.
    source : own, borrowed or pinned; "" when nothing serves.
    groups : whose tables serve.
    reason : why nothing serves, or "".
    """

    declination_deg: float | None
    source: str
    groups: list[str]
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """What serves a date.

    Attributes
    ----------
    strips : one a declination of the date's groups.
    tables : of all strips, ordered by time.
    considered : what was looked at and not taken.
    compared : own bandpasses beside the previous ones.
    warnings : a line each.
    """

    strips: list[Strip]
    tables: list[Tables]
    considered: list[Considered] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """own, borrowed or pinned; "own and borrowed" where strips differ."""
        return " and ".join(sorted({one.source for one in self.strips if one.source})[::-1])

    def figures(self) -> dict[str, Any]:
        return {"source": self.source, **asdict(self)}


class NothingServes(Rejected):
    """No tables serve any group of a date; `choice` has what was looked at."""

    def __init__(self, reason: str, choice: Choice) -> None:
        self.choice = choice
        super().__init__(reason)


def choose(
    date: str,
    declinations_deg: Sequence[float | None],
    solutions: Sequence[Path],
    calibration: Mapping[str, Any],
) -> Choice:
    """Choose the tables of a date.

    Parameters
    ----------
    date : YYYY-MM-DD.
    declinations_deg : apparent declinations of the date's groups, each once; None of a telescope
        that tracks, whose groups all of the date's own tables serve that have none either.
    solutions : status files of the date's own gain tables.
    calibration : the configuration's block: pinned_tables, borrow_days, strip_tolerance_deg,
        previous_bandpass.

    Raises
    ------
    NothingServes
        When nothing fits any of its groups; the reason lists what was considered.
    Rejected
        When pinned tables are missing or did not pass.

    Notes
    -----
    Where a bandpass of the date is refused because it disagrees with the previous one, nothing is
    borrowed for its strip: which of the two is right is not known.
    """
    if calibration["pinned_tables"]:
        return pinned(declinations_deg, calibration)
    own, considered = passing([prefix_of(path) for path in solutions])
    compared = [one for tables in own if (one := beside_previous(tables, calibration))]
    why_refused = {one.group: one.why for one in compared if one.verdict == "refused"}
    refused = [one for one in own if one.group in why_refused]
    own = [one for one in own if one.group not in why_refused]
    considered += [Considered(one.group, date, why_refused[one.group]) for one in refused]
    strips: list[Strip] = []
    chosen: dict[str, Tables] = {}
    for declination in declinations_deg:
        doubted, _ = of_strip(refused, declination, calibration)
        source, tables, not_taken = tables_of_strip(
            date, declination, own, calibration, borrow=not doubted
        )
        considered += not_taken
        blamed = [Considered(one.group, date, why_refused[one.group]) for one in doubted]
        why_not = "" if tables else explained(blamed or considered, calibration)
        strips.append(Strip(declination, source, [one.group for one in tables], why_not))
        chosen |= {one.group: one for one in tables}
    considered = list(dict.fromkeys(considered))
    in_time = sorted(chosen.values(), key=lambda one: one.mid_mjd)
    warnings = [f"{one.group}: {one.why}" for one in compared if one.verdict == "warning"]
    choice = Choice(strips, in_time, considered, compared, warnings)
    if not chosen:
        reason = f"no calibration for {date}: {explained(considered, calibration)}"
        raise NothingServes(reason, choice)
    return choice


def of_strip(
    own: Sequence[Tables], declination_deg: float | None, calibration: Mapping[str, Any]
) -> tuple[list[Tables], list[Considered]]:
    """Part a date's own tables that fit one declination from those that do not.

    All tables without a declination fit the groups without one: one telescope that tracks.
    """
    considered, fitting = [], []
    for tables in own:
        tracks = declination_deg is None and tables.declination_deg is None
        tolerance = calibration["strip_tolerance_deg"]
        why_not = "" if tracks else off_strip(tables, declination_deg, tolerance)
        if why_not:
            considered.append(Considered(tables.group, tables.date, why_not))
        else:
            fitting.append(tables)
    return fitting, considered


def tables_of_strip(
    date: str,
    declination_deg: float | None,
    own: Sequence[Tables],
    calibration: Mapping[str, Any],
    borrow: bool = True,
) -> tuple[str, list[Tables], list[Considered]]:
    """Return source and tables that serve one declination, and what was considered for it."""
    fitting, considered = of_strip(own, declination_deg, calibration)
    if fitting:
        return "own", fitting, considered
    if not borrow:
        return "", [], considered
    fitting, not_borrowed = borrowed(date, declination_deg, calibration)
    return "borrowed" if fitting else "", fitting, considered + not_borrowed


def beside_previous(own: Tables, calibration: Mapping[str, Any]) -> Compared | None:
    """Compare a bandpass with that of the nearest earlier date of its strip, if there is one.

    Of that date's several, with the one at the nearest hour.
    """
    earlier, _ = borrowed(own.date, own.declination_deg, calibration)
    if not earlier:
        return None
    nearest = min(earlier, key=lambda one: abs((own.mid_mjd - one.mid_mjd + 0.5) % 1 - 0.5))
    change = bandpass_change(read_bandpass(Path(own.bcal)), read_bandpass(Path(nearest.bcal)))
    previous = {"group": nearest.group, "date": nearest.date, "digest": nearest.digests["bcal"]}
    verdict, why = judged_change(change, calibration["previous_bandpass"])
    why = why and f"the bandpass differs from that of {nearest.group}: {why}"
    return Compared(own.group, previous, change, verdict, why)


def pinned(declinations_deg: Sequence[float | None], calibration: Mapping[str, Any]) -> Choice:
    """Take the tables that the configuration names, as cal/DATE/GROUP, for every declination.

    One of another strip draws a warning: the user's word stands.

    Raises
    ------
    Rejected
        When one of them is missing or did not pass: a pinned table is never replaced.
    """
    tables, considered = passing([Path(prefix) for prefix in calibration["pinned_tables"]])
    if considered:
        raise Rejected(f"pinned calibration tables: {explained(considered, calibration)}")
    tolerance, groups = calibration["strip_tolerance_deg"], [one.group for one in tables]
    strips = [Strip(declination, "pinned", groups) for declination in declinations_deg]
    warnings = [
        f"pinned tables of {one.group} serve declination {declination:.3f} deg: {why_not}"
        for declination in declinations_deg
        for one in tables
        if declination is not None and (why_not := off_strip(one, declination, tolerance))
    ]
    return Choice(strips, tables, warnings=warnings)


def borrowed(
    date: str, declination_deg: float | None, calibration: Mapping[str, Any]
) -> tuple[list[Tables], list[Considered]]:
    """Find the tables of the nearest earlier date that has any of the same declination strip."""
    considered: list[Considered] = []
    for earlier in earlier_dates(date, calibration["borrow_days"]):
        statuses = sorted((CALIBRATION / earlier).glob("*.gcal.json"))
        prefixes = [prefix_of(path) for path in statuses]
        refused = refused_on(earlier)
        found, not_passing = passing([one for one in prefixes if one.name not in refused])
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


def refused_on(date: str) -> list[str]:
    """Groups whose tables a date's own choice refused, for its bandpass: they are never lent."""
    path = CALIBRATION / date / "calibration.json"
    compared = read_status(path).figures.get("compared", []) if path.is_file() else []
    return [one["group"] for one in compared if one["verdict"] == "refused"]


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
    """Why tables of another pointing do not fit a declination, or ""."""
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
    return Tables(
        group=prefix.name,
        date=prefix.parent.name,
        bcal=f"{prefix}.bcal",
        gcal=f"{prefix}.gcal",
        kcal=f"{prefix}.kcal" if "kcal" in statuses else None,
        mid_mjd=figures["mid_mjd"],
        declination_deg=figures.get("apparent_dec_deg"),
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


def explained(considered: Sequence[Considered], calibration: Mapping[str, Any]) -> str:
    """One line for people."""
    if not considered:
        days = calibration["borrow_days"]
        return f"no calibrator was solved on it, and no date of the {days} days before has tables"
    return "; ".join(f"{one.group}: {one.why_not}" for one in considered)
