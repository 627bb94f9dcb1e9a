"""A calibrator's visibilities summed over the band, or over time: all that CASA solves from.

Gains do not depend on frequency, so the least squares of V = g_i g_j* N, with N the model through
the tables that are known already, takes two sums over channels from the data: of w V N* and of
w |N|^2. CASA gets their quotient as visibilities of a 1 Jy source and the second as weights, and
reads one channel several times instead of all of them. A bandpass does not depend on time within
its interval: it is solved from the same two sums over integrations, of each channel.

The sums are made by python-casacore, which reads a set eight times faster than casatools does,
in a process of their own, because the two may not meet in one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import SECONDS_PER_DAY, Gains, channel_freq_hz, read_columns
from contimg.casa import away_from_casatools

ROWS_AT_A_TIME = 4096

BLOCK_ROWS = 32
"""Rows summed at a time: few enough to stay in a processor's cache."""

BY_CHANNEL = ("DATA", "MODEL_DATA", "FLAG", "WEIGHT_SPECTRUM")
TYPES = {"DATA": "c8", "MODEL_DATA": "c8", "FLAG": "?", "WEIGHT_SPECTRUM": "f4"}
PARALLEL = {1: [0], 2: [0, 1], 4: [0, 3]}
"""Correlations of the same feed, by how many there are."""

FEEDS = {1: ([0], [0]), 2: ([0, 1], [0, 1]), 4: ([0, 0, 1, 1], [0, 1, 0, 1])}
"""Feeds of the first and of the second antenna in each correlation."""

NOT_COPIED = {*BY_CHANNEL, "WEIGHT", "SIGMA", "FLAG_CATEGORY"}
ROW_IDS = ["TIME", "SCAN_NUMBER", "ANTENNA1", "ANTENNA2", "INTERVAL"]

Block = tuple[slice, NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.float32]]
"""Rows of a set, their data, model, flags and weights, row first; weights may be of one channel."""


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
        self, first: NDArray[np.integer], second: NDArray[np.integer], n_pol: int
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
    away_from_casatools(write_sums, ms, [target], solint, known)


def sum_over_time(
    ms: Path, targets: Sequence[Path], solint: str, phases: Gains, known: Response | None = None
) -> None:
    """Write sets of all channels, with one time for each solution interval, whatever the scans.

    Parameters
    ----------
    ms, known : as for `sum_over_band`.
    targets : sets to write: each has its part of the band, the rest is flagged.
    solint : length of an interval as CASA spells it, "int" or "inf".
    phases : gains of shorter intervals that are divided out, the nearest in time of each.
    """
    away_from_casatools(write_sums, ms, targets, solint, known, phases)


def write_sums(
    ms: Path,
    targets: Sequence[Path],
    solint: str,
    known: Response | None,
    phases: Gains | None = None,
    seen: Iterable[Block] | None = None,
) -> None:
    """Sum over time when there are phases, else over the band; in a process without casatools.

    `seen` is what is summed, by default the set's own data and model.
    """
    ids = read_columns(ms, ROW_IDS)
    scans = ids["SCAN_NUMBER"] if phases is None else np.zeros_like(ids["SCAN_NUMBER"])
    interval = intervals(ids["TIME"], scans, solint)
    keys = np.stack([interval, ids["ANTENNA1"], ids["ANTENNA2"]])
    _, first, row = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    row = row.reshape(-1)
    cross, power = summed(ms, seen or blocks(ms), ids, row, known, phases)
    middle = np.bincount(interval, ids["TIME"]) / np.bincount(interval)
    length = np.bincount(row, ids["INTERVAL"])
    # CASA leaves out a visibility of which one correlation is flagged; the crossed have no model.
    empty = np.any(power[..., PARALLEL[power.shape[-1]]] <= 0, axis=-1, keepdims=True)
    weight = power.mean(axis=1)
    columns: dict[str, NDArray[Any]] = {
        **dict.fromkeys(("TIME", "TIME_CENTROID"), middle[interval[first]]),
        **dict.fromkeys(("INTERVAL", "EXPOSURE"), length),
        "DATA": (cross / np.where(power > 0, power, 1)).astype(np.complex64),
        "WEIGHT_SPECTRUM": power.astype(np.float32),
        "SIGMA_SPECTRUM": sigma_of(power),
        "WEIGHT": weight.astype(np.float32),
        "SIGMA": sigma_of(weight),
    }
    parts = np.array_split(np.arange(power.shape[1]), len(targets))
    for target, part in zip(targets, parts, strict=True):
        elsewhere = np.ones(power.shape[1], dtype=bool)
        elsewhere[part] = False
        flag = np.broadcast_to(empty | elsewhere[:, None], power.shape)
        write_like(ms, target, first, {**columns, "FLAG": flag})
        if phases is None:
            make_one_channel(target)


