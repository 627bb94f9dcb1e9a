"""Take the gain of each image out of the photometry of all dates."""

import logging
from pathlib import Path

import pandas as pd

from contimg.catalog import read_sources
from contimg.lightcurves import light_curves
from contimg.schemas import LIGHTCURVES, PHOTOMETRY
from contimg.script import run
from contimg.tables import read_table, require_columns, write_rejected_table, write_table

logger = logging.getLogger(__name__)


def main(
    *, photometry: list[Path], catalog: Path, lightcurves: Path, options: dict | None = None
) -> None:
    """Normalise photometry and write one row a source a transit.

    photometry: the dates' tables, DATE/photometry.parquet, in any order
    catalog: master_sources.sqlite3, which says which sources are compact
    lightcurves: output, lightcurves.parquet
    options: order, min_reference_snr, min_references, error_model, error_scale, ... as JSON
    """
    dates: dict[str, dict[str, str | int]] = {}
    tables: list[pd.DataFrame] = []
    for path in sorted(photometry):
        rows, metadata = read_table(path)
        date = path.parent.name
        dates[date] = {
            "status": metadata["status"],
            "reason": metadata["reason"],
            "digest": metadata.get("digest", ""),
        }
        if len(rows):
            require_columns(rows, tuple(c for c in PHOTOMETRY if not c.optional), path)
            tables.append(rows)
    about = {"dates": dates, "options": options or {}}
    if not tables:
        reason = f"none of {len(dates)} dates has photometry"
        write_rejected_table(lightcurves, LIGHTCURVES, reason, about)
        return
    sources = read_sources(catalog)
    compact = sources[(sources.resolved_flag == 0) & (sources.confusion_flag == 0)]
    curves, figures = light_curves(pd.concat(tables), set(compact.source_id), options)
    write_table(lightcurves, curves, LIGHTCURVES, {**about, "figures": figures})
    logger.info("%d rows of %d sources: %s", len(curves), curves.source_id.nunique(), figures)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
