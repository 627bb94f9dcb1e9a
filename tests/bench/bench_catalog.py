"""The catalogue at its full size: how long it takes to build, and a cone search of it.

    PYTHONPATH=scripts python tests/bench/bench_catalog.py
        [--sources 2000000] [--components 1000000] [--cones 200]

Random positions on the whole sky, half of the components at sources. Cones of 2 degrees at random
places, across RA 0 and around the poles: by `read_sources`; by SQLite alone with the index that
the catalogue has, with an index on declination, with an R*Tree (of the same box), and without
any; and the plain way, which reads all rows and asks astropy for the separations.
"""

import argparse
import logging
import math
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from contimg.catalog import ZONE, CatalogOptions, build_sources, read_sources, write_catalog

logger = logging.getLogger(__name__)

RADIUS_DEG = 2.0
EDGES = [(0.0, 30.0), (359.5, -60.0), (123.0, 89.5), (200.0, -89.9)]
RTREE = """
CREATE VIRTUAL TABLE boxes USING rtree(id, west, east, south, north);
INSERT INTO boxes SELECT rowid, ra_deg, ra_deg, dec_deg, dec_deg FROM sources;
"""
BOX = "ra_deg BETWEEN ? AND ? AND dec_deg BETWEEN ? AND ?"
WAYS = {
    "the catalogue's index": (
        "",
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


def random_survey(
    n_rows: int, rng: np.random.Generator, near: pd.DataFrame | None = None
) -> pd.DataFrame:
    ra, dec = rng.uniform(0, 360, n_rows), np.degrees(np.arcsin(rng.uniform(-1, 1, n_rows)))
    if near is not None:
        some = near.sample(n_rows // 2, random_state=1)
        ra[: len(some)], dec[: len(some)] = some.ra_deg, some.dec_deg
    flux = 0.0025 * rng.pareto(0.9, n_rows) + 0.0025
    return pd.DataFrame(
        {"ra_deg": ra, "dec_deg": dec, "flux_jy": flux, "peak_jy": flux, "rms_jy": 0.00045,
         "major_arcsec": 45.0, "minor_arcsec": 45.0, "size_arcsec": 0.0, "beam_arcsec": 45.0}
    )  # fmt: skip


def plain(path: Path, ra_deg: float, dec_deg: float) -> pd.DataFrame:
    with closing(sqlite3.connect(path)) as database:
        sources = pd.read_sql_query("SELECT * FROM sources", database)
    positions = SkyCoord(sources.ra_deg.to_numpy(), sources.dec_deg.to_numpy(), unit="deg")
    separation = positions.separation(SkyCoord(ra_deg, dec_deg, unit="deg")).deg
    return sources[separation <= RADIUS_DEG].sort_values("source_id", ignore_index=True)


def times_ms(search: Callable[[float, float], object], centres: list) -> str:
    search(*centres[0])
    taken = []
    for ra_deg, dec_deg in centres:
        start = time.perf_counter()
        search(ra_deg, dec_deg)
        taken.append(1e3 * (time.perf_counter() - start))
    return f"median {np.median(taken):.2f} ms, slowest of {len(taken)} {max(taken):.2f} ms"


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
    rng = np.random.default_rng(110)
    nvss = random_survey(arguments.sources, rng)
    surveys = {"nvss": nvss, "vlass": random_survey(arguments.components, rng, nvss)}
    n = arguments.cones
    inner = list(zip(rng.uniform(20, 340, n), rng.uniform(-75, 75, n), strict=True))
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        path = Path(name) / "master_sources.sqlite3"
        start = time.perf_counter()
        sources = build_sources(surveys, CatalogOptions())
        built = time.perf_counter()
        write_catalog(path, sources, CatalogOptions())
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        logger.info("%d sources, %d components: matched and flagged in %.0f s, written in %.0f s, "
                    "%.1f GB at most, file of %.0f MB", len(sources), arguments.components,
                    built - start, time.perf_counter() - built, peak_gb,
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
