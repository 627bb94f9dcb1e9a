"""Planning in an archive: parse, look up, dry run; how long, and how much memory at most.

python tests/bench/bench_planning.py [--dates 300] [--groups 279] [--planned 1] [--repeats 3]

The last date by itself; then, with `--planned` N, the last N dates in one plan.
"""

import argparse
import logging
import os
import re
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
N_TIMES, N_BASELINES = 24, 4656
N_ROWS = N_TIMES * N_BASELINES


def write_constants(path: Path) -> None:
    """Write what the rows of all groups have in common: antennas and integration time."""
    antennas = np.arange(N_BASELINES) % 117
    with path.open("wb") as file:
        np.tile(antennas, N_TIMES).tofile(file)
        np.tile(antennas[::-1], N_TIMES).tofile(file)
        np.full(N_ROWS, 12.884902).tofile(file)


def write_header(path: Path, mjd: float, constants: Path) -> None:
    """Write a raw file with the full size of times and baselines, and no room for visibilities.

    The constant columns are kept once for all files, in `constants`.
    """
    with h5py.File(path, "w") as file:
        header = file.create_group("Header")
        times = 2400000.5 + mjd + np.arange(N_TIMES) * 12.884902 / 86400
        header["time_array"] = np.repeat(times, N_BASELINES)
        columns = {"ant_1_array": "i8", "ant_2_array": "i8", "integration_time": "f8"}
        for place, (name, kind) in enumerate(columns.items()):
            external = [(str(constants), place * 8 * N_ROWS, 8 * N_ROWS)]
            header.create_dataset(name, (N_ROWS,), kind, external=external)
        header["channel_width"] = 244140.625
        header["freq_array"] = 1.4986e9 - 244140.625 * np.arange(48)[None, :]
        header["polarization_array"] = np.array([-5, -6])
        header["telescope_name"] = np.bytes_("OVRO_MMA")
        header["antenna_names"] = np.array([str(n) for n in range(1, 118)], dtype="S3")
        header["antenna_numbers"] = np.arange(117)
        header["antenna_diameters"] = np.full(117, 4.65)
        header["phase_type"] = np.bytes_("drift")
        header["phase_center_app_dec"] = np.radians(46.8)
        shape = (N_ROWS, 1, 48, 2)
        file.create_dataset("Data/visdata", shape, dtype="c8", chunks=(1, 1, 48, 2))


def make_archive(folder: Path, n_dates: int, n_groups: int, n_planned: int) -> list[str]:
    """Fill incoming with names of all dates, and real headers in the last; return those dates."""
    incoming = folder / "incoming"
    incoming.mkdir()
    constants = folder / "constants.bin"
    write_constants(constants)
    dates = [shift_date(FIRST, day) for day in range(n_dates)]
    planned = dates[-n_planned:]
    for date in dates:
        start = mjd_of_group(f"{date}T00:00:30")
        for number in range(n_groups):
            mjd = start + number * SPACING_S / 86400
            stamp = group_of_mjd(mjd)
            for subband in range(16):
                path = incoming / f"{stamp}_sb{subband:02d}.hdf5"
                if date in planned and subband == 0:
                    write_header(path, mjd, constants)
                else:
                    os.close(os.open(path, os.O_CREAT))
    return planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=300)
    parser.add_argument("--groups", type=int, default=279)
    parser.add_argument("--planned", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where the archive is made for a while")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        dates = make_archive(Path(name), arguments.dates, arguments.groups, arguments.planned)
        logger.info("archive of %d dates of %d groups", arguments.dates, arguments.groups)
        for planned in [dates[-1:], dates][: 1 + (len(dates) > 1)]:
            for _ in range(arguments.repeats):
                logger.info("%d dates in one plan: %s", len(planned), measured(name, planned))


def measured(folder: str, dates: list[str]) -> str:
    """Plan the pages of some dates in one go; return jobs, times and peak memory as text."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", folder, "--dry-run", "--quiet", "rules", "--cores", "2",
        "--", *(f"report/{date}/index.html" for date in dates),
    ]  # fmt: skip
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(text[-3000:])
    jobs = re.findall(r"^total +(\d+)", text, re.MULTILINE)[0]
    processor_s = usage.ru_utime + usage.ru_stime
    peak_gb = usage.ru_maxrss / 1e6
    return f"{jobs} jobs, {wall_s:.1f} s ({processor_s:.1f} s of processor time), {peak_gb:.2f} GB"


if __name__ == "__main__":
    main()
