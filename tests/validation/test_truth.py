"""What is measured on the shared observation is what the simulation put in."""

from dataclasses import asdict
from pathlib import Path

import judge
import numpy as np
import pandas as pd
import pytest
from figures import record

from contimg.fits import read_image
from contimg.tables import read_table

BEAM_RANGE = 1 - judge.MIN_BEAM


@pytest.fixture(scope="module")
def ratios(observation: Path) -> pd.DataFrame:
    parts = [
        judge.image_fluxes(observation, date, group).assign(
            transfer=judge.gain_transfer(observation, date, group)
        )
        for date, group in judge.science_groups(observation)
    ]
    return pd.concat(parts, ignore_index=True)


def test_sources_are_where_they_are(observation: Path) -> None:
    groups = judge.science_groups(observation)
    found = judge.positions(pd.concat(judge.image_positions(observation, *g) for g in groups))
    record("positions", found)
    assert found.n > 80
    assert found.median_offset < 0.03
    assert abs(found.dra) < 0.01
    assert abs(found.ddec) < 0.01


def test_flux_scale_is_that_of_the_sky(ratios: pd.DataFrame) -> None:
    found = judge.fluxes(ratios)
    still = judge.fluxes(ratios.assign(ratio=ratios["ratio"] / ratios["transfer"]))
    record("fluxes", found)
    record("fluxes, drift of gains since the calibrator divided out", still)
    assert found.n > 100
    assert found.median == pytest.approx(1, abs=0.01)
    assert found.mean == pytest.approx(1, abs=0.01)
    assert still.median == pytest.approx(1, abs=0.005)


def test_flux_scale_has_no_trend_with_the_beam(ratios: pd.DataFrame) -> None:
    """A dish taken for 1 % smaller than it is would tilt it by 2 %."""
    slope, err = (getattr(judge.fluxes(ratios), name) for name in ("slope", "slope_err"))
    record("trend from beam 0.3 to 1", {"trend": slope * BEAM_RANGE, "err": err * BEAM_RANGE})
    assert err * BEAM_RANGE < 0.01
    assert abs(slope) * BEAM_RANGE < 0.01
    assert abs(slope) < 2 * err


def test_mosaics_agree_with_the_sky(observation: Path) -> None:
    """All of them by the median; each by the mean, which noise moves less."""
    tiles = dict(judge.science_groups(observation))
    assert len(tiles) == 3
    parts = []
    for date, tile in tiles.items():
        rows, scatter = judge.mosaic_figures(observation, date, "field_transit", tile)
        found = judge.fluxes(rows)
        record(f"mosaic of {date}", {**asdict(found), "scatter_over_rms_map": scatter})
        assert found.n > 15
        assert found.mean == pytest.approx(1, abs=0.02), date
        assert scatter == pytest.approx(1, abs=0.2), date
        parts.append(rows)
    together = judge.fluxes(pd.concat(parts))
    record("mosaics together", together)
    assert together.median == pytest.approx(1, abs=0.02)


def test_constant_sources_stay_constant(observation: Path) -> None:
    """Their scatter from date to date is what the errors say, and none is a candidate."""
    table, _ = read_table(observation / "variability" / "variability.parquet")
    truth = pd.concat(
        judge.read_sources(observation / f"simulated/{date}/truth.h5", group)
        for date, group in judge.science_groups(observation)
    ).drop_duplicates("name")
    constant = judge.with_truth(table, truth[~truth["is_variable"]])
    chi2 = constant.loc[constant["mean_jy"] > 0.05, "chi2_nu"]
    record("chi2_nu of constant sources", {"n": len(chi2), "median": chi2.median()})
    assert len(chi2) > 20
    assert chi2.median() < 2
    candidates, _ = read_table(observation / "variability" / "ese_candidates.parquet")
    assert not set(candidates["source_id"]) & set(constant["source_id"])


def test_beam_is_that_of_the_drift(observation: Path) -> None:
    """Of the full band: the simulator's mean has all channels, whatever was flagged."""
    for date, group in judge.science_groups(observation):
        rows, _ = read_table(observation / f"photometry/{date}/{group}.parquet")
        truth = judge.read_sources(observation / f"simulated/{date}/truth.h5", group)
        rows = judge.with_truth(rows, truth)
        bright = rows[rows["true_beam"] > judge.MIN_BEAM]
        assert np.abs(bright["pb"] / bright["true_beam"] - 1).max() < 0.02, group


def test_noise_of_the_shared_observation_is_known(observation: Path) -> None:
    """Not that of the receivers alone: see test_noise_only.py."""
    for date, group in judge.science_groups(observation):
        image = read_image(observation / f"images/{date}/{group}.image.fits")
        truth = judge.read_sources(observation / f"simulated/{date}/truth.h5", group)
        found = judge.noise(image, truth)
        record(f"noise of {group}", found)
        assert found.std_jy < 0.002
