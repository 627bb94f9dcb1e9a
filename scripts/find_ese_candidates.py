"""Find candidate extreme scattering events in light curves."""

import os
from pathlib import Path

# Before NumPy loads: sources are shared by processes, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import logging
from typing import Any

import pandas as pd

from contimg.annotations import read_annotations
from contimg.chromaticity import with_chromaticity
from contimg.epochs import Epochs
from contimg.ese import fit_dips
from contimg.ese_candidates import (
    CandidateOptions,
    compared_curves,
    explanation,
    find_candidates,
    reason,
    require_same_sources,
    searched_epochs,
)
from contimg.ese_search import search, warn_if_none_was_searched, why_not_searched
from contimg.false_alarm import false_alarms
from contimg.light_curve_options import require_parquet, search_options
from contimg.light_curve_tables import read_light_curves
from contimg.schemas import ESE_CANDIDATES
from contimg.script import run
from contimg.tables import (
    options_from,
    read_table,
    searched_band,
    write_rejected_table,
    write_table,
)

logger = logging.getLogger(__name__)


def main(
    *,
    lightcurves: Path,
    output: Path,
    ese_search: Path | None = None,
    ese_false_alarms: Path | None = None,
    variability: Path | None = None,
    annotations: list[Path] | None = None,
    options: dict | None = None,
    threads: int = 1,
) -> None:
    """List the sources that dip as behind a lens and not as their background does, the best first.

    The whole band is searched, or each frequency by itself where there is no whole band. Light
    curves of subband images, or else of several frequencies, then tell whether a candidate is
    chromatic. What is not given is made: from the light curves alone the same list follows.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough; freq_hz and upper_limit (true: flux_jy is a limit) may be there
    output: ese_candidates.parquet
    ese_search, ese_false_alarms: of search_ese and calibrate_false_alarms
    variability: variability.parquet, for the documented score and for positions
    annotations: CSV of people's verdicts: id, verdict, who, note
    options: max_false_alarm, min_fwhm_days, ... (`ese` of the configuration), sentinels, as JSON
    threads: processes that share the sources
    """
    options = search_options(options)
    require_parquet(output)
    curves, metadata = read_light_curves(lightcurves, options.get("sentinels", ()))
    about: dict[str, Any] = {
        "options": options,
        "lightcurves_digest": metadata.get("digest", ""),
    }
    if metadata["status"] != "ok":
        write_rejected_table(output, ESE_CANDIDATES, metadata["reason"], about)
        return
    # Before the search: it takes long, and what a person wrote may be wrong.
    verdicts = pd.concat([read_annotations(path) for path in annotations or [None]])
    epochs = searched_epochs(curves, lightcurves)
    given = {path: rows_of(path) for path in (ese_search, ese_false_alarms) if path}
    for path, rows in given.items():
        require_same_sources(rows, epochs, path, lightcurves)
    searched = search(epochs, options, threads) if ese_search is None else given[ese_search]
    warn_if_none_was_searched(epochs, searched, options, lightcurves)
    if ese_false_alarms is None:
        alarms = false_alarms(epochs, searched, options, threads)
    else:
        alarms = given[ese_false_alarms]
    scores = scored(epochs, options) if variability is None else rows_of(variability)
    unknown = sorted(set(verdicts["id"]) - set(searched["source_id"]))
    if unknown:
        logger.warning("verdicts on sources without a light curve: %s", ", ".join(unknown))
    found = find_candidates(searched, alarms, scores, verdicts, options)
    about["n_sources"] = len(searched)
    about["n_searched"] = n_searched = int((searched["template"] != "").sum())
    found["reason"] = ""
    if "subband" in curves or epochs.sources["source_id"].duplicated().any():
        found, about["subband_depths"] = with_chromaticity(found, compared_curves(curves))
    found = in_words(found, told_of(epochs, options), n_searched)
    write_table(output, found, ESE_CANDIDATES, about)
    counts = (len(found), n_searched, len(searched))
    logger.info("%d candidates; %d of %d sources searched", *counts)
    if found.empty and n_searched:
        tell_the_best(alarms, options)


def tell_the_best(alarms: pd.DataFrame, options: dict) -> None:
    """Say how far the best source is from being a candidate, where there is none."""
    best = alarms.loc[alarms["ese_false_alarm"].idxmin()]
    logger.info(
        "the smallest false-alarm probability is %.2g, of %s; max_false_alarm is %g",
        best["ese_false_alarm"],
        best["source_id"],
        options_from(CandidateOptions, options).max_false_alarm,
    )


def rows_of(path: Path) -> pd.DataFrame:
    """Read a table's rows of the light curves that are searched."""
    return searched_band(read_table(path)[0])


def scored(epochs: Epochs, options: dict) -> pd.DataFrame:
    """Return the documented score and the position of each source."""
    scores = fit_dips(epochs, options)["ese_score"].to_numpy()
    return epochs.sources.assign(ese_score=scores)


def told_of(epochs: Epochs, options: dict) -> pd.DataFrame:
    """Return what the words need of each source: why not searched, and which of its frequencies."""
    keys = [name for name in ("source_id", "freq_hz") if name in epochs.sources]
    told = epochs.sources[keys].assign(not_searched=why_not_searched(epochs, options))
    if "freq_hz" in told and told["freq_hz"].nunique(dropna=False) > 1:
        told["named_hz"] = told["freq_hz"]
    return told


def in_words(found: pd.DataFrame, told: pd.DataFrame, n_searched: int) -> pd.DataFrame:
    """Add the words; `reason` holds what the subbands tell."""
    keys = [name for name in ("source_id", "freq_hz") if name in told and name in found]
    rows = found.merge(told, "left", keys).to_dict("records")
    reasons = [reason(row) + row["reason"] for row in rows]
    explained = [
        explanation(row, n_searched)
        + (f" {row['reason'].removeprefix('; ').capitalize()}." if row["reason"] else "")
        for row in rows
    ]
    return found.assign(
        reason=pd.Series(reasons, found.index, dtype=object),
        explanation=pd.Series(explained, found.index, dtype=object),
    )


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
