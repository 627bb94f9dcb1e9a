"""Measure the variability of light curves."""

import logging
from pathlib import Path

from contimg.light_curve_options import require_parquet, variability_options
from contimg.light_curve_tables import read_light_curves
from contimg.schemas import VARIABILITY
from contimg.script import run
from contimg.tables import read_table, write_rejected_table, write_table
from contimg.variability import measure_variability, with_ese_search

logger = logging.getLogger(__name__)


def main(
    *,
    lightcurves: Path,
    output: Path,
    ese_search: Path | None = None,
    ese_false_alarms: Path | None = None,
    options: dict | None = None,
    threads: int = 1,
) -> None:
    """Measure variability: one row a source, and a frequency where there is freq_hz.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough; freq_hz and upper_limit (true: flux_jy is a limit) may be there
    output: variability.parquet
    ese_search, ese_false_alarms: of search_ese and calibrate_false_alarms; without them the
        columns ese_llr and ese_false_alarm are NaN
    options: detection_snr, min_vs, sentinels (numbers that stand for no value, such as
        [-99, -999]) and ese with min_epochs, min_fwhm_days, max_fwhm_days, as JSON
    threads: sources are shared out among them
    """
    options = variability_options(options)
    require_parquet(output)
    curves, metadata = read_light_curves(lightcurves, options.get("sentinels", ()))
    about = {"options": options, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, VARIABILITY, metadata["reason"], about)
        return
    table = measure_variability(curves, options, lightcurves, threads)
    searches = [path and read_table(path)[0] for path in (ese_search, ese_false_alarms)]
    table = with_ese_search(table, *searches)
    if None in (ese_search, ese_false_alarms):
        logger.info("no ese_search or ese_false_alarms: find_ese_candidates.py searches by itself")
    used, limits = int(table.n_epochs.sum()), int(table.get("n_limits", table.n_epochs[:0]).sum())
    about["rows"] = {"used": used, "limits": limits, "left_out": len(curves) - used - limits}
    write_table(output, table, VARIABILITY, about)
    logger.info("%d sources measured, rows: %s", len(table), about["rows"])


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
