"""A Measurement Set averaged in frequency and time: what fast solving works on."""

from pathlib import Path

import casacore.tables as casatables
import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import channel_freq_hz
from contimg.status import Rejected

SUMMED = ("INTERVAL", "EXPOSURE")
MEANT = ("TIME", "TIME_CENTROID")


def averaged_freq_hz(ms: Path, channels: int) -> NDArray[np.float64]:
    """Channel centres after averaging, (n_chan / channels,).

    Raises
    ------
    ValueError
        When the number of channels is no multiple of `channels`.
    """
    freq_hz = channel_freq_hz(ms)
    if len(freq_hz) % channels:
        raise ValueError(
            f"{ms}: {len(freq_hz)} channels are no multiple of {channels}; "
            "change calibration.average.channels"
        )
    return freq_hz.reshape(-1, channels).mean(axis=1)


def copy_averaged(ms: Path, copy: Path, channels: int, integrations: int) -> None:
    """Copy a set's cross-correlations, averaged with their weights; the files are writable.

    An average is flagged when all that goes into it is flagged.

    Parameters
    ----------
    ms : set of one field and spectral window, without MODEL_DATA.
    copy : set to write.
    channels, integrations : how many become one. The last average of integrations may be of fewer.

    Raises
    ------
    Rejected
        When there is no row of two antennas.
    """
    with casatables.table(str(ms), ack=False) as table:
        ids = {name: table.getcol(name) for name in ("TIME", "ANTENNA1", "ANTENNA2")}
        cross = ids["ANTENNA1"] != ids["ANTENNA2"]
        if not cross.any():
            raise Rejected(f"{ms.name}: {table.nrows()} rows, none of them of two antennas")
        times, integration = np.unique(ids["TIME"], return_inverse=True)
        with table.query("ROWNUMBER() < 0") as none:
            none.copy(str(copy), deep=True).close()
        for path in [copy, *copy.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        with casatables.table(str(copy), readonly=False, ack=False) as target:
            for first in range(0, len(times), integrations):
                taken = (integration >= first) & (integration < first + integrations) & cross
                append_average(table, target, np.flatnonzero(taken), channels)
    average_window(copy, channels)


def append_average(
    table: casatables.table, target: casatables.table, rows: NDArray[np.int64], channels: int
) -> None:
    """Average rows of one interval, baseline by baseline, and append them to `target`."""
    with table.selectrows(rows) as part:
        names = [name for name in part.colnames() if name != "FLAG_CATEGORY"]
        values = {name: part.getcol(name) for name in names if part.iscelldefined(name, 0)}
    both = np.stack([values["ANTENNA1"], values["ANTENNA2"]])
    _, first, row = np.unique(both, axis=1, return_index=True, return_inverse=True)
    row, n = row.reshape(-1), len(first)
    count = np.bincount(row)
    order = np.argsort(row, kind="stable")
    starts = np.cumsum(count) - count

    def total(one: NDArray) -> NDArray:
        return np.add.reduceat(one[order], starts, axis=0)

    def binned(one: NDArray) -> NDArray:
        return total(np.add.reduce([one[:, start::channels] for start in range(channels)]))

    spectrum = values.get("WEIGHT_SPECTRUM", values["WEIGHT"][:, None])
    weight = np.where(values["FLAG"], np.float32(0), spectrum)
    power, cross = binned(weight), binned(weight * values["DATA"])
    # Where all is flagged the weights that it would have had stand, as in any set.
    would_be = binned(np.broadcast_to(spectrum, weight.shape))
    whole = np.median(would_be, axis=1)
    columns = {
        "DATA": (cross / np.where(power > 0, power, 1)).astype(np.complex64),
        "FLAG": power <= 0,
        "WEIGHT": whole,
        "SIGMA": 1 / np.sqrt(np.where(whole > 0, whole, 1)),
        "UVW": total(values["UVW"]) / count[:, None],
        **{name: total(values[name]) for name in SUMMED},
        **{name: total(values[name]) / count for name in MEANT},
    }
    if "WEIGHT_SPECTRUM" in target.colnames():
        columns["WEIGHT_SPECTRUM"] = np.where(power > 0, power, would_be)
    for name, column in values.items():
        columns.setdefault(name, column[first])
    start = target.nrows()
    target.addrows(n)
    for name, column in columns.items():
        kept = values.get(name)
        target.putcol(name, column if kept is None else column.astype(kept.dtype), start, n)


def average_window(copy: Path, channels: int) -> None:
    """Give the one spectral window its averaged channels."""
    with casatables.table(f"{copy}::SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        for name in ("CHAN_FREQ", "CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            bins = window.getcell(name, 0).reshape(-1, channels)
            window.putcell(name, 0, bins.mean(axis=1) if name == "CHAN_FREQ" else bins.sum(axis=1))
        window.putcell("NUM_CHAN", 0, len(bins))