def sigma_of(weight: NDArray[np.floating]) -> NDArray[np.float32]:
    """Standard deviation of a weight; 1 without one."""
    return (1 / np.sqrt(np.where(weight > 0, weight, 1))).astype(np.float32)


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
    ms: Path,
    seen: Iterable[Block],
    ids: dict[str, NDArray[Any]],
    row: NDArray[np.int64],
    known: Response | None,
    phases: Gains | None = None,
) -> tuple[NDArray[np.complexfloating], NDArray[np.floating]]:
    """Sum w V N* and w |N|^2.

    Parameters
    ----------
    seen : the set's rows, a block after the other.
    ids : TIME, ANTENNA1 and ANTENNA2 of the set's rows.
    row : (n_rows of the set,) which row of the sums it belongs to.
    known, phases : what N is the model through. Without phases sums are over the band too.

    Returns
    -------
    cross, power : (n_rows of the sums, 1 or n_chan, n_pol).
    """
    n_pol = int(read_columns(ms / "POLARIZATION", ["NUM_CORR"])["NUM_CORR"][0])
    by_band = phases is None
    # Over the band thousands are added, over time a few.
    kinds = (np.complex128, np.float64) if by_band else (np.complex64, np.float32)
    shape = int(row.max()) + 1, 1 if by_band else len(channel_freq_hz(ms)), n_pol
    cross, power = (np.zeros(shape, dtype=kind) for kind in kinds)
    through = list(responses(ids, known, phases))
    for rows, data, model, flag, weight in seen:
        for response, first, second in through:
            gain, unknown = response.of_baselines(first[rows], second[rows], n_pol)
            model, flag = model * gain, flag | unknown
        used = np.where(flag, np.float32(0), weight)
        products = used * data * model.conj(), used * (model.real**2 + model.imag**2)
        for total, product in zip((cross, power), products, strict=True):
            if by_band:
                ones = np.ones(product.shape[1], dtype=product.dtype)
                product = (ones @ product)[:, None]
            add_rows(total, row[rows], product)
    return cross, power


def responses(
    ids: dict[str, NDArray[Any]], known: Response | None, phases: Gains | None
) -> Iterator[tuple[Response, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield what the model is seen through, and of each row of the set which entries of it."""
    first, second = ids["ANTENNA1"].astype(np.int64), ids["ANTENNA2"].astype(np.int64)
    if known is not None:
        yield known, first, second
    if phases is not None:
        n_antennas, n_times = phases.gain.shape[:2]
        shape = n_times * n_antennas, 1, -1
        gain = phases.gain.swapaxes(0, 1).reshape(shape)
        flag = phases.flag.swapaxes(0, 1).reshape(shape)
        offset_s = np.abs(ids["TIME"][:, None] - phases.mjd * SECONDS_PER_DAY)
        skipped = offset_s.argmin(axis=1) * n_antennas
        yield Response(gain, flag), skipped + first, skipped + second


def add_rows(total: NDArray[Any], row: NDArray[np.int64], values: NDArray[Any]) -> None:
    """Add values to rows of a total; several may go to one row."""
    if np.array_equal(row, np.arange(row[0], row[0] + len(row))):
        total[row[0] : row[0] + len(row)] += values
    else:
        np.add.at(total, row, values)


def blocks(ms: Path) -> Iterator[Block]:
    """Yield rows, DATA, MODEL_DATA, FLAG and weight of a set, a block of rows after the other.

    They are read into the same memory again: new pages cost more than the reading.
    """
    import casacore.tables

    with casacore.tables.table(str(ms), ack=False) as table:
        shape = table.getcell("DATA", 0).shape
        by_channel = "WEIGHT_SPECTRUM" in table.colnames()
        kinds = {name: TYPES[name] for name in BY_CHANNEL[: 4 if by_channel else 3]}
        memory = {name: np.empty((ROWS_AT_A_TIME, *shape), kind) for name, kind in kinds.items()}
        for start in range(0, table.nrows(), ROWS_AT_A_TIME):
            n_rows = min(ROWS_AT_A_TIME, table.nrows() - start)
            read = [values[:n_rows] for values in memory.values()]
            for name, values in zip(memory, read, strict=True):
                table.getcolnp(name, values, start, n_rows)
            if not by_channel:
                read.append(table.getcol("WEIGHT", start, n_rows)[:, None])
            for begin in range(0, n_rows, BLOCK_ROWS):
                part = slice(begin, min(begin + BLOCK_ROWS, n_rows))
                rows = slice(start + part.start, start + part.stop)
                data, model, flag, weight = (values[part] for values in read)
                yield rows, data, model, flag, weight


def write_like(
    ms: Path, target: Path, first: NDArray[np.int64], columns: dict[str, NDArray[Any]]
) -> None:
    """Write a set like another, without its model and with other rows.

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
        if "MODEL_DATA" in table.colnames():
            table.removecols("MODEL_DATA")
        # Without both of these CASA weighs all channels of a row alike, by WEIGHT.
        for name in {"WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"} - set(table.colnames()):
            table.addcols(casacore.tables.makearrcoldesc(name, 0.0, ndim=2, valuetype="float"))
        table.addrows(len(first))
        for name in sorted(set(table.colnames()) & set(columns)):
            table.putcol(name, columns[name])


def make_one_channel(target: Path) -> None:
    """Describe the whole band as one channel."""
    import casacore.tables

    with casacore.tables.table(f"{target}::SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        window.putcell("CHAN_FREQ", 0, window.getcell("CHAN_FREQ", 0).mean(keepdims=True))
        for name in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            window.putcell(name, 0, np.abs(window.getcell(name, 0)).sum(keepdims=True))
        window.putcell("NUM_CHAN", 0, 1)
