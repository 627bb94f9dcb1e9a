"""What a watched working directory holds: raw files as they come, products as they are."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contimg import watching
from contimg.calibrators import KnownCalibrators
from contimg.checkout import CHECKOUT
from contimg.groups import date_of_group
from contimg.inventory import Group, Inventory, first_readable
from contimg.ranking import shortcoming
from contimg.status import read_status
from contimg.watching import Arrival, Input, Options, Product, Stamp

CALIBRATION = "cal/{date}/calibration.json"
CALIBRATED = "ms/calibrated/{date}/{group}.ms.json"


def mtime_s(path: str | Path) -> float:
    """Return a file's time; minus infinity when it is not there."""
    try:
        return Path(path).stat().st_mtime
    except FileNotFoundError:
        return float("-inf")


@dataclass
class Incoming:
    """The raw files of the newest dates: what has come, and what it is.

    Parameters
    ----------
    config : the validated configuration.
    n_dates : how many dates are watched.
    """

    config: dict[str, Any]
    n_dates: int
    _sightings: dict[str, watching.Sighting] = field(default_factory=dict)
    _known: dict[frozenset[Input], Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = Path(self.config["incoming"])
        self.inventory = Inventory(self.config)
        self.calibrators = KnownCalibrators(self.config, CHECKOUT)

    def arrivals(self, now_s: float, options: Options) -> list[Arrival]:
        """List the folder and say which groups have come, and how far."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []  # noqa: PTH208
        dates = watching.newest_dates(names, self.n_dates)
        listing = dict(self.stamps(name for of_date in dates.values() for name in of_date))
        self._sightings = watching.sighted(listing, self._sightings, now_s)
        return watching.arrivals(self._sightings, now_s, options)

    def stamps(self, names: Iterable[str]) -> Iterator[tuple[str, Stamp]]:
        for name in names:
            try:
                found = (self.folder / name).stat()
            except FileNotFoundError:
                continue  # renamed or cleared away since the listing
            yield name, Stamp(found.st_size, found.st_mtime, found.st_ctime)

    def identified(self, arrivals: list[Arrival]) -> dict[frozenset[Input], Group]:
        """Read one header of each group that a plan would take: its name, and what passes by."""
        first_readable.cache_clear()  # it goes by names, and here files change
        needed = self.config["ingest"]["min_subbands"]
        before, self._known = self._known, {}
        for one in arrivals:
            group = before.get(one.inputs)
            if (group is None or group.header is None) and (one.ready or one.n_subbands >= needed):
                group = self.inventory.group_of_cluster(list(one.cluster))
            if group is not None:
                self._known[one.inputs] = group
        return self._known

    def may_calibrate(self, group: Group) -> bool:
        """Whether a calibrator passes through the beam, or that cannot be told yet."""
        if group.header is None:
            return True
        passing = self.calibrators.in_group(date_of_group(group.name), group)
        return any(not shortcoming(one, self.config["calibration"]) for one in passing)


@dataclass
class Published:
    """The products that the next run depends on."""

    _ok: dict[tuple[str, float], bool] = field(default_factory=dict)

    def product(self, target: str, arrivals: Iterable[Arrival]) -> Product:
        """Return a product as it stands beside the raw files that it depends on."""
        arrivals = list(arrivals)
        return Product(
            target,
            inputs=frozenset().union(*(one.inputs for one in arrivals)),
            newest_s=max(one.newest_s for one in arrivals),
            made_s=mtime_s(target),
        )

    def uncalibrated(self, date: str, groups: Mapping[str, Product]) -> list[Product]:
        """Return the groups that were rejected before the date's calibration came.

        Their photometry then depends on the calibration that there is now.
        """
        calibration = CALIBRATION.format(date=date)
        since_s = mtime_s(calibration)
        if not self.is_ok(calibration, since_s):
            return []
        more = Input(calibration, 0, since_s)
        return [
            replace(product, inputs=product.inputs | {more}, newest_s=since_s)
            for group, product in groups.items()
            if self.was_rejected(CALIBRATED.format(date=date, group=group), since_s)
        ]

    def was_rejected(self, status: str, before_s: float) -> bool:
        made_s = mtime_s(status)
        return 0 < made_s < before_s and not self.is_ok(status, made_s)

    def is_ok(self, status: str, at_s: float) -> bool:
        """Whether a status file says ok; one that is not there, or not whole, does not."""
        if at_s < 0:
            return False
        if (status, at_s) not in self._ok:
            try:
                self._ok[status, at_s] = read_status(Path(status)).ok
            except (OSError, ValueError):
                return False
        return self._ok[status, at_s]
