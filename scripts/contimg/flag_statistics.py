"""What is flagged in a group, and for what: by antenna, subband, channel, integration and feed.

Only cross-correlations count. The causes that conversion knows by whole subbands and antennas
(missing subbands, bad antennas) are told apart from the rest of its flags and from interference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables
from numpy.typing import NDArray

from contimg.bad_data import FEED_NAMES
from contimg.digests import Digest
from contimg.measurement_set import row_chunks

CHANNEL_BINS = 96
"""Largest number of channel bins in the statistics."""
FEEDS_OF = {9: (0, 0), 10: (0, 1), 11: (1, 0), 12: (1, 1)}
"""Feeds of both antennas by CASA's code of the polarization: XX, XY, YX, YY."""


@dataclass
class Counts:
    """Cross-correlation samples of one kind, counted along each axis.

    Attributes
    ----------
    antenna : (n_antennas, n_pols) a sample counts for both of its antennas.
    cell : (n_times, n_channels, n_pols).
    """

    antenna: NDArray[np.int64]
    cell: NDArray[np.int64]

    @classmethod
    def none(cls, n_antennas: int, n_times: int, n_channels: int, n_pols: int) -> "Counts":
        return cls(
            np.zeros((n_antennas, n_pols), dtype=np.int64),
            np.zeros((n_times, n_channels, n_pols), dtype=np.int64),
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.antenna - other.antenna, self.cell - other.cell)


@dataclass(frozen=True)
class FlagCounts:
    """What was counted: all samples, those lost as a whole at conversion, and all flagged ones."""

    all: Counts
    lost: Counts
    flagged: Counts
    names: list[str]
    feeds: list[tuple[int, int]]
    missing: NDArray[np.bool_]
    digest: str


def count_flags(ms: Path, figures: Mapping[str, Any]) -> FlagCounts:
    """Count the flags of a set, reading nothing large but its FLAG column.

    Parameters
    ----------
    figures : of the set's status.
    """
    with tables.table(f"{ms}::ANTENNA", ack=False) as table:
        names = list(table.getcol("NAME"))
    with tables.table(f"{ms}::POLARIZATION", ack=False) as table:
        feeds = [FEEDS_OF[int(code)] for code in table.getcol("CORR_TYPE")[0]]
    bad = bad_feeds(names, figures.get("bad_antennas", []))
    missing = missing_channels(figures)
    kept = int(np.count_nonzero(~missing))
    digest = Digest()
    with tables.table(str(ms), ack=False) as table:
        first, second = table.getcol("ANTENNA1"), table.getcol("ANTENNA2")
        times, time = np.unique(table.getcol("TIME"), return_inverse=True)
        shape = len(names), len(times), len(missing), len(feeds)
        every, lost, flagged = (Counts.none(*shape) for _ in range(3))
        for rows in portions(time):
            flags = table.getcol("FLAG", rows.start, rows.stop - rows.start)
            digest.add("FLAG", np.packbits(flags))
            ends, now = (first[rows], second[rows]), int(time[rows.start])
            cross = ends[0] != ends[1]
            ends, flags = (ends[0][cross], ends[1][cross]), flags[cross]
            add(flagged, now, ends, flags.sum(axis=1), flags.sum(axis=0))
            ones = np.ones((len(flags), len(feeds)), dtype=np.int64)
            add(every, now, ends, ones * len(missing), ones.sum(axis=0) + missing[:, None] * 0)
            gone = np.column_stack([bad[ends[0], one] | bad[ends[1], two] for one, two in feeds])
            in_channel = np.where(missing[:, None], len(flags), gone.sum(axis=0))
            add(lost, now, ends, np.where(gone, len(missing), len(missing) - kept), in_channel)
    return FlagCounts(every, lost, flagged, names, feeds, missing, digest.hex())


def portions(time: NDArray[np.int64]) -> Iterator[slice]:
    """Yield portions of rows that lie within one integration each."""
    starts = np.flatnonzero(np.diff(time, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(time)], strict=True):
        for first, count in row_chunks(int(stop - start)):
            yield slice(int(start) + first, int(start) + first + count)


def add(
    counts: Counts,
    now: int,
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    by_row: NDArray[np.int64],
    by_channel: NDArray[np.int64],
) -> None:
    """Add a portion of integration `now`: (n_rows, n_pols) and (n_channels, n_pols) samples."""
    for one in ends:
        for number in range(by_row.shape[1]):
            counts.antenna[:, number] += np.bincount(
                one, by_row[:, number], minlength=len(counts.antenna)
            ).astype(np.int64)
    counts.cell[now] += by_channel


