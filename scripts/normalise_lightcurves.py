"""Take the gain of each image out of the photometry of all dates."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from contimg.catalog import read_sources
from contimg.lightcurves import light_curves
from contimg.schemas import LIGHTCURVES, PHOTOMETRY
from contimg.script import run
from contimg.tables import read_table, require_columns, write_rejected_table, write_table

logger = logging.getLogger(__name__)

FAILED_CHECK = "failed_check"


def main(
    *, photometry: list[Path], catalog: Path, lightcurves: Path, options: dict | None = None
) -> None:
    """Normalise photometry and write one row a source a transit.

    Images that failed a check are left out: a transit without another is a row that says so.

    photometry: the dates' tables, DATE/photometry.parquet, in any order
    catalog: master_sources.sqlite3, which says which sources are compact
    lightcurves: output, lightcurves.parquet
    options: order, min_reference_snr, min_references, error_model, error_scale, ... as JSON
    """
    dates: dict[str, dict[str, Any]] = {}
    tables: list[pd.DataFrame] = []
    for path in sorted(photometry):
        rows, metadata = read_table(path)
        date = path.parent.name
        dates[date] = {
            "status": metadata["status"],
            "reason": metadata["reason"],
            "digest": metadata.get("digest", ""),
            "left_out": failed_groups(metadata),
        }
        if len(rows):
            require_columns(rows, tuple(c for c in PHOTOMETRY if not c.optional), path)
            tables.append(without_failed(rows, dates[date]["left_out"]))
    about = {"dates": dates, "options": options or {}}
    if not tables:
        reason = f"none of {len(dates)} dates has photometry"
        write_rejected_table(lightcurves, LIGHTCURVES, reason, about)
        return
    sources = read_sources(catalog)
    compact = sources[(sources.resolved_flag == 0) & (sources.confusion_flag == 0)]
    curves, figures = light_curves(pd.concat(tables), set(compact.source_id), options)
    about["figures"] = figures
    write_table(lightcurves, curves, LIGHTCURVES, about, by_source=True)
    logger.info("%d rows of %d sources: %s", len(curves), curves.source_id.nunique(), figures)


def failed_groups(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the groups of a date whose image failed a check, and which."""
    groups = metadata.get("groups", {})
    return {
        group: told["failed_checks"] for group, told in groups.items() if told.get("failed_checks")
    }


def without_failed(rows: pd.DataFrame, failed: Mapping[str, Any]) -> pd.DataFrame:
    """Give the rows of images that failed a check a status that keeps them out."""
    of_failed = rows["group"].isin(list(failed)) & (rows["status"] == "ok")
    return rows.assign(status=rows["status"].mask(of_failed, FAILED_CHECK))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
