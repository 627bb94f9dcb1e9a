"""What lies in incoming/: which groups a date has, their files, calibrators and mosaics.

This is how the workflow's graph is planned without a checkpoint: rules ask for the date or the
group that a target needs, names and one small header a group are read then, and kept for the
life of the process. `index_date` writes the same for people.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from contimg import transits
from contimg.checkout import CHECKOUT, located
from contimg.groups import (
    STANDARD_SUFFIX,
    RawName,
    clusters,
    date_of_group,
    group_of_mjd,
    mjd_of_group,
    parse_raw_name,
    shift_date,
    strange_name,
)
from contimg.site import OVRO_MMA_LONGITUDE_DEG
from contimg.uvh5 import Header, UnreadableFile, read_header
from contimg.vla_calibrators import calibrators_20cm

BAND_CENTRE_HZ = 1.405e9
FAR_RAD = 0.1  # two beams away
SETTINGS = ("incoming", "telescope", "ingest", "calibration", "beam", "mosaic")


@dataclass(frozen=True)
class Group:
    """A group as its names and its first readable header show it.

    Attributes
    ----------
    name : GROUP.
    files : its raw files, in order of subband.
    subbands : the distinct subband numbers among the names.
    header : of the first readable file; None when there is none.
    wanted, needed : subbands in a whole group, and the least that is accepted.
    """

    name: str
    files: tuple[Path, ...]
    subbands: frozenset[int]
    header: Header | None
    wanted: int
    needed: int

    @property
    def status(self) -> str:
        if self.header is None or len(self.subbands) < self.needed:
            return "rejected"
        return "complete" if len(self.subbands) >= self.wanted else "partial"

    @property
    def reason(self) -> str:
        if self.header is None:
            return "none of its files can be read"
        if len(self.subbands) < self.needed:
            return f"{len(self.subbands)} of {self.wanted} subbands, {self.needed} needed"
        return ""

    @property
    def mid_mjd(self) -> float:
        """Middle of the observation, or the time in the name when nothing can be read."""
        if self.header is None:
            return mjd_of_group(self.name)
        return self.header.mid_mjd


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
class Inventory:
    """Answers about the raw files, each read once.

    Parameters
    ----------
    config : the configuration, or its blocks named in `SETTINGS`.
    base : the checkout, for files that the configuration names below config/.
    """

    config: Mapping[str, Any]
    base: Path = CHECKOUT
    _groups: dict[str, list[Group]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The part of the configuration that decides what is found."""
        return {name: self.config[name] for name in SETTINGS}

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """All names in incoming, by their first ten characters: a raw file's date."""
        incoming = Path(self.config["incoming"])
        found = defaultdict(list)
        if incoming.is_dir():
            for name in os.listdir(incoming):  # noqa: PTH208  (a million names)
                found[name[:10]].append(name)
        return dict(found)

    @cached_property
    def standard_groups(self) -> list[Group]:
        """Standard UVH5 files: each is a whole group."""
        names = itertools.chain.from_iterable(self.names.values())
        return [
            self._group([self._path(name)], subbands=frozenset({0}), wanted=1, needed=1)
            for name in sorted(name for name in names if name.endswith(STANDARD_SUFFIX))
        ]

    def dates(self) -> list[str]:
        """Return the dates that raw names speak of, ascending."""
        named = {start for start, names in self.names.items() if any(map(parse_raw_name, names))}
        return sorted(named | {date_of_group(group.name) for group in self.standard_groups})

    def all_groups(self, date: str) -> list[Group]:
        """Return every group of a date, rejected ones too, in order of time."""
        if date not in self._groups:
            nearby = self._raw_names(shift_date(date, days) for days in (-1, 0, 1))
            margin = 2 * self.config["ingest"]["name_tolerance_s"] / 86400
            start = mjd_of_group(f"{date}T00:00:00")
            nearby = [name for name in nearby if start - margin <= name.mjd < start + 1 + margin]
            found = [self._dsa_group(cluster) for cluster in self._clusters(nearby)]
            found += self.standard_groups
            found = [group for group in found if date_of_group(group.name) == date]
            self._groups[date] = sorted(found, key=lambda group: group.name)
        return self._groups[date]

    def groups(self, date: str) -> list[str]:
        """Return the names of the groups of a date that are worth processing."""
        return [group.name for group in self.all_groups(date) if group.status != "rejected"]

    def group(self, name: str) -> Group:
        """Return one group, reading no more headers than needed.

        Raises
        ------
        LookupError
            When incoming holds no such group.
        """
        date = date_of_group(name)
        if date not in self._groups:
            reach = 2 * self.config["ingest"]["name_tolerance_s"] / 86400
            mjd = mjd_of_group(name)
            nearby = self._raw_names({group_of_mjd(mjd + shift)[:10] for shift in (-reach, reach)})
            nearby = [raw for raw in nearby if abs(raw.mjd - mjd) <= reach]
            for cluster in self._clusters(nearby):
                if (found := self._dsa_group(cluster)).name == name:
                    return found
        for found in self.all_groups(date):
            if found.name == name:
                return found
        raise LookupError(
            f"no raw files of group {name} in {self.config['incoming']}/; "
            f"index/{date}.json lists the groups that there are"
        )

    def files_of_group(self, name: str) -> list[str]:
        return [str(path) for path in self.group(name).files]

    def files_of_date(self, date: str) -> list[str]:
        return [str(path) for group in self.all_groups(date) for path in group.files]

    def strange_names(self, date: str) -> list[dict[str, str]]:
        """Return the files named for a date that are not taken, and why."""
        return [
            {"file": name, "reason": reason}
            for name in sorted(self.names.get(date, []))
            if (reason := strange_name(Path(name)))
        ]

    def declination_deg(self, date: str) -> float | None:
        """Return the apparent declination that the dishes stood at (that of the first group)."""
        for group in self.all_groups(date):
            if group.header is not None and group.status != "rejected":
                return group.header.apparent_dec_deg
        return None

    @cache  # noqa: B019  (one inventory a process)
    def calibrators(self, date: str) -> list[Calibrator]:
        """Return the calibrators that pass through the beam, each in its best group.

        Returns
        -------
        The strongest apparent flux first.
        """
        best: dict[str, Calibrator] = {}
        for group in self.all_groups(date):
            if group.header is None or group.status == "rejected":
                continue
            for found in self._calibrators_in(group):
                if found.name not in best or found.beam > best[found.name].beam:
                    best[found.name] = found
        return sorted(best.values(), key=lambda found: (-found.apparent_jy, found.name))

    @cache  # noqa: B019
    def calibrators_by_group(self, date: str) -> dict[str, Calibrator]:
        """Return the calibrator to solve on, for the date's best transits."""
        chosen: dict[str, Calibrator] = {}
        for found in self.calibrators(date):
            if len(chosen) < self.config["calibration"]["transits_per_date"]:
                chosen.setdefault(found.group, found)
        return dict(sorted(chosen.items()))

    def calibrator_groups(self, date: str) -> list[str]:
        return list(self.calibrators_by_group(date))

    def calibrator_of(self, group: str) -> dict[str, Any]:
        """Return the calibrator that a group is solved on, as `predict_model` takes it.

        Raises
        ------
        LookupError
            When the group is none of the date's calibrator groups.
        """
        date = date_of_group(group)
        found = self.calibrators_by_group(date).get(group)
        if found is None:
            raise LookupError(
                f"no calibrator to solve on in group {group}; "
                f"those of the date: {', '.join(self.calibrator_groups(date)) or 'none'}"
            )
        return found.for_model()

    @cache  # noqa: B019
    def mosaics(self, date: str) -> dict[str, list[str]]:
        """Return the mosaics that a date gives, and the groups in each."""
        options = self.config["mosaic"]
        groups = [group for group in self.all_groups(date) if group.status != "rejected"]
        found = {}
        if options["hours"]:
            found = hour_mosaics(groups, options["overlap_tiles"], options["max_gap_min"])
        for transit in options["transits"]:
            found |= self._transit_mosaic(transit, groups)
        return found

    # -- what lies behind

    def _path(self, name: str) -> Path:
        return Path(self.config["incoming"]) / name

    def _raw_names(self, dates: Iterable[str]) -> list[RawName]:
        named = (parse_raw_name(name) for date in dates for name in self.names.get(date, []))
        return [name for name in named if name is not None]

    def _clusters(self, names: list[RawName]) -> list[list[RawName]]:
        return clusters(names, self.config["ingest"]["name_tolerance_s"])

    def _dsa_group(self, cluster: list[RawName]) -> Group:
        ingest = self.config["ingest"]
        valid = [name for name in cluster if name.subband < ingest["n_subbands"]]
        return self._group(
            [self._path(name.name) for name in cluster],
            subbands=frozenset(name.subband for name in valid),
            wanted=ingest["n_subbands"],
            needed=ingest["min_subbands"],
        )

    def _group(
        self, files: list[Path], subbands: frozenset[int], wanted: int, needed: int
    ) -> Group:
        header = first_readable(tuple(files))
        hint = parse_raw_name(files[0].name)
        mjd = header.first_mjd if header else hint.mjd if hint else 0.0
        return Group(group_of_mjd(mjd), tuple(files), subbands, header, wanted, needed)

    def _calibrators_in(self, group: Group) -> list[Calibrator]:
        header = group.header
        assert header is not None
        known = self._known_calibrators
        if header.apparent_dec_deg is None:
            distance = separations_deg(known, header)
            response = np.ones(len(distance))
            near = distance <= self.config["calibration"]["match_radius_deg"]
        else:
            response = self._responses(group, header)
            near = response >= self.config["calibration"]["min_beam"]
        strong = known["flux_jy"] * response >= self.config["calibration"]["min_apparent_jy"]
        strong |= known["standard"] != ""
        return [
            self._calibrator(index, group, float(response[index]))
            for index in np.flatnonzero(near & strong)
        ]

    def _responses(self, group: Group, header: Header) -> np.ndarray:
        """Beam response at mid-group of all known calibrators; 0 far from the beam."""
        from contimg.beam import Dish, power  # slow to import, and not needed for every target

        ra, dec = self._apparent_places(date_of_group(group.name))
        sidereal = transits.sidereal_time_rad(group.mid_mjd, OVRO_MMA_LONGITUDE_DEG)
        distance = transits.separation_rad(sidereal - ra, dec, np.radians(header.apparent_dec_deg))
        diameter_m = header.dish_diameter_m or self.config["telescope"]["dish_diameter_m"]
        beam = self.config["beam"]
        dish = Dish(beam["model"], diameter_m, located(beam["table"]) if beam["table"] else None)
        near = distance < FAR_RAD
        response = np.zeros(len(distance))
        response[near] = power(distance[near], BAND_CENTRE_HZ, dish)
        return response

    @cache  # noqa: B019
    def _apparent_places(self, date: str) -> tuple[np.ndarray, np.ndarray]:
        """Apparent places of all known calibrators at noon of a date, radians."""
        known = self._known_calibrators
        noon = mjd_of_group(f"{date}T12:00:00")
        return transits.apparent_place(known["ra_deg"], known["dec_deg"], noon)

    def _calibrator(self, index: int, group: Group, response: float) -> Calibrator:
        row = self._known_calibrators[index]
        transit = transits.transit_mjd(
            row["ra_deg"], row["dec_deg"], group.mid_mjd, OVRO_MMA_LONGITUDE_DEG
        )
        return Calibrator(
            name=str(row["name"]),
            ra_deg=float(row["ra_deg"]),
            dec_deg=float(row["dec_deg"]),
            flux_jy=float(row["flux_jy"]),
            standard=str(row["standard"]),
            group=group.name,
            transit_mjd=transit,
            beam=response,
        )

    @cached_property
    def _known_calibrators(self) -> np.ndarray:
        """Pinned calibrators, or else the VLA list's with a 20 cm flux."""
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

    def _transit_mosaic(self, transit: Mapping[str, Any], groups: list[Group]) -> dict:
        half_width = self.config["mosaic"]["half_width_min"] / 1440
        near = [
            group.name
            for group in groups
            if abs(group.mid_mjd - self._transit_of(transit, group.mid_mjd)) <= half_width
        ]
        return {f"{transit['name']}_transit": near} if near else {}

    def _transit_of(self, transit: Mapping[str, Any], mjd: float) -> float:
        ra_deg, dec_deg = transit["ra_deg"], transit.get("dec_deg", 0.0)
        return transits.transit_mjd(ra_deg, dec_deg, mjd, OVRO_MMA_LONGITUDE_DEG)


