"""Measure how often sources without an event reach the statistic of the search."""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import logging

from contimg.ese_candidates import require_same_sources, searched_epochs
from contimg.ese_search import search
from contimg.false_alarm import false_alarms
from contimg.light_curve_options import require_parquet, search_options
from contimg.light_curve_tables import read_light_curves
from contimg.schemas import ESE_FALSE_ALARMS
from contimg.script import run
from contimg.tables import read_table, write_rejected_table, write_table

logger = logging.getLogger(__name__)


def main(
    *,
    lightcurves: Path,
    output: Path,
    ese_search: Path | None = None,
    options: dict | None = None,
    threads: int = 1,
) -> None:
    """Write the false-alarm probabilities of all sources, by simulation and from flipped curves.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough
    output: ese_false_alarms.parquet
    ese_search: ese_search.parquet of the same light curves; searched here when it is not given
    options: n_nulls, null_error_step, ..., those of the search, and sentinels, as JSON
    threads: processes
    """
    options = search_options(options)
    require_parquet(output)
    curves, metadata = read_light_curves(lightcurves, options.get("sentinels", ()))
    about = {"options": options, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, ESE_FALSE_ALARMS, metadata["reason"], about)
        return
    epochs = searched_epochs(curves, lightcurves)
    table = search(epochs, options, threads) if ese_search is None else read_table(ese_search)[0]
    require_same_sources(table, epochs, ese_search, lightcurves)
    alarms = false_alarms(epochs, table, options, threads)
    write_table(output, alarms, ESE_FALSE_ALARMS, about)
    logger.info("%d sources in %d classes", len(alarms), alarms["null_class"].nunique())


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
