"""A calibrator's visibilities summed over the band: all that gains can be solved from.

Gains do not depend on frequency, so the least squares of V = g_i g_j* N, with N the model through
the tables that are known already, takes two sums over channels from the data: of w V N* and of
w |N|^2. CASA gets their quotient as visibilities of a 1 Jy source and the second as weights, and
reads one channel several times instead of all of them.

The sums are made by python-casacore, which reads a set eight times faster than casatools does,
in a process of their own, because the two may not meet in one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import read_columns
from contimg.casa import away_from_casatools

ROWS_AT_A_TIME = 4096

BLOCK_ROWS = 32
"""Rows summed at a time: few enough to stay in a processor's cache."""

BY_CHANNEL = ("DATA", "MODEL_DATA", "FLAG", "WEIGHT_SPECTRUM")
PARALLEL = {1: [0], 2: [0, 1], 4: [0, 3]}
"""Correlations of the same feed, by how many there are."""

FEEDS = {1: ([0], [0]), 2: ([0, 1], [0, 1]), 4: ([0, 0, 1, 1], [0, 1, 0, 1])}
"""Feeds of the first and of the second antenna in each correlation."""

NOT_COPIED = {*BY_CHANNEL, "WEIGHT", "SIGMA", "SIGMA_SPECTRUM", "FLAG_CATEGORY"}
ROW_IDS = ("TIME", "SCAN_NUMBER", "ANTENNA1", "ANTENNA2", "INTERVAL")

Block = tuple[slice, NDArray, NDArray, NDArray, NDArray]
"""Rows of a set, and their DATA, model, FLAG and weight."""


@dataclass(frozen=True)
class Response:
    """What is known of the antennas.

    Attributes
    ----------
    gain : (n_antennas, n_chan, n_feeds) complex64; 1 where it is not known.
    flag : of the same shape, where it is not known.
    """

    gain: NDArray[np.complex64]
    flag: NDArray[np.bool_]

    def of_baselines(
        self, first: NDArray[np.int32], second: NDArray[np.int32], n_pol: int
    ) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
        """Gain g_1 g_2* of baselines, (n_rows, n_chan, n_pol), and where it is not known."""
        one, other = FEEDS[n_pol]
        gain = self.gain[first][..., one] * self.gain[second][..., other].conj()
        return gain, self.flag[first][..., one] | self.flag[second][..., other]


def sum_over_band(ms: Path, target: Path, solint: str, known: Response | None = None) -> None:
    """Write a set of one channel, with one time for each solution interval.

    Parameters
    ----------
    ms : set of one field and spectral window, with MODEL_DATA and without autocorrelations.
    target : set to write, without a model: CASA then takes 1 Jy at the phase centre.
    solint : length of an interval as CASA spells it, "int" or "inf"; a scan ends it too.
    known : what is divided out, or None.
    """
    away_from_casatools(write_sums, ms, target, solint, known)


def write_sums(ms: Path, target: Path, solint: str, known: Response | None) -> None:
    """Do the work of `sum_over_band`, in a process without casatools."""
    ids = read_columns(ms, ROW_IDS)
    first, row = rows_of_sums(ids, solint)
    cross, power = summed(blocks(ms), ids, row, known)
    write_one_channel(ms, target, first, columns_of_sums(ids, row, cross, power))


def rows_of_sums(
    ids: dict[str, NDArray[Any]], solint: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put a set's rows together: one row an interval and baseline.

    Parameters
    ----------
    ids : the columns `ROW_IDS` of the set.
    solint : length of an interval.

    Returns
    -------
    first : (n_rows of the sums,) the first row of the set that belongs to each.
    row : (n_rows of the set,) which row of the sums it belongs to.
    """
    interval = intervals(ids["TIME"], ids["SCAN_NUMBER"], solint)
    keys = np.stack([interval, ids["ANTENNA1"], ids["ANTENNA2"]])
    _, first, row = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return first, row.reshape(-1)


def columns_of_sums(
    ids: dict[str, NDArray[Any]],
    row: NDArray[np.int64],
    cross: NDArray[np.complex128],
    power: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Columns of the set that CASA solves on: the quotient of the sums, and its weight."""
    total = {name: np.bincount(row, weights=ids[name]) for name in ("TIME", "INTERVAL")}
    middle = total["TIME"] / np.bincount(row)
    # CASA leaves out a visibility of which one correlation is flagged; the crossed have no model.
    empty = np.any(power[:, PARALLEL[power.shape[1]]] <= 0, axis=1, keepdims=True)
    return {
        **{"TIME": middle, "TIME_CENTROID": middle},
        **{"INTERVAL": total["INTERVAL"], "EXPOSURE": total["INTERVAL"]},
        "DATA": (cross / np.where(power > 0, power, 1)).astype(np.complex64)[:, None],
        "FLAG": np.repeat(empty, power.shape[1], axis=1)[:, None],
        "WEIGHT_SPECTRUM": power.astype(np.float32)[:, None],
        "WEIGHT": power.astype(np.float32),
        "SIGMA": (1 / np.sqrt(np.where(power > 0, power, 1))).astype(np.float32),
    }


def intervals(
    times_s: NDArray[np.float64], scans: NDArray[np.int32], solint: str
) -> NDArray[np.int64]:
    """Number the solution intervals of rows: (n_rows,), from 0."""
    from casacore.quanta import quantity

    numbers, scan = np.unique(scans, return_inverse=True)
    if solint == "inf":
        return scan
    if solint == "int":
        return np.unique(times_s, return_inverse=True)[1]
    begin = np.array([times_s[scan == number].min() for number in range(len(numbers))])
    # Rounding must not put an integration that begins an interval into the one before.
    since = (times_s - begin[scan]) / quantity(solint).get_value("s") + 1e-6
    both = np.stack([scan, since.astype(int)])
    return np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)


