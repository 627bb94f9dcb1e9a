"""Solve the bandpass on the calibrator's group."""

from pathlib import Path
from typing import Any

from contimg import solve
from contimg.bandpass import fill_table
from contimg.calibration_table import antenna_names
from contimg.casa import load_casatasks
from contimg.gates import gate
from contimg.scratch import scratch_folder, size_bytes
from contimg.script import run
from contimg.status import read_status, reject_directory, require_ok, write_status


def main(
    *,
    solve_ms: Path,
    solve_status: Path,
    bcal: Path,
    status: Path,
    calibration: dict[str, Any],
    kcal: Path | None = None,
    kcal_status: Path | None = None,
    scratch: Path = Path(),
    threads: int = 1,
) -> None:
    """Write bcal, a CASA table of type B, and its status.

    kcal: delays to solve on top of; calibration: the configuration's block (on the command line
    YAML text). A table that fails its gate is kept, and its status is rejected.
    """
    load_casatasks()
    solved_on = require_ok(solve_status)
    names = antenna_names(solve_ms)
    references = solve.reference_antennas(solve_ms, calibration["reference_antennas"])
    with scratch_folder(scratch, size_bytes(solve_ms) // 4, bcal) as folder:
        table = folder / "table.bcal"
        solve.solve_bandpass(solve_ms, table, references, calibration, kcal, folder, threads)
        figures = solve.quality(table, solve.present_antennas(solve_ms))
        figures["filled_solutions"] = fill_table(table, calibration["bandpass"])
        digest = solve.publish(table, bcal)
    reason = gate({**figures, "bandpass_snr": figures["median_snr"]}, calibration)
    delay = {"kcal": read_status(kcal_status).digest} if kcal_status else {}
    write_status(
        status,
        status="rejected" if reason else "ok",
        reason=f"bandpass: {reason}" if reason else "",
        digest=digest,
        inputs={"model": solved_on.digest, **solved_on.inputs, **delay},
        figures={
            **solved_on.figures,
            "reference_antennas": [names[i] for i in references],
            **figures,
            "tables": {"bcal": str(bcal), **({"kcal": str(kcal)} if kcal else {})},
        },
    )


def reject(reason: str, *, bcal: Path, status: Path) -> None:
    """Write the labelled empty table."""
    reject_directory(bcal, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
