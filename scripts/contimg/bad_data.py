"""Bad antennas and impossible values, found in the autocorrelations while a group is converted.

Zeros and values that are not finite are flagged where they are met (`contimg.convert`). Here is
what only the whole group can tell: antennas that are dead or noisy, by polarization, and values
that no sky and no noise can give. All of it is flagged and set to zero, so that what comes after
can tell it from data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables
from numpy.typing import NDArray

from contimg.geometry import Geometry
from contimg.measurement_set import row_chunks

FEEDS = {-5: (0, 0), -6: (1, 1), -7: (0, 1), -8: (1, 0)}
"""Feeds of both antennas by AIPS code: XX, YY, XY, YX."""
FEED_NAMES = ("X", "Y")
FEWEST = 0.1
LARGEST = 1e15
"""Nothing larger is a measurement; squares and their sums keep within single precision below."""


@dataclass(frozen=True)
class BadAntenna:
    """A feed of an antenna that is not used: `antenna` is its place in the antenna table."""

    antenna: int
    feed: int
    reason: str


@dataclass(frozen=True)
class Autos:
    """What the autocorrelations say.

    Attributes
    ----------
    antennas : (n_antennas,) those that have any, ascending.
    power : (n_times, n_antennas, n_channels, 2 feeds), NaN where there is none.
    feeds : those whose power the set measures: no others are judged.
    """

    antennas: NDArray[np.int64]
    power: NDArray[np.float32]
    feeds: tuple[int, ...] = (0, 1)

    def levels(self) -> NDArray[np.float64]:
        """Return the median power, (n_antennas, 2).

        It is 0 for a feed that has less than `FEWEST` of all values.
        """
        own = np.moveaxis(self.power, (1, 3), (0, 1))
        n_values = np.isfinite(own).sum(axis=(2, 3))
        levels = np.zeros(n_values.shape)
        for place in np.argwhere(n_values > FEWEST * own[0, 0].size):
            values = own[tuple(place)]
            levels[tuple(place)] = np.median(values[np.isfinite(values)])
        return levels

    def scatter(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median change from one integration to the next over the level.

        By the radiometer equation it is 0.95 / sqrt(channel width x integration time) whatever
        the antenna's gain; 0 with a single integration, or without a level.
        """
        scatter = np.zeros(levels.shape)
        steps = np.abs(np.diff(self.power, axis=0))
        for antenna, feed in np.ndindex(levels.shape):
            values = steps[:, antenna, :, feed]
            values = values[np.isfinite(values)]
            if len(values) and levels[antenna, feed] > 0:
                scatter[antenna, feed] = np.median(values) / levels[antenna, feed]
        return scatter


def bad_antennas(autos: Autos, limits: Mapping[str, float]) -> list[BadAntenna]:
    """Return the feeds that are dead or noisy.

    Parameters
    ----------
    limits : `dead_level` and `noisy_level`, power over the array's median; `noisy_scatter`,
        scatter over the array's median.

    Notes
    -----
    A feed that all antennas have lost is dead beside the other one: the median that counts for
    dead ones is the larger of the two. High power may be a high gain, which calibration mends, so
    its limit is generous; scatter does not depend on the gain.
    """
    levels = autos.levels()
    usual = np.array([np.median(one[one > 0]) if (one > 0).any() else 0.0 for one in levels.T])
    scatter = autos.scatter(levels)
    usual_scatter = np.median(scatter[scatter > 0]) if (scatter > 0).any() else 0.0
    found = []
    for (place, feed), level in np.ndenumerate(levels):
        if feed not in autos.feeds:
            continue
        number = int(autos.antennas[place])
        if level <= limits["dead_level"] * usual.max():
            reason = "dead: no power" if level <= 0 else f"dead: {level / usual.max():.2g} of"
        elif level > limits["noisy_level"] * usual[feed]:
            reason = f"noisy: {level / usual[feed]:.3g} times"
        elif usual_scatter and scatter[place, feed] > limits["noisy_scatter"] * usual_scatter:
            times = scatter[place, feed] / usual_scatter
            found.append(BadAntenna(number, feed, f"noisy: scatter {times:.3g} times the median"))
            continue
        else:
            continue
        ending = "" if level <= 0 else " the median power"
        found.append(BadAntenna(number, feed, reason + ending))
    return found