def summed(
    blocks: Iterator[Block],
    ids: dict[str, NDArray[Any]],
    row: NDArray[np.int64],
    known: Response | None = None,
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Sum w V N* and w |N|^2 over the band.

    Parameters
    ----------
    blocks : rows of the set, their data, model, flags and weights, block after block.
    ids : ANTENNA1 and ANTENNA2 of the set's rows.
    row : (n_rows of the set,) which row of the sums it belongs to.
    known : what is divided out, or None.

    Returns
    -------
    cross, power : (n_rows of the sums, n_pol).
    """
    cross, power = np.zeros((0, 0), dtype=np.complex128), np.zeros((0, 0))
    for rows, data, model, flag, weight in blocks:
        if not cross.size:
            shape = int(row.max()) + 1, data.shape[-1]
            cross, power = np.zeros(shape, dtype=np.complex128), np.zeros(shape)
        if known is not None:
            ends = ids["ANTENNA1"][rows], ids["ANTENNA2"][rows]
            gain, unknown = known.of_baselines(*ends, data.shape[-1])
            model, flag = model * gain, flag | unknown
        used = np.where(flag, np.float32(0), weight)
        np.add.at(cross, row[rows], (used * data * model.conj()).sum(axis=1))
        np.add.at(power, row[rows], (used * (model.real**2 + model.imag**2)).sum(axis=1))
    return cross, power


def blocks(ms: Path) -> Iterator[Block]:
    """Yield rows, DATA, MODEL_DATA, FLAG and weight of a set, a block of rows after the other."""
    import casacore.tables

    with casacore.tables.table(str(ms), ack=False) as table:
        by_channel = "WEIGHT_SPECTRUM" in table.colnames()
        for start in range(0, table.nrows(), ROWS_AT_A_TIME):
            n_rows = min(ROWS_AT_A_TIME, table.nrows() - start)
            data, model, flag = (table.getcol(name, start, n_rows) for name in BY_CHANNEL[:3])
            weight = table.getcol("WEIGHT_SPECTRUM" if by_channel else "WEIGHT", start, n_rows)
            weight = weight if by_channel else weight[:, None]
            for begin in range(0, n_rows, BLOCK_ROWS):
                part = slice(begin, min(begin + BLOCK_ROWS, n_rows))
                rows = slice(start + part.start, start + part.stop)
                yield rows, data[part], model[part], flag[part], weight[part]


def write_one_channel(
    ms: Path, target: Path, first: NDArray[np.int64], columns: dict[str, NDArray[Any]]
) -> None:
    """Write a set like another, of one channel and other rows.

    Parameters
    ----------
    ms : the other.
    first : rows of it that give the columns that are not given here.
    columns : values, row first.
    """
    import casacore.tables

    with casacore.tables.table(str(ms), ack=False) as source:
        wanted = set(source.colnames()) - NOT_COPIED - set(columns)
        columns = columns | {name: source.getcol(name)[first] for name in wanted}
        with source.query("ROWNUMBER() < 0") as none:
            none.copy(str(target), deep=True).close()
    with casacore.tables.table(str(target), readonly=False, ack=False) as table:
        by_channel_only = {"MODEL_DATA", "SIGMA_SPECTRUM"} & set(table.colnames())
        if by_channel_only:
            table.removecols(sorted(by_channel_only))
        table.addrows(len(first))
        for name in sorted(set(table.colnames()) & set(columns)):
            table.putcol(name, columns[name])
    with casacore.tables.table(f"{target}::SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        window.putcell("CHAN_FREQ", 0, window.getcell("CHAN_FREQ", 0).mean(keepdims=True))
        for name in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            window.putcell(name, 0, np.abs(window.getcell(name, 0)).sum(keepdims=True))
        window.putcell("NUM_CHAN", 0, 1)
