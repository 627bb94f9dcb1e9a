"""Forced fluxes of the catalogue's sources in one group's image."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates

from contimg.catalog import read_sources
from contimg.fits import Image, pixel_digest, read_image
from contimg.flux_check import astrometry_figures, failed_limits, flux_figures
from contimg.noise import background_and_rms
from contimg.photometry import fit_free_positions, measure_fluxes
from contimg.schemas import PHOTOMETRY, WHOLE_BAND
from contimg.script import run
from contimg.status import Rejected, read_status
from contimg.tables import write_rejected_table, write_table

FLUXES = ["flux_jy", "flux_err_jy", "rms_jy"]


def main(
    *,
    image: Path,
    pb: Path,
    rms: Path,
    image_status: Path,
    catalog: Path,
    photometry: Path,
    group: str,
    date: str,
    options: dict,
    min_response: float,
    subband_images: list[Path] | None = None,
    subband_pbs: list[Path] | None = None,
    subband_rmss: list[Path] | None = None,
) -> None:
    """Measure every catalogue source inside the beam, and check the image by them.

    The check is kept in the file's metadata: flux scale, completeness, astrometry, and why it
    fails if it does, or why the image failed its own checks. With subband images there are rows
    for each of them too; a rejected one has none, and the metadata say why.
    """
    about_image = read_status(image_status)
    restored = read_image(image)
    response = read_image(pb, require_beam=False)
    noise = read_image(rms).data
    sources = sources_in(restored, response, catalog, options["min_jy"], min_response)
    background = background_of(restored, options)
    table = fluxes_of(restored, noise, background, sources, options)
    bright = sources[sources["s_nvss"].to_numpy() >= options["check_min_jy"]]
    free = fit_free_positions(restored, bright["ra_deg"], bright["dec_deg"], background, noise)
    figures = {
        **flux_figures(table, sources["s_nvss"], options["check_min_jy"]),
        **astrometry_figures(free),
    }
    about = about_image.figures
    failed_checks = [*about_image.failed_checks, *failed(figures, options)]
    metadata = {"group": group, "figures": figures, "failed_checks": failed_checks}
    if subband_images:
        parts = [table.assign(freq_hz=about["freq_hz"], subband=WHOLE_BAND)]
        metadata["subbands"] = []
        paths = zip(subband_images, subband_pbs or [], subband_rmss or [], strict=True)
        for subband, of_subband in enumerate(paths):
            rows, told = measured_subband(*of_subband, catalog, options, min_response)
            parts += [] if rows is None else [rows.assign(subband=subband)]
            metadata["subbands"].append({"subband": subband, **told})
        table = pd.concat(parts, ignore_index=True)
    table = table.assign(date=date, group=group, mjd=about["mid_mjd"])
    write_table(photometry, table, PHOTOMETRY, {**metadata, "options": options})


def measured_subband(
    image: Path, pb: Path, rms: Path, catalog: Path, options: dict, min_response: float
) -> tuple[pd.DataFrame | None, dict]:
    """Return the rows of a subband image, None when it is rejected, and what is told of it."""
    try:
        response, noise = read_image(pb, require_beam=False), read_image(rms)
    except Rejected as rejected:
        return None, {"status": "rejected", "reason": str(rejected), "n_rows": 0}
    restored = read_image(image)
    sources = sources_in(restored, response, catalog, options["min_jy"], min_response)
    table = fluxes_of(restored, noise.data, background_of(restored, options), sources, options)
    freq_hz = float(response.header["FREQEFF"])
    figures = flux_figures(table, sources["s_nvss"], options["check_min_jy"])
    told = {"status": "ok", "reason": "", "n_rows": len(table), "freq_hz": freq_hz}
    return table.assign(freq_hz=freq_hz), {**told, "figures": figures}


def background_of(restored: Image, options: dict) -> np.ndarray:
    """Return the local background of an image."""
    box = round(options["background_box_beams"] * restored.beam.bmaj_deg / restored.pixel_scale_deg)
    return background_and_rms(restored.data, box)[0]


def fluxes_of(
    restored: Image,
    noise: np.ndarray,
    background: np.ndarray,
    sources: pd.DataFrame,
    options: dict,
) -> pd.DataFrame:
    """Return forced fluxes of the sources, corrected for the beam; see `measure_fluxes`."""
    table = measure_fluxes(
        restored, sources["ra_deg"], sources["dec_deg"], background, noise, options["blend_beams"]
    )
    table[FLUXES] = table[FLUXES].div(sources["pb"].to_numpy(), axis=0)
    return table.drop(columns=["x_pix", "y_pix"]).assign(
        source_id=sources["source_id"].to_numpy(),
        ra_deg=sources["ra_deg"].to_numpy(),
        dec_deg=sources["dec_deg"].to_numpy(),
        pb=sources["pb"].to_numpy(),
        snr=table["flux_jy"] / table["flux_err_jy"],
        image_digest=pixel_digest(restored.data),
    )


def sources_in(
    restored: Image, response: Image, catalog: Path, min_jy: float, min_response: float
) -> pd.DataFrame:
    """Return the catalogue's sources where the beam is above `min_response`, with column pb."""
    ra_deg, dec_deg = restored.wcs.wcs.crval
    radius_deg = restored.pixel_scale_deg * np.hypot(*restored.data.shape) / 2
    sources = read_sources(catalog, ra_deg, dec_deg, radius_deg, min_jy)
    x, y = response.wcs.all_world2pix(sources["ra_deg"], sources["dec_deg"], 0)
    beam = map_coordinates(response.data, [y, x], order=1, cval=0.0)
    inside = sources.assign(pb=beam.astype(float))[beam >= min_response]
    return inside.reset_index(drop=True)


def failed(figures: dict, options: dict) -> list[str]:
    """Return the checks that an image fails; with nothing to check against, none."""
    limits = {}
    if figures["n_flux_references"]:
        limits["flux_ratio_median"] = tuple(options["ratio_range"])
    if figures["n_expected"]:
        limits["completeness"] = (options["min_completeness"], 1.0)
    return failed_limits(figures, limits)


def reject(reason: str, *, photometry: Path, group: str) -> None:
    write_rejected_table(photometry, PHOTOMETRY, reason, {"group": group})


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
