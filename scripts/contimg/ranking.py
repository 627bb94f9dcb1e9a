"""The order of a date's calibrator transits: which are solved, and why the others are not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from contimg.calibrators import Transit


@dataclass(frozen=True)
class Ranked:
    """A transit in its place.

    Attributes
    ----------
    transit : the passage.
    rank : from 1.
    chosen : whether the workflow solves on it.
    why_not : one line for people, "" when chosen.
    fit : whether it could be solved on: strong enough, with data.
    """

    transit: Transit
    rank: int
    chosen: bool
    why_not: str
    fit: bool


def ranked(transits: Iterable[Transit], calibration: Mapping[str, Any]) -> list[Ranked]:
    """Put a date's transits in order and choose those to solve on.

    Those that can be solved on come first, each part with the strongest apparent flux first. One
    transit a group is chosen, of `transits_per_date` groups.

    Parameters
    ----------
    transits : as `contimg.calibrators` finds them.
    calibration : the configuration's block: min_beam, min_apparent_jy, transits_per_date.
    """
    faults = {one: shortcoming(one, calibration) for one in transits}
    order = sorted(
        faults, key=lambda one: (faults[one] != "", -one.apparent_jy, one.name, one.mjd or 0.0)
    )
    solved: dict[str | None, str] = {}
    found = []
    for rank, one in enumerate(order, start=1):
        why_not = faults[one]
        if not why_not and one.group in solved:
            why_not = f"{solved[one.group]} is stronger in its group {one.group}"
        elif not why_not and len(solved) >= calibration["transits_per_date"]:
            why_not = (
                f"the date's {calibration['transits_per_date']} best are solved (transits_per_date)"
            )
        elif not why_not:
            solved[one.group] = one.name
        found.append(Ranked(one, rank, not why_not, why_not, not faults[one]))
    return found


def shortcoming(transit: Transit, calibration: Mapping[str, Any]) -> str:
    """Say why a transit cannot be solved on, whatever others there are; "" when it can."""
    weakness = too_weak(transit, calibration)
    if weakness or transit.group is None:
        return weakness or "no data at its transit"
    if transit.rejected:
        return f"its group {transit.group} is rejected: {transit.rejected}"
    return ""


def too_weak(transit: Transit, calibration: Mapping[str, Any]) -> str:
    """Say why a transit is too weak through the beam, with data or without; "" when it is not."""
    least_jy, least_beam = calibration["min_apparent_jy"], calibration["min_beam"]
    apparent_jy = transit.apparent_jy
    if transit.beam < least_beam:
        return f"beam response {transit.beam:.3f}, {least_beam:g} needed (min_beam)"
    if not transit.wanted and apparent_jy < least_jy:
        return f"apparent flux {apparent_jy:.2f} Jy, {least_jy:g} Jy needed (min_apparent_jy)"
    return ""


def solution_snr(
    apparent_jy: float, n_antennas: int, bandwidth_hz: float, time_s: float, sefd_jy: float
) -> float:
    """Return the S/N to expect of one antenna's complex gain in one polarization.

    Parameters
    ----------
    apparent_jy : flux of the calibrator through the beam.
    n_antennas : antennas in the solution.
    bandwidth_hz, time_s : of the data in the solution.
    sefd_jy : system equivalent flux density of an antenna.

    Notes
    -----
    ``S sqrt((N - 1) bandwidth time) / SEFD``. A visibility's noise is ``SEFD / sqrt(2 bandwidth
    time)`` in each of its two parts (Thompson, Moran & Swenson 2017, sec. 6.2), so ``sqrt(2)`` of
    that in both, and the gain follows from N - 1 baselines to antennas whose gains are as good as
    known (Cornwell & Fomalont 1989, ASP Conf. Ser. 6, 185). CASA's S/N of a solution is this too.
    """
    return float(apparent_jy * np.sqrt((n_antennas - 1) * bandwidth_hz * time_s) / sefd_jy)
