"""Copy a science MS for solving, with the apparent sky around the calibrator as its model."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contimg.averaging import averaged_freq_hz, copy_averaged
from contimg.beam import dish_of
from contimg.catalog import read_sources
from contimg.digests import digest_of_arrays
from contimg.flux_standards import PINNED
from contimg.predict import copy_without_autos, fill_model, phase_centre_deg
from contimg.scratch import scratch_folder
from contimg.script import run
from contimg.sky import (
    REFERENCE_HZ,
    Sky,
    apparent_cosines,
    apparent_flux_jy,
    model_sky,
    turn_of_uvw_rad,
    turned,
)
from contimg.standard_flux import spectrum_of
from contimg.status import reject_directory, require_ok, write_status, written_whole

logger = logging.getLogger(__name__)

SPECTRUM_POINTS = 5


def main(
    *,
    ms: Path,
    ms_status: Path,
    catalog: Path,
    solve_ms: Path,
    status: Path,
    calibrator: dict[str, Any],
    calibration: dict[str, Any],
    beam: dict[str, Any],
    scratch: Path = Path(),
) -> None:
    """Write solve_ms: the cross-correlations of ms with MODEL_DATA, and its status.

    calibrator: {name, ra_deg, dec_deg, flux_jy or standard, flux_model}; calibration and beam: the
    blocks of the configuration (on the command line YAML text).
    """
    science = require_ok(ms_status)
    average = calibration["average"]
    freq_hz = averaged_freq_hz(ms, average["channels"])
    with scratch_folder(scratch, 0, solve_ms) as folder:
        sky = sky_around(ms, calibrator, calibration, catalog, folder)
    pointings = np.array(science.figures["pointing"])
    integrations = np.array(science.figures["integration_mjd"])
    dish = dish_of(beam, science.figures["dish_diameter_m"])
    through_beam = partial(apparent_flux_jy, sky, freq_hz=freq_hz, dish=dish)

    def apparent_jy(mjd: float) -> np.ndarray:
        return through_beam(pointings[np.abs(integrations - mjd).argmin()])

    centre = phase_centre_deg(ms)
    mid_mjd = science.figures["mid_mjd"]
    lmn = apparent_cosines(sky.ra_deg, sky.dec_deg, centre, mid_mjd)
    if science.figures["dialect"] == "dsa":
        lmn = turned(lmn, -turn_of_uvw_rad(centre, mid_mjd))
    logger.info("%d sources around %s", len(lmn), calibrator["name"])
    with written_whole(solve_ms) as temporary:
        if average["channels"] * average["integrations"] > 1:
            copy_averaged(ms, temporary, average["channels"], average["integrations"])
        else:
            copy_without_autos(ms, temporary)
        digest = fill_model(temporary, lmn, freq_hz, apparent_jy)
    flux_jy = sky.flux_jy[:, 0].mean()
    apparent = np.mean([apparent_jy(mjd)[:, 0].mean() for mjd in integrations])
    write_status(
        status,
        digest=digest,
        inputs={"ms": science.digest, "sky": digest_of_sky(sky)},
        figures={
            **science.figures,
            "calibrator": calibrator["name"],
            "flux_model": calibrator.get("flux_model") or calibrator.get("standard", PINNED),
            "flux_jy": flux_jy,
            **spectrum_figures(freq_hz, sky.flux_jy[:, 0]),
            "apparent_jy": apparent,
            "beam_response": apparent_jy(science.figures["mid_mjd"])[:, 0].mean() / flux_jy,
            "n_model_sources": len(sky.ra_deg),
        },
    )


def sky_around(
    ms: Path,
    calibrator: dict[str, Any],
    calibration: dict[str, Any],
    catalog: Path,
    scratch: Path,
) -> Sky:
    """The calibrator with its neighbours in the field's catalogue, in the averaged channels."""
    channels = calibration["average"]["channels"]
    freq_hz = averaged_freq_hz(ms, channels)
    neighbours = read_sources(
        catalog,
        *phase_centre_deg(ms),
        calibration["model_radius_deg"],
        calibration["model_min_jy"],
    )
    spectrum = spectrum_of(calibrator, ms, scratch)
    if spectrum is not None:
        spectrum = spectrum.reshape(-1, channels).mean(axis=1)
    return model_sky(calibrator, neighbours, freq_hz, spectrum)


def spectrum_figures(freq_hz: np.ndarray, flux_jy: np.ndarray) -> dict[str, Any]:
    """The calibrator's spectrum in figures: at 1.4 GHz, and at channels evenly across the band.

    At 1.4 GHz by a parabola in log flux against log frequency, for it may lie outside the band.
    """
    parabola = np.polyfit(np.log(freq_hz / REFERENCE_HZ), np.log(flux_jy), min(2, len(freq_hz) - 1))
    at = np.unique(np.linspace(0, len(freq_hz) - 1, SPECTRUM_POINTS).round().astype(int))
    return {
        "flux_1400mhz_jy": np.exp(parabola[-1]),
        "spectrum": {"freq_hz": freq_hz[at], "flux_jy": flux_jy[at]},
    }


def digest_of_sky(sky: Sky) -> str:
    """Digest of the model's positions and fluxes."""
    return digest_of_arrays([("ra", sky.ra_deg), ("dec", sky.dec_deg), ("flux", sky.flux_jy)])


def reject(reason: str, *, solve_ms: Path, status: Path) -> None:
    """Write the labelled empty solve MS."""
    reject_directory(solve_ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
