"""Write the corrected and averaged visibilities of a group."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from contimg import apply
from contimg.drift import settle, sky_of_set
from contimg.fits import write_rejected_set
from contimg.script import run
from contimg.sky import aberration_scale, turn_of_uvw_rad
from contimg.status import (
    Rejected,
    require_ok,
    write_status,
    written_whole,
)
from contimg.transform import Weights, transform

logger = logging.getLogger(__name__)


def main(
    *,
    ms: Path,
    ms_status: Path,
    calibration_status: Path,
    catalog: Path,
    calibrated_ms: Path,
    status: Path,
    averaging: dict[str, Any],
    flagging: dict[str, Any],
    drift: dict[str, Any],
    beam: dict[str, Any],
) -> None:
    """Write calibrated_ms from the read-only ms and the chosen tables nearest in time.

    The change of the catalogue's sources in the drifting beam is subtracted, and UVW are scaled
    so that offsets from the phase centre are ICRS offsets.

    averaging: {channels, integrations}; flagging: {max_flagged_fraction}; drift: imaging.drift;
    beam: the block of the configuration (on the command line YAML text).
    """
    science, choice = require_ok(ms_status), require_ok(calibration_status)
    strip = apply.strip_of(choice.figures, science.figures.get("apparent_dec_deg"))
    fitting = [one for one in choice.figures["tables"] if one["group"] in strip["groups"]]
    tables = apply.nearest_tables(fitting, science.figures["mid_mjd"])
    apply.check_tables(tables, ms)
    with written_whole(calibrated_ms) as temporary:
        paths = apply.paths_of(tables)
        weights = transform(ms, temporary, paths, averaging["channels"], averaging["integrations"])
        largest = flagging["max_flagged_fraction"]
        if weights.flagged_fraction > largest:
            raise Rejected(f"{weights.flagged_fraction:.1%} flagged, {largest:.0%} allowed")
        if weights.silent:
            silent = " and ".join(weights.silent)
            raise Rejected(f"all of {silent} is flagged, and Stokes I needs both polarizations")
        if not weights.time.any():
            raise Rejected("no sample has both polarizations, which Stokes I needs")
        imaged = figures_of(science.figures, weights, averaging)
        sky = sky_of_set(imaged, catalog, drift, beam)
        logger.info("%d sources' changes are subtracted", len(sky.lmn))
        place = (imaged["ra_deg"], imaged["dec_deg"]), imaged["mid_mjd"]
        turn = turn_of_uvw_rad(*place) if imaged["dialect"] == "dsa" else 0.0
        digest = settle(temporary, sky, aberration_scale(*place), turn)
    write_status(
        status,
        digest=digest,
        inputs={"ms": science.digest, "sky": sky.digest(), **tables["digests"]},
        figures={
            **imaged,
            "drift": {"n_sources": len(sky.lmn), **drift, "digest": sky.digest()},
            "tables": tables,
            "calibration_source": strip["source"],
            "calibration_date": tables["date"],
        },
    )


def figures_of(
    science: dict[str, Any], weights: Weights, averaging: dict[str, Any]
) -> dict[str, Any]:
    """Figures of the science set, with the calibrated set's channels and weights."""
    length_s = averaging["integrations"] * science["integration_s"]
    return {
        **science,
        "freq_hz": weights.freq_hz,
        "channel_width_hz": science["channel_width_hz"] * averaging["channels"],
        "weight_time": apply.spread_over(
            np.array(science["integration_mjd"]), weights.mjd, weights.time, length_s
        ),
        "weight_freq": weights.freq,
        "flagged_fraction": weights.flagged_fraction,
    }


def reject(reason: str, *, calibrated_ms: Path, status: Path) -> None:
    """Write the labelled empty set: a note for people, and the image that imaging passes on."""
    write_rejected_set(calibrated_ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
