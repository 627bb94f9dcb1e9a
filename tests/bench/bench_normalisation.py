"""Time and memory of normalisation over a strip of 24 hours: 279 images a date, 156 sources each.

    python tests/bench/bench_normalisation.py [--dates 20] [--folder FOLDER]

FOLDER (build/bench/normalisation) gets a photometry table a date (43 500 rows); those that are
there are used again. Prints a line of JSON: rows, seconds, processor time and peak memory.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts")]

import normalise_lightcurves  # noqa: E402
from contimg.catalog import read_sources  # noqa: E402
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog  # noqa: E402
from contimg.schemas import PHOTOMETRY  # noqa: E402
from contimg.tables import read_table, write_table  # noqa: E402

N_SOURCES, N_IMAGES, NOISE_JY = 11160, 279, 0.001
DEC_DEG, RADIUS_DEG, BEAM_SIGMA_DEG = 46.5, 2.2, 1.14


def make_catalog(path: Path) -> pd.DataFrame:
    """Return the sources of the strip, brighter than 10 mJy; their numbers go as 1/flux."""
    random = np.random.default_rng(0)
    ra_deg = np.sort(random.uniform(0, 360, N_SOURCES))
    dec_deg = DEC_DEG + random.uniform(-RADIUS_DEG, RADIUS_DEG, N_SOURCES)
    flux_jy = np.minimum(0.01 / random.uniform(0, 1, N_SOURCES), 3.0)
    nvss = pd.DataFrame(
        {"ra_deg": ra_deg, "dec_deg": dec_deg, "flux_jy": flux_jy, "rms_jy": 0.00045,
         "major_arcsec": 45.0, "minor_arcsec": 45.0, "beam_arcsec": 45.0, "size_arcsec": 0.0}
    )  # fmt: skip
    options = CatalogOptions(confusion_radius_arcsec=1)
    write_catalog(path, build_sources({"nvss": nvss}, options), options, {})
    return read_sources(path)


def make_date(number: int, sources: pd.DataFrame, path: Path) -> None:
    """Write the photometry of one date."""
    random = np.random.default_rng(number + 1)
    date = str((pd.Timestamp("2025-01-01") + pd.Timedelta(days=number)).date())
    ra_deg, dec_deg = sources.ra_deg.to_numpy(), sources.dec_deg.to_numpy()
    flux_jy = sources.s_nvss.to_numpy()
    start = random.uniform(0, 360 / N_IMAGES)
    parts = []
    for image in range(N_IMAGES):
        centre = start + image * 360 / N_IMAGES
        x = ((ra_deg - centre + 180) % 360 - 180) * np.cos(np.radians(DEC_DEG))
        y = dec_deg - DEC_DEG
        own = np.flatnonzero(np.hypot(x, y) < RADIUS_DEG)
        x, y = x[own], y[own]
        gain = 1 + 0.05 * random.standard_normal() + 0.02 * (random.standard_normal(2) @ [x, y])
        error = NOISE_JY * np.exp((x**2 + y**2) / 2 / BEAM_SIGMA_DEG**2)
        flux = flux_jy[own] * gain + error * random.standard_normal(len(own))
        parts.append(
            sources.iloc[own][["source_id", "ra_deg", "dec_deg"]].assign(
                date=date, group=f"{date}T{image:06d}", mjd=60676 + number + image / N_IMAGES,
                flux_jy=flux, flux_err_jy=error, rms_jy=error, chi2=1.0, pb=NOISE_JY / error,
                snr=flux / error, blended=False, edge=False, status="ok", image_digest="",
            )
        )  # fmt: skip
    write_table(path, pd.concat(parts, ignore_index=True), PHOTOMETRY, {"groups": {}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench" / "normalisation")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    catalog = options.folder / "sources.sqlite3"
    sources = read_sources(catalog) if catalog.exists() else make_catalog(catalog)
    paths = []
    for number in range(options.dates):
        paths.append(options.folder / f"D{number:04d}" / "photometry.parquet")
        if not paths[-1].exists():
            paths[-1].parent.mkdir(exist_ok=True)
            make_date(number, sources, paths[-1])
    wall, processor = time.monotonic(), time.process_time()
    normalise_lightcurves.main(
        photometry=paths,
        catalog=catalog,
        lightcurves=options.folder / "lightcurves.parquet",
        images=options.folder / "images.parquet",
    )
    images, about = read_table(options.folder / "images.parquet")
    told = {
        "dates": options.dates,
        "images": len(images),
        "seconds": round(time.monotonic() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "solver": about["figures"]["solver"],
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
