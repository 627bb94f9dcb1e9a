"""CASA calibration tables as arrays, and the digest of their values.

Tables are read with casatools in a process that has loaded it, else with python-casacore: the
two may not meet in one process. Both give the same values.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.casa import casa_table
from contimg.digests import Digest

SECONDS_PER_DAY = 86400.0

PARALLEL_HANDS = {5: "RR", 8: "LL", 9: "XX", 12: "YY"}
"""Correlations of like feeds by their Stokes codes in Measurement Sets."""

_TYPES: dict[str, Any] = {
    "CPARAM": np.complex64,
    "FPARAM": np.float32,
    "SNR": np.float32,
    "FLAG": np.bool_,
    "ANTENNA1": np.int32,
    "ANTENNA2": np.int32,
    "SPECTRAL_WINDOW_ID": np.int32,
    "TIME": np.float64,
    "CHAN_FREQ": np.float64,
}


@dataclass(frozen=True)
class Bandpass:
    """One solution a channel.

    Attributes
    ----------
    antennas : names, a row of the ANTENNA table each.
    freq_hz : (n_chan,) channel centres.
    gain : (n_antennas, n_chan, n_pol) complex; 1 where there is no solution.
    flag : (n_antennas, n_chan, n_pol) True where there is no good solution.
    """

    antennas: tuple[str, ...]
    freq_hz: NDArray[np.float64]
    gain: NDArray[np.complex64]
    flag: NDArray[np.bool_]


@dataclass(frozen=True)
class Gains:
    """One solution an interval.

    Attributes
    ----------
    antennas : names, a row of the ANTENNA table each.
    mjd : (n_times,) mean time of each interval.
    gain : (n_antennas, n_times, n_pol) complex; 1 where there is no solution.
    flag : (n_antennas, n_times, n_pol) True where there is no good solution.
    """

    antennas: tuple[str, ...]
    mjd: NDArray[np.float64]
    gain: NDArray[np.complex64]
    flag: NDArray[np.bool_]


def read_columns(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read columns of a table, row first: (n_rows, n_chan, n_pol) for solutions.

    Raises
    ------
    FileNotFoundError
        When there is no table.
    """
    if not (Path(path) / "table.dat").is_file():
        raise FileNotFoundError(f"{path}: no table here; make it again with its rule")
    if "casatools" in sys.modules:
        with casa_table(path) as table:
            columns = {name: np.asarray(table.getcol(name)).T for name in names}
    else:
        import casacore.tables

        with casacore.tables.table(str(path), ack=False) as table:
            columns = {name: np.asarray(table.getcol(name)) for name in names}
    return {
        name: values.astype(_TYPES[name]) if name in _TYPES else values
        for name, values in columns.items()
    }


def hand_names(ms: Path) -> list[str]:
    """Name of each correlation of a set that is of like feeds, empty for the crossed, (n_pol,)."""
    codes = read_columns(ms / "POLARIZATION", ["CORR_TYPE"])["CORR_TYPE"][0]
    return [PARALLEL_HANDS.get(int(code), "") for code in codes]


def parallel_hands(ms: Path) -> NDArray[np.float32]:
    """1 for each correlation of like feeds, 0 for the crossed, (n_pol,)."""
    return np.array([bool(name) for name in hand_names(ms)], dtype=np.float32)


def channel_freq_hz(path: Path) -> NDArray[np.float64]:
    """Channel centres of a Measurement Set's or calibration table's one window, (n_chan,) Hz.

    Raises
    ------
    ValueError
        When it has several spectral windows.
    """
    freq_hz = read_columns(Path(path) / "SPECTRAL_WINDOW", ["CHAN_FREQ"])["CHAN_FREQ"]
    if len(freq_hz) != 1:
        raise ValueError(
            f"{path}: {len(freq_hz)} spectral windows, one expected; run convert_group again"
        )
    return freq_hz[0]


def antenna_names(path: Path) -> tuple[str, ...]:
    """Names in the ANTENNA table of a calibration table or Measurement Set, in its order."""
    return tuple(str(name) for name in read_columns(Path(path) / "ANTENNA", ["NAME"])["NAME"])


