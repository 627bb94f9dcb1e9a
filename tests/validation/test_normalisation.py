"""Normalisation on the NVSS x FIRST field, a smaller sample than `normalisation.py` measures."""

import numpy as np
import pandas as pd
import pytest
from figures import record
from normalisation import Archive, field_sources, measured, of_constant_sources

SEEDS = (20, 21, 22)
N_DATES = 40


@pytest.fixture(scope="module")
def sources():
    return field_sources()


@pytest.fixture(scope="module")
def quiet(sources):
    """Figures at 1 mJy/beam, and chi2 of the constant sources of all seeds."""
    found = [measured(Archive(n_dates=N_DATES, seed=seed), sources) for seed in SEEDS]
    return [figures for figures, _, _ in found], pd.concat([part[2] for part in found])


def test_calibration_residual_at_1_mjy(quiet):
    for figures in quiet[0]:
        assert figures["median_percent"] <= 0.3
        assert figures["p90_percent"] <= 1.0
        assert figures["changes_rms_in_quoted_errors"] == pytest.approx(1, abs=0.15)
    record("normalisation, 1 mJy/beam", quiet[0][0])


@pytest.mark.parametrize("rms_mjy", [2, 3])
def test_calibration_residual_grows_with_the_noise(sources, rms_mjy):
    figures, _, _ = measured(Archive(n_dates=N_DATES, rms_jy=rms_mjy * 1e-3), sources)
    assert figures["median_percent"] <= 0.3 * rms_mjy


def test_constant_sources_have_the_scatter_that_their_errors_say(quiet):
    found = of_constant_sources(quiet[1])
    record("normalisation, constant sources", found)
    assert found["n"] >= 200 * len(SEEDS)
    assert 0.95 <= found["median_chi2_nu"] <= 1.05
    assert found["ks_p"] > 0.01
    for bins in (found["by_snr"], found["by_distance_deg"]):
        for median, count in bins.values():
            # 3 sigma of a median of `count` values whose own scatter is sqrt(2/39)
            assert abs(median - 0.983) < 0.05 + 3 * 1.25 * np.sqrt(2 / 39 / count)


def test_nothing_depends_on_the_place_in_beam_or_transit(quiet):
    for figures in quiet[0]:
        for name in ("place_in_beam", "place_in_transit", "image_of_the_date"):
            assert figures["nulls"][name]["chi2_nu"] < 2.5, name
        neighbours = figures["nulls"]["neighbours"]
        assert abs(neighbours) < 0.05 < 5 < figures["nulls"]["neighbours_raw"]


def test_references_that_vary_cost_little(sources):
    figures, _, _ = measured(Archive(n_dates=N_DATES, variable=0.2), sources)
    assert figures["median_percent"] <= 0.5 and figures["p90_percent"] <= 1.2
    assert 0.9 <= figures["median_chi2_nu"] <= 1.05


def test_pointing_errors_reach_the_edge_only(sources):
    figures, rows, _ = measured(Archive(n_dates=N_DATES, jitter_deg=0.1), sources)
    inner = rows[np.hypot(rows.x_deg, rows.y_deg) < 1]
    residual = inner.gain / inner.true_gain
    residual = residual / residual.median() - 1
    assert 100 * residual.abs().quantile(0.9) < 2
    assert 0.9 <= figures["median_chi2_nu"] <= 1.1


def test_errors_shrink_to_what_differs_from_date_to_date(sources):
    figures, _, _ = measured(Archive(n_dates=N_DATES, map_noise=2.0), sources)
    assert figures["error_scale"]["a"] == pytest.approx(0.5, abs=0.03)
    assert 0.9 <= figures["median_chi2_nu"] <= 1.05


def test_better_than_the_existing_procedure_on_the_same_data(sources, quiet):
    baseline, _, _ = measured(
        Archive(n_dates=N_DATES, seed=SEEDS[0]), sources, {"method": "baseline"}
    )
    record("normalisation, 1 mJy/beam, existing pipeline's procedure", baseline)
    assert quiet[0][0]["p90_percent"] < baseline["p90_percent"] / 3
