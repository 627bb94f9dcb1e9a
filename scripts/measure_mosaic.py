"""Forced fluxes of the catalogue's sources in one mosaic."""

from pathlib import Path

import numpy as np

from contimg.fits import Image, read_image
from contimg.flux_check import flux_figures
from contimg.photometry_tables import (
    background_of,
    failed_flux_checks,
    fluxes_of,
    sources_in_mosaic,
)
from contimg.schemas import PHOTOMETRY
from contimg.script import run
from contimg.status import read_status
from contimg.tables import write_rejected_table, write_table


def main(
    *,
    mosaic: Path,
    rms: Path,
    statuses: list[Path],
    catalog: Path,
    photometry: Path,
    name: str,
    date: str,
    options: dict,
) -> None:
    """Measure every catalogue source on the mosaic; the column group has its name.

    The mosaic is corrected for the beam. Its time is the mean of its tiles'; these are in the
    file's metadata, with flux scale and completeness.

    statuses: images/DATE/GROUP.image.json of the mosaic's groups, for their times
    """
    image, noise = read_image(mosaic), read_image(rms).data
    sources = sources_in_mosaic(image, catalog, options["min_jy"])
    background = background_of(image, options["background_box_beams"])
    table = fluxes_of(image, noise, background, sources, options["blend_beams"])
    figures = flux_figures(table, sources["s_nvss"], options["check_min_jy"])
    groups = tiles_of(image)
    times = {path.name.split(".")[0]: path for path in statuses}
    mjd = float(np.mean([read_status(times[group]).figures["mid_mjd"] for group in groups]))
    about = {
        "group": name, "tiles": groups, "figures": figures, "options": options,
        "failed_checks": failed_flux_checks(figures, options),
    }  # fmt: skip
    write_table(photometry, table.assign(date=date, group=name, mjd=mjd), PHOTOMETRY, about)


def tiles_of(mosaic: Image) -> list[str]:
    """Return the groups whose images are in a mosaic."""
    count = int(mosaic.header["NTILES"])
    return [str(mosaic.header[f"TILE{number:04d}"]) for number in range(1, count + 1)]


def reject(reason: str, *, photometry: Path, name: str) -> None:
    write_rejected_table(photometry, PHOTOMETRY, reason, {"group": name})


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
