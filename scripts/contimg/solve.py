"""Delays, bandpass and gains of a calibrator's Measurement Set, by CASA.

Antennas are named to CASA by their id, the row of the ANTENNA table: CASA takes a name that is a
number for an id.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.band_sum import sum_over_band, sum_over_time
from contimg.calibration_table import antenna_names, read_columns, read_gains, table_digest
from contimg.casa import casa_table, casatasks, processes
from contimg.closure import band_response, delay_response
from contimg.status import Rejected, written_whole

logger = logging.getLogger(__name__)

N_REFERENCES = 5
"""Reference antennas that CASA may fall back on."""

SHORT_PHASES = "phases.g"
"""Name of the table of phases that `solve_gains` leaves in its scratch folder (mode "ap")."""

MIN_UNFLAGGED = 0.5
"""A reference antenna has at least this share of the best antenna's unflagged data."""

MIN_COHERENCE = 0.5
"""A reference antenna has at least this share of the best antenna's coherence with the model."""

MAX_FLAGGED_CHANNELS = 0.5
"""An antenna and polarization with more flagged channels than this has no bandpass at all."""

COHERENCE_BLOCK = 16
"""Channels over which an uncalibrated antenna's phase hardly turns."""


@dataclass(frozen=True)
class Applied:
    """Tables that are applied while the next is solved, and how each is interpolated."""

    tables: list[str] = field(default_factory=list)
    interpolation: list[str] = field(default_factory=list)

    def plus(self, table: Path | None, interpolation: str) -> "Applied":
        if table is None:
            return self
        return Applied([*self.tables, str(table)], [*self.interpolation, interpolation])

    def arguments(self) -> dict[str, list[str]]:
        return {"gaintable": self.tables, "interp": self.interpolation}


def solve_delays(
    ms: Path, table: Path, options: Mapping[str, Any], references: Sequence[int]
) -> None:
    """Solve one delay an antenna and polarization (CASA type K).

    Parameters
    ----------
    ms : private set with MODEL_DATA.
    table : calibration table to write.
    options : solint, min_snr.
    references : reference antenna ids, best first.
    """
    casatasks().gaincal(
        vis=str(ms), caltable=str(table), gaintype="K", solint=options["solint"],
        minsnr=options["min_snr"], refant=as_refant(references),
    )  # fmt: skip
    require_table(table, ms)


def solve_phases(
    ms: Path,
    table: Path,
    references: Sequence[int],
    applied: Applied,
    *,
    solint: str,
    min_snr: float,
    calmode: str = "p",
) -> None:
    """Solve gains (CASA type G): phases ("p") or amplitudes ("a") an antenna and polarization."""
    casatasks().gaincal(
        vis=str(ms), caltable=str(table), gaintype="G", calmode=calmode, solint=solint,
        minsnr=min_snr, refant=as_refant(references), **applied.arguments(),
    )  # fmt: skip
    require_table(table, ms)


def solve_bandpass(
    ms: Path,
    table: Path,
    references: Sequence[int],
    calibration: Mapping[str, Any],
    kcal: Path | None,
    scratch: Path,
    threads: int = 1,
) -> None:
    """Solve the bandpass, on data whose phases of 30 s are straightened first.

    Without those the average over a group decorrelates. The bandpass keeps its amplitude
    (`solnorm` off), and no short or long baselines are left out.

    Parameters
    ----------
    ms : private set with MODEL_DATA.
    table : calibration table to write.
    references : reference antenna ids, best first.
    calibration : the configuration's block: prebandpass, bandpass {solint, min_snr}.
    kcal : delays to solve on top of, or None.
    scratch : folder for intermediate sets and tables.
    threads : processes, each of which solves its part of the band.
    """
    phases, band = scratch / "prebandpass.g", scratch / "prebandpass.ms"
    before, options = calibration["prebandpass"], calibration["bandpass"]
    delays = delay_response(ms, kcal) if kcal else None
    sum_over_band(ms, band, before["solint"], delays)
    solve_phases(band, phases, references, Applied(), solint="int", min_snr=before["min_snr"])
    time, *channels = options["solint"].split(",")
    sets = [scratch / f"spectra_{part}.ms" for part in range(threads)]
    sum_over_time(ms, sets, time, read_gains(phases), delays)
    solint, refant = ",".join(["int", *channels]), as_refant(references)
    tables = [table, *(path.with_suffix(".bcal") for path in sets[1:])]
    with processes(threads) as pool:
        calls = [
            (*call, solint, options["min_snr"], refant) for call in zip(sets, tables, strict=True)
        ]
        others = [pool.submit(solve_spectra, *call) for call in calls[1:]]
        solve_spectra(*calls[0])
        for other in others:
            other.result()
    found = [path for path in tables if path.is_dir()]
    if found and found[0] != table:
        found[0].rename(table)
    require_table(table, ms)
    for part in found[1:]:
        merge_solutions(table, part)
    drop_noise_antennas(table)


