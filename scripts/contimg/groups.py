"""Names of groups, dates and raw files: the part of the filename contract that is about time.

GROUP is `YYYY-MM-DDTHH:MM:SS`, the header time of the group's first integration rounded to the
second; DATE is its UTC date. Raw files are `{UTC}_sb{NN}.hdf5`, where the UTC is the writing
host's own clock, so that it is a hint only.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
GROUP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
RAW_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d+)?_sb(\d{2})\.hdf5")
INCOMPLETE_SUFFIX = "_incomplete.hdf5"
STANDARD_SUFFIX = ".uvh5"
MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class RawName:
    """What a raw file's name says: the hint of its time (MJD, UTC), its subband, itself."""

    mjd: float
    subband: int
    name: str


def parse_raw_name(name: str) -> RawName | None:
    """Read a raw file's name; None when it is not one."""
    match = RAW_NAME.fullmatch(name)
    if not match:
        return None
    try:
        mjd = mjd_of_group(match[1])
    except ValueError:
        return None
    return RawName(mjd, int(match[2]), name)


def mjd_of_group(group: str) -> float:
    """Return the MJD (UTC) that a GROUP names.

    Raises
    ------
    ValueError
        When it is no such time.
    """
    moment = datetime.strptime(group, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return (moment - MJD_EPOCH) / timedelta(days=1)


def group_of_mjd(mjd: float) -> str:
    """Return the GROUP that a time (MJD, UTC) gives, rounded to the nearest second."""
    moment = MJD_EPOCH + timedelta(seconds=round(mjd * 86400))
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def date_of_group(group: str) -> str:
    return group[:10]


def shift_date(day: str, days: int) -> str:
    """Return the DATE that lies `days` later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def days_between(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def clusters(names: list[RawName], tolerance_s: float) -> list[list[RawName]]:
    """Put together the names whose clocks lie within `tolerance_s` of the earliest of them.

    Parameters
    ----------
    names : parsed raw names in any order.
    tolerance_s : spread of the clocks in one group, seconds.

    Returns
    -------
    Groups in order of time; in each the names are in order of subband.
    """
    found: list[list[RawName]] = []
    for name in sorted(names):
        if found and (name.mjd - found[-1][0].mjd) * 86400 <= tolerance_s:
            found[-1].append(name)
        else:
            found.append([name])
    return [sorted(cluster, key=lambda name: (name.subband, name.name)) for cluster in found]


def strange_name(path: Path) -> str:
    """Say in words why a file in incoming is not taken; empty when it is."""
    name = path.name
    if name.endswith(INCOMPLETE_SUFFIX):
        return "still being written"
    if parse_raw_name(name) or name.endswith(STANDARD_SUFFIX):
        return ""
    return "not a raw file's name: YYYY-MM-DDTHH:MM:SS_sbNN.hdf5 or NAME.uvh5 is expected"
