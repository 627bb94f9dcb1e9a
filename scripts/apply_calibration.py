"""Write the corrected and averaged visibilities of a group."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from contimg import apply
from contimg.beam import dish_of
from contimg.casa import away_from_casatools, load_casatasks
from contimg.catalog import read_sources
from contimg.drift import NO_SOURCES, ChangingSky, changing_sky, settle
from contimg.fits import write_rejected_image
from contimg.scratch import scratch_folder
from contimg.script import run
from contimg.sky import aberration_scale, turn_of_uvw_rad
from contimg.status import (
    REJECTED_NOTE,
    Rejected,
    require_ok,
    write_status,
    written_whole,
)

logger = logging.getLogger(__name__)

REACH_FWHM = 1.5
"""Sources are looked up to here from the phase centre: the first null is at 1.2 widths."""


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
    scratch: Path = Path(),
) -> None:
    """Write calibrated_ms from the read-only ms and the chosen tables nearest in time.

    The change of the catalogue's sources in the drifting beam is subtracted, and UVW are scaled
    so that offsets from the phase centre are ICRS offsets.

    averaging: {channels, integrations}; flagging: {max_flagged_fraction}; drift: imaging.drift;
    beam: the block of the configuration (on the command line YAML text).
    """
    load_casatasks()
    science, choice = require_ok(ms_status), require_ok(calibration_status)
    tables = apply.nearest_tables(choice.figures["tables"], science.figures["mid_mjd"])
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
        imaged = figures_of(science.figures, weights, averaging)
        sky = sky_of(imaged, catalog, drift, beam)
        logger.info("%d sources' changes are subtracted", len(sky.lmn))
        place = (imaged["ra_deg"], imaged["dec_deg"]), imaged["mid_mjd"]
        turn = turn_of_uvw_rad(*place) if imaged["dialect"] == "dsa" else 0.0
        digest = away_from_casatools(settle, temporary, sky, aberration_scale(*place), turn)
    write_status(
        status,
        digest=digest,
        inputs={"ms": science.digest, "sky": sky.digest(), **tables["digests"]},
        figures={
            **imaged,
            "drift": {"n_sources": len(sky.lmn), **drift, "digest": sky.digest()},
            "tables": tables,
            "calibration_source": choice.figures["source"],
            "calibration_date": tables["date"],
        },
    )


def figures_of(
    science: dict[str, Any], weights: apply.Weights, averaging: dict[str, Any]
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


def sky_of(
    imaged: dict[str, Any], catalog: Path, drift: dict[str, Any], beam: dict[str, Any]
) -> ChangingSky:
    """The catalogue's sources that change in a calibrated set of these figures."""
    centre_deg = (imaged["ra_deg"], imaged["dec_deg"])
    sources = NO_SOURCES
    dish = dish_of(beam, imaged["dish_diameter_m"])
    if drift["enabled"]:
        radius_deg = REACH_FWHM * np.degrees(dish.fwhm_rad(min(imaged["freq_hz"])))
        sources = read_sources(catalog, *centre_deg, radius_deg, drift["min_change_jy"])
    return changing_sky(
        sources,
        centre_deg,
        imaged["freq_hz"],
        imaged["pointing"],
        imaged["integration_mjd"],
        imaged["weight_time"],
        imaged["weight_freq"],
        dish,
        drift["min_change_jy"],
        drift["min_response"],
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
