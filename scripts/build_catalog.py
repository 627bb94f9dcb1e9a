"""Make the master catalogue from the surveys' tables."""

import logging
from pathlib import Path

import pandas as pd

from contimg.crossmatch import drop_duplicates
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.script import run
from contimg.status import InputError
from contimg.surveys import Survey, read_survey
from contimg.tables import options_from

logger = logging.getLogger(__name__)


def main(*, surveys: list[Path], options: dict, catalog: Path) -> None:
    """Match NVSS with the other surveys and write the catalogue as SQLite.

    surveys: the surveys' tables (FITS, VOTable or CSV), in the order of options' surveys
    options: the config's catalog block: surveys (name, file, columns, ...) and thresholds
    catalog: output, master_sources.sqlite3
    """
    settings = options_from(CatalogOptions, options)
    expected = [Path(block["file"]).name for block in settings.surveys]
    if [path.name for path in surveys] != expected:
        raise InputError(
            f"survey files {[path.name for path in surveys]} are not those of the config, "
            f"{expected}; give them in that order"
        )
    if not any(block["name"] == "nvss" for block in settings.surveys):
        raise InputError("no survey named nvss in the config's catalog block; add one")
    inputs: list[Survey] = []
    for path, block in zip(surveys, settings.surveys, strict=True):
        inputs.append(read_survey(path, block))
        logger.info("%s: %s, %d rows", path, inputs[-1].release, len(inputs[-1].rows))
    tables: dict[str, list[pd.DataFrame]] = {}
    for survey in inputs:
        tables.setdefault(survey.name, []).append(survey.rows)
    joined = {
        name: drop_duplicates(parts, settings.duplicate_radius_arcsec)
        for name, parts in tables.items()
    }
    sources = build_sources(joined, settings)
    write_catalog(catalog, sources, settings, inputs)
    logger.info("%d sources written", len(sources))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
