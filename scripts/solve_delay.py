"""Solve the delay of each antenna (only when calibration.delay is enabled)."""

from pathlib import Path
from typing import Any

from contimg import solve
from contimg.calibration_table import antenna_names
from contimg.casa import load_casatasks
from contimg.gates import gate
from contimg.scratch import scratch_folder, size_bytes
from contimg.script import run
from contimg.status import reject_directory, require_ok, write_status


def main(
    *,
    solve_ms: Path,
    solve_status: Path,
    kcal: Path,
    status: Path,
    calibration: dict[str, Any],
    scratch: Path = Path(),
) -> None:
    """Write kcal, a CASA table of type K, and its status.

    calibration: the configuration's block (on the command line YAML text).
    """
    load_casatasks()
    solved_on = require_ok(solve_status)
    names = antenna_names(solve_ms)
    references = solve.reference_antennas(solve_ms, calibration["reference_antennas"])
    with scratch_folder(scratch, size_bytes(solve_ms) // 4, kcal) as folder:
        table = folder / "table.kcal"
        solve.solve_delays(solve_ms, table, calibration["delay"], references)
        figures = solve.quality(table, solve.present_antennas(solve_ms), "FPARAM")
        digest = solve.publish(table, kcal)
    reason = gate(figures, calibration)
    write_status(
        status,
        status="rejected" if reason else "ok",
        reason=f"delays: {reason}" if reason else "",
        digest=digest,
        inputs={"model": solved_on.digest, **solved_on.inputs},
        figures={
            **solved_on.figures,
            "reference_antennas": [names[i] for i in references],
            **figures,
            "tables": {"kcal": str(kcal)},
        },
    )


def reject(reason: str, *, kcal: Path, status: Path) -> None:
    """Write the labelled empty table."""
    reject_directory(kcal, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
