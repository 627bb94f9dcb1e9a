"""Measure how often sources without an event reach the statistic of the search."""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = "1"

import logging

from contimg.epochs import usable_epochs
from contimg.ese_search import search
from contimg.false_alarm import false_alarms
from contimg.schemas import ESE_FALSE_ALARMS, EXTERNAL_LIGHTCURVES
from contimg.script import run
from contimg.tables import (
    read_table,
    require_columns,
    whole_band,
    write_rejected_table,
    write_table,
)

logger = logging.getLogger(__name__)


def main(
    *,
    lightcurves: Path,
    output: Path,
    found: Path | None = None,
    options: dict | None = None,
    threads: int = 1,
) -> None:
    """Write the false-alarm probabilities of all sources, by simulation and from flipped curves.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough
    output: ese_false_alarms.parquet
    found: ese_search.parquet of the same light curves; searched here when it is not given
    options: n_nulls, null_error_step, ... and those of the search, as JSON
    threads: processes
    """
    curves, metadata = read_table(lightcurves)
    about = {"options": options or {}, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, ESE_FALSE_ALARMS, metadata["reason"], about)
        return
    require_columns(curves, EXTERNAL_LIGHTCURVES, lightcurves)
    epochs = usable_epochs(whole_band(curves))
    table = search(epochs, options) if found is None else read_table(found)[0]
    if table["source_id"].tolist() != epochs.sources["source_id"].tolist():
        raise ValueError(
            f"{found}: not the sources of {lightcurves}, in its order; make it of this table"
        )
    alarms = false_alarms(epochs, table, options, threads)
    write_table(output, alarms, ESE_FALSE_ALARMS, about)
    logger.info("%d sources in %d classes", len(alarms), alarms["null_class"].nunique())


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
