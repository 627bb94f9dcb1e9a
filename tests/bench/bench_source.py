"""One source of a large archive: bytes and time of its look-up, beside reading the whole table.

python tests/bench/bench_source.py [--sources 20000] [--epochs 365] [--repeats 5]
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from contimg import Source
from contimg.schemas import LIGHTCURVES
from contimg.tables import read_table, write_table

logger = logging.getLogger(__name__)


def curves(n_sources: int, n_epochs: int) -> pd.DataFrame:
    """Light curves of noise: figures that do not compress."""
    rng = np.random.default_rng(1)
    count = n_sources * n_epochs
    numbers = {
        column.name: rng.normal(1, 0.1, count)
        for column in LIGHTCURVES
        if column.dtype == "float64"
    }
    names = np.array([f"J{number:06d}.0+300000" for number in range(n_sources)], dtype=object)
    return pd.DataFrame(
        {
            **numbers,
            "source_id": np.repeat(names, n_epochs),
            "mjd": np.tile(60000.0 + np.arange(n_epochs), n_sources),
            "n_images": 1, "n_references": 9, "is_reference": True, "status": "ok",
        }
    ).drop(columns="freq_hz")  # fmt: skip


def read_so_far() -> int:
    """Bytes that this process has read from files, as the kernel counts them."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


def measured(action: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median seconds and the megabytes of one call."""
    seconds, before = [], read_so_far()
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), (read_so_far() - before) / repeats / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=365)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    table = curves(options.sources, options.epochs)
    name = table["source_id"].iloc[len(table) // 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variability" / "lightcurves.parquet"
        write_table(path, table, LIGHTCURVES, by_source=True)
        n_rows = len(table)
        del table
        groups = pq.read_metadata(path).num_row_groups
        logger.info("%d rows, %.0f MB in %d row groups", n_rows, path.stat().st_size / 1e6, groups)
        for words, action, repeats in (
            ("one source", lambda: Source(name, folder).n_epochs, options.repeats),
            ("the whole table", lambda: len(read_table(path)[0]), 1),
        ):
            seconds, megabytes = measured(action, repeats)
            logger.info("%-16s %8.3f s %8.1f MB read", words, seconds, megabytes)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
