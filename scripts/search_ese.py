"""Search light curves for extreme scattering events."""

import os
from pathlib import Path

# Before NumPy loads: sources are shared by processes, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import logging

from contimg.ese_candidates import searched_epochs
from contimg.ese_search import search, warn_if_none_was_searched
from contimg.light_curve_options import require_parquet, search_options
from contimg.light_curve_tables import read_light_curves
from contimg.schemas import ESE_SEARCH
from contimg.script import run
from contimg.tables import write_rejected_table, write_table

logger = logging.getLogger(__name__)


def main(*, lightcurves: Path, output: Path, options: dict | None = None, threads: int = 1) -> None:
    """Find the best lens and the best background of each source, and their likelihood ratio.

    The whole band is searched, or each frequency by itself where there is no whole band.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough; freq_hz and upper_limit (true: flux_jy is a limit) may be there
    output: ese_search.parquet
    options: min_epochs, min_fwhm_days, modulation_scale, ... (`ese` of the configuration) and
        sentinels (numbers that stand for no value), as JSON
    threads: processes that share the sources
    """
    options = search_options(options)
    require_parquet(output)
    curves, metadata = read_light_curves(lightcurves, options.get("sentinels", ()))
    about = {"options": options, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, ESE_SEARCH, metadata["reason"], about)
        return
    epochs = searched_epochs(curves, lightcurves)
    table = search(epochs, options, threads)
    warn_if_none_was_searched(epochs, table, options, lightcurves)
    write_table(output, table, ESE_SEARCH, about)
    logger.info("%d of %d sources searched", (table["template"] != "").sum(), len(table))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