def solve_spectra(ms: Path, table: Path, solint: str, min_snr: float, refant: str) -> None:
    """Solve the bandpass of a set that `sum_over_time` made."""
    casatasks().bandpass(
        vis=str(ms), caltable=str(table), bandtype="B", solint=solint, minsnr=min_snr,
        refant=refant, combine="scan", solnorm=False,
    )  # fmt: skip


def merge_solutions(table: Path, other: Path) -> None:
    """Take, in place, another table's solutions where this private one has none."""
    with casa_table(table, write=True) as into, casa_table(other) as source:
        flag = into.getcol("FLAG")
        for name in ("CPARAM", "PARAMERR", "SNR", "FLAG"):
            into.putcol(name, np.where(flag, source.getcol(name), into.getcol(name)))


def solve_gains(
    ms: Path,
    table: Path,
    references: Sequence[int],
    options: Mapping[str, Any],
    bcal: Path,
    kcal: Path | None,
    scratch: Path,
) -> Path:
    """Solve the one gain table that is carried to other hours: amplitude and mean phase.

    Two solves on top of the bandpass (mode "ap"): phases over `phase_solint`, which take out what
    changes within the group, and amplitudes over `amplitude_solint` with those applied, so that
    they do not decorrelate. The table published is the second with the mean phase of the first in
    each of its intervals. The short phases serve their own group only and are not published: other
    hours have others. Mode "p" solves phases alone, over `amplitude_solint`: the amplitudes are
    the bandpass's.

    Parameters
    ----------
    ms : private set with MODEL_DATA.
    table : calibration table to write.
    references : reference antenna ids, best first.
    options : mode, phase_solint, amplitude_solint, min_snr.
    bcal, kcal : bandpass and delays (or None) that are on the data.
    scratch : folder for intermediate sets and tables.

    Returns
    -------
    The set summed over the band that was solved on, in `scratch`, beside `SHORT_PHASES`.
    """
    phases, band = scratch / SHORT_PHASES, scratch / "gains.ms"
    min_snr = options["min_snr"]
    sum_over_band(ms, band, options["phase_solint"], band_response(ms, bcal, kcal))
    if options["mode"] == "p":
        long = options["amplitude_solint"]
        solve_phases(band, table, references, Applied(), solint=long, min_snr=min_snr)
        return band
    solve_phases(band, phases, references, Applied(), solint="int", min_snr=min_snr)
    solve_phases(
        band, table, references, Applied().plus(phases, "nearest"),
        solint=options["amplitude_solint"], min_snr=min_snr, calmode="a",
    )  # fmt: skip
    multiply_mean_phases(table, phases)
    return band


