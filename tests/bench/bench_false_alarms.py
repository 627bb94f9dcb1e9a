"""Processor time of the search and of its false alarms, for an archive of a year.

    PYTHONPATH=scripts python tests/bench/bench_false_alarms.py [--sources 300]
        [--options '{n_nulls: 100, n_class: 50}']

Sources of 10 mJy to 3 Jy, noise of 1 to 3 mJy and 0.5 %, three in four with a damped random walk;
each has its own times, and nine in ten of 365 days. Printed as JSON: seconds of the processor, one
process. The log tells the groups.
"""

import argparse
import json
import logging
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy reads it

import numpy as np
import pandas as pd

from contimg.epochs import usable_epochs
from contimg.ese_search import search
from contimg.false_alarm import false_alarms
from contimg.script import read_yaml

N_DAYS = 365


def archive(n_sources: int) -> pd.DataFrame:
    """Return light curves: source_id, mjd, flux_jy, flux_err_jy."""
    random = np.random.default_rng(7)
    mean_jy = np.minimum(0.01 / random.uniform(0, 1, n_sources), 3.0)
    rows = []
    for number, flux_jy in enumerate(mean_jy):
        mjd = 60676.0 + np.arange(N_DAYS) + number / n_sources
        seen = random.uniform(size=N_DAYS) > 0.1
        modulation, days = random.choice([0, 0.01, 0.02, 0.04]), 10 ** random.uniform(1, 2.5)
        walk, keep = random.standard_normal(N_DAYS), np.exp(-1 / days)
        for day in range(1, N_DAYS):
            walk[day] = keep * walk[day - 1] + np.sqrt(1 - keep**2) * walk[day]
        error_jy = np.hypot(0.001 * random.uniform(1, 3), 0.005 * flux_jy)
        noise_jy = error_jy * random.standard_normal(N_DAYS)
        values = {
            "source_id": f"s{number:04d}",
            "mjd": mjd,
            "flux_jy": flux_jy * (1 + modulation * walk) + noise_jy,
            "flux_err_jy": error_jy,
        }
        rows.append(pd.DataFrame(values)[seen])
    return pd.concat(rows, ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=300)
    parser.add_argument("--options", type=read_yaml, default={})
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    epochs = usable_epochs(archive(asked.sources))
    start = time.process_time()
    found = search(epochs, asked.options)
    searched = time.process_time()
    false_alarms(epochs, found, asked.options)
    figures = {
        "sources": asked.sources,
        "search": searched - start,
        "false_alarms": time.process_time() - searched,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
