"""What lies in incoming/: which groups a date has, their files, calibrators and mosaics.

This is how the workflow's graph is planned without a checkpoint: rules ask for the date or the
group that a target needs, names and one small header a group are read then, and kept for the
life of the process. `index_date` writes the same for people.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from contimg.calibrators import KnownCalibrators, Transit
from contimg.checkout import CHECKOUT
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
from contimg.ranking import Ranked, ranked
from contimg.tiles import mosaics_of
from contimg.uvh5 import Header, UnreadableFile, read_header

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

    @property
    def span_mjd(self) -> tuple[float, float]:
        """Start and end of the observation; the time in the name when nothing can be read."""
        if self.header is None:
            return self.mid_mjd, self.mid_mjd
        half_day = self.header.integration_s / 86400 / 2
        return self.header.first_mjd - half_day, self.header.last_mjd + half_day


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
    def names(self) -> list[str]:
        """All names in incoming; a million of them, in an archive."""
        incoming = self.config["incoming"]
        return os.listdir(incoming) if Path(incoming).is_dir() else []  # noqa: PTH208

    @cache  # noqa: B019  (one inventory a process)
    def names_of(self, date: str) -> list[str]:
        """The names in incoming that begin with a date."""
        return [name for name in self.names if name.startswith(date)]

    @cached_property
    def standard_groups(self) -> list[Group]:
        """Standard UVH5 files: each is a whole group."""
        return [
            self._group([self._path(name)], subbands=frozenset({0}), wanted=1, needed=1)
            for name in sorted([name for name in self.names if name.endswith(STANDARD_SUFFIX)])
        ]

    def dates(self) -> list[str]:
        """Return the dates that raw names speak of, ascending."""
        starts = {name[:10] for name in self.names}
        named = {start for start in starts if any(map(parse_raw_name, self.names_of(start)))}
        return sorted(named | {date_of_group(group.name) for group in self.standard_groups})

    def all_groups(self, date: str) -> list[Group]:
        """Return every group of a date, rejected ones too, in order of time."""
        if date not in self._groups:
            nearby = self._raw_names(shift_date(date, days) for days in (-1, 0, 1))
            margin = 2 * self.config["ingest"]["name_tolerance_s"] / 86400
            start = mjd_of_group(f"{date}T00:00:00")
            nearby = [name for name in nearby if start - margin <= name.mjd < start + 1 + margin]
            found = [self.group_of_cluster(cluster) for cluster in self._clusters(nearby)]
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
                if (found := self.group_of_cluster(cluster)).name == name:
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

    @cache  # noqa: B019  (one inventory a process)
    def raw_gb(self, name: str) -> float:
        """Return the size in GB of a group's raw files, as if each were as large as the largest.

        0 when they are gone.
        """
        try:
            files = self.group(name).files
        except LookupError:
            return 0.0
        sizes = [path.stat().st_size for path in files if path.exists()]
        return len(files) * max(sizes, default=0) / 1e9

    def files_of_date(self, date: str) -> list[str]:
        return [str(path) for group in self.all_groups(date) for path in group.files]

    def strange_names(self, date: str) -> list[dict[str, str]]:
        """Return the files named for a date that are not taken, and why."""
        return [
            {"file": name, "reason": reason}
            for name in sorted(self.names_of(date))
            if (reason := strange_name(Path(name)))
        ]

    def declination_deg(self, date: str) -> float | None:
        """Return the apparent declination that the dishes stood at (that of the first group)."""
        for group in self.all_groups(date):
            if group.header is not None and group.status != "rejected":
                return group.header.apparent_dec_deg
        return None

    def declinations_deg(self, date: str) -> list[float | None]:
        """Return the apparent declinations of a date's groups, to 0.001 deg, each once, ascending.

        None, the last, stands for groups of a telescope that tracks.
        """
        found = {
            None
            if group.header.apparent_dec_deg is None
            else round(group.header.apparent_dec_deg, 3)
            for group in self.all_groups(date)
            if group.header is not None and group.status != "rejected"
        }
        return sorted(found, key=lambda one: (one is None, one or 0.0))

    @cache  # noqa: B019  (one inventory a process)
    def ranking(self, date: str) -> list[Ranked]:
        """Return all transits through the beam, with and without data, in order of worth.

        What the workflow solves on are those that are `chosen` here.
        """
        transits = self._known.transits(date, self.all_groups(date))
        return ranked(transits, self.config["calibration"])

    def calibrators(self, date: str) -> list[Transit]:
        """Return the transits that could be solved on, the strongest apparent flux first."""
        return [one.transit for one in self.ranking(date) if one.fit]

    @cache  # noqa: B019
    def calibrators_by_group(self, date: str) -> dict[str, Transit]:
        """Return the calibrator to solve on, for the date's best transits."""
        chosen = [one.transit for one in self.ranking(date) if one.chosen]
        return {str(one.group): one for one in sorted(chosen, key=lambda one: str(one.group))}

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
        groups = [group for group in self.all_groups(date) if group.status != "rejected"]
        return mosaics_of({group.name: group.mid_mjd for group in groups}, self.config["mosaic"])

    def group_of_cluster(self, cluster: list[RawName]) -> Group:
        """Return the group that raw files with neighbouring names are."""
        ingest = self.config["ingest"]
        valid = [name for name in cluster if name.subband < ingest["n_subbands"]]
        return self._group(
            [self._path(name.name) for name in cluster],
            subbands=frozenset(name.subband for name in valid),
            wanted=ingest["n_subbands"],
            needed=ingest["min_subbands"],
        )

    # -- what lies behind

    @cached_property
    def _known(self) -> KnownCalibrators:
        return KnownCalibrators(self.config, self.base)

    def _path(self, name: str) -> Path:
        return Path(self.config["incoming"]) / name

    def _raw_names(self, dates: Iterable[str]) -> list[RawName]:
        named = (parse_raw_name(name) for date in dates for name in self.names_of(date))
        return [name for name in named if name is not None]

    def _clusters(self, names: list[RawName]) -> list[list[RawName]]:
        return clusters(names, self.config["ingest"]["name_tolerance_s"])

    def _group(
        self, files: list[Path], subbands: frozenset[int], wanted: int, needed: int
    ) -> Group:
        header = first_readable(tuple(files))
        hint = parse_raw_name(files[0].name)
        mjd = header.first_mjd if header else hint.mjd if hint else 0.0
        return Group(group_of_mjd(mjd), tuple(files), subbands, header, wanted, needed)


@cache
def first_readable(files: tuple[Path, ...]) -> Header | None:
    """Return the header of the first file that can be read."""
    for path in files:
        try:
            return read_header(path)
        except UnreadableFile:
            continue
    return None
