"""Where CLEAN may put components: discs about the catalogue's sources."""

import logging
from pathlib import Path

import numpy as np

from contimg.beam import dish_of, drift_averaged_beam
from contimg.catalog import read_sources
from contimg.masks import catalogue_mask, image_header, write_mask
from contimg.script import run
from contimg.status import read_status

logger = logging.getLogger(__name__)


def main(
    *,
    calibrated_status: Path,
    weights_status: Path,
    catalog: Path,
    mask: Path,
    imaging: dict,
    beam: dict,
) -> None:
    """Write the mask of a group's image.

    calibrated_status: of the visibilities that will be imaged
    weights_status: what weigh_image tells of them
    catalog: catalogs/master_sources.sqlite3
    mask: output, compressed FITS of bytes
    imaging: size, scale_arcsec, mask_min_jy and mask_radius_beams of the configuration
    beam: this block of the configuration
    """
    seen = read_status(calibrated_status).figures
    header = image_header(seen["ra_deg"], seen["dec_deg"], imaging["size"], imaging["scale_arcsec"])
    reach_deg = imaging["size"] * imaging["scale_arcsec"] / 3600 / np.sqrt(2)
    sources = read_sources(
        catalog, seen["ra_deg"], seen["dec_deg"], reach_deg, imaging["mask_min_jy"]
    )
    response = drift_averaged_beam(
        sources["ra_deg"],
        sources["dec_deg"],
        np.array(seen["pointing"]),
        seen["weight_time"],
        np.array(seen["freq_hz"]),
        seen["weight_freq"],
        dish_of(beam, seen["dish_diameter_m"]),
    )
    beam_deg = read_status(weights_status).figures["natural_beam_arcsec"] / 3600
    pixels = catalogue_mask(
        header,
        sources["ra_deg"],
        sources["dec_deg"],
        sources["s_nvss"] * response,
        imaging["mask_min_jy"],
        imaging["mask_radius_beams"] * beam_deg,
    )
    write_mask(mask, pixels, header)
    logger.info("a beam of %.1f arcsec; %.2f %% in the mask", beam_deg * 3600, 100 * pixels.mean())


def reject(reason: str, *, mask: Path, imaging: dict) -> None:
    """Write an empty mask of the image's size: a set may be imaged before its image is rejected."""
    size = imaging["size"]
    header = image_header(0.0, 0.0, size, imaging["scale_arcsec"])
    write_mask(mask, np.zeros((size, size), np.uint8), header)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
