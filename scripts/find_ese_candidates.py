"""Find candidate extreme scattering events in light curves."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from contimg.chromaticity import with_chromaticity
from contimg.epochs import Epochs, usable_epochs
from contimg.ese_candidates import find_candidates
from contimg.schemas import ESE_CANDIDATES, EXTERNAL_LIGHTCURVES, WHOLE_BAND
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
    variability: Path | None = None,
    options: dict | None = None,
) -> None:
    """List the sources that dip as an extreme scattering event does, the best first.

    The whole band is searched; light curves of subband images then tell whether a candidate is
    chromatic, as plasma makes it.

    lightcurves: parquet or CSV of this or another telescope; source_id, mjd, flux_jy and
        flux_err_jy are enough
    output: ese_candidates.parquet
    variability: variability.parquet, for the positions where the light curves have none
    options: min_score, max_false_alarm, min_fwhm_days, ... as JSON
    """
    curves, metadata = read_table(lightcurves)
    about = {"options": options or {}, "lightcurves_digest": metadata.get("digest", "")}
    if metadata["status"] != "ok":
        write_rejected_table(output, ESE_CANDIDATES, metadata["reason"], about)
        return
    require_columns(curves, EXTERNAL_LIGHTCURVES, lightcurves)
    epochs = usable_epochs(whole_band(curves))
    if variability is not None:
        epochs = with_positions(epochs, read_table(variability)[0])
    candidates = find_candidates(epochs, options)
    about["n_sources"] = len(epochs.sources)
    if "subband" in curves:
        of_subbands = curves[curves.subband != WHOLE_BAND]
        candidates, about["subband_depths"] = with_chromaticity(candidates, of_subbands)
    write_table(output, candidates, ESE_CANDIDATES, about)
    logger.info("%d candidates among %d sources", len(candidates), len(epochs.sources))


def with_positions(epochs: Epochs, variability: pd.DataFrame) -> Epochs:
    """Fill in the positions that the light curves lack."""
    known = variability.drop_duplicates("source_id").set_index("source_id")
    filled = {
        name: epochs.sources[name].fillna(epochs.sources.source_id.map(known[name]))
        for name in ("ra_deg", "dec_deg")
    }
    return replace(epochs, sources=epochs.sources.assign(**filled))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