def require_same_antennas(table: Path, ms: Path) -> None:
    """Check that antenna ids mean the same antennas in a calibration table and a set.

    Raises
    ------
    ValueError
        When names or their order differ. Applied as it is, such a table would calibrate each
        antenna with another's gain, without an error.
    """
    solved, observed = antenna_names(table), antenna_names(ms)
    if solved != observed:
        differing = [i for i, (a, b) in enumerate(zip(solved, observed, strict=False)) if a != b]
        where = (
            f"row {differing[0]}: {solved[differing[0]]!r}, {observed[differing[0]]!r} expected"
            if differing
            else f"{len(solved)} antennas, {len(observed)} expected"
        )
        raise ValueError(
            f"{table}: antennas are not those of {ms} ({where}); "
            "convert both from raw data with one antenna table, then solve again"
        )


def parameter_column(path: Path) -> str:
    """Name of the column that holds the solutions: FPARAM of a delay, else CPARAM."""
    if "casatools" in sys.modules:
        with casa_table(path) as table:
            columns = table.colnames()
    else:
        import casacore.tables

        with casacore.tables.table(str(path), ack=False) as table:
            columns = table.colnames()
    return "FPARAM" if "FPARAM" in columns else "CPARAM"


def table_digest(path: Path) -> str:
    """Digest of a calibration table's values: solutions, flags, antennas, times, frequencies.

    A flagged solution counts as 0, whatever number the table holds for it.
    """
    parameter = parameter_column(path)
    names = [parameter, "FLAG", "ANTENNA1", "ANTENNA2", "SPECTRAL_WINDOW_ID", "TIME"]
    columns = read_columns(path, names)
    columns[parameter] = np.where(columns["FLAG"], 0, columns[parameter])
    columns |= read_columns(Path(path) / "SPECTRAL_WINDOW", ["CHAN_FREQ"])
    digest = Digest()
    for name in [*names, "CHAN_FREQ"]:
        digest.add(name, columns[name])
    digest.add("NAME", np.array(antenna_names(path), dtype=object))
    return digest.hex()


def read_bandpass(path: Path) -> Bandpass:
    """Read a bandpass table; of several intervals, the first."""
    names, _, gain, flag = solutions(path)
    return Bandpass(names, channel_freq_hz(path), gain[:, 0], flag[:, 0])


def read_gains(path: Path) -> Gains:
    """Read a gain table."""
    names, mjd, gain, flag = solutions(path)
    return Gains(names, mjd, gain[:, :, 0], flag[:, :, 0])


def phases_in_time(path: Path) -> dict[str, Any]:
    """Return the phases of a gain table as a status file holds them.

    Returns
    -------
    mjd : (n_times,); deg : by antenna, (n_times, n_pol) to 0.1 deg, NaN where flagged. Antennas
        without any solution are left out.
    """
    gains = read_gains(path)
    deg = np.round(np.degrees(np.angle(gains.gain)).astype(float), 1)
    deg[gains.flag] = np.nan
    solved = np.flatnonzero(~gains.flag.all(axis=(1, 2)))
    return {"mjd": gains.mjd, "deg": {gains.antennas[row]: deg[row] for row in solved}}


def read_snr(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read S/N and flags of a table: (n_antennas, n_times x n_chan, n_pol); 0 and flagged: none."""
    columns = read_columns(path, ["TIME", "ANTENNA1", "SNR", "FLAG"])
    times, interval = np.unique(columns["TIME"], return_inverse=True)
    shape = (len(antenna_names(path)), len(times), *columns["SNR"].shape[1:])
    snr, flag = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=bool)
    snr[columns["ANTENNA1"], interval] = columns["SNR"]
    flag[columns["ANTENNA1"], interval] = columns["FLAG"]
    merged = (shape[0], -1, shape[-1])
    return snr.reshape(merged), flag.reshape(merged)


def solutions(
    path: Path,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[Any], NDArray[np.bool_]]:
    """Names, mjd, solutions and flag, the last two (n_antennas, n_times, n_chan, n_pol).

    Where there is no row the solution is 1 and flagged.
    """
    parameter = parameter_column(path)
    columns = read_columns(path, ["TIME", "ANTENNA1", parameter, "FLAG"])
    names = antenna_names(path)
    times, interval = np.unique(columns["TIME"], return_inverse=True)
    shape = (len(names), len(times), *columns[parameter].shape[1:])
    values, flag = np.ones(shape, dtype=_TYPES[parameter]), np.ones(shape, dtype=bool)
    values[columns["ANTENNA1"], interval] = columns[parameter]
    flag[columns["ANTENNA1"], interval] = columns["FLAG"]
    return names, times / SECONDS_PER_DAY, values, flag
