"""Write the corrected and averaged visibilities of a group."""

from pathlib import Path
from typing import Any

import numpy as np

from contimg import apply
from contimg.fits import write_rejected_image
from contimg.script import run
from contimg.status import (
    REJECTED_NOTE,
    Rejected,
    require_ok,
    write_status,
    written_whole,
)
from contimg.transform import transform


def main(
    *,
    ms: Path,
    ms_status: Path,
    calibration_status: Path,
    calibrated_ms: Path,
    status: Path,
    averaging: dict[str, Any],
    flagging: dict[str, Any],
) -> None:
    """Write calibrated_ms from the read-only ms and the chosen tables nearest in time.

    averaging: {channels, integrations}; flagging: {max_flagged_fraction} (on the command line YAML
    text).
    """
    science, choice = require_ok(ms_status), require_ok(calibration_status)
    tables = apply.nearest_tables(choice.figures["tables"], science.figures["mid_mjd"])
    apply.check_tables(tables, ms)
    with written_whole(calibrated_ms) as temporary:
        paths = apply.paths_of(tables)
        weights = transform(ms, temporary, paths, averaging["channels"], averaging["integrations"])
        largest = flagging["max_flagged_fraction"]
        if weights.flagged_fraction > largest:
            raise Rejected(f"{weights.flagged_fraction:.1%} flagged, {largest:.0%} allowed")
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
            "calibration_source": choice.figures["source"],
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
