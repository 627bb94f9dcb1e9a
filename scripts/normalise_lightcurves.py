"""Take the gain of each image out of the photometry of all dates."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from contimg.catalog import read_sources
from contimg.image_gains import with_images_left_out
from contimg.light_curve_options import normalisation_options
from contimg.lightcurves import normalise
from contimg.schemas import IMAGES, LIGHTCURVES, PHOTOMETRY
from contimg.script import run
from contimg.status import InputError
from contimg.tables import empty_table, read_table, require_columns, write_table

logger = logging.getLogger(__name__)

FAILED_CHECK = "failed_check"
NEEDED = ("source_id", "ra_deg", "dec_deg", "date", "group", "mjd", "flux_jy", "flux_err_jy",
          "blended", "status", "freq_hz", "subband")  # fmt: skip
NAMES = ("source_id", "date", "group", "status")


def main(
    *,
    photometry: list[Path],
    catalog: Path,
    lightcurves: Path,
    images: Path | None = None,
    options: dict | None = None,
) -> None:
    """Normalise photometry and write one row a source a transit, and one row an image.

    Images that failed a check are left out: a transit without another is a row that says so.

    photometry: the dates' tables, DATE/photometry.parquet, in any order
    catalog: master_sources.sqlite3, which says which sources are compact
    lightcurves: output, lightcurves.parquet
    images: output, images.parquet; none: not written
    options: method, order, min_reference_snr, min_references, error_model, ... as JSON
    """
    options = normalisation_options(options)
    dates: dict[str, dict[str, Any]] = {}
    tables: list[pd.DataFrame] = []
    left_out: list[dict[str, str]] = []
    holds: dict[str, Path] = {}
    for path in sorted(photometry):
        rows, metadata = read_table(path)
        date = path.parent.name
        dates[date] = {
            "status": metadata["status"],
            "reason": metadata["reason"],
            "digest": metadata.get("digest", ""),
            "left_out": failed_groups(metadata),
        }
        left_out += groups_left_out(date, metadata)
        if len(rows):
            require_once(rows["group"].unique(), holds, path)
            require_columns(rows, tuple(c for c in PHOTOMETRY if not c.optional), path)
            tables.append(compact(without_failed(rows, dates[date]["left_out"])))
    about = {"dates": dates, "options": options}
    if not tables:
        reason = f"none of {len(dates)} dates has photometry"
        if any(told["status"] == "ok" for told in dates.values()):
            reason = f"no source of the catalogue lies in an image of the {len(dates)} dates"
        rejected = {**about, "status": "rejected", "reason": reason}
        of_images = with_images_left_out(empty_table(IMAGES), left_out)
        write_table(lightcurves, empty_table(LIGHTCURVES), LIGHTCURVES, rejected)
        if images is not None:
            write_table(images, of_images, IMAGES, rejected)
        return
    sources = read_sources(catalog)
    references = sources[(sources.resolved_flag == 0) & (sources.confusion_flag == 0)]
    snr_nvss = dict(zip(sources.source_id, sources.snr_nvss, strict=True))
    found = normalise(join(tables), set(references.source_id), options, snr_nvss)
    about["figures"] = found.figures
    write_table(lightcurves, found.curves, LIGHTCURVES, about, by_source=True)
    if images is not None:
        write_table(images, with_images_left_out(found.images, left_out), IMAGES, about)
    logger.info(
        "%d rows of %d sources: %s",
        len(found.curves),
        found.curves.source_id.nunique(),
        found.figures,
    )
    model = found.figures.get("error_model", {})
    if model.get("reason"):
        logger.info("the errors are not fitted: %s", model["reason"])


def require_once(groups: Iterable[str], holds: dict[str, Path], path: Path) -> None:
    """Refuse a group that two tables hold; `holds` tells of the tables before, and gets this."""
    for group in groups:
        if group in holds:
            raise InputError(
                f"{path}: group {group} found, which {holds[group]} holds too; each date is "
                "expected once: leave one of the two out"
            )
        holds[group] = path


def failed_groups(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the groups of a date whose image failed a check, and which."""
    groups = metadata.get("groups", {})
    return {
        group: told["failed_checks"] for group, told in groups.items() if told.get("failed_checks")
    }


def groups_left_out(date: str, metadata: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return date, group, status and reason of the images that take no part."""
    found = []
    for group, told in metadata.get("groups", {}).items():
        failed, reason = told.get("failed_checks"), told.get("reason", "")
        if failed:
            reason = f"failed {', '.join(failed)}"
            found.append({"date": date, "group": group, "status": FAILED_CHECK, "reason": reason})
        elif told.get("status", "ok") != "ok":
            found.append({"date": date, "group": group, "status": "rejected", "reason": reason})
    return found


def without_failed(rows: pd.DataFrame, failed: Mapping[str, Any]) -> pd.DataFrame:
    """Give the rows of images that failed a check a status that keeps them out."""
    of_failed = rows["group"].isin(list(failed)) & (rows["status"] == "ok")
    return rows.assign(status=rows["status"].mask(of_failed, FAILED_CHECK))


def compact(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are needed, names as categories: a tenth of the memory."""
    needed = rows[[name for name in NEEDED if name in rows]]
    return needed.astype(dict.fromkeys(NAMES, "category"))


def join(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return all rows and empty the list; a column that some dates lack is NaN there."""
    names = {name: union_categoricals([table[name] for table in tables]) for name in NAMES}
    rest = pd.concat([table.drop(columns=list(NAMES)) for table in tables], ignore_index=True)
    tables.clear()
    return rest.assign(**names)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
