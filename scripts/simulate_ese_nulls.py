"""Light curves without events, of the simulator: how often the search calls one an event."""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import pandas as pd

from contimg.script import run
from contimg.tables import read_table, write_table
from proof.schemas import NULLS
from proof.truth import backgrounds_of, sizes_from
from proof.work import (
    Judge,
    null_draws,
    null_settings,
    pieces_of,
    search_draws,
    shared,
)


def main(
    *,
    calibration: Path,
    output: Path,
    sizes: dict | None = None,
    search: dict | None = None,
    threads: int = 1,
) -> None:
    """Search light curves without events, and judge them as sources are judged.

    calibration: calibration.parquet
    output: nulls.parquet, a row a light curve
    sizes, search: as of calibrate_ese_validation
    threads: processes
    """
    wanted = sizes_from(sizes or {})
    known, _ = read_table(calibration)
    columns = [column.name for column in NULLS]
    judged = []
    for setting in null_settings(wanted):
        draws = null_draws(setting, wanted, search or {})
        rows = shared(search_draws, pieces_of(draws), threads)
        judge = Judge(setting, known, wanted.n_class)
        for background in backgrounds_of(setting.cadence):
            found = judge.judged(rows[rows["background"] == background.words], background)
            judged.append(found.assign(calibrated=background.calibrated)[columns])
    table = pd.concat(judged, ignore_index=True)
    write_table(output, table, NULLS, {"options": {"sizes": sizes, "search": search}})


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
