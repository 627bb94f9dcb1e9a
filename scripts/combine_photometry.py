"""Join the photometry of a date's groups."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from contimg.catalog import read_sources
from contimg.schemas import PHOTOMETRY
from contimg.script import run
from contimg.status import InputError
from contimg.tables import empty_table, read_table, subband_of, write_table

logger = logging.getLogger(__name__)


def main(
    *, photometry: list[Path], catalog: Path, photometry_date: Path, options: dict | None = None
) -> None:
    """Join the photometry tables of a date; rejected groups give no rows and are listed.

    photometry: one table a group, DATE/GROUP.parquet
    catalog: the catalogue that was measured, master_sources.sqlite3
    photometry_date: output, DATE/photometry.parquet
    options: the config's photometry block, kept in the file's metadata
    """
    groups: dict[str, dict[str, Any]] = {}
    tables: list[pd.DataFrame] = []
    for path in sorted(photometry):
        rows, metadata = read_table(path)
        groups[path.stem] = {
            "status": metadata["status"],
            "reason": metadata["reason"],
            "n_rows": len(rows),
            "figures": metadata.get("figures", {}),
            "failed_checks": metadata.get("failed_checks", []),
        }
        if "subbands" in metadata:
            groups[path.stem]["subbands"] = metadata["subbands"]
        if len(rows):
            tables.append(rows)
    joined = empty_table(PHOTOMETRY)
    if tables:
        joined = pd.concat(tables)
        keys = ["source_id", "mjd", "group"]
        if "subband" in joined:
            joined["subband"] = subband_of(joined)
            keys += ["subband"]
        joined = joined.sort_values(keys, ignore_index=True)
        twice = joined[joined.duplicated([key for key in keys if key != "mjd"])]
        if len(twice):
            raise InputError(
                f"{twice.source_id.iloc[0]} is twice in group {twice.group.iloc[0]}: two of "
                f"{[str(path) for path in photometry]} hold the same group; give each once"
            )
    unknown = sorted(set(joined.source_id) - set(read_sources(catalog).source_id))
    if unknown:
        logger.warning("%d sources are not in %s, such as %s", len(unknown), catalog, unknown[0])
    good = any(group["status"] == "ok" for group in groups.values())
    about = {
        "groups": groups,
        "options": options or {},
        "n_not_in_catalog": len(unknown),
        "status": "ok" if good else "rejected",
        "reason": "" if good else "no group of the date has photometry",
    }
    write_table(photometry_date, joined, PHOTOMETRY, about, by_source=True)
    logger.info("%d rows of %d groups", len(joined), len(groups))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
