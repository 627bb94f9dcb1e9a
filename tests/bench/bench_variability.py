"""Time and memory of the variability metrics of a large archive, by part.

    PYTHONPATH=scripts python tests/bench/bench_variability.py [--sources 100000] [--threads 2]

Light curves of 365 epochs, a tenth of them missing, errors that differ by a factor of two: half of
the sources constant and bright, 45 % constant and faint (negative fluxes among them), 5 % vary by
30 %. Printed as JSON:

pairs: seconds and peak memory of the pair metrics (Vs, m, largest Vs, its probability) from arrays
  in memory, the same where all sources are faint and vary (the worst case: nothing can be left
  early), and the plain way - all pairs of a block of sources in memory at once - on 1 in 200 of
  the sources, scaled to all of them, in the same run. Both ways find the same.
parts: measure_variability of a file of the workflow's own schema: reading, sorting into arrays,
  metrics of the epochs (the pairs among them), the dip search of the documented score.
whole: the script as a user calls it, with its start and the writing.

Each is a process of its own; its peak memory holds what the process starts with.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sources", type=int, default=100_000)
parser.add_argument("--epochs", type=int, default=365)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--step", choices=["write", "pairs", "plain", "parts"], help="for itself")
parser.add_argument("--worst", action="store_true", help="for itself")
parser.add_argument("--directory", type=Path, help="where the light curves go")
given = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it; the sources are shared out

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from contimg.epochs import Epochs, over_chunks, usable_epochs  # noqa: E402
from contimg.ese import fit_dips  # noqa: E402
from contimg.light_curve_tables import read_light_curves  # noqa: E402
from contimg.variability import (  # noqa: E402
    VariabilityOptions,
    epoch_metrics,
    largest_pair,
    measure_variability,
)

AT_ONCE = 5000
PLAIN_SHARE = 200
SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_variability.py"


def arrays(n_sources: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, fluxes and errors of some sources, NaN where there is no epoch."""
    rng = np.random.default_rng([7, seed])
    shape = (n_sources, given.epochs)
    error = 1e-3 * rng.uniform(1, 2, shape)
    kind = rng.random(n_sources)
    faint = np.ones(n_sources, dtype=bool) if given.worst else (kind > 0.5) & (kind < 0.95)
    varies = np.ones(n_sources, dtype=bool) if given.worst else kind >= 0.95
    mean = np.where(faint, rng.uniform(0, 5e-3, n_sources), rng.uniform(2e-2, 2e-1, n_sources))
    scatter = np.where(varies, np.where(faint, 5e-3, 0.3 * mean), 0.0)
    flux = mean[:, None] + scatter[:, None] * rng.normal(size=shape) + rng.normal(0, error)
    mjd = 60000 + 0.99727 * np.arange(given.epochs) + rng.random((n_sources, 1))
    missing = rng.random(shape) < 0.1
    for values in (mjd, flux, error):
        values[missing] = np.nan
    return mjd, flux, error


def whole_archive() -> Epochs:
    parts = [arrays(min(AT_ONCE, given.sources - i), i) for i in range(0, given.sources, AT_ONCE)]
    joined = [np.concatenate([part[i] for part in parts]) for i in range(3)]
    for values in joined:  # as `usable_epochs` pads: at the end
        order = np.argsort(np.isnan(values), axis=1, kind="stable")
        values[:] = np.take_along_axis(values, order, axis=1)
    return Epochs(pd.DataFrame({"source_id": np.arange(given.sources).astype(str)}), *joined)


