"""Forced fluxes of the catalogue's sources in one group's image."""

from pathlib import Path

import pandas as pd

from contimg.fits import read_image
from contimg.flux_check import astrometry_figures, flux_figures
from contimg.photometry import fit_free_positions
from contimg.photometry_tables import (
    background_of,
    failed_flux_checks,
    fluxes_of,
    sources_in_beam,
)
from contimg.schemas import PHOTOMETRY, WHOLE_BAND
from contimg.script import run
from contimg.status import Rejected, read_status
from contimg.tables import write_rejected_table, write_table


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
    sources = sources_in_beam(restored, response, catalog, options["min_jy"], min_response)
    background = background_of(restored, options["background_box_beams"])
    table = fluxes_of(restored, noise, background, sources, options["blend_beams"])
    bright = sources[sources["s_nvss"].to_numpy() >= options["check_min_jy"]]
    free = fit_free_positions(restored, bright["ra_deg"], bright["dec_deg"], background, noise)
    figures = {
        **flux_figures(table, sources["s_nvss"], options["check_min_jy"]),
        **astrometry_figures(free),
    }
    about = about_image.figures
    failed_checks = [*about_image.failed_checks, *failed_flux_checks(figures, options)]
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
        restored = read_image(image)
    except Rejected as rejected:
        return None, {"status": "rejected", "reason": str(rejected), "n_rows": 0}
    sources = sources_in_beam(restored, response, catalog, options["min_jy"], min_response)
    background = background_of(restored, options["background_box_beams"])
    table = fluxes_of(restored, noise.data, background, sources, options["blend_beams"])
    freq_hz = float(response.header["FREQEFF"])
    figures = flux_figures(table, sources["s_nvss"], options["check_min_jy"])
    told = {"status": "ok", "reason": "", "n_rows": len(table), "freq_hz": freq_hz}
    return table.assign(freq_hz=freq_hz), {**told, "figures": figures}


def reject(reason: str, *, photometry: Path, group: str) -> None:
    write_rejected_table(photometry, PHOTOMETRY, reason, {"group": group})


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
