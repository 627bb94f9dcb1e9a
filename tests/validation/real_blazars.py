"""The search for events on real blazars: how often does it call one what is none?

    PYTHONPATH=scripts:tests python tests/validation/real_blazars.py FILE ... [--threads 2]
        [--freq 2.25] [--table OUTPUT.parquet]
        [--options '{max_cadences: 3, n_nulls: 1500}']

Each FILE is the light curve of one source as the archive of the Green Bank Interferometer has it
(NASA, NRAO and USNO; 1996 to 2000), a line an observation: MJD, hour angle, flux at 2.25 and at
8.3 GHz (Jy), spectral index, standard errors of both fluxes. Light curves are cut into years; each
year is searched as a source of its own, as it stands and turned over about its median: turned
over it holds no dips of lenses. The first observation of a day is taken; fluxes of -1 are the
archive's word for none. Else nothing is left out, so bad observations are there as they are in an
archive. Prints, of either, how many years have a chance of at most 1e-2 and 1e-3 by simulation,
and those below 1e-3.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from contimg.epochs import usable_epochs
from contimg.ese_search import search
from contimg.false_alarm import false_alarms
from contimg.script import read_yaml

COLUMNS = ["mjd", "hour_angle", "2.25", "8.3", "spectral_index", "error 2.25", "error 8.3"]
YEAR_DAYS = 365.0
MIN_EPOCHS = 100
TURNED = " turned"


def read_years(path: Path, freq: str) -> pd.DataFrame:
    """Read the observations of one source, each year of them a source of its own."""
    rows = pd.read_csv(path, sep=r"\s+", names=COLUMNS).sort_values("mjd", kind="stable")
    rows = rows[rows[freq] > 0]
    rows = rows[~(rows["mjd"] // 1).duplicated()]
    year = ((rows["mjd"] - rows["mjd"].min()) // YEAR_DAYS).astype(int)
    curves = pd.DataFrame(
        {
            "source_id": [f"{path.stem} year {number + 1}" for number in year],
            "mjd": rows["mjd"],
            "flux_jy": rows[freq],
            "flux_err_jy": rows[f"error {freq}"],
        }
    )
    counts = curves["source_id"].map(curves["source_id"].value_counts())
    return curves[counts >= MIN_EPOCHS]


def turned_over(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the light curves upside down, under names of their own."""
    median = curves.groupby("source_id")["flux_jy"].transform("median")
    return curves.assign(
        source_id=curves["source_id"] + TURNED, flux_jy=2 * median - curves["flux_jy"]
    )


def judged(curves: pd.DataFrame, options: dict[str, Any], threads: int) -> pd.DataFrame:
    """Return what the search finds in each light curve, and its chance."""
    epochs = usable_epochs(curves)
    found = search(epochs, options, threads)
    alarms = false_alarms(epochs, found, options, threads)
    spread = curves.groupby("source_id")["flux_jy"].agg(lambda flux: flux.std() / flux.mean())
    return found.merge(alarms, on="source_id").merge(spread.rename("spread"), on="source_id")


def told(rows: pd.DataFrame, name: str) -> str:
    chance = rows["ese_false_alarm"]
    counts = ", ".join(f"{(chance <= limit).sum()} at {limit:g}" for limit in (1e-2, 1e-3))
    return f"{name}: {len(rows)} source-years, by chance {counts}"


def event_told(row: dict[str, Any]) -> str:
    return (
        f"{row['source_id']}: chance {row['ese_false_alarm']:.2g}, depth {row['depth']:.2f}, "
        f"{row['fwhm_days']:.0f} d at MJD {row['centre_mjd']:.0f}, "
        f"before {row['null_background']} {row['null_modulation']:.2f} "
        f"{row['null_timescale_days']:.0f} d"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--freq", choices=("2.25", "8.3"), default="2.25", help="GHz")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--options", type=read_yaml, default={}, help="of the search, as YAML")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    curves = pd.concat([read_years(path, options.freq) for path in sorted(options.files)])
    found = judged(pd.concat([curves, turned_over(curves)]), options.options, options.threads)
    if options.table:
        found.to_parquet(options.table)
    turned = found["source_id"].str.endswith(TURNED)
    low = found[found["ese_false_alarm"] <= 1e-3].sort_values("ese_false_alarm")
    lines = [
        f"median epochs {found.n_epochs.median():g}, median scatter {found.spread.median():.3f}",
        told(found[~turned], "as they stand"),
        told(found[turned], "turned over"),
        *(event_told(row._asdict()) for row in low.itertuples(index=False)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