def multiply_mean_phases(table: Path, phases: Path) -> None:
    """Give each solution of a private amplitude table the mean phase of its interval, in place.

    Parameters
    ----------
    table : amplitudes; each interval takes the phases that are nearest to it in time.
    phases : phases of shorter intervals. Where none is unflagged the amplitude is flagged.
    """
    short = read_columns(phases, ["TIME", "ANTENNA1", "CPARAM", "FLAG"])
    amplitude = read_columns(table, ["TIME", "ANTENNA1", "CPARAM", "FLAG"])
    times, interval = np.unique(amplitude["TIME"], return_inverse=True)
    nearest = np.abs(short["TIME"][:, None] - times).argmin(axis=1)
    n_antennas = int(amplitude["ANTENNA1"].max()) + 1
    total = np.zeros((len(times), n_antennas, *short["CPARAM"].shape[1:]), dtype=np.complex64)
    np.add.at(total, (nearest, short["ANTENNA1"]), np.where(short["FLAG"], 0, short["CPARAM"]))
    mean = total[interval, amplitude["ANTENNA1"]]
    found = np.abs(mean) > 0
    phasor = np.where(found, mean, 1) / np.where(found, np.abs(mean), 1)
    with casa_table(table, write=True) as gains:
        gains.putcol("CPARAM", (amplitude["CPARAM"] * phasor).T)
        gains.putcol("FLAG", (amplitude["FLAG"] | ~found).T)


def drop_noise_antennas(table: Path) -> None:
    """Flag, in place, an antenna's whole bandpass where most of its channels are flagged.

    In a dead antenna's noise one solution in a hundred passes an S/N of 3 and would be applied.
    """
    with casa_table(table, write=True) as bandpass:
        flag = bandpass.getcol("FLAG")
        noise = flag.mean(axis=1, keepdims=True) > MAX_FLAGGED_CHANNELS
        bandpass.putcol("FLAG", flag | noise)


def reference_antennas(ms: Path, preferred: Sequence[str]) -> list[int]:
    """Rank reference antennas by the data: ids, best first.

    Parameters
    ----------
    ms : private set with MODEL_DATA.
    preferred : station names to put first, in this order, unless they are flagged or dead.

    Returns
    -------
    ids : at most five. Left out are antennas with much less unflagged data, or much less
        coherence with the model, than the best; the rest are ranked by how central they stand.

    Raises
    ------
    Rejected
        When all data are flagged.
    """
    unflagged, coherence = antenna_quality(ms)
    if not unflagged.any():
        raise Rejected("all data of the calibrator are flagged")
    usable = (unflagged >= MIN_UNFLAGGED * unflagged.max()) & (
        coherence >= MIN_COHERENCE * coherence.max()
    )
    position = read_columns(ms / "ANTENNA", ["POSITION"])["POSITION"]
    distance = np.linalg.norm(position - np.median(position[usable], axis=0), axis=1)
    names = antenna_names(ms)
    rank = {name: place for place, name in enumerate(preferred)}
    ids = [int(i) for i in np.flatnonzero(usable)]
    ids.sort(key=lambda i: (rank.get(names[i], len(rank)), distance[i], i))
    return ids[:N_REFERENCES]


