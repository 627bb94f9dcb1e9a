"""The catalogue at its full size: how long it takes to build, and a cone search of it.

    PYTHONPATH=scripts python tests/bench/bench_catalog.py
        [--sources 2000000] [--components 1000000] [--cones 200]

Random positions on the whole sky, half of the components at sources, in files as NRAO and CIRADA
publish them; scripts/build_catalog.py makes the catalogue. Cones of 2 degrees at random places,
across RA 0 and around the poles: by `read_sources`; by SQLite alone with the index that the
catalogue has, with an index on declination, with an R*Tree (of the same box), and without any; and
the plain way, which reads all rows and asks astropy for the separations.
"""

import argparse
import gc
import logging
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from astropy.table import Table

from contimg.catalog import ZONE, read_sources

logger = logging.getLogger(__name__)

BUILD = Path(__file__).parents[2] / "scripts" / "build_catalog.py"
SURVEYS = ("nvss", "vlass")
RADIUS_DEG = 2.0
EDGES = [(0.0, 30.0), (359.5, -60.0), (123.0, 89.5), (200.0, -89.9)]
RTREE = """
CREATE VIRTUAL TABLE boxes USING rtree(id, west, east, south, north);
INSERT INTO boxes SELECT rowid, ra_deg, ra_deg, dec_deg, dec_deg FROM sources;
"""
BOX = "ra_deg BETWEEN ? AND ? AND dec_deg BETWEEN ? AND ?"
WAYS = {
    "the catalogue's index": (
        f"DROP INDEX sources_sky; CREATE INDEX sources_sky ON sources({ZONE}, ra_deg)",
        f"SELECT * FROM sources WHERE {ZONE} IN (zones) AND {BOX}",
    ),
    "an index on declination": (
        "CREATE INDEX sources_dec ON sources(dec_deg)",
        f"SELECT * FROM sources INDEXED BY sources_dec WHERE {BOX}",
    ),
    "an R*Tree": (
        RTREE,
        "SELECT sources.* FROM boxes JOIN sources ON sources.rowid = boxes.id "
        "WHERE west >= ? AND east <= ? AND south >= ? AND north <= ?",
    ),
    "no index": ("", f"SELECT * FROM sources NOT INDEXED WHERE {BOX}"),
}


