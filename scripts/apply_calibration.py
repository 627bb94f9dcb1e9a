"""Write the corrected and averaged visibilities of a group."""

from pathlib import Path
from typing import Any

import numpy as np

from contimg import apply
from contimg.casa import load_casatasks
from contimg.fits import write_rejected_image
from contimg.scratch import scratch_folder
from contimg.script import run
from contimg.status import (
    REJECTED_NOTE,
    Rejected,
    require_ok,
    write_status,
    written_whole,
)


def main(
    *,
    ms: Path,
    ms_status: Path,
    calibration_status: Path,
    calibrated_ms: Path,
    status: Path,
    averaging: dict[str, Any],
    flagging: dict[str, Any],
    scratch: Path = Path(),
) -> None:
    """Write calibrated_ms from the read-only ms and the chosen tables nearest in time.

    averaging: {channels, integrations}; flagging: {max_flagged_fraction} (on the command line YAML
    text).
    """
    load_casatasks()
    science, choice = require_ok(ms_status), require_ok(calibration_status)
    strip = apply.strip_of(choice.figures, science.figures.get("apparent_dec_deg"))
    fitting = [one for one in choice.figures["tables"] if one["group"] in strip["groups"]]
    tables = apply.nearest_tables(fitting, science.figures["mid_mjd"])
    apply.check_tables(tables, ms)
    with (
        scratch_folder(scratch, 0, calibrated_ms) as folder,
        written_whole(calibrated_ms) as temporary,
    ):
        library = folder / "callib.txt"
        library.write_text(apply.calibration_library(tables))
        apply.transform(
            ms, temporary, library, averaging["channels"], averaging["integrations"],
            science.figures["integration_s"],
        )  # fmt: skip
        weights = apply.weigh(temporary)
        largest = flagging["max_flagged_fraction"]
        if weights.flagged_fraction > largest:
            raise Rejected(f"{weights.flagged_fraction:.1%} flagged, {largest:.0%} allowed")
        if weights.silent:
            silent = " and ".join(weights.silent)
            raise Rejected(f"all of {silent} is flagged, and Stokes I needs both polarizations")
    length_s = averaging["integrations"] * science.figures["integration_s"]
    write_status(
        status,
        digest=weights.digest,
        inputs={"ms": science.digest, **tables["digests"]},
        figures={
            **science.figures,
            "freq_hz": weights.freq_hz,
            "channel_width_hz": science.figures["channel_width_hz"] * averaging["channels"],
            "weight_time": apply.spread_over(
                np.array(science.figures["integration_mjd"]), weights.mjd, weights.time, length_s
            ),
            "weight_freq": weights.freq,
            "flagged_fraction": weights.flagged_fraction,
            "tables": tables,
            "calibration_source": strip["source"],
            "calibration_date": tables["date"],
        },
    )


def reject(reason: str, *, calibrated_ms: Path, status: Path) -> None:
    """Write the labelled empty set: a note for people, and the image that imaging passes on."""
    with written_whole(calibrated_ms) as temporary:
        temporary.mkdir()
        (temporary / REJECTED_NOTE).write_text(reason + "\n")
        write_rejected_image(temporary / "rejected.fits", reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
