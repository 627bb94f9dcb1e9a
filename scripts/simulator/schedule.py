"""Which groups a date holds, and when."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import HADec, SkyCoord
from astropy.time import Time
from numpy.typing import NDArray

from simulator.array import telescope_location
from simulator.settings import INTEGRATION_S, Calibrator, Settings, Simulation

SIDEREAL_DAY_S = 86164.0905
DEFAULT_SPACING_S = 24 * INTEGRATION_S


@dataclass(frozen=True)
class Group:
    """One group of subbands: its number in the date, name, field and integration centres."""

    index: int
    name: str
    field: str
    jd: NDArray[np.float64]
    missing: tuple[int, ...]

    @property
    def mid_mjd(self) -> float:
        """Middle of the group, MJD (UTC)."""
        return float((self.jd[0] + self.jd[-1]) / 2 - 2400000.5)


def transit(ra_deg: float, dec_deg: float, date: str) -> Time:
    """Return the first moment of a UTC date at which an ICRS position has hour angle 0."""
    source = SkyCoord(ra_deg, dec_deg, unit="deg")
    moment = Time(f"{date}T00:00:00", scale="utc")
    wait_s = -hour_angle_turns(source, moment) % 1 * SIDEREAL_DAY_S
    moment = moment + wait_s * u.s
    for _ in range(2):
        moment = moment - hour_angle_turns(source, moment) * SIDEREAL_DAY_S * u.s
    return moment


def hour_angle_turns(source: SkyCoord, moment: Time) -> float:
    """Return the apparent hour angle, -0.5 to 0.5 turns."""
    frame = HADec(obstime=moment, location=telescope_location())
    return float(source.transform_to(frame).ha.wrap_at(180 * u.deg).deg / 360)


def groups_of(date: str, simulation: Simulation, calibrator: Calibrator) -> list[Group]:
    """Return the groups of a date in the order of time.

    Raises
    ------
    ValueError
        When a block of groups runs over the date's end, or two groups overlap.
    """
    starts: list[tuple[float, str]] = []
    for field in simulation.fields:
        if not is_observed(field, date):
            continue
        label, ra_deg, dec_deg = field_position(field, calibrator, simulation)
        middle = transit(ra_deg, dec_deg, date)
        n_groups = int(field.get("n_groups", 1))
        spacing_s = float(field.get("spacing_s", DEFAULT_SPACING_S))
        for number in range(n_groups):
            offset_s = (number - (n_groups - 1) / 2) * spacing_s
            offset_s -= (simulation.n_integrations - 1) / 2 * INTEGRATION_S
            starts.append((float((middle + offset_s * u.s).jd), label))
    starts.sort()
    return [
        make_group(index, jd, label, date, simulation) for index, (jd, label) in enumerate(starts)
    ]


def make_group(index: int, jd: float, label: str, date: str, simulation: Simulation) -> Group:
    """Build the group whose first integration is centred on `jd`."""
    times = jd + np.arange(simulation.n_integrations) * INTEGRATION_S / 86400
    name = second_stamp(jd)
    if not name.startswith(date):
        raise ValueError(
            f"group {name} of field {label} is not on {date}: its block runs over midnight UTC; "
            "choose another date or fewer groups"
        )
    return Group(index, name, label, times, missing_subbands(simulation, date, index))


def is_observed(field: Settings, date: str) -> bool:
    """Whether a field is on a date's schedule.

    Its `dates` is all, a list, or a mapping of `except` to a list.
    """
    dates: Any = field.get("dates", "all")
    if dates == "all":
        return True
    if isinstance(dates, dict):
        return date not in [str(day) for day in dates["except"]]
    return date in [str(day) for day in dates]


def field_position(
    field: Settings, calibrator: Calibrator, simulation: Simulation
) -> tuple[str, float, float]:
    """Return a field's label and ICRS position: the calibrator by name, else `ra_deg`."""
    if "ra_deg" in field:
        dec_deg = field.get("dec_deg", simulation.pointing_dec_deg)
        return str(field.get("name", f"ra{field['ra_deg']}")), field["ra_deg"], dec_deg
    if field.get("name") != calibrator.name:
        raise ValueError(
            f"simulation.fields names {field.get('name')!r}: give its ra_deg, or the calibrator's "
            f"name {calibrator.name!r}"
        )
    return calibrator.name, calibrator.ra_deg, calibrator.dec_deg


def missing_subbands(simulation: Simulation, date: str, index: int) -> tuple[int, ...]:
    """Return the subbands that are not written: entries of {date, group, subbands}."""
    missing: set[int] = set()
    for entry in simulation.missing:
        if str(entry["date"]) == date and int(entry["group"]) == index:
            missing |= {int(subband) for subband in entry["subbands"]}
    return tuple(sorted(missing))


def second_stamp(jd: float, offset_s: int = 0) -> str:
    """Return YYYY-MM-DDTHH:MM:SS of the nearest second, `offset_s` later."""
    moment = Time(jd, format="jd", scale="utc").to_datetime() + timedelta(seconds=offset_s)
    return (moment + timedelta(microseconds=500_000)).strftime("%Y-%m-%dT%H:%M:%S")