def at_ceiling(power: NDArray[np.float32], n_samples: int) -> NDArray[np.bool_]:
    """Return where an antenna's power stands at the one largest value that it takes.

    Parameters
    ----------
    power : (n_times, n_antennas, n_channels, 2).
    n_samples : so many samples of a feed at exactly the same largest value are a ceiling. Noise
        does not repeat to the bit; a feed that never changes at all is not judged.
    """
    top = np.nanmax(np.where(np.isfinite(power), power, -np.inf), axis=(0, 2), keepdims=True)
    low = np.nanmin(np.where(np.isfinite(power), power, np.inf), axis=(0, 2), keepdims=True)
    there = power == top
    repeated = np.count_nonzero(there, axis=(0, 2), keepdims=True) >= n_samples
    return np.asarray(there & repeated & (low < top))


@dataclass(frozen=True)
class Found:
    """What is bad in a group.

    Attributes
    ----------
    antennas : dead and noisy ones.
    clipped : number of samples flagged as clipped, in all rows.
    n_flagged : (n_rows,) visibilities flagged for it.
    """

    antennas: list[BadAntenna]
    clipped: int
    n_flagged: NDArray[np.int64]

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what the status says; `names`: of the antenna table's rows."""
        listed = [
            {
                "antenna": str(names[one.antenna]),
                "polarization": FEED_NAMES[one.feed],
                "reason": one.reason,
            }
            for one in self.antennas
        ]
        return {"bad_antennas": listed, "clipped_samples": self.clipped}


NOTHING = Found([], 0, np.zeros(0, dtype=np.int64))


@dataclass
class Watch:
    """Takes note of a group's autocorrelations and largest values, portion after portion.

    Parameters
    ----------
    ant_1, ant_2, times : (n_rows,) of the set.
    codes : AIPS codes of its polarizations.
    n_channels : of the set.
    """

    ant_1: NDArray[np.int64]
    ant_2: NDArray[np.int64]
    times: NDArray[np.float64]
    codes: Sequence[int]
    n_channels: int
    _autos: NDArray[np.float32] = field(init=False)
    _peak: NDArray[np.float32] = field(init=False)

    @classmethod
    def of(cls, geometry: Geometry) -> "Watch":
        """Watch the set of a geometry."""
        metadata = geometry.metadata
        codes = geometry.polarizations.codes
        ends = metadata.ant_1_array, metadata.ant_2_array
        return cls(*ends, metadata.time_array, codes, metadata.Nfreqs)

    def __post_init__(self) -> None:
        self._rows = np.flatnonzero(self.ant_1 == self.ant_2)
        self._autos = np.full((len(self._rows), self.n_channels, 2), np.nan, dtype=np.float32)
        self._peak = np.zeros(len(self.ant_1), dtype=np.float32)

    def look(self, rows: slice, visibilities: NDArray[np.complex64]) -> None:
        """Take note of a portion, (n_rows, n_channels, n_pols); what is not usable is zero."""
        parts = visibilities.view(np.float32).reshape(len(visibilities), -1)
        self._peak[rows] = np.maximum(parts.max(axis=1), -parts.min(axis=1))
        first, last = np.searchsorted(self._rows, [rows.start, rows.start + len(visibilities)])
        autos = visibilities[self._rows[first:last] - rows.start].real
        for place, code in enumerate(self.codes):
            if FEEDS[code][0] == FEEDS[code][1]:
                own = autos[..., place]
                usable = (own > 0) & (own < LARGEST)
                self._autos[first:last, :, FEEDS[code][0]] = np.where(usable, own, np.nan)

    def autos(self) -> Autos | None:
        """Return the autocorrelations in order, None when the set has none."""
        if not len(self._rows):
            return None
        antennas, antenna = np.unique(self.ant_1[self._rows], return_inverse=True)
        times, time = np.unique(self.times, return_inverse=True)
        shape = len(times), len(antennas), self.n_channels, 2
        power = np.full(shape, np.nan, dtype=np.float32)
        power[time[self._rows], antenna] = self._autos
        ends = [FEEDS[code] for code in self.codes]
        return Autos(antennas, power, tuple(one for one, other in ends if one == other))

    def flag(self, ms: Path, limits: Mapping[str, float]) -> Found:
        """Find what is bad, and flag it in the set that was made meanwhile.

        Parameters
        ----------
        ms : closed by its writer.
        limits : `flagging.bad_data` of the configuration.
        """
        changed = np.zeros(len(self.ant_1), dtype=np.int64)
        autos = self.autos()
        if autos is None:
            return NOTHING
        bad = Bad.of(autos, self, limits)
        rows = np.flatnonzero(bad.suspect_rows(self._peak))
        n_clipped = 0
        if len(rows):
            with tables.table(str(ms), readonly=False, ack=False) as whole:
                for start, count in row_chunks(len(rows)):
                    part = rows[start : start + count]
                    changed[part], clipped = bad.flag_rows(whole.selectrows(part), part)
                    n_clipped += clipped
        return Found(bad.antennas, n_clipped, changed)


