"""Which images go into which mosaic: those of an hour, or around a transit."""

import itertools
from collections.abc import Mapping
from typing import Any

from contimg import transits
from contimg.groups import group_of_mjd
from contimg.site import OVRO_MMA_LONGITUDE_DEG


def mosaics_of(groups: Mapping[str, float], options: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the mosaics that a date gives, and the groups in each.

    Parameters
    ----------
    groups : mid-time (MJD) of each group of a date, in order of time.
    options : the `mosaic` block of the configuration.
    """
    found = {}
    if options["hours"]:
        found = hour_mosaics(groups, options["overlap_tiles"], options["max_gap_min"])
    for transit in options["transits"]:
        near = near_transit(groups, transit, options["half_width_min"])
        if near:
            found[f"{transit['name']}_transit"] = near
    return found


def hour_mosaics(
    groups: Mapping[str, float], overlap: int, max_gap_min: float
) -> dict[str, list[str]]:
    """Return for each hour with images its groups, and `overlap` more on each side.

    Parameters
    ----------
    groups : mid-time (MJD) of each group of a date, in order of time.
    overlap : how many neighbours of the date are added on each side.
    max_gap_min : a neighbour farther in time than this, minutes, ends the series.
    """
    names = list(groups)
    hours = [f"T{group_of_mjd(mjd)[11:13]}00" for mjd in groups.values()]
    joined = [
        (later - earlier) * 1440 <= max_gap_min
        for earlier, later in itertools.pairwise(groups.values())
    ]
    found = {}
    for hour in sorted(set(hours)):
        inside = [index for index, own in enumerate(hours) if own == hour]
        first, last = inside[0], inside[-1]
        before = itertools.takewhile(lambda index: joined[index], range(first - 1, -1, -1))
        after = itertools.takewhile(lambda index: joined[index], range(last, len(joined)))
        first -= len(list(itertools.islice(before, overlap)))
        last += len(list(itertools.islice(after, overlap)))
        found[hour] = names[first : last + 1]
    return found


def near_transit(
    groups: Mapping[str, float], transit: Mapping[str, Any], half_width_min: float
) -> list[str]:
    """Return the groups whose mid-time lies within `half_width_min` of a source's transit.

    Parameters
    ----------
    groups : as for `hour_mosaics`.
    transit : `ra_deg` and, if given, `dec_deg` of the source, ICRS.
    half_width_min : minutes.
    """
    place = transit["ra_deg"], transit.get("dec_deg", 0.0)
    return [
        name
        for name, mjd in groups.items()
        if abs(mjd - transits.transit_mjd(*place, mjd, OVRO_MMA_LONGITUDE_DEG)) * 1440
        <= half_width_min
    ]
