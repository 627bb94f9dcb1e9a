"""Solve amplitude and mean phase of each antenna on the calibrator's group."""

from pathlib import Path
from typing import Any

from contimg import solve
from contimg.calibration_table import antenna_names, phases_in_time
from contimg.casa import load_casatasks
from contimg.closure import (
    closure_amplitude,
    closure_phase_deg,
    corrected_over_model,
    residual_phase_deg,
)
from contimg.gates import gate
from contimg.scratch import scratch_folder, size_bytes
from contimg.script import run
from contimg.status import read_status, reject_directory, require_ok, write_status


def main(
    *,
    solve_ms: Path,
    solve_status: Path,
    bcal: Path,
    bcal_status: Path,
    gcal: Path,
    status: Path,
    calibration: dict[str, Any],
    kcal: Path | None = None,
    kcal_status: Path | None = None,
    scratch: Path = Path(),
) -> None:
    """Write gcal, a CASA table of type G for transfer to other hours, and its status.

    bcal, kcal: tables to solve on top of; calibration: the configuration's block (on the command
    line YAML text). A table that fails its gate is kept, and its status is rejected.
    """
    load_casatasks()
    solved_on, bandpass = require_ok(solve_status), require_ok(bcal_status)
    names = antenna_names(solve_ms)
    references = solve.reference_antennas(solve_ms, calibration["reference_antennas"])
    with scratch_folder(scratch, size_bytes(solve_ms) // 4, gcal) as folder:
        table = folder / "table.gcal"
        options = calibration["gains"]
        band = solve.solve_gains(solve_ms, table, references, options, bcal, kcal, folder)
        figures = solve.quality(table, solve.present_antennas(solve_ms))
        digest = solve.publish(table, gcal)
        ratio = corrected_over_model(band, gcal)
        if options["mode"] == "ap":
            short = phases_in_time(folder / solve.SHORT_PHASES)
            figures["short_phases"] = {"solint": options["phase_solint"], **short}
    figures["closure_phase_deg"] = closure_phase_deg(ratio)
    figures["closure_amplitude"] = closure_amplitude(ratio)
    figures["residual_phase_deg"] = residual_phase_deg(ratio)
    reason = gate(figures, calibration)
    delay = {"kcal": read_status(kcal_status).digest} if kcal_status else {}
    write_status(
        status,
        status="rejected" if reason else "ok",
        reason=f"gains: {reason}" if reason else "",
        digest=digest,
        inputs={"bcal": bandpass.digest, "model": solved_on.digest, **solved_on.inputs, **delay},
        figures={
            **solved_on.figures,
            "reference_antennas": [names[i] for i in references],
            **figures,
            "bandpass_snr": bandpass.figures["median_snr"],
            "tables": {
                "gcal": str(gcal), "bcal": str(bcal), **({"kcal": str(kcal)} if kcal else {}),
            },
        },
    )  # fmt: skip


def reject(reason: str, *, gcal: Path, status: Path) -> None:
    """Write the labelled empty table."""
    reject_directory(gcal, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