def random_sky(n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return RA and dec in degrees, anywhere, and fluxes in Jy."""
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n_rows)))
    return rng.uniform(0, 360, n_rows), dec, 0.0025 * (rng.pareto(0.9, n_rows) + 1)


def write_surveys(folder: Path, n_sources: int, n_components: int) -> list[Path]:
    rng = np.random.default_rng(110)
    ra, dec, flux = random_sky(n_sources, rng)
    size = np.full(n_sources, 0.0125, np.float32)
    nvss = Table({"RA(2000)": ra, "DEC(2000)": dec, "PEAK INT": flux.astype(np.float32)})
    nvss["MAJOR AX"], nvss["MINOR AX"], nvss["I RMS"] = size, size, np.float32(0.00045)
    nvss.write(folder / "CATALOG.fits")
    near = rng.permutation(n_sources)[: n_components // 2]
    ra_3ghz, dec_3ghz, flux_3ghz = random_sky(n_components, rng)
    ra_3ghz[: len(near)], dec_3ghz[: len(near)] = ra[near], dec[near]
    columns = {"RA": ra_3ghz, "DEC": dec_3ghz, "Total_flux": 1e3 * flux_3ghz}
    constants = {"Isl_rms": 0.15, "DC_Maj": 0.0, "Duplicate_flag": 0, "Quality_flag": 0}
    vlass = pd.DataFrame(columns).assign(Peak_flux=1e3 * flux_3ghz, **constants)
    vlass.to_csv(folder / "components.csv", index=False)
    return [folder / "CATALOG.fits", folder / "components.csv"]


def plain(path: Path, ra_deg: float, dec_deg: float) -> pd.DataFrame:
    with closing(sqlite3.connect(path)) as database:
        sources = pd.read_sql_query("SELECT * FROM sources", database)
    positions = SkyCoord(sources.ra_deg.to_numpy(), sources.dec_deg.to_numpy(), unit="deg")
    separation = positions.separation(SkyCoord(ra_deg, dec_deg, unit="deg")).deg
    return sources[separation <= RADIUS_DEG].sort_values("source_id", ignore_index=True)


def build(files: list[Path], path: Path) -> str:
    """Make the catalogue in a process of its own; return its time and peak memory as text."""
    names = [f"{{name: {name}, file: {file}}}" for name, file in zip(SURVEYS, files, strict=True)]
    options = f"{{surveys: [{', '.join(names)}]}}"
    command = [sys.executable, str(BUILD), "--surveys", *map(str, files), "--options", options]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--catalog", str(path)], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{BUILD.name} failed")
    return f"{time.perf_counter() - start:.0f} s, {usage.ru_maxrss / 1e6:.1f} GB at most"


def times_ms(search: Callable[[float, float], object], centres: list) -> str:
    """Time searches; the processor's time is that of this process alone."""
    search(*centres[0])
    gc.collect()  # of what came before
    wall, processor = [], []
    for ra_deg, dec_deg in centres:
        start = time.perf_counter(), time.process_time()
        search(ra_deg, dec_deg)
        wall.append(1e3 * (time.perf_counter() - start[0]))
        processor.append(1e3 * (time.process_time() - start[1]))
    return (
        f"median {np.median(wall):.2f} ms ({np.median(processor):.2f} ms of processor time), "
        f"slowest of {len(wall)} {max(wall):.1f} ms ({max(processor):.1f} ms)"
    )


def in_box(database: sqlite3.Connection, query: str) -> Callable[[float, float], object]:
    """Return the search of a box around a cone that holds neither RA 0 nor a pole."""

    def search(ra_deg: float, dec_deg: float) -> list:
        south, north = dec_deg - RADIUS_DEG, dec_deg + RADIUS_DEG
        ratio = math.sin(math.radians(RADIUS_DEG)) / math.cos(math.radians(dec_deg))
        half = math.degrees(math.asin(ratio))
        zones = range(int((south + 90) * 2), int((north + 90) * 2) + 1)
        text = query.replace("zones", ", ".join(map(str, zones)))
        return database.execute(text, (ra_deg - half, ra_deg + half, south, north)).fetchall()

    return search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=2_000_000)
    parser.add_argument("--components", type=int, default=1_000_000)
    parser.add_argument("--cones", type=int, default=200)
    parser.add_argument("--scratch", type=Path, help="where the catalogue is made for a while")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = np.random.default_rng(111)
    n = arguments.cones
    inner = list(zip(rng.uniform(20, 340, n), rng.uniform(-75, 75, n), strict=True))
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        files = write_surveys(Path(name), arguments.sources, arguments.components)
        path = Path(name) / "master_sources.sqlite3"
        logger.info("%d sources, %d components", arguments.sources, arguments.components)
        logger.info("build_catalog: %s, file of %.0f MB", build(files, path),
                    path.stat().st_size / 1e6)  # fmt: skip
        for text, centres in (("random places", inner), ("RA 0 and poles", EDGES * 20)):
            told = times_ms(lambda *at: read_sources(path, *at, RADIUS_DEG), centres)
            logger.info("read_sources, 2 deg, %s: %s", text, told)
        same = all(
            read_sources(path, *at, RADIUS_DEG).source_id.equals(plain(path, *at).source_id)
            for at in EDGES
        )
        told = times_ms(lambda *at: plain(path, *at), EDGES[:2])
        logger.info("all rows and astropy: %s; the same sources: %s", told, same)
        with closing(sqlite3.connect(path)) as database:
            for text, (index, query) in WAYS.items():
                start = time.perf_counter()
                database.executescript(index)
                made = time.perf_counter() - start
                centres = inner if text != "no index" else inner[:5]
                told = times_ms(in_box(database, query), centres)
                logger.info("SQLite with %s: %s%s", text, told,
                            f"; made in {made:.1f} s" if index else "")  # fmt: skip


if __name__ == "__main__":
    main()