@dataclass(frozen=True)
class Bad:
    """What the autocorrelations of a group condemn.

    Attributes
    ----------
    antennas : dead and noisy ones.
    place_1, place_2, time : (n_rows,) of each row's antennas among those with autocorrelations
        (-1: none), and of its integration.
    lost : (n_antennas + 1, 2) feeds not used; the last antenna stands for those without autos.
    limit : (n_times, n_antennas + 1, n_channels, 2) power that a sample's amplitude is judged by.
    ceiling : of the same shape, clipped samples.
    """

    antennas: list[BadAntenna]
    place_1: NDArray[np.int64]
    place_2: NDArray[np.int64]
    time: NDArray[np.int64]
    codes: Sequence[int]
    lost: NDArray[np.bool_]
    limit: NDArray[np.float32]
    ceiling: NDArray[np.bool_]

    @classmethod
    def of(cls, autos: Autos, watch: Watch, limits: Mapping[str, float]) -> "Bad":
        """Judge the autocorrelations; see `Watch.flag`."""
        antennas = bad_antennas(autos, limits)
        place_of = {int(number): place for place, number in enumerate(autos.antennas)}
        lost = np.zeros((len(autos.antennas) + 1, 2), dtype=bool)
        for one in antennas:
            lost[place_of[one.antenna], one.feed] = True
        usual = autos.levels()[None, :, None, :].astype(np.float32)
        limit = np.where(np.isfinite(autos.power), np.maximum(autos.power, usual), usual)
        limit = np.minimum(limits["max_coherence"] * np.where(limit > 0, limit, LARGEST), LARGEST)
        places = [np.searchsorted(autos.antennas, ends) for ends in (watch.ant_1, watch.ant_2)]
        for place, ends in zip(places, (watch.ant_1, watch.ant_2), strict=True):
            place[~np.isin(ends, autos.antennas)] = -1
        return cls(
            antennas=antennas,
            place_1=places[0],
            place_2=places[1],
            time=np.unique(watch.times, return_inverse=True)[1].ravel(),
            codes=watch.codes,
            lost=lost,
            limit=with_stand_in(limit.astype(np.float32), LARGEST),
            ceiling=with_stand_in(at_ceiling(autos.power, int(limits["ceiling_samples"])), False),
        )

    def suspect_rows(self, peak: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the rows that may hold anything bad.

        Parameters
        ----------
        peak : (n_rows,) largest real or imaginary part.
        """
        smallest = self.limit.min(axis=(2, 3))
        bound = np.sqrt(smallest[self.time, self.place_1] * smallest[self.time, self.place_2])
        clipped: NDArray[np.bool_] = np.asarray(self.ceiling.any(axis=(2, 3)))
        lost: NDArray[np.bool_] = np.asarray(self.lost.any(axis=1))
        suspect = np.sqrt(2) * peak > bound
        for place in (self.place_1, self.place_2):
            suspect |= lost[place] | clipped[self.time, place]
        return np.asarray(suspect)

    def flag_rows(
        self, table: tables.table, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], int]:
        """Flag these rows of the set; return new flags by row, and how many are clipped."""
        data, flags = table.getcol("DATA"), table.getcol("FLAG")
        before = np.count_nonzero(flags, axis=(1, 2))
        place_1, place_2, time = self.place_1[rows], self.place_2[rows], self.time[rows]
        n_clipped = 0
        for number, code in enumerate(self.codes):
            feed_1, feed_2 = FEEDS[code]
            bound = self.limit[time, place_1, :, feed_1] * self.limit[time, place_2, :, feed_2]
            own = data[..., number]
            with np.errstate(over="ignore"):
                clipped = own.real**2 + own.imag**2 > bound
            clipped[place_1 == place_2] = False
            clipped |= self.ceiling[time, place_1, :, feed_1]
            clipped |= self.ceiling[time, place_2, :, feed_2]
            n_clipped += int(np.count_nonzero(clipped & ~flags[..., number]))
            lost = self.lost[place_1, feed_1] | self.lost[place_2, feed_2]
            bad = clipped | lost[:, None]
            flags[..., number] |= bad
            data[..., number][bad] = 0
        after = np.count_nonzero(flags, axis=(1, 2))
        if (after > before).any():
            table.putcol("DATA", data)
            table.putcol("FLAG", flags)
        return after - before, n_clipped


def with_stand_in(values: NDArray, value: Any) -> NDArray:
    """Add an antenna to (n_times, n_antennas, …) that stands for those without autos."""
    return np.concatenate([values, np.full_like(values[:, :1], value)], axis=1)
