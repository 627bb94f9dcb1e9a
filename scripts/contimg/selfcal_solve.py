"""Gains of a field against a model of it, and the set that they correct.

CASA solves, on visibilities summed over the band (`contimg.band_sum`). The table that comes out
is whole: an antenna without a solution in an interval keeps its nearest one, and one without any
keeps its calibration, so that no data are lost to a round.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg import solve
from contimg.band_sum import (
    BLOCK_ROWS,
    FEEDS,
    ROW_IDS,
    ROWS_AT_A_TIME,
    Block,
    write_sums,
)
from contimg.calibration_table import (
    Gains,
    channel_freq_hz,
    parallel_hands,
    read_columns,
    read_gains,
)
from contimg.casa import away_from_casatools, casa_table
from contimg.digests import Digest
from contimg.selfcal_model import Model, Rows
from contimg.status import Rejected

MAX_OUTLIER_SIGMA = 3.0
"""Amplitudes farther out do not count in the mean that is made 1."""


@dataclass(frozen=True)
class Solution:
    """Gains of all antennas of a set at all times.

    Attributes
    ----------
    mjd : (n_times,) of the intervals.
    gain : (n_antennas, n_times, n_feeds) complex, without gaps.
    figures : flagged_solutions (share that was filled), phase_rms_deg, amplitude_rms.
    """

    mjd: NDArray[np.float64]
    gain: NDArray[np.complex128]
    figures: dict[str, Any]


def solve_gains(
    ms: Path,
    model: Model,
    options: Mapping[str, Any],
    table: Path,
    scratch: Path,
    changes: Model | None = None,
) -> Solution:
    """Solve phases, and with mode "ap" then amplitudes, of a set against a model.

    Parameters
    ----------
    ms : calibrated set.
    model : what it should show, together with `changes`.
    options : mode ("p" or "ap"), solint, min_snr and, of mode "ap", phase_solint.
    table : private calibration table to write, with the solution.
    scratch : folder for intermediate sets and tables.
    changes : what was taken off the data after calibration, or None.

    Raises
    ------
    Rejected
        When CASA finds nothing to solve.
    """
    band, with_amplitude = scratch / "band.ms", options["mode"] == "ap"
    short = options["phase_solint"] if with_amplitude else options["solint"]
    away_from_casatools(write_band, ms, band, short, model, changes)
    references = reference_antennas(band)
    min_snr = options["min_snr"]
    solve.solve_phases(band, table, references, solve.Applied(), solint="int", min_snr=min_snr)
    amplitudes = None
    if with_amplitude:
        applied = solve.Applied().plus(table, "nearest")
        solve.solve_phases(
            band, scratch / "amplitude.g", references, applied,
            solint=options["solint"], min_snr=min_snr, calmode="a",
        )  # fmt: skip
        amplitudes = read_gains(scratch / "amplitude.g")
    solution = combined(read_gains(table), amplitudes, solve.present_antennas(ms))
    put_solution(table, solution)
    return solution


def write_band(ms: Path, target: Path, solint: str, model: Model, changes: Model | None) -> None:
    """Sum a set against a model over the band, in a process without casatools."""
    seen = blocks(ms, read_columns(ms, ROW_IDS), model, changes)
    write_sums(ms, [target], solint, None, seen=seen)


def blocks(
    ms: Path, ids: Mapping[str, NDArray[Any]], model: Model, changes: Model | None
) -> Iterator[Block]:
    """Yield rows of a set with their data, predicted model, flags and weights."""
    import casacore.tables

    predicted, parallel = predict(ms, ids, model), parallel_hands(ms)
    away = None if changes is None else predict(ms, ids, changes)
    with casacore.tables.table(str(ms), ack=False) as table:
        by_channel = "WEIGHT_SPECTRUM" in table.colnames()
        for start in range(0, table.nrows(), ROWS_AT_A_TIME):
            n_rows = min(ROWS_AT_A_TIME, table.nrows() - start)
            data, flag = (table.getcol(name, start, n_rows) for name in ("DATA", "FLAG"))
            weight = table.getcol("WEIGHT_SPECTRUM" if by_channel else "WEIGHT", start, n_rows)
            weight = weight if by_channel else weight[:, None]
            for begin in range(0, n_rows, BLOCK_ROWS):
                part = slice(begin, min(begin + BLOCK_ROWS, n_rows))
                rows = slice(start + part.start, start + part.stop)
                expected = predicted[rows][:, :, None] * parallel
                whole = data[part]
                if away is not None:
                    whole = whole + away[rows][:, :, None] * parallel
                yield rows, whole, expected, flag[part], weight[part]


def predict(ms: Path, ids: Mapping[str, NDArray[Any]], model: Model) -> NDArray[np.complex64]:
    """Stokes I of a model on all rows of a set, (n_rows, n_chan)."""
    uvw_m = read_columns(ms, ["UVW"])["UVW"]
    rows = Rows(ids["TIME"] / 86400.0, uvw_m, ids["ANTENNA1"], ids["ANTENNA2"])
    return model.visibilities(rows, channel_freq_hz(ms))


def reference_antennas(band: Path) -> list[int]:
    """Rank reference antennas of a band set: of those with much data, the most central first."""
    columns = read_columns(band, ["ANTENNA1", "ANTENNA2", "WEIGHT", "FLAG"])
    weight = np.where(columns["FLAG"][:, 0], 0, columns["WEIGHT"]).sum(axis=1)
    position = read_columns(band / "ANTENNA", ["POSITION"])["POSITION"]
    total = sum(
        np.bincount(columns[name], weights=weight, minlength=len(position))
        for name in ("ANTENNA1", "ANTENNA2")
    )
    if not np.any(total > 0):
        raise Rejected("all data are flagged")
    usable = total >= solve.MIN_UNFLAGGED * np.max(total)
    distance = np.linalg.norm(position - np.median(position[usable], axis=0), axis=1)
    ids = [int(i) for i in np.flatnonzero(usable)]
    return sorted(ids, key=lambda i: (distance[i], i))[: solve.N_REFERENCES]


def combined(phases: Gains, amplitudes: Gains | None, present: NDArray[np.int64]) -> Solution:
    """Put phases and the nearest amplitudes together, without gaps and without a change of scale.

    Parameters
    ----------
    phases : of short intervals.
    amplitudes : of longer ones, or None.
    present : ids of the antennas that have data; the others' gains are 1.

    Notes
    -----
    The phases of an interval and feed are turned to a mean of 0: an antenna without a solution
    stays in phase with the others. The mean logarithm of the amplitudes is made 0: the flux scale
    is the calibrator's.
    """
    flag = phases.flag.copy()
    phasor = np.exp(1j * np.angle(np.where(flag, 1, phases.gain)))
    mean = np.where(flag, 0, phasor)[present].sum(axis=0)
    phasor = phasor * np.exp(-1j * np.angle(np.where(mean == 0, 1, mean)))
    gain, size = filled(phasor, flag), np.ones(1)
    if amplitudes is not None:
        nearest = np.abs(amplitudes.mjd[:, None] - phases.mjd).argmin(axis=0)
        size = normalised(np.abs(amplitudes.gain), amplitudes.flag)
        size = filled(size, amplitudes.flag).real[:, nearest]
        flag |= amplitudes.flag[:, nearest]
        gain = gain * size
    absent = np.ones(len(gain), dtype=bool)
    absent[present] = False
    gain[absent] = 1.0
    good = ~flag[present]
    angles = np.angle(phasor[present])[good]
    figures = {
        "flagged_solutions": float(1.0 - good.mean()),
        "phase_rms_deg": float(np.degrees(np.sqrt(np.mean(angles**2)))) if good.any() else np.nan,
        "amplitude_rms": float(np.std(np.abs(gain[present])[good])) if good.any() else np.nan,
    }
    return Solution(phases.mjd, gain, figures)


def normalised(size: NDArray[np.float32], flag: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Divide amplitudes by their geometric mean, outliers left out."""
    logs = np.log(np.where(flag | (size <= 0), 1, size).astype(float))
    good = logs[~flag]
    if not good.size:
        return np.ones(size.shape)
    centre = np.median(good)
    spread = 1.4826 * np.median(np.abs(good - centre))
    kept = good[np.abs(good - centre) <= MAX_OUTLIER_SIGMA * spread]
    return np.exp(logs - (kept.mean() if kept.size else centre))


