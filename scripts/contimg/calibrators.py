"""Calibrators that pass through the beam of a group, of the VLA list or pinned by the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import erfa
import numpy as np

from contimg import transits
from contimg.checkout import located
from contimg.groups import date_of_group, mjd_of_group
from contimg.site import OVRO_MMA_LONGITUDE_DEG
from contimg.uvh5 import Header
from contimg.vla_calibrators import calibrators_20cm

BAND_CENTRE_HZ = 1.405e9
FAR_RAD = 0.1  # two beams away


@dataclass(frozen=True)
class Calibrator:
    """A calibrator as it passes through the beam of one group."""

    name: str
    ra_deg: float
    dec_deg: float
    flux_jy: float
    standard: str
    group: str
    transit_mjd: float
    beam: float

    @property
    def apparent_jy(self) -> float:
        return self.flux_jy * self.beam

    def for_model(self) -> dict[str, Any]:
        """Return what `predict_model` needs to know of it."""
        flux = {"standard": self.standard} if self.standard else {"flux_jy": self.flux_jy}
        return {"name": self.name, "ra_deg": self.ra_deg, "dec_deg": self.dec_deg, **flux}


@dataclass(eq=False)
class KnownCalibrators:
    """The calibrators that may serve, and where they stand.

    Parameters
    ----------
    config : the configuration's blocks `telescope`, `calibration` and `beam`.
    base : the checkout, for files that the configuration names below config/.
    """

    config: Mapping[str, Any]
    base: Path

    def in_group(self, group: str, header: Header) -> list[Calibrator]:
        """Return those that are strong enough within the beam of a group."""
        known, calibration = self.table, self.config["calibration"]
        if header.apparent_dec_deg is None:
            distance = self._distance_deg(header.ra_deg or 0.0, header.dec_deg or 0.0)
            response = np.ones(len(distance))
            near = distance <= calibration["match_radius_deg"]
        else:
            response = self._response(group, header, header.apparent_dec_deg)
            near = response >= calibration["min_beam"]
        strong = known["flux_jy"] * response >= calibration["min_apparent_jy"]
        strong |= known["standard"] != ""
        return [
            self._calibrator(index, group, header.mid_mjd, float(response[index]))
            for index in np.flatnonzero(near & strong)
        ]

    @cached_property
    def table(self) -> np.ndarray:
        """Name, ra_deg, dec_deg, flux_jy (0 where `standard` gives it) and standard of each.

        Pinned calibrators, or else the VLA list's with a 20 cm flux.
        """
        calibration = self.config["calibration"]
        rows = [
            (one["name"], one["ra_deg"], one["dec_deg"], one.get("flux_jy", 0.0),
             one.get("standard", ""))
            for one in calibration["pinned_calibrators"]
        ]  # fmt: skip
        if not rows:
            listed = calibrators_20cm(located(calibration["calibrator_list"], self.base))
            rows = [(one.name, one.ra_deg, one.dec_deg, one.flux_jy, "") for one in listed]
        columns = [("name", "U24"), ("ra_deg", "f8"), ("dec_deg", "f8"), ("flux_jy", "f8")]
        return np.array(rows, dtype=[*columns, ("standard", "U32")])

    def _distance_deg(self, ra_deg: float, dec_deg: float) -> np.ndarray:
        """Distance from a tracking telescope's phase centre."""
        places = np.radians([self.table["ra_deg"], self.table["dec_deg"]])
        return np.degrees(erfa.seps(*places, *np.radians([ra_deg, dec_deg])))

    def _response(self, group: str, header: Header, pointing_dec_deg: float) -> np.ndarray:
        """Beam response at mid-group of a transit dish; 0 far from the beam."""
        from contimg.beam import Dish, power  # slow to import, and not needed for every target

        ra, dec = self._apparent_places(date_of_group(group))
        sidereal = transits.sidereal_time_rad(header.mid_mjd, OVRO_MMA_LONGITUDE_DEG)
        distance = transits.separation_rad(sidereal - ra, dec, np.radians(pointing_dec_deg))
        diameter_m = header.dish_diameter_m or self.config["telescope"]["dish_diameter_m"]
        beam = self.config["beam"]
        dish = Dish(beam["model"], diameter_m, located(beam["table"]) if beam["table"] else None)
        near = distance < FAR_RAD
        response = np.zeros(len(distance))
        response[near] = power(distance[near], BAND_CENTRE_HZ, dish)
        return response

    @cache  # noqa: B019  (one table a process)
    def _apparent_places(self, date: str) -> tuple[np.ndarray, np.ndarray]:
        """Apparent places at noon of a date, radians."""
        noon = mjd_of_group(f"{date}T12:00:00")
        return transits.apparent_place(self.table["ra_deg"], self.table["dec_deg"], noon)

    def _calibrator(self, index: int, group: str, mid_mjd: float, response: float) -> Calibrator:
        row = self.table[index]
        place = float(row["ra_deg"]), float(row["dec_deg"])
        return Calibrator(
            name=str(row["name"]),
            ra_deg=place[0],
            dec_deg=place[1],
            flux_jy=float(row["flux_jy"]),
            standard=str(row["standard"]),
            group=group,
            transit_mjd=transits.transit_mjd(*place, mid_mjd, OVRO_MMA_LONGITUDE_DEG),
            beam=response,
        )
