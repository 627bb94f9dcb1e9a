"""The mosaics' photometry against the simulator's truth, and against that of their images."""

from dataclasses import asdict
from pathlib import Path

import judge
import pandas as pd
import pytest
from figures import record

from contimg.fits import read_image
from contimg.tables import read_table


def weighted_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean flux and its error of each source over the images of a mosaic."""
    rows = rows[(rows["status"] == "ok") & ~rows["blended"]]
    rows = rows.assign(weight=rows["flux_err_jy"] ** -2)
    sums = rows.assign(part=rows["weight"] * rows["flux_jy"]).groupby("source_id").sum("part")
    return pd.DataFrame(
        {"mean_jy": sums["part"] / sums["weight"], "mean_err_jy": sums["weight"] ** -0.5}
    )


def test_fluxes_in_mosaics_are_the_truth_and_those_of_the_images(observation: Path) -> None:
    parts, ratios = [], []
    for date, tile in dict(judge.science_groups(observation)).items():
        stem = f"{date}/field_transit.mosaic"
        table, about = read_table(observation / f"photometry/{stem}.parquet")
        truth = judge.read_sources(observation / f"simulated/{date}/truth.h5", tile)
        lone = judge.lone_sources(read_image(observation / f"mosaics/{stem}.fits"), truth)
        parts.append(judge.judged_fluxes(table, lone))
        images = pd.concat(
            read_table(observation / f"photometry/{date}/{group}.parquet")[0]
            for group in about["tiles"]
        )
        both = table[(table["status"] == "ok") & ~table["blended"]].set_index("source_id")
        both = both.join(weighted_means(images), how="inner")
        bright = both[both["mean_jy"] > 20 * both["mean_err_jy"]]
        ratios.append(bright["flux_jy"] / bright["mean_jy"])
    found, ratio = judge.fluxes(pd.concat(parts)), pd.concat(ratios)
    record("photometry of mosaics", asdict(found))
    record("mosaic over images", {"n": len(ratio), "median": float(ratio.median())})
    assert found.n > 45
    assert found.mean == pytest.approx(1, abs=0.02)
    assert len(ratio) > 60
    assert ratio.median() == pytest.approx(1, abs=0.02)
