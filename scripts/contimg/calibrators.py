"""Calibrators that pass through the beam on a date, of the VLA list or pinned by the user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import erfa
import numpy as np

from contimg import transits
from contimg.checkout import located
from contimg.flux_standards import PINNED, VLA_LIST, standard_sources
from contimg.groups import mjd_of_group
from contimg.site import OVRO_MMA_LONGITUDE_DEG
from contimg.uvh5 import Header
from contimg.vla_calibrators import Calibrator20cm, calibrators_20cm

BAND_CENTRE_HZ = 1.405e9
FAR_RAD = 0.1  # two beams away


class ObservedGroup(Protocol):
    """What is asked of a group; see `contimg.inventory.Group`."""

    @property
    def name(self) -> str: ...
    @property
    def header(self) -> Header | None: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True)
class Transit:
    """A calibrator's passage through the beam.

    Attributes
    ----------
    name, ra_deg, dec_deg : ICRS.
    flux_jy : at 20 cm as the VLA list or the user has it; None where neither has it.
    flux_model : what the solutions take the flux from: a standard, `VLA_LIST` or `PINNED`.
    standard : the standard's name as setjy has it, or "".
    wanted : pinned by the user with a standard: no limit on the flux applies.
    mjd : UTC of the transit; None for a telescope that tracks.
    apparent_dec_deg : declination of date; None for a telescope that tracks.
    offset_deg : distance from the beam's centre at the transit.
    transit_beam : beam response at the transit.
    group : the group that sees it best; None when there are no data.
    beam : beam response at mid-group, and that of the transit where there is no group.
    rejected : why the group is not worth processing, or "".
    header : of the group, or of one of its date: what an observation is like.
    """

    name: str
    ra_deg: float
    dec_deg: float
    flux_jy: float | None
    flux_model: str
    standard: str
    wanted: bool
    mjd: float | None
    apparent_dec_deg: float | None
    offset_deg: float
    transit_beam: float
    group: str | None
    beam: float
    rejected: str
    header: Header

    @property
    def apparent_jy(self) -> float:
        """Catalogue flux through the beam; 0 where the flux is not known."""
        return (self.flux_jy or 0.0) * self.beam

    def for_model(self) -> dict[str, Any]:
        """Return what `predict_model` needs to know of it."""
        flux = {"standard": self.standard} if self.standard else {"flux_jy": self.flux_jy}
        place = {"name": self.name, "ra_deg": self.ra_deg, "dec_deg": self.dec_deg}
        return {**place, **flux, "flux_model": self.flux_model}


@dataclass(frozen=True)
class _View:
    """A group's look at a calibrator; `number` counts its transits from the date's first."""

    number: int
    beam: float
    offset_deg: float
    transit_beam: float
    group: ObservedGroup

    @property
    def worth(self) -> tuple[bool, float]:
        return self.group.status != "rejected", self.beam


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

    def transits(self, date: str, groups: Sequence[ObservedGroup]) -> list[Transit]:
        """Return the passages of a date above a small beam response, with and without data.

        Parameters
        ----------
        date : YYYY-MM-DD.
        groups : the date's, rejected ones too. The first good one with a header says where the
            dishes stood when there are no data.

        Returns
        -------
        In no order of worth; nothing when no group has a header.
        """
        of_date = _reference(groups)
        if of_date is None:
            return []
        best: dict[tuple[int, int], _View] = {}
        for group in groups:
            if group.header is not None:
                for index, view in self._views(date, group, group.header):
                    known = best.setdefault((index, view.number), view)
                    if view.worth > known.worth:
                        best[index, view.number] = view
        seen = [self._transit(date, index, view) for (index, _), view in best.items()]
        return seen + list(self._unseen(date, of_date, set(best)))

    def in_group(self, date: str, group: ObservedGroup) -> list[Transit]:
        """Return the passages that one group sees."""
        if group.header is None:
            return []
        views = self._views(date, group, group.header)
        return [self._transit(date, index, view) for index, view in views]

    @cached_property
    def table(self) -> np.ndarray:
        """Name, ra_deg, dec_deg, flux_jy (0: not known), standard, model, wanted of each.

        Pinned calibrators, or else the VLA list's with a 20 cm flux.
        """
        columns = [("name", "U24"), ("ra_deg", "f8"), ("dec_deg", "f8"), ("flux_jy", "f8"),
                   ("standard", "U32"), ("model", "U32"), ("wanted", "?")]  # fmt: skip
        rows = self._pinned() or self._listed()
        return np.array(rows, dtype=columns)

    # -- what lies behind

    def _pinned(self) -> list[tuple[Any, ...]]:
        return [
            (one["name"], one["ra_deg"], one["dec_deg"], self._flux_of(one),
             one.get("standard", ""), one.get("standard", PINNED), "standard" in one)
            for one in self.config["calibration"]["pinned_calibrators"]
        ]  # fmt: skip

    def _flux_of(self, pinned: Mapping[str, Any]) -> float:
        """Flux of a pinned calibrator; with a standard the list's, or 0 if it has none."""
        if "flux_jy" in pinned:
            return float(pinned["flux_jy"])
        own = standard_sources(pinned["ra_deg"], pinned["dec_deg"])[0]
        return next((one.flux_jy for name, one in self._list if own and name == own), 0.0)

    def _listed(self) -> list[tuple[Any, ...]]:
        flux_standard = self.config["calibration"]["flux_standard"]
        standards = [(flux_standard if name else "", one) for name, one in self._list]
        return [(*one, standard, standard or VLA_LIST, False) for standard, one in standards]

    @cached_property
    def _list(self) -> list[tuple[str, Calibrator20cm]]:
        """The VLA list, each entry with its 3C name if it is a flux standard."""
        listed = calibrators_20cm(located(self.config["calibration"]["calibrator_list"], self.base))
        names = standard_sources([one.ra_deg for one in listed], [one.dec_deg for one in listed])
        return list(zip(names, listed, strict=True))

    @property
    def _least_beam(self) -> float:
        calibration = self.config["calibration"]
        return min(calibration["min_beam"], calibration["list_min_beam"])

    def _views(
        self, date: str, group: ObservedGroup, header: Header
    ) -> Iterator[tuple[int, _View]]:
        """Yield each calibrator that a group sees, by its row in the table."""
        if header.apparent_dec_deg is None:
            distance = self._distance_deg(header.ra_deg or 0.0, header.dec_deg or 0.0)
            near = distance <= self.config["calibration"]["match_radius_deg"]
            for index in np.flatnonzero(near).tolist():
                yield index, _View(0, 1.0, float(distance[index]), 1.0, group)
            return
        ra, dec = self._apparent_places(date)
        sidereal = transits.sidereal_time_rad(header.mid_mjd, OVRO_MMA_LONGITUDE_DEG)
        pointing = np.radians(header.apparent_dec_deg)
        beam = self._response(
            transits.separation_rad(sidereal - ra, dec, pointing), header.dish_diameter_m
        )
        offset, at_transit = self._on_the_meridian(
            date, header.apparent_dec_deg, header.dish_diameter_m
        )
        since_first = header.mid_mjd - self._first_transits(date)
        number = np.rint(since_first / transits.SIDEREAL_DAY).astype(int)
        late = np.abs(since_first - number * transits.SIDEREAL_DAY)
        half_days = (header.last_mjd - header.first_mjd + header.integration_s / 86400) / 2
        # A glimpse from the beam's edge is no data of a calibrator that passes well inside.
        least = self.config["calibration"]["min_beam"]
        is_all = (late <= half_days) | (np.array(at_transit) < least)
        for i in np.flatnonzero(beam >= np.where(is_all, self._least_beam, least)).tolist():
            yield i, _View(int(number[i]), float(beam[i]), offset[i], at_transit[i], group)

    def _unseen(self, date: str, header: Header, seen: set[tuple[int, int]]) -> Iterator[Transit]:
        """Yield the date's transits that no group sees."""
        if header.apparent_dec_deg is None:
            return
        offset, beam = self._on_the_meridian(date, header.apparent_dec_deg, header.dish_diameter_m)
        end_mjd = mjd_of_group(f"{date}T00:00:00") + 1
        first = self._first_transits(date)
        for index in np.flatnonzero(np.array(beam) >= self._least_beam).tolist():
            for number in (0, 1):
                in_date = first[index] + number * transits.SIDEREAL_DAY < end_mjd
                if in_date and (index, number) not in seen:
                    yield self._passage(
                        date, index, number, header, beam=beam[index], offset_deg=offset[index],
                        transit_beam=beam[index], group=None, rejected="",
                    )  # fmt: skip

    def _transit(self, date: str, index: int, view: _View) -> Transit:
        group = view.group
        assert group.header is not None
        return self._passage(
            date, index, view.number, group.header, beam=view.beam, offset_deg=view.offset_deg,
            transit_beam=view.transit_beam, group=group.name,
            rejected=group.reason if group.status == "rejected" else "",
        )  # fmt: skip

    def _passage(self, date: str, index: int, number: int, header: Header, **seen: Any) -> Transit:
        row = self.table[index]
        tracks = header.apparent_dec_deg is None
        mjd = self._first_transits(date)[index] + number * transits.SIDEREAL_DAY
        return Transit(
            name=str(row["name"]),
            ra_deg=float(row["ra_deg"]),
            dec_deg=float(row["dec_deg"]),
            flux_jy=float(row["flux_jy"]) or None,
            flux_model=str(row["model"]),
            standard=str(row["standard"]),
            wanted=bool(row["wanted"]),
            mjd=None if tracks else float(mjd),
            apparent_dec_deg=(
                None if tracks else float(np.degrees(self._apparent_places(date)[1][index]))
            ),
            header=header,
            **seen,
        )

    def _distance_deg(self, ra_deg: float, dec_deg: float) -> np.ndarray:
        """Distance from a tracking telescope's phase centre."""
        places = np.radians([self.table["ra_deg"], self.table["dec_deg"]])
        return np.degrees(erfa.seps(*places, *np.radians([ra_deg, dec_deg])))

    def _response(self, distance_rad: np.ndarray, diameter_m: float | None) -> np.ndarray:
        """Beam response of a transit dish; 0 far from the beam."""
        from contimg.beam import Dish, power  # slow to import, and not needed for every target

        beam = self.config["beam"]
        table = located(beam["table"]) if beam["table"] else None
        dish = Dish(beam["model"], diameter_m or self.config["telescope"]["dish_diameter_m"], table)
        near = distance_rad < FAR_RAD
        response = np.zeros(len(distance_rad))
        response[near] = power(distance_rad[near], BAND_CENTRE_HZ, dish)
        return response

    @cache  # noqa: B019  (one table a process)
    def _on_the_meridian(
        self, date: str, pointing_dec_deg: float, diameter_m: float | None
    ) -> tuple[list[float], list[float]]:
        """Distance from the beam's centre at the transit, degrees, and beam response there."""
        _, dec = self._apparent_places(date)
        distance = np.abs(dec - np.radians(pointing_dec_deg))
        return np.degrees(distance).tolist(), self._response(distance, diameter_m).tolist()

    @cache  # noqa: B019
    def _apparent_places(self, date: str) -> tuple[np.ndarray, np.ndarray]:
        """Apparent places at noon of a date, radians."""
        noon = mjd_of_group(f"{date}T12:00:00")
        return transits.apparent_place(self.table["ra_deg"], self.table["dec_deg"], noon)

    @cache  # noqa: B019
    def _first_transits(self, date: str) -> np.ndarray:
        """Time (MJD, UTC) of the first transit of each since a date began."""
        start_mjd = mjd_of_group(f"{date}T00:00:00")
        ra, _ = self._apparent_places(date)
        return transits.first_transit_mjd(ra, start_mjd, OVRO_MMA_LONGITUDE_DEG)


def _reference(groups: Sequence[ObservedGroup]) -> Header | None:
    """Return the header of the first good group, or else of any."""
    headers = [(group.status == "rejected", group.header) for group in groups if group.header]
    return min(headers, key=lambda one: one[0])[1] if headers else None
