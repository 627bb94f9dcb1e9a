"""ROC of the likelihood ratio, of the documented score, and of the largest deviation."""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from contimg.script import run
from contimg.tables import read_table, write_table
from proof.schemas import ROC
from proof.scores import roc_curves, score, score_draws
from proof.truth import Setting, sizes_from
from proof.work import Judge, pieces_of, shared


def main(
    *,
    calibration: Path,
    output: Path,
    sizes: dict | None = None,
    search: dict | None = None,
    threads: int = 1,
) -> None:
    """Compare the statistics on the same light curves, with and without events.

    calibration: calibration.parquet
    output: roc.parquet, a row a threshold
    sizes, search: as of calibrate_ese_validation
    threads: processes
    """
    wanted = sizes_from(sizes or {})
    rows = shared(score, pieces_of(score_draws(wanted, search or {})), threads)
    judge = Judge(Setting("daily", 0.01), read_table(calibration)[0], wanted.n_class)
    rows["p_inferred"] = -np.log10(judge.nulls.probabilities(rows)["ese_false_alarm"])
    about = {
        "options": {"sizes": sizes, "search": search},
        "n_without": int((rows["depth"] == 0).sum()),
        "backgrounds": sorted(set(rows["background"])),
    }
    write_table(output, roc_curves(rows), ROC, about)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
