"""Antennas, baselines and the telescope's place on the Earth."""

import csv
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from simulator.settings import Simulation

# OVRO_MMA, by the columns Long, Lat and Height of casadata's table geodetic/Observatories
# (2025.9.22). That table's X, Y, Z are another place, 0.0004 deg to the west.
LONGITUDE_DEG = -118.283
LATITUDE_DEG = 37.2334051
ALTITUDE_M = 1188.0519


def telescope_location() -> EarthLocation:
    """Return the array centre, whose meridian is the correlator's."""
    return EarthLocation.from_geodetic(
        LONGITUDE_DEG * u.deg, LATITUDE_DEG * u.deg, ALTITUDE_M * u.m
    )


@dataclass(frozen=True)
class Array:
    """The antennas of the header and those that have data.

    Attributes
    ----------
    station_numbers : (n_slots,), counting from 1.
    ecef_m : (n_slots, 3), Earth-fixed, relative to the array centre.
    recorded : (n_recorded,) slots, ascending, whose baselines are in the file.
    live : (n_recorded,) whether the antenna sees the sky; the others give noise only.
    """

    station_numbers: NDArray[np.int64]
    ecef_m: NDArray[np.float64]
    recorded: NDArray[np.int64]
    live: NDArray[np.bool_]

    @property
    def recorded_stations(self) -> NDArray[np.int64]:
        """Station numbers of the antennas that have data."""
        return self.station_numbers[self.recorded]

    @property
    def baselines(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and second antenna of each baseline, as indices into `recorded`; autos too."""
        first, second = np.triu_indices(len(self.recorded))
        return first, second


def read_array(path: Path, simulation: Simulation) -> Array:
    """Read the antenna table and choose the antennas to record.

    Raises
    ------
    ValueError
        When a station asked for is not in the table, or is inactive.
    """
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    numbers = np.array([int(row["number"]) for row in rows])
    active = {int(row["number"]) for row in rows if row["active"].strip().lower() == "true"}
    places = EarthLocation.from_geodetic(
        [float(row["longitude_deg"]) for row in rows] * u.deg,
        [float(row["latitude_deg"]) for row in rows] * u.deg,
        [float(row["elevation_m"]) for row in rows] * u.m,
    )
    seen = active if simulation.stations is None else set(simulation.stations)
    if not seen <= active:
        raise ValueError(f"simulation.stations names {sorted(seen - active)}, not active in {path}")
    recorded = seen | set(simulation.record_inactive)
    listed = recorded | set(simulation.dead_antennas)
    if not listed <= set(numbers.tolist()):
        raise ValueError(f"simulation names stations {sorted(listed - set(numbers))} not in {path}")
    live = seen - set(simulation.dead_antennas)
    slots = np.flatnonzero(np.isin(numbers, sorted(recorded)))
    return Array(
        station_numbers=numbers,
        ecef_m=geocentric_m(places) - geocentric_m(telescope_location()),
        recorded=slots,
        live=np.isin(numbers[slots], sorted(live)),
    )


def geocentric_m(place: EarthLocation) -> NDArray[np.float64]:
    """Return Earth-fixed x, y, z in metres, on the last axis."""
    return np.stack([axis.to_value(u.m) for axis in place.geocentric], axis=-1)


def enu_m(ecef_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn Earth-fixed offsets from the array centre, (..., 3) m, into east, north, up."""
    lon, lat = np.deg2rad([LONGITUDE_DEG, LATITUDE_DEG])
    east = [-np.sin(lon), np.cos(lon), 0.0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return ecef_m @ np.array([east, north, up]).T


def meridian_direction(dec_deg: float) -> NDArray[np.float64]:
    """Return the unit vector (east, north, up) of hour angle 0 at an apparent declination."""
    zenith_angle = np.deg2rad(dec_deg - LATITUDE_DEG)
    return np.array([0.0, np.sin(zenith_angle), np.cos(zenith_angle)])


def meridian_uvw_m(enu: NDArray[np.float64], dec_deg: float) -> NDArray[np.float64]:
    """Turn baselines (..., 3) m east, north, up into u, v, w toward the meridian at `dec_deg`."""
    zenith_angle = np.deg2rad(dec_deg - LATITUDE_DEG)
    cosine, sine = np.cos(zenith_angle), np.sin(zenith_angle)
    east, north, up = np.moveaxis(enu, -1, 0)
    return np.stack([east, cosine * north - sine * up, sine * north + cosine * up], axis=-1)
