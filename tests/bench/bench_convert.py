"""Conversion against the plain way (pyuvdata: read 16 files, phase, write_ms), in one run.

    python tests/bench/bench_convert.py INCOMING/2025-10-19T21*.hdf5

takes the raw files of one full-size group, converts them both ways, each in a process of its own,
and logs wall time, peak memory and the largest difference between the two sets.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
TELESCOPE = {"name": "OVRO_MMA", "dish_diameter_m": 4.65}
INGEST = {"n_subbands": 16, "min_subbands": 14, "header_tolerance_s": 0.1}

logger = logging.getLogger("bench_convert")


def ours(files: list[Path], ms: Path) -> None:
    """Convert as the workflow does, status file included."""
    from contimg.groups import group_of_mjd
    from contimg.uvh5 import read_header
    from convert_group import main

    main(
        subbands=files,
        antennas=REPOSITORY / "config" / "dsa110_antennas.csv",
        ms=ms,
        status=ms.with_suffix(".json"),
        telescope=TELESCOPE,
        ingest=INGEST,
        group=group_of_mjd(read_header(files[0]).first_mjd),
    )


def plain(files: list[Path], ms: Path) -> None:
    """Convert as a user of pyuvdata would: read, phase, write_ms."""
    import warnings

    from pyuvdata import UVData

    from contimg.meridian import meridian_icrs
    from contimg.uvh5 import read_header

    warnings.simplefilter("ignore")
    header = read_header(files[0])
    parts = [UVData.from_file(path, file_type="uvh5", run_check=False) for path in files]
    for part in parts:
        part.uvw_array = part.uvw_array.astype(float)
    data = parts.pop(0)
    data.fast_concat(parts, "freq", inplace=True, run_check=False)
    parts.clear()
    data.reorder_freqs(channel_order="freq", run_check=False)
    data.data_array = data.data_array.astype(np.complex64, copy=False)
    zenith_angle = np.deg2rad(header.apparent_dec_deg) - data.telescope.location.lat.rad
    number = data._add_phase_center(
        "meridian",
        cat_type="driftscan",
        cat_lon=0.0 if zenith_angle > 0 else np.pi,
        cat_lat=np.pi / 2 - abs(zenith_angle),
        cat_frame="altaz",
    )
    data.phase_center_id_array[:] = number
    data._clear_unused_phase_centers()
    data._set_app_coords_helper()
    data.set_uvws_from_antenna_positions(update_vis=False)
    ra_deg, dec_deg = meridian_icrs(header.mid_mjd, header.apparent_dec_deg)[0]
    data.phase(
        lon=np.deg2rad(ra_deg), lat=np.deg2rad(dec_deg), phase_frame="icrs", cat_name="field"
    )
    data.write_ms(str(ms), run_check=False)


WAYS = {"plain": plain, "ours": ours}


def measured(way: str, files: list[Path], ms: Path) -> dict[str, float]:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--ms", str(ms), *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def difference(first: Path, second: Path) -> dict[str, float]:
    """Compare two sets, portion by portion."""
    from casacore import tables

    worst = {"visibility_jy": 0.0, "uvw_m": 0.0, "flags": 0.0}
    with tables.table(str(first), ack=False) as one, tables.table(str(second), ack=False) as two:
        for start in range(0, one.nrows(), 4096):
            for name, column in (("visibility_jy", "DATA"), ("uvw_m", "UVW"), ("flags", "FLAG")):
                values = [table.getcol(column, start, 4096) for table in (one, two)]
                apart = values[0] != values[1] if name == "flags" else values[0] - values[1]
                worst[name] = max(worst[name], float(np.abs(apart).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--way", choices=sorted(WAYS))
    parser.add_argument("--ms", type=Path)
    parser.add_argument("--scratch", type=Path, help="where the sets are made for a while")
    options = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.way:
        start = time.perf_counter()
        WAYS[options.way](options.files, options.ms)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        figures = {"wall_s": time.perf_counter() - start, "peak_gb": peak}
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        sets = {way: Path(scratch) / f"{way}.ms" for way in WAYS}
        for way, ms in sets.items():
            figures = measured(way, options.files, ms)
            logger.info("%-6s %6.1f s %6.2f GB", way, figures["wall_s"], figures["peak_gb"])
        logger.info("largest difference: %s", difference(sets["plain"], sets["ours"]))


if __name__ == "__main__":
    main()
