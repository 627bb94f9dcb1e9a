"""The page of all dates: light curves, variability and candidates."""

import logging
from pathlib import Path

import pandas as pd

from contimg.report.archive import DateRow, archive_content, date_row
from contimg.report.image_quality import image_quality
from contimg.report.pages import link, write_page
from contimg.report.shown import most_variable
from contimg.script import run
from contimg.status import plain
from contimg.tables import read_table, whole_band

logger = logging.getLogger(__name__)


def main(
    *,
    lightcurves: Path,
    variability: Path,
    candidates: Path,
    photometry: list[Path],
    page: Path,
    images: Path | None = None,
    options: dict | None = None,
) -> None:
    """Write the page of all dates.

    lightcurves, variability, candidates: the archive's tables
    photometry: every date's table, DATE/photometry.parquet
    page: output, one self-contained HTML file
    images: the table of all images, images.parquet
    options: n_lightcurves, how many variable sources are shown
    """
    paths = {"variability": variability, "candidates": candidates}
    paths |= {"images": images} if images else {}
    read = {name: read_table(path) for name, path in paths.items()}
    tables = {name: table for name, (table, _) in read.items()}
    count = int((options or {}).get("n_lightcurves", 12))
    shown = most_variable(whole_band(tables["variability"]), tables["candidates"], count)
    # Of an archive of years only these rows fit into memory; without any it is one of a date.
    read["lightcurves"] = read_table(lightcurves, source_ids=shown or None)
    dates = [row_of(path, page) for path in sorted(photometry)]
    of_images = tables.pop("images", pd.DataFrame())
    quality = None
    if len(of_images):
        quality = image_quality(of_images, lambda date: page_of_date(date, page))
    content = archive_content(
        dates,
        read["lightcurves"][0],
        **tables,
        shown=shown,
        quality=quality,
        page_of_source=lambda name: page_of_source(name, page),
    )
    content |= {
        "rejected": {name: about["reason"] for name, (_, about) in read.items() if about["reason"]},
        "digests": {name: about.get("digest", "") for name, (_, about) in read.items()},
        "data": plain(content["data"]),
    }
    write_page(page, "archive.html.j2", content)
    logger.info("%s: %.1f MB", page, page.stat().st_size / 1e6)


def row_of(photometry: Path, page: Path) -> DateRow:
    """Read what is told of a date."""
    date = photometry.parent.name
    rows, about = read_table(photometry, ["source_id"])
    if "subband" in about.get("columns", {}):
        rows = whole_band(read_table(photometry, ["source_id", "subband"])[0])
    return date_row(date, page_of_date(date, page), rows, about)


def page_of_date(date: str, page: Path) -> str:
    """Return the link to a date's page."""
    return link(page.parent / date / "index.html", page)


def page_of_source(source_id: str, page: Path) -> str:
    """Return the link to a source's page, which is there once it has been asked for."""
    return link(page.parent.parent / "source" / source_id / "index.html", page)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
