"""Solve the delay of each antenna (only when calibration.delay is enabled)."""

import tempfile
from pathlib import Path
from typing import Any

from contimg.script import run
from contimg.solve import (
    gate,
    present_antennas,
    publish,
    quality,
    reference_antennas,
    solve_delays,
)
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
    solved_on = require_ok(solve_status)
    references = reference_antennas(solve_ms, calibration["reference_antennas"])
    with tempfile.TemporaryDirectory(dir=scratch, prefix="solve.") as folder:
        table = Path(folder) / "table.kcal"
        solve_delays(solve_ms, table, calibration["delay"], references)
        figures = quality(table, present_antennas(solve_ms), "FPARAM")
        digest = publish(table, kcal)
    reason = gate(figures, calibration)
    write_status(
        status,
        status="rejected" if reason else "ok",
        reason=f"delays: {reason}" if reason else "",
        digest=digest,
        inputs={"model": solved_on.digest, **solved_on.inputs},
        figures={
            **solved_on.figures,
            "references": references,
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
