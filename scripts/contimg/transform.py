"""A corrected, averaged set from a read-only one, in one pass over the data.

What CASA's mstransform does with a calibration library, for one spectral window and tables of
kinds K, B and G: the visibilities of cross-correlations are divided by the antennas' gains,
weights are left as they are, and unflagged channels and integrations are averaged by weight. CASA
does it on one thread with Jones matrices; here it is bound by reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import casacore.tables as casatables
import numpy as np
from numpy.typing import NDArray

from contimg.applied import Calibration
from contimg.calibration_table import SECONDS_PER_DAY, channel_freq_hz, hand_names
from contimg.status import Rejected

BLOCK_ROWS = 64
"""Rows calibrated at a time: few enough to stay in a processor's cache."""

TILE_BYTES = 2**20
AVERAGED, ADDED = ("UVW", "TIME_CENTROID"), ("INTERVAL", "EXPOSURE")
NOT_COPIED = {
    "DATA",
    "FLAG",
    "WEIGHT_SPECTRUM",
    "SIGMA_SPECTRUM",
    "SIGMA",
    "WEIGHT",
    "FLAG_CATEGORY",
}
BY_CHANNEL = {"DATA": ("c8", 8), "FLAG": ("?", 1 / 8), "WEIGHT_SPECTRUM": ("f4", 4)}
"""Columns of a value a channel and polarization: type, and bytes of a value on disk."""


@dataclass(frozen=True)
class Weights:
    """What is left of a set after calibration.

    Attributes
    ----------
    freq_hz : (n_chan,) channel centres.
    mjd : (n_integrations,) of the set, after averaging.
    time : (n_integrations,) share of the unflagged weight, sum 1.
    freq : (n_chan,) share of the unflagged weight, sum 1.
    flagged_fraction : of the cross-correlations.
    silent : names of the parallel hands that are flagged altogether.
    """

    freq_hz: NDArray[np.float64]
    mjd: NDArray[np.float64]
    time: NDArray[np.float64]
    freq: NDArray[np.float64]
    flagged_fraction: float
    silent: tuple[str, ...]


def transform(
    ms: Path,
    calibrated: Path,
    tables: Mapping[str, Path],
    channels: int = 1,
    integrations: int = 1,
) -> Weights:
    """Calibrate, average and write the cross-correlations.

    Parameters
    ----------
    ms : read only; its rows ascend in time.
    calibrated : set to write; its DATA are the corrected visibilities.
    tables : calibration table of each kind, kcal, bcal or gcal.
    channels, integrations : how many are averaged into one.

    Raises
    ------
    Rejected
        When there are no cross-correlations.
    """
    spans = time_spans(ms, integrations)
    if not spans:
        raise Rejected(f"{ms.name}: no cross-correlations to calibrate")
    create(ms, calibrated, channels)
    sums = Sums(channel_freq_hz(calibrated), hand_names(calibrated))
    with (
        casatables.table(str(ms), ack=False) as source,
        casatables.table(str(calibrated), readonly=False, ack=False) as target,
    ):
        copied = set(target.colnames()) - NOT_COPIED
        reader = Reader(source, copied, Calibration(tables, ms), channels)
        for span in spans:
            parts = [reader.part(rows) for rows in span]
            part = parts[0] if len(parts) == 1 else combined(parts)
            np.divide(part.products, part.weight, out=part.products, where=part.weight > 0)
            put(target, part)
            sums.add(part)
    return sums.weights()


@dataclass(frozen=True)
class Part:
    """The cross-correlations of one time.

    Attributes
    ----------
    columns : values by row of the columns that are not by channel.
    products : (n_rows, n_chan, n_pol) sum of weight times corrected visibility; then visibilities.
    weight : (n_rows, n_chan, n_pol) sum of the unflagged weights.
    """

    columns: dict[str, NDArray[Any]]
    products: NDArray[np.complex64]
    weight: NDArray[np.float32]


