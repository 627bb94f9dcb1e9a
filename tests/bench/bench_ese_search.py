"""Time and memory of the search for events, and its statistic with and without them.

    PYTHONPATH=scripts python tests/bench/bench_ese_search.py [--batch 3000]

Printed as JSON, one thread, seconds of the processor:

separate: a source, with its own times and errors, of 12, 40 and 365 epochs (`search`).
batch: light curves that share times and errors (`search_batch`), and the peak memory so far.
nulls: quantiles of the statistic without events, 12 epochs a week apart of 3 % errors and 40 of 1 %
  in a year, for backgrounds (kernel, modulation, days).
"""

import argparse
import json
import os
import resource
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it

import numpy as np
import pandas as pd

from contimg.backgrounds import DRW, SMOOTH, WHITE, correlation
from contimg.epochs import Epochs
from contimg.ese_search import search, search_batch

SEPARATE = {12: 128, 40: 128, 365: 64}
BACKGROUNDS = [(WHITE, 0.0, 1.0)] + [
    (kernel, modulation, days)
    for kernel in (DRW, SMOOTH)
    for modulation in (0.02, 0.05, 0.1)
    for days in (10.0, 50.0)
]


def times(n_epochs: int) -> np.ndarray:
    return 7.0 * np.arange(12) if n_epochs == 12 else np.arange(n_epochs) * 365.0 / n_epochs


def separate(n_epochs: int, n_sources: int) -> float:
    rng = np.random.default_rng(0)
    error = rng.uniform(0.008, 0.02, (n_sources, n_epochs))
    flux = 1 + error * rng.normal(size=error.shape)
    mjd = 60000 + np.tile(times(n_epochs), (n_sources, 1))
    sources = pd.DataFrame({"source_id": np.arange(n_sources).astype(str)})
    epochs = Epochs(sources, mjd, flux, error)
    search(Epochs(sources[:1], mjd[:1], flux[:1], error[:1]))
    start = time.process_time()
    search(epochs)
    return (time.process_time() - start) / n_sources


def batch(n_epochs: int, count: int) -> dict[str, float]:
    flux = 1 + 0.01 * np.random.default_rng(1).normal(size=(count, n_epochs))
    start = time.process_time()
    search_batch(60000 + times(n_epochs), flux, np.full(n_epochs, 0.01))
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": seconds, "peak_gb": peak}


def nulls(n_epochs: int, count: int) -> dict[str, list[float]]:
    days, error = times(n_epochs), 0.03 if n_epochs == 12 else 0.01
    found = {}
    for kernel, modulation, timescale in BACKGROUNDS:
        rng = np.random.default_rng(2)
        k = correlation(kernel, timescale, days[:, None] - days) + 1e-9 * np.eye(n_epochs)
        walk = modulation * rng.normal(size=(count, n_epochs)) @ np.linalg.cholesky(k).T
        flux = 1 + walk + error * rng.normal(size=walk.shape)
        llr = search_batch(60000 + days, flux, np.full(n_epochs, error))["ese_llr"]
        name = f"{kernel} {100 * modulation:g} % {timescale:g} d"
        found[name] = [round(float(np.quantile(llr, q)), 2) for q in (0.5, 0.9, 0.99, 0.999)]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=3000)
    count = parser.parse_args().batch
    figures = {
        "separate": {n_epochs: separate(n_epochs, n) for n_epochs, n in SEPARATE.items()},
        "batch": {n_epochs: batch(n_epochs, count) for n_epochs in SEPARATE},
        "nulls": {n_epochs: nulls(n_epochs, count) for n_epochs in (12, 40)},
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
