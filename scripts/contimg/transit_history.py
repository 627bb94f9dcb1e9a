"""The last transits of one calibrator: which have data, and what their tables are worth."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contimg import transits
from contimg.calibrators import Transit
from contimg.checkout import located
from contimg.flux_standards import standard_sources
from contimg.groups import group_of_mjd, mjd_of_group
from contimg.inventory import Inventory
from contimg.site import OVRO_MMA_LONGITUDE_DEG
from contimg.status import read_status
from contimg.vla_calibrators import parse_vla_calibrators

NEAR_DAYS = 0.1
"""A group and a transit this close in time belong together: the beam passes in less."""

NO_DATA, NOT_IN_BEAM, NO_TABLES = "no data", "not in the beam", "none"


@dataclass(frozen=True)
class PastTransit:
    """One transit of a calibrator.

    Attributes
    ----------
    date, utc, mjd : of the transit.
    group : the group that sees it best; None when there is none.
    data : "" when that group can be used, else why not.
    beam, apparent_jy : response and flux through the beam at mid-group; None without a group.
    solved : whether the workflow solves on it.
    tables : cal/DATE/GROUP of its gains; None when there are none.
    verdict : "passed", the reason of the gate, or `NO_TABLES`.
    """

    date: str
    utc: str
    mjd: float
    group: str | None
    data: str
    beam: float | None
    apparent_jy: float | None
    solved: bool
    tables: str | None
    verdict: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


def place_of(name: str, config: Mapping[str, Any], base: Path) -> tuple[str, float, float]:
    """Return a calibrator's name in the list and its position, ICRS, degrees.

    Parameters
    ----------
    name : of a pinned calibrator or an entry of the VLA list, or its other name (3C196).

    Raises
    ------
    LookupError
        When nothing has that name; the message has similar ones.
    """
    calibration = config["calibration"]
    for one in calibration["pinned_calibrators"]:
        if one["name"] == name:
            return name, one["ra_deg"], one["dec_deg"]
    path = located(calibration["calibrator_list"], base)
    names: dict[str, tuple[str, float, float]] = {}
    for entry in parse_vla_calibrators(path.read_text()):
        place = entry.name, entry.ra_deg, entry.dec_deg
        standard = standard_sources(*place[1:])[0]
        for known in filter(None, (entry.name, entry.alt_name, standard)):
            names.setdefault(known.upper(), place)
    if name.upper() not in names:
        similar = difflib.get_close_matches(name.upper(), names, n=3)
        hint = f"similar: {', '.join(similar)}" if similar else "or calibration.pinned_calibrators"
        raise LookupError(f"{name}: no such calibrator in {path.name}; {hint}")
    return names[name.upper()]


def end_of_data(inventory: Inventory) -> float:
    """Return the end (MJD) of the last date that has raw files.

    Raises
    ------
    LookupError
        When there are none.
    """
    dates = inventory.dates()
    if not dates:
        raise LookupError(
            f"{inventory.config['incoming']}: no raw files to count back from; give --before DATE"
        )
    return mjd_of_group(f"{dates[-1]}T00:00:00") + 1


def past_transits(
    inventory: Inventory,
    calibrator: tuple[str, float, float],
    before_mjd: float,
    count: int,
    directory: Path,
) -> Iterator[PastTransit]:
    """Yield a calibrator's last transits before a time, the latest first.

    Parameters
    ----------
    inventory : of the raw files.
    calibrator : name, right ascension and declination, as `place_of` gives them.
    before_mjd : UTC.
    count : how many.
    directory : the working directory, with cal/ in it.
    """
    name, ra_deg, dec_deg = calibrator
    with_data = set(inventory.dates())
    longitude_deg = OVRO_MMA_LONGITUDE_DEG
    for mjd in transits.transits_before(ra_deg, dec_deg, before_mjd, count, longitude_deg):
        date = group_of_mjd(mjd)[:10]
        dates = [day for day in around(mjd) if day in with_data]
        seen, solved = best_view(inventory, dates, name, mjd)
        group = seen.group if seen else None
        prefix, verdict = tables_of(directory, mjd, name, group)
        yield PastTransit(
            date=date,
            utc=group_of_mjd(mjd),
            mjd=mjd,
            group=group,
            data=fault_of(inventory, dates, seen, mjd),
            beam=seen.beam if seen and group else None,
            apparent_jy=seen.apparent_jy if seen and group else None,
            solved=solved,
            tables=prefix,
            verdict=verdict,
        )


def around(mjd: float) -> list[str]:
    """Return the dates whose groups may see a transit: its own, and its neighbour near midnight."""
    days = {group_of_mjd(mjd + shift)[:10] for shift in (-NEAR_DAYS, 0, NEAR_DAYS)}
    return sorted(days)


def best_view(
    inventory: Inventory, dates: list[str], name: str, mjd: float
) -> tuple[Transit | None, bool]:
    """Return the transit as the date's ranking has it, and whether it is solved on."""
    found = [
        one
        for date in dates
        for one in inventory.ranking(date)
        if one.transit.name == name and abs((one.transit.mjd or 0.0) - mjd) < NEAR_DAYS
    ]
    if not found:
        return None, False
    best = max(found, key=lambda one: (one.chosen, one.transit.group is not None, one.transit.beam))
    return best.transit, best.chosen


def fault_of(inventory: Inventory, dates: list[str], seen: Transit | None, mjd: float) -> str:
    """Say why a transit's data cannot be used; "" when they can."""
    if seen and seen.group:
        return seen.rejected
    if seen:
        return NO_DATA
    spans = [group.span_mjd for date in dates for group in inventory.all_groups(date)]
    return NOT_IN_BEAM if any(start <= mjd <= end for start, end in spans) else NO_DATA


def tables_of(directory: Path, mjd: float, name: str, group: str | None) -> tuple[str | None, str]:
    """Return cal/DATE/GROUP of the gains solved on a transit, and what their gate said."""
    for path in sorted(
        path for date in around(mjd) for path in (directory / "cal" / date).glob("*.gcal.json")
    ):
        own = path.name.removesuffix(".gcal.json")
        status = read_status(path)
        solved_on = status.figures.get("calibrator")
        is_near = abs(status.figures.get("mid_mjd", mjd_of_group(own)) - mjd) < NEAR_DAYS
        if (solved_on == name and is_near) or (solved_on is None and own == group):
            prefix = f"cal/{path.parent.name}/{own}"
            return prefix, "passed" if status.ok else status.reason
    return None, NO_TABLES
