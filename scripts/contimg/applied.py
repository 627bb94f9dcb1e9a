"""Calibration tables as CASA applies them: which solutions, at which channels, what is flagged.

Solutions are the nearest in time. A bandpass is linear between channels in amplitude and phase
and flagged where one of the two is (CASA's `linearflag`; plain `linear` would bridge flagged
channels and leave them unflagged). Delays are phases that are 0 at the table's frequency.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contimg.band_sum import Response
from contimg.calibration_table import antenna_names, channel_freq_hz, solutions


@dataclass(frozen=True)
class Solutions:
    """A table's solutions at a set's channels.

    Attributes
    ----------
    mjd : (n_times,) ascending.
    gain : (n_antennas, n_times, n_chan or 1, n_feeds) complex.
    flag : of the same shape.
    """

    mjd: NDArray[np.float64]
    gain: NDArray[np.complex128]
    flag: NDArray[np.bool_]


class Calibration:
    """The product of calibration tables, inverted, for a set's antennas and channels.

    Parameters
    ----------
    tables : path of each kind, kcal, bcal or gcal.
    ms : set of one spectral window whose antennas are those of the tables.
    """

    def __init__(self, tables: Mapping[str, Path], ms: Path) -> None:
        freq_hz = channel_freq_hz(ms)
        self._tables = [of_table(kind, path, freq_hz) for kind, path in tables.items()]
        self._shape = len(antenna_names(ms)), len(freq_hz)
        self._product = lru_cache(maxsize=4)(self._inverse)

    def at(self, mjd: float) -> Response:
        """What data of a time are multiplied by; flagged where a table has no good solution.

        It is the same object for times that the same solutions serve.
        """
        return self._product(*(int(np.abs(one.mjd - mjd).argmin()) for one in self._tables))

    def _inverse(self, *times: int) -> Response:
        n_feeds = max(one.gain.shape[3] for one in self._tables)
        gain = np.ones((*self._shape, n_feeds), dtype=complex)
        flag = np.zeros(gain.shape, dtype=bool)
        for one, time in zip(self._tables, times, strict=True):
            gain *= one.gain[:, time]
            flag |= one.flag[:, time]
        flag |= gain == 0
        return Response((1 / np.where(flag, 1, gain)).astype(np.complex64), flag)


def of_table(kind: str, path: Path, freq_hz: NDArray[np.float64]) -> Solutions:
    """Read a table of one kind (kcal, bcal, gcal) for data of other channels."""
    _, mjd, values, flag = solutions(path)
    table_hz = channel_freq_hz(path)
    if kind == "kcal":
        turns = values.real * 1e-9 * (freq_hz - table_hz.mean())[:, None]
        return Solutions(mjd, np.exp(2j * np.pi * turns), np.broadcast_to(flag, turns.shape))
    if kind == "bcal":
        values, flag = between_channels(values, flag, table_hz, freq_hz)
    return Solutions(mjd, values.astype(complex), flag)


def between_channels(
    gain: NDArray[np.complexfloating],
    flag: NDArray[np.bool_],
    table_hz: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
) -> tuple[NDArray[np.complexfloating], NDArray[np.bool_]]:
    """Interpolate a bandpass as CASA's `linearflag` does.

    Parameters
    ----------
    gain, flag : (n_antennas, n_times, n_solved, n_feeds).
    table_hz, freq_hz : (n_solved,) and (n_chan,) ascending channel centres.

    Returns
    -------
    gain, flag : (n_antennas, n_times, n_chan, n_feeds). Beyond the solved channels the values are
        those of the last one.
    """
    if len(table_hz) == len(freq_hz) and np.allclose(table_hz, freq_hz, rtol=1e-10, atol=0):
        return gain, flag
    right = np.searchsorted(table_hz, freq_hz).clip(1, max(len(table_hz) - 1, 1))
    exact = np.isin(freq_hz, table_hz)
    beside = np.searchsorted(table_hz, freq_hz).clip(0, len(table_hz) - 1)
    if len(table_hz) == 1:
        return np.take(gain, beside, axis=2), np.take(flag, beside, axis=2)
    own, either = flag[:, :, beside], flag[:, :, right] | flag[:, :, right - 1]
    result = np.ones((*gain.shape[:2], len(freq_hz), gain.shape[3]), dtype=complex)
    for antenna, time, feed in np.ndindex(gain.shape[0], gain.shape[1], gain.shape[3]):
        good = ~flag[antenna, time, :, feed]
        if good.any():
            solved, at_hz = gain[antenna, time, good, feed], table_hz[good]
            phase = np.interp(freq_hz, at_hz, np.unwrap(np.angle(solved)))
            amplitude = np.interp(freq_hz, at_hz, np.abs(solved))
            result[antenna, time, :, feed] = amplitude * np.exp(1j * phase)
    return result, np.where(exact[:, None], own, either)
