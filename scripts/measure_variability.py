"""Measure the variability of light curves."""

import logging
from pathlib import Path

from contimg.schemas import EXTERNAL_LIGHTCURVES, VARIABILITY
from contimg.script import run
from contimg.tables import read_table, require_columns, write_rejected_table, write_table
from contimg.variability import measure_variability

logger = logging.getLogger(__name__)


def main(*, lightcurves: Path, output: Path, options: dict | None = None) -> None:
    """Measure variability: one row a source.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough
    output: variability.parquet
    options: detection_snr, min_vs, and ese with the options of find_ese_candidates, as JSON
    """
    curves, metadata = read_table(lightcurves)
    about = {"options": options or {}, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, VARIABILITY, metadata["reason"], about)
        return
    require_columns(curves, EXTERNAL_LIGHTCURVES, lightcurves)
    table = measure_variability(curves, options)
    write_table(output, table, VARIABILITY, about)
    logger.info("%d sources measured", len(table))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
