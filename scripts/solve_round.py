"""Solve a field's own gains in one round of self-calibration, and correct its set with them."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from contimg import selfcal, selfcal_solve, solve
from contimg.beam import dish_of
from contimg.casa import away_from_casatools, load_casatasks
from contimg.catalog import read_sources
from contimg.digests import digest_of_arrays
from contimg.drift import sky_of_set
from contimg.fits import pixel_digest, read_image, write_rejected_set
from contimg.scratch import scratch_folder, size_bytes
from contimg.script import run
from contimg.selfcal_model import (
    ImageModel,
    Model,
    PointModel,
    ThroughBeam,
    Together,
    catalogue_sky,
)
from contimg.sky import SAME_SOURCE_ARCSEC, Sky, icrs_cosines, model_sky
from contimg.standard_flux import spectrum_of
from contimg.status import (
    Rejected,
    Status,
    reject_directory,
    require_ok,
    write_status,
    written_whole,
)

logger = logging.getLogger(__name__)


def main(
    *,
    calibrated_ms: Path,
    calibrated_status: Path,
    images: list[Path],
    residuals: list[Path],
    models: list[Path],
    catalog: Path,
    gcal: Path,
    solution: Path,
    round_ms: Path,
    status: Path,
    strategy: dict[str, Any],
    calibrator: dict[str, Any] | None,
    selfcal_options: dict[str, Any],
    beam: dict[str, Any],
    threads: int = 1,
    scratch: Path = Path(),
) -> None:
    """Write the round's gains (gcal, a CASA table) with their figures, and the corrected set.

    images, residuals, models: WSClean's of the rounds before, from round 0 on
    gcal, solution: output, the table and its status
    round_ms, status: output, the corrected set and its status
    strategy: {model: clean, catalogue or calibrator; min_mjy: of the catalogue's sources}
    calibrator: of the group, as for predict_model; None for a group without one
    selfcal_options, beam: the blocks of the configuration (on the command line YAML text)
    """
    calibrated = require_ok(calibrated_status)
    qualities = selfcal.qualities_of(images, residuals)
    rounds = selfcal_options["rounds"]
    selfcal.require_worth_trying(
        rounds, qualities, selfcal_options["min_improvement"], strategy["model"] != "clean"
    )
    best = selfcal.best_round(qualities)
    changes = changes_of(calibrated, catalog, beam)
    load_casatasks()
    with scratch_folder(scratch, size_bytes(calibrated_ms) // 4, gcal) as folder:
        if strategy["model"] == "clean":
            model, digest = clean_model(models[best], changes, threads)
        else:
            spectrum_jy = spectrum_of(calibrator, calibrated_ms, folder) if calibrator else None
            radius_deg = selfcal_options["radius_deg"]
            sky = sky_of(strategy, calibrator, catalog, calibrated, radius_deg, spectrum_jy)
            model, digest = point_model(sky, calibrated, beam)
        table, options = folder / "table.gcal", rounds[len(qualities) - 1]
        found = selfcal_solve.solve_gains(calibrated_ms, model, options, table, folder, changes)
        largest = selfcal_options["max_flagged_solutions"]
        if found.figures["flagged_solutions"] > largest:
            flagged = found.figures["flagged_solutions"]
            raise Rejected(f"{flagged:.0%} of solutions flagged, {largest:.0%} allowed")
        table_digest = solve.publish(table, gcal)
    with written_whole(round_ms) as temporary:
        corrected = away_from_casatools(
            selfcal_solve.correct, calibrated_ms, temporary, found.mjd, found.gain, changes
        )
    inputs = {"ms": calibrated.digest, "model": digest}
    figures = {**found.figures, "model_round": best, "options": options}
    write_status(solution, digest=table_digest, inputs=inputs, figures=figures)
    write_status(
        status,
        digest=corrected,
        inputs={"ms": calibrated.digest, "gcal": table_digest},
        figures=figures,
    )


def changes_of(calibrated: Status, catalog: Path, beam: dict[str, Any]) -> PointModel:
    """Return what was taken off the calibrated data.

    Raises
    ------
    ValueError
        When it is not that any more.
    """
    figures = calibrated.figures
    sky = sky_of_set(figures, catalog, figures["drift"], beam)
    if sky.digest() != figures["drift"]["digest"]:
        raise ValueError(
            f"{catalog}: the sources whose changes were subtracted are not those of the calibrated "
            "set any more; run apply_calibration again"
        )
    return PointModel(sky.lmn, sky.change_jy)


def clean_model(path: Path, changes: Model, threads: int) -> tuple[Model, str]:
    """Return a round's CLEAN model, with what was not imaged, and the digest of its pixels."""
    model = ImageModel(path, threads)
    logger.info("CLEAN model %s of %.3g Jy", path, model.require_flux())
    return Together((model, changes)), pixel_digest(read_image(path, require_beam=False).data)


def sky_of(
    strategy: dict[str, Any],
    calibrator: dict[str, Any] | None,
    catalog: Path,
    calibrated: Status,
    radius_deg: float,
    spectrum_jy: np.ndarray | None,
) -> Sky:
    """Return the group's calibrator, or the catalogue's sources in the field.

    A calibrator that passes through the group takes the place of its own catalogue row.

    Raises
    ------
    Rejected
        When there is none.
    """
    figures = calibrated.figures
    freq_hz, centre = np.array(figures["freq_hz"]), (figures["ra_deg"], figures["dec_deg"])
    if strategy["model"] == "calibrator":
        if calibrator is None:
            raise Rejected("no calibrator passes through this group")
        place = calibrator["ra_deg"], calibrator["dec_deg"]
        own = read_sources(catalog, *place, SAME_SOURCE_ARCSEC / 3600)
        return model_sky(calibrator, own, freq_hz, spectrum_jy)
    sources = read_sources(catalog, *centre, radius_deg, strategy["min_mjy"] / 1e3)
    if calibrator is not None:
        return model_sky(calibrator, sources, freq_hz, spectrum_jy)
    if sources.empty:
        raise Rejected(f"no catalogue source above {strategy['min_mjy']} mJy in the field")
    return catalogue_sky(sources, freq_hz)


def point_model(sky: Sky, calibrated: Status, beam: dict[str, Any]) -> tuple[Model, str]:
    """Return sources as they shine through the drifting beam, and the digest of their sky."""
    figures = calibrated.figures
    centre, mid_mjd = (figures["ra_deg"], figures["dec_deg"]), figures["mid_mjd"]
    lmn = icrs_cosines(sky.ra_deg, sky.dec_deg, centre, mid_mjd)
    dish = dish_of(beam, figures["dish_diameter_m"])
    logger.info("%d sources", len(sky.ra_deg))
    axes, times = np.array(figures["pointing"]), np.array(figures["integration_mjd"])
    seen = ThroughBeam(sky, axes, times, np.array(figures["freq_hz"]), dish)
    named = [("ra", sky.ra_deg), ("dec", sky.dec_deg), ("flux", sky.flux_jy)]
    return PointModel(lmn, seen.apparent_jy), digest_of_arrays(named)


def reject(reason: str, *, gcal: Path, solution: Path, round_ms: Path, status: Path) -> None:
    """Write the labelled empty table, and the empty set with the image that imaging passes on."""
    reject_directory(gcal, reason)
    write_status(solution, status="rejected", reason=reason)
    write_rejected_set(round_ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
