"""Nulls of the library for the proof of the search: what its probabilities rest on."""

import os
from pathlib import Path

# Before NumPy loads: the processes are the parallel part, and one thread each repeats to the bit.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from dataclasses import replace

import pandas as pd

from contimg.script import run
from contimg.tables import write_table
from proof.schemas import CALIBRATION
from proof.truth import Setting, sizes_from
from proof.work import calibrate, known_backgrounds, null_settings


def main(
    *, output: Path, sizes: dict | None = None, search: dict | None = None, threads: int = 1
) -> None:
    """Simulate and search the library's own light curves without events, for each setting.

    output: calibration.parquet
    sizes: the block `validation` of the configuration, as JSON
    search: options of the search, as JSON
    threads: processes
    """
    wanted = sizes_from(sizes or {})
    judged = null_settings(wanted)
    daily = [Setting("daily", error) for error in wanted.errors]
    found = []
    # Where only depths are found, and no rates judged, a third as many are enough.
    fewer = replace(wanted, n_calibration=max(100, wanted.n_calibration // 3))
    for setting in dict.fromkeys([*judged, *daily]):
        known = known_backgrounds(setting) if setting in judged else []
        some = wanted if known else fewer
        found.append(calibrate(setting, known, some, search or {}, threads))
    table = pd.concat(found, ignore_index=True)
    write_table(output, table, CALIBRATION, {"options": {"sizes": sizes, "search": search}})


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