@cache
def first_readable(files: tuple[Path, ...]) -> Header | None:
    """Return the header of the first file that can be read."""
    for path in files:
        try:
            return read_header(path)
        except UnreadableFile:
            continue
    return None


def separations_deg(known: np.ndarray, header: Header) -> np.ndarray:
    """Distance of known calibrators from a tracking telescope's phase centre, degrees."""
    import erfa

    places = np.radians([known["ra_deg"], known["dec_deg"]])
    centre = np.radians([header.ra_deg, header.dec_deg])
    return np.degrees(erfa.seps(*places, *centre))


def hour_mosaics(groups: list[Group], overlap: int, max_gap_min: float) -> dict[str, list[str]]:
    """Return for each hour with images its groups, and `overlap` more on each side.

    Parameters
    ----------
    groups : of one date, in order of time.
    overlap : how many neighbours of the date are added on each side.
    max_gap_min : a neighbour farther in time than this, minutes, ends the series.
    """
    hours = [f"T{group_of_mjd(group.mid_mjd)[11:13]}00" for group in groups]
    joined = [
        (later.mid_mjd - earlier.mid_mjd) * 1440 <= max_gap_min
        for earlier, later in itertools.pairwise(groups)
    ]
    found = {}
    for hour in sorted(set(hours)):
        inside = [index for index, own in enumerate(hours) if own == hour]
        first, last = inside[0], inside[-1]
        before = itertools.takewhile(lambda index: joined[index], range(first - 1, -1, -1))
        after = itertools.takewhile(lambda index: joined[index], range(last, len(joined)))
        first -= len(list(itertools.islice(before, overlap)))
        last += len(list(itertools.islice(after, overlap)))
        found[hour] = [group.name for group in groups[first : last + 1]]
    return found
