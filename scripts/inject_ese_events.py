"""Events behind lenses of the simulator in light curves: which does the search find?"""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from contimg.script import run
from contimg.tables import read_table, write_table
from proof.injections import depth_draws, required_draws, with_verdicts
from proof.schemas import INJECTIONS
from proof.truth import Setting, sizes_from
from proof.work import Judge, pieces_of, search_draws, shared


def main(
    *,
    calibration: Path,
    output: Path,
    sizes: dict | None = None,
    search: dict | None = None,
    threads: int = 1,
) -> None:
    """Search light curves with events, and judge them as sources are judged.

    calibration: calibration.parquet
    output: injections.parquet, a row a light curve
    sizes, search: as of calibrate_ese_validation
    threads: processes
    """
    wanted = sizes_from(sizes or {})
    draws = required_draws(wanted, search or {}) + depth_draws(wanted, search or {})
    rows = shared(search_draws, pieces_of(draws), threads)
    known, _ = read_table(calibration)
    rows["p_inferred"] = 1.0
    for error in wanted.errors:
        setting = Setting("daily", error)
        here = rows["setting"] == setting.name
        nulls = Judge(setting, known, wanted.n_class).nulls
        rows.loc[here, "p_inferred"] = nulls.probabilities(rows[here])["ese_false_alarm"]
    table = with_verdicts(rows)[[column.name for column in INJECTIONS]]
    write_table(output, table, INJECTIONS, {"options": {"sizes": sizes, "search": search}})


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
