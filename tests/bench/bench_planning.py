"""Planning one date of 279 groups in an archive of 300 dates: parse, look up, dry run.

python tests/bench/bench_planning.py [--dates 300] [--groups 279] [--repeats 3]
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from contimg.groups import group_of_mjd, mjd_of_group, shift_date

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SPACING_S = 309.237648
FIRST = "2025-01-01"


def write_header(path: Path, mjd: float, n_times: int = 24, n_baselines: int = 4656) -> None:
    """Write a raw file with the full size of times and baselines, and no room for visibilities."""
    with h5py.File(path, "w") as file:
        header = file.create_group("Header")
        times = 2400000.5 + mjd + np.arange(n_times) * 12.884902 / 86400
        header["time_array"] = np.repeat(times, n_baselines)
        ants = np.arange(n_baselines) % 117
        header["ant_1_array"] = np.tile(ants, n_times)
        header["ant_2_array"] = np.tile(ants[::-1], n_times)
        header["integration_time"] = np.full(n_times * n_baselines, 12.884902)
        header["channel_width"] = 244140.625
        header["freq_array"] = 1.4986e9 - 244140.625 * np.arange(48)[None, :]
        header["polarization_array"] = np.array([-5, -6])
        header["telescope_name"] = np.bytes_("OVRO_MMA")
        header["antenna_names"] = np.array([str(n) for n in range(1, 118)], dtype="S3")
        header["antenna_numbers"] = np.arange(117)
        header["antenna_diameters"] = np.full(117, 4.65)
        header["phase_type"] = np.bytes_("drift")
        header["phase_center_app_dec"] = np.radians(46.8)
        shape = (n_times * n_baselines, 1, 48, 2)
        file.create_dataset("Data/visdata", shape, dtype="c8", chunks=(1, 1, 48, 2))


def make_archive(folder: Path, n_dates: int, n_groups: int) -> str:
    """Fill incoming with names of all dates, and real headers in the last; return its name."""
    incoming = folder / "incoming"
    incoming.mkdir()
    for day in range(n_dates):
        date = shift_date(FIRST, day)
        start = mjd_of_group(f"{date}T00:00:30")
        for number in range(n_groups):
            mjd = start + number * SPACING_S / 86400
            stamp = group_of_mjd(mjd)
            for subband in range(16):
                path = incoming / f"{stamp}_sb{subband:02d}.hdf5"
                if day == n_dates - 1 and subband == 0:
                    write_header(path, mjd)
                else:
                    os.close(os.open(path, os.O_CREAT))
    return date


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=300)
    parser.add_argument("--groups", type=int, default=279)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as name:
        date = make_archive(Path(name), arguments.dates, arguments.groups)
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
            "--directory", name, "--dry-run", "--quiet", "all", "--cores", "2",
            "--", f"report/{date}/index.html",
        ]  # fmt: skip
        walls = [timed(command) for _ in range(arguments.repeats)]
        logger.info(
            "%d dates of %d groups: dry run of %s in %.1f s (of %s)",
            arguments.dates, arguments.groups, date, min(walls),
            ", ".join(f"{wall:.1f}" for wall in walls),
        )  # fmt: skip


def timed(command: list[str]) -> float:
    """Run a command; return how long it took, seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