def antenna_quality(ms: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unflagged fraction, and coherence with the model, of each antenna.

    The coherence is (|sum P|^2 - sum |P|^2) / ((n - 1) sum |P|^2) of P = V M* over blocks of n
    channels, averaged over an antenna's baselines: 1 for the model without noise, 0 for noise
    alone. The least of the first, the middle and the last integration counts, so that an antenna
    that dies within the group is found.

    Returns
    -------
    unflagged, coherence : (n_antennas,); 0 for an antenna without data.
    """
    n = len(antenna_names(ms))
    ids = read_columns(ms, ["ANTENNA1", "ANTENNA2", "TIME"])
    times = np.unique(ids["TIME"])
    least = np.full(n, np.inf)
    with casa_table(ms) as table:
        good = np.concatenate([(~flag).mean(axis=(0, 1)) for flag in by_rows(table, "FLAG")])
        for time in times[sorted({0, len(times) // 2, len(times) - 1})]:
            at = np.flatnonzero(ids["TIME"] == time)
            share = baseline_coherence(table, int(at[0]), len(at))
            least = np.minimum(
                least, mean_by_antenna([ids[f"ANTENNA{end}"][at] for end in (1, 2)], share, n)
            )
    both = [ids["ANTENNA1"], ids["ANTENNA2"]]
    return mean_by_antenna(both, good, n), least


def baseline_coherence(table: Any, start: int, n_rows: int) -> NDArray[np.float64]:
    """Coherence of each baseline of one integration, as `antenna_quality` defines it."""
    rows = {"startrow": start, "nrow": n_rows}
    weight = ~table.getcol("FLAG", **rows)
    product = table.getcol("DATA", **rows) * table.getcol("MODEL_DATA", **rows).conj() * weight
    block = min(COHERENCE_BLOCK, product.shape[1])
    whole = product[:, : product.shape[1] // block * block]
    blocks = whole.reshape(whole.shape[0], -1, block, whole.shape[2])
    power = (np.abs(blocks) ** 2).sum(axis=(0, 1, 2))
    together = (np.abs(blocks.sum(axis=2)) ** 2).sum(axis=(0, 1))
    return (together - power) / np.maximum((block - 1) * power, 1e-30)


def mean_by_antenna(
    antennas: Sequence[NDArray[np.int32]], values: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Mean of baselines' values over each antenna's baselines; 0 where it has none."""
    both = np.concatenate(antennas)
    total = np.bincount(both, weights=np.tile(values, 2), minlength=n)
    return total / np.maximum(np.bincount(both, minlength=n), 1)


def by_rows(table: Any, column: str, step: int = 4096) -> Iterator[NDArray]:
    """Yield a column's values in blocks of rows, as casatools gives them: row last."""
    for start in range(0, table.nrows(), step):
        yield table.getcol(column, startrow=start, nrow=min(step, table.nrows() - start))


def present_antennas(ms: Path) -> NDArray[np.int64]:
    """Ids of the antennas that have baselines."""
    ids = read_columns(ms, ["ANTENNA1", "ANTENNA2"])
    return np.unique(np.concatenate([ids["ANTENNA1"], ids["ANTENNA2"]])).astype(np.int64)


def quality(table: Path, present: NDArray[np.int64], parameter: str = "CPARAM") -> dict[str, Any]:
    """Key figures of a calibration table.

    Parameters
    ----------
    table : calibration table.
    present : ids of the antennas that were solved for; others are flagged as a matter of course.
    parameter : FPARAM for delays.

    Returns
    -------
    figures : flagged_solutions (fraction), median_snr of the unflagged, flagged_antennas (names
        without any solution), unsolved_feeds (numbers from 1 of those that no antenna has a
        solution for) and, of gains, amplitude {name: median over time, channel, pol}.
    """
    columns = read_columns(table, ["ANTENNA1", "FLAG", "SNR", parameter])
    rows = np.isin(columns["ANTENNA1"], present)
    flag, snr, antenna = columns["FLAG"][rows], columns["SNR"][rows], columns["ANTENNA1"][rows]
    names = antenna_names(table)
    good = ~flag
    figures: dict[str, Any] = {
        "flagged_solutions": float(flag.mean()),
        "median_snr": float(np.median(snr[good])) if good.any() else 0.0,
        "flagged_antennas": [names[i] for i in present if not good[antenna == i].any()],
        "unsolved_feeds": [int(feed) for feed in np.flatnonzero(~good.any(axis=(0, 1))) + 1],
    }
    if parameter == "CPARAM":
        size = np.abs(columns[parameter][rows])
        figures["amplitude"] = {
            names[i]: float(np.median(size[antenna == i][good[antenna == i]]))
            for i in present
            if good[antenna == i].any()
        }
    return figures


def as_refant(references: Sequence[int]) -> str:
    return ",".join(str(antenna) for antenna in references)


def require_table(table: Path, ms: Path) -> None:
    """Check that CASA wrote a table, and for all antennas of the set.

    Raises
    ------
    Rejected
        When CASA found nothing to solve.
    ValueError
        When antenna ids of table and set mean different antennas.
    """
    if not table.is_dir():
        raise Rejected(f"CASA found no data to solve for {table.name}")
    if antenna_names(table) != antenna_names(ms):
        raise ValueError(f"{table}: antennas are not those of {ms}, though solved from it")


def publish(private: Path, target: Path) -> str:
    """Copy a private table to its place, whole, its files read-only, and return its digest.

    The history goes: it holds the paths of one run.
    """
    with casa_table(private / "HISTORY", write=True) as history:
        if history.nrows():
            history.removerows(list(range(history.nrows())))
    with written_whole(target) as temporary:
        shutil.copytree(private, temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                path.chmod(path.stat().st_mode & ~0o222)
    return table_digest(target)