class Reader:
    """Reads a set's integrations corrected, with channels averaged.

    Parameters
    ----------
    source : the set, open.
    names : columns that are not by channel.
    calibration : what corrects it.
    channels : how many are averaged into one.
    """

    def __init__(
        self, source: casatables.table, names: set[str], calibration: Calibration, channels: int
    ) -> None:
        self._source, self._calibration, self._channels = source, calibration, channels
        self._by_row = {name: source.getcol(name) for name in names}
        self._has_spectrum = "WEIGHT_SPECTRUM" in source.colnames()
        n_chan, n_pol = source.getcell("DATA", 0).shape
        self._shape = n_chan, n_pol
        self._buffers: dict[str, NDArray[Any]] = {}

    def part(self, rows: slice) -> Part:
        """Read the rows of an integration."""
        cross = np.flatnonzero(self._by_row["ANTENNA1"][rows] != self._by_row["ANTENNA2"][rows])
        columns = {name: values[rows][cross] for name, values in self._by_row.items()}
        inverse = self._calibration.at(float(columns["TIME"][0]) / SECONDS_PER_DAY)
        n_chan, n_pol = self._shape
        shape = len(cross), -(-n_chan // self._channels), n_pol
        part = Part(columns, np.empty(shape, np.complex64), np.empty(shape, np.float32))
        read = self._read(rows)
        for start in range(0, len(cross), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            ends = columns["ANTENNA1"][block], columns["ANTENNA2"][block]
            gain, unknown = inverse.of_baselines(*ends, n_pol)
            data, flag, weight = (values[cross[block]] for values in read)
            used = np.where(flag | unknown, np.float32(0), weight)
            data *= gain
            data *= used
            data[used == 0] = 0  # where it is not finite
            part.products[block] = sum_channels(data, self._channels)
            part.weight[block] = sum_channels(used, self._channels)
        return part

    def _read(self, rows: slice) -> list[NDArray[Any]]:
        """Visibilities, flags and weights, which last until the next call."""
        n_rows = rows.stop - rows.start
        if self._has_spectrum:
            return [self._column(name, rows.start, n_rows) for name in BY_CHANNEL]
        weight = self._source.getcol("WEIGHT", rows.start, n_rows)[:, None]
        return [*(self._column(name, rows.start, n_rows) for name in ("DATA", "FLAG")), weight]

    def _column(self, name: str, start: int, n_rows: int) -> NDArray[Any]:
        """Read a column into the same memory again: new pages cost more than the reading."""
        if len(self._buffers.get(name, ())) < n_rows:
            self._buffers[name] = np.empty((n_rows, *self._shape), BY_CHANNEL[name][0])
        values = self._buffers[name][:n_rows]
        self._source.getcolnp(name, values, start, n_rows)
        return values


def sum_channels(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """Add up neighbouring channels of (n_rows, n_chan, n_pol); the last sum may have fewer."""
    n_rows, n_chan, n_pol = values.shape
    if channels == 1:
        return values
    if missing := -n_chan % channels:
        values = np.concatenate([values, np.zeros((n_rows, missing, n_pol), values.dtype)], axis=1)
    # Shifted copies of all are added, of which one in `channels` is wanted: five times faster
    # than a sum over a short middle axis.
    flat = values.reshape(-1)
    total = flat.copy()
    for shift in range(n_pol, channels * n_pol, n_pol):
        total[:-shift] += flat[shift:]
    return total.reshape(n_rows, -1, channels * n_pol)[:, :, :n_pol]


def combined(parts: list[Part]) -> Part:
    """Average several integrations: a row for each baseline that occurs in one of them.

    UVW and the time centroid are averaged by weight.
    """
    n_antennas = 1 + max(int(part.columns["ANTENNA2"].max()) for part in parts)
    keys = [
        part.columns["ANTENNA1"].astype(np.int64) * n_antennas + part.columns["ANTENNA2"]
        for part in parts
    ]
    baselines, first = np.unique(np.concatenate(keys), return_index=True)
    columns = {
        name: np.concatenate([part.columns[name] for part in parts])[first]
        for name in parts[0].columns
    }
    shape = len(baselines), *parts[0].weight.shape[1:]
    total = Part(columns, np.zeros(shape, np.complex64), np.zeros(shape, np.float32))
    row_weight = np.zeros(len(baselines))
    sums = {name: np.zeros((len(baselines), *columns[name].shape[1:])) for name in AVERAGED + ADDED}
    for key, part in zip(keys, parts, strict=True):
        place = np.searchsorted(baselines, key)
        total.products[place] += part.products
        total.weight[place] += part.weight
        # Of a baseline without data the plain mean.
        weight = np.maximum(part.weight.sum(axis=(1, 2), dtype=float), 1e-30)
        row_weight[place] += weight
        for name in AVERAGED:
            sums[name][place] += (part.columns[name].T * weight).T
        for name in ADDED:
            sums[name][place] += part.columns[name]
    for name in AVERAGED:
        columns[name] = (sums[name].T / row_weight).T
    for name in ADDED:
        columns[name] = sums[name]
    columns["TIME"][:] = np.mean([part.columns["TIME"][0] for part in parts])
    return total


def time_spans(ms: Path, integrations: int) -> list[list[slice]]:
    """Rows of the integrations that are averaged into one: for each of these, a slice a time.

    Raises
    ------
    ValueError
        When rows do not ascend in time.
    """
    with casatables.table(str(ms), ack=False) as table:
        times, first, second, length_s = (
            table.getcol(name) for name in ("TIME", "ANTENNA1", "ANTENNA2", "INTERVAL")
        )
    if not np.any(first != second):
        return []
    if np.any(np.diff(times) < 0):
        raise ValueError(f"{ms}: rows do not ascend in time; run convert_group again")
    starts = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)
    ends = [*starts[1:], len(times)]
    spans: list[list[slice]] = []
    reach_s = (integrations - 0.5) * float(np.median(length_s))
    begin = -np.inf
    for start, end in zip(starts, ends, strict=True):
        if times[start] - begin > reach_s:
            spans.append([])
            begin = times[start]
        spans[-1].append(slice(int(start), int(end)))
    return spans


def create(ms: Path, calibrated: Path, channels: int) -> None:
    """Make a set without rows, like another but for its channels, its files writable."""
    with casatables.table(str(ms), ack=False) as source:
        n_chan, n_pol = source.getcell("DATA", 0).shape
        with source.query("ROWNUMBER() < 0") as none:
            none.copy(str(calibrated), deep=True).close()
    for path in [calibrated, *calibrated.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    n_chan = -(-n_chan // channels)
    with casatables.table(str(calibrated), readonly=False, ack=False) as table:
        for name in set(table.colnames()) & {"MODEL_DATA", "CORRECTED_DATA"}:
            table.removecols(name)
        for name, (_, size) in BY_CHANNEL.items():
            if name in table.colnames():
                description = table.getcoldesc(name)
                table.removecols(name)
            else:
                description = casatables.makearrcoldesc(name, 0.0, ndim=2, valuetype="float")[
                    "desc"
                ]
            rows = max(1, int(TILE_BYTES / (n_chan * n_pol * size)))
            manager = {
                "TYPE": "TiledShapeStMan",
                "NAME": f"Tiled_{name}",
                "SPEC": {"DEFAULTTILESHAPE": np.array([n_pol, n_chan, rows], dtype=np.int32)},
            }
            table.addcols(casatables.maketabdesc({"name": name, "desc": description}), manager)
    with casatables.table(f"{calibrated}::SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        first = np.arange(0, window.getcell("NUM_CHAN", 0), channels)
        freq_hz = window.getcell("CHAN_FREQ", 0)
        count = np.diff(first, append=len(freq_hz))
        averaged_hz = np.add.reduceat(freq_hz, first) / count
        window.putcell("CHAN_FREQ", 0, averaged_hz)
        window.putcell("REF_FREQUENCY", 0, averaged_hz[0])
        for name in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            window.putcell(name, 0, np.add.reduceat(window.getcell(name, 0), first))
        window.putcell("NUM_CHAN", 0, len(first))


def put(target: casatables.table, part: Part) -> None:
    """Append rows."""
    flag = part.weight <= 0
    ones = np.ones(part.weight.shape[1], dtype=np.float32)
    n_used = ones @ (~flag).astype(np.float32)
    weight = (ones @ part.weight) / np.maximum(n_used, 1)
    sigma = np.zeros_like(weight)
    np.divide(1.0, np.sqrt(weight), out=sigma, where=weight > 0)
    start, n_rows = target.nrows(), len(flag)
    target.addrows(n_rows)
    for name, values in {
        **part.columns,
        "DATA": part.products,
        "FLAG": flag,
        "WEIGHT_SPECTRUM": part.weight,
        "WEIGHT": weight,
        "SIGMA": sigma,
    }.items():
        target.putcol(name, values, start, n_rows)


class Sums:
    """Sums the weights that imaging will see: Stokes I needs both parallel hands of a sample.

    Parameters
    ----------
    freq_hz : (n_chan,) of the new set.
    hands : (n_pol,) name of each parallel hand, empty for the cross hands.
    """

    def __init__(self, freq_hz: NDArray[np.float64], hands: Sequence[str]) -> None:
        self._freq_hz, self._hands = freq_hz, hands
        self._mjd: list[float] = []
        self._time: list[float] = []
        self._freq = np.zeros(len(freq_hz))
        self._hand = np.zeros(sum(bool(hand) for hand in hands))
        self._n_flagged = self._n_all = 0

    def add(self, part: Part) -> None:
        """Take a part in."""
        parallel = part.weight[:, :, [bool(hand) for hand in self._hands]]
        ones = np.ones(len(parallel), dtype=np.float32)
        imaged = np.where(parallel.min(axis=2) > 0, parallel.sum(axis=2), np.float32(0))
        by_channel = (ones @ imaged).astype(float)
        self._mjd.append(float(part.columns["TIME"][0]) / SECONDS_PER_DAY)
        self._time.append(by_channel.sum())
        self._freq += by_channel
        self._hand += (
            (ones @ parallel.reshape(len(parallel), -1)).reshape(-1, parallel.shape[2]).sum(axis=0)
        )
        self._n_flagged += part.weight.size - int(np.count_nonzero(part.weight))
        self._n_all += part.weight.size

    def weights(self) -> Weights:
        """Return the sums of all parts."""
        time = np.array(self._time)
        total = max(time.sum(), 1e-300)
        names = [hand for hand in self._hands if hand]
        return Weights(
            self._freq_hz,
            np.array(self._mjd),
            time / total,
            self._freq / total,
            self._n_flagged / max(self._n_all, 1),
            tuple(names[i] for i in np.flatnonzero(self._hand == 0)),
        )