def bad_feeds(names: list[str], bad: list[Mapping[str, str]]) -> NDArray[np.bool_]:
    """Return (n_antennas, 2): the feeds that the status tells of."""
    found = np.zeros((len(names), 2), dtype=bool)
    for one in bad:
        found[names.index(one["antenna"]), FEED_NAMES.index(one["polarization"])] = True
    return found


def missing_channels(figures: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return (n_channels ascending,): those of missing subbands; subband 0 is the highest."""
    n_subbands = len(figures["subbands"]) + len(figures["missing"])
    missing = np.zeros((n_subbands, len(figures["freq_hz"]) // n_subbands), dtype=bool)
    missing[[n_subbands - 1 - number for number in figures["missing"]]] = True
    return missing.ravel()


def fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return part over whole, NaN where there is nothing."""
    filled = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=filled, where=np.asarray(whole) > 0)
    return filled


def binned(values: NDArray[np.int64], n_bins: int) -> NDArray[np.int64]:
    """Return sums over n_bins portions, as equal as can be, of the first axis."""
    edges = np.linspace(0, len(values), n_bins + 1).astype(int)
    return np.add.reduceat(values, edges[:-1], axis=0)


def statistics(counts: FlagCounts, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a group's flags; see docs on file formats.

    Parameters
    ----------
    figures : of the set's status.

    Notes
    -----
    `later` is what is flagged of the samples that neither missing subbands nor bad antennas took:
    interference, and single values flagged at conversion.
    """
    total = int(counts.all.cell.sum())
    rest, later = counts.all - counts.lost, counts.flagged - counts.lost
    n_subbands = len(figures["subbands"]) + len(figures["missing"])
    n_bins = min(CHANNEL_BINS, len(counts.missing))

    def along(axis: str) -> dict[str, NDArray[np.float64]]:
        pick = {
            "antenna": lambda one: one.antenna.sum(axis=1)[present],
            "integration": lambda one: one.cell.sum(axis=(1, 2)),
            "polarization": lambda one: one.cell.sum(axis=(0, 1)),
            "channel": lambda one: binned(one.cell.sum(axis=(0, 2)), n_bins),
            "subband": lambda one: binned(one.cell.sum(axis=(0, 2)), n_subbands)[::-1],
        }[axis]
        return {
            "flagged": fraction(pick(counts.flagged), pick(counts.all)),
            "later": fraction(pick(later), pick(rest)),
        }

    present = np.flatnonzero(counts.all.antenna.sum(axis=1))
    polarizations = ["".join(FEED_NAMES[feed] for feed in pair) for pair in counts.feeds]
    freq_hz = np.asarray(figures["freq_hz"])
    edges = np.linspace(0, len(freq_hz), n_bins + 1).astype(int)
    centres = [freq_hz[a:b].mean() for a, b in pairwise(edges)]
    return {
        "group": figures["group"],
        "mid_mjd": figures["mid_mjd"],
        "flagged_fraction": counts.flagged.cell.sum() / total,
        "causes": causes(counts, figures, total),
        "bad_antennas": figures.get("bad_antennas", []),
        "antennas": {"name": [counts.names[one] for one in present], **along("antenna")},
        "subbands": {"number": list(range(n_subbands)), **along("subband")},
        "channels": {"freq_hz": centres, **along("channel")},
        "integrations": {"mjd": figures["integration_mjd"], **along("integration")},
        "polarizations": {"name": polarizations, **along("polarization")},
    }


def causes(counts: FlagCounts, figures: Mapping[str, Any], total: int) -> dict[str, float]:
    """Return what each cause takes of all cross-correlations; the sum is what is flagged.

    `other_conversion`: zeros, values that are not finite or clipped, or flagged in the raw file.
    """
    per_channel = counts.all.cell.sum(axis=(0, 2))
    missing = per_channel[counts.missing].sum() / total
    bad = counts.lost.cell.sum() / total - missing
    other = max(figures["flagged_fraction_crosses"] - missing - bad, 0.0)
    later = counts.flagged.cell.sum() / total - missing - bad - other
    return {
        "missing_subbands": missing,
        "bad_antennas": bad,
        "other_conversion": other,
        "interference": max(later, 0.0),
    }