def filled(values: NDArray[Any], flag: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Fill flagged solutions with the nearest interval's of the same antenna and feed, else 1.

    Parameters
    ----------
    values, flag : (n_antennas, n_times, n_feeds).
    """
    whole = np.where(flag, 1, values).astype(np.complex128)
    for antenna, feed in zip(*np.nonzero(flag.any(axis=1)), strict=True):
        good = np.flatnonzero(~flag[antenna, :, feed])
        if good.size:
            nearest = good[np.abs(good[:, None] - np.arange(flag.shape[1])).argmin(axis=0)]
            whole[antenna, :, feed] = values[antenna, nearest, feed]
    return whole


def put_solution(table: Path, solution: Solution) -> None:
    """Put gains into a private table that CASA made for the same intervals, in place."""
    columns = read_columns(table, ["TIME", "ANTENNA1"])
    _, interval = np.unique(columns["TIME"], return_inverse=True)
    gain = solution.gain[columns["ANTENNA1"], interval][:, None]
    with casa_table(table, write=True) as gains:
        gains.putcol("CPARAM", gain.T)
        gains.putcol("FLAG", np.zeros(gain.shape, dtype=bool).T)


def correct(
    ms: Path,
    target: Path,
    mjd: NDArray[np.float64],
    gain: NDArray[np.complex128],
    changes: Model | None = None,
) -> str:
    """Write a set with gains divided out, in a process without casatools.

    Parameters
    ----------
    ms : calibrated set, from which `changes` have been taken off.
    target : set to write; flags and weights are those of `ms`.
    mjd, gain : as in `Solution`; a row takes the interval nearest in time.
    changes : what was taken off the calibrated data before they were seen here; it is put back
        for the correction, and taken off again.

    Returns
    -------
    Digest of the corrected visibilities.
    """
    import casacore.tables

    shutil.copytree(ms, target, ignore=shutil.ignore_patterns(".snakemake_timestamp"))
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    ids = read_columns(ms, ROW_IDS)
    interval = np.abs(mjd[:, None] - ids["TIME"] / 86400.0).argmin(axis=0)
    away = None if changes is None else predict(ms, ids, changes)[:, :, None] * parallel_hands(ms)
    gain, digest = gain.astype(np.complex64), Digest()
    with casacore.tables.table(str(target), readonly=False, ack=False) as table:
        for start in range(0, table.nrows(), ROWS_AT_A_TIME):
            rows = slice(start, min(start + ROWS_AT_A_TIME, table.nrows()))
            data = table.getcol("DATA", start, rows.stop - start)
            one, other = FEEDS[data.shape[-1]]
            first = gain[ids["ANTENNA1"][rows], interval[rows]][:, one]
            second = gain[ids["ANTENNA2"][rows], interval[rows]][:, other]
            if away is not None:
                data += away[rows]
            data /= (first * second.conj())[:, None]
            if away is not None:
                data -= away[rows]
            table.putcol("DATA", data, start, rows.stop - start)
            digest.add("DATA", data)
    return digest.hex()