def write(path: Path) -> None:
    """Write light curves as normalise_lightcurves does, a few sources at once."""
    writer = None
    for start in range(0, given.sources, AT_ONCE):
        mjd, flux, error = arrays(min(AT_ONCE, given.sources - start), start)
        there = np.isfinite(flux)
        source = np.nonzero(there)[0]
        table = pa.table(
            {
                "source_id": [f"J{n + start:08d}" for n in source],
                "mjd": mjd[there],
                "n_images": np.full(len(source), 3),
                **dict.fromkeys(("flux_jy", "norm_flux_jy"), flux[there]),
                **dict.fromkeys(("flux_err_jy", "norm_err_jy"), error[there]),
                **{name: np.ones(len(source)) for name in ("gain", "gain_err")},
                "n_references": np.full(len(source), 12),
                "is_reference": np.zeros(len(source), dtype=bool),
                "status": ["ok"] * len(source),
                "ra_deg": source / 300.0,
                "dec_deg": np.full(len(source), 40.0),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def pairs() -> dict:
    epochs = whole_archive()
    before = peak_gb()
    start = time.perf_counter()
    found = over_chunks(lambda some: largest_pair(some, 4.3), epochs, 200_000, given.threads)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak_gb": peak_gb(),
        "peak_gb_of_the_arrays": before,
        "share_with_a_pair": float((found["m_max"] > 0).mean()),
    }


def plain() -> dict:
    """All pairs of a block of sources at once; on a part of the sources, scaled."""
    epochs = whole_archive()
    rows = slice(None, None, PLAIN_SHARE)
    flux, error = epochs.flux_jy[rows], epochs.error_jy[rows]
    first, second = np.triu_indices(flux.shape[1], k=1)
    found = []
    start = time.perf_counter()
    for block in range(0, len(flux), 60):  # 4 million pairs
        s, e = flux[block : block + 60], error[block : block + 60]
        difference = s[:, first] - s[:, second]
        vs = np.abs(difference) / np.hypot(e[:, first], e[:, second])
        m = np.abs(2 * difference / (s[:, first] + s[:, second]))
        m = np.where((vs >= 4.3) & np.isfinite(m), m, 0.0)
        found.append(np.stack([m.max(axis=1), np.nanmax(vs, axis=1)]))
    seconds = time.perf_counter() - start
    part = Epochs(epochs.sources[rows], epochs.mjd[rows], flux, error)
    ours = largest_pair(part, 4.3)
    difference = np.concatenate(found, axis=1) - np.stack([ours["m_max"], ours["vs_largest"]])
    return {
        "seconds": seconds * len(epochs.sources) / len(flux),
        "sources_timed": len(flux),
        "peak_gb": peak_gb(),
        "largest_difference": float(np.abs(difference).max()),
    }


def parts(path: Path) -> dict:
    times, peaks = {}, {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        times[name], peaks[name] = time.perf_counter() - start, peak_gb()
        start = time.perf_counter()

    curves, _ = read_light_curves(path)
    lap("read")
    epochs = usable_epochs(curves)
    lap("sort into arrays")
    epoch_metrics(epochs, VariabilityOptions(), given.threads)
    lap("metrics of epochs and pairs")
    fit_dips(epochs, None, given.threads)
    lap("dip search")
    measure_variability(curves[:1000])
    lap("table of three sources")
    return {"seconds": times, "peak_gb_after": peaks}


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def child(*arguments: str) -> dict:
    own = ["--sources", given.sources, "--epochs", given.epochs, "--threads", given.threads]
    command = [sys.executable, __file__, *map(str, own), *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def whole(path: Path) -> dict:
    output = path.with_name("variability.parquet")
    start = time.perf_counter()
    options = ["--lightcurves", path, "--output", output, "--threads", str(given.threads)]
    process = subprocess.Popen([sys.executable, SCRIPT, *options])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"measure_variability ended with status {status}")
    found = {"seconds": time.perf_counter() - start, "peak_gb": usage.ru_maxrss * 1024 / 1e9}
    return {**found, "rows": pq.read_metadata(output).num_rows}


def main() -> None:
    if given.step:
        path = given.directory and given.directory / "lightcurves.parquet"
        done = {
            "write": lambda: write(path),
            "pairs": pairs,
            "plain": plain,
            "parts": lambda: parts(path),
        }[given.step]()
        sys.stdout.write(json.dumps(done) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        there = ["--directory", folder]
        child("--step", "write", *there)
        result = {
            "sources": given.sources,
            "epochs": given.epochs,
            "threads": given.threads,
            "pairs": {
                "ours": child("--step", "pairs"),
                "worst": child("--step", "pairs", "--worst"),
                "plain": child("--step", "plain"),
            },
            "parts": child("--step", "parts", *there),
            "whole": whole(Path(folder) / "lightcurves.parquet"),
        }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
