"""Metrics equal their published definitions, worked out here another way."""

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.epochs import usable_epochs
from contimg.schemas import VARIABILITY
from contimg.tables import check_schema
from contimg.variability import max_deviation, measure_variability


def curves(flux, error, mjd=None, source_id="s"):
    days = 60000.0 + 7 * np.arange(len(flux)) if mjd is None else mjd
    return pd.DataFrame(
        {"source_id": source_id, "mjd": days, "flux_jy": flux, "flux_err_jy": error}
    )


light_curves = st.lists(
    st.tuples(st.floats(-0.5, 5.0), st.floats(0.01, 0.5)), min_size=2, max_size=15
)


@settings(max_examples=100, deadline=None)
@given(light_curves)
def test_eta_of_the_papers_is_reduced_chi_squared(points):
    """In exact arithmetic, since the papers' form loses digits in floating point."""
    flux, error = np.array(points).T
    row = measure_variability(curves(flux, error)).iloc[0]
    n, s = len(flux), [Fraction(x) for x in flux.tolist()]
    w = [1 / Fraction(x) ** 2 for x in error.tolist()]
    mean_w, mean_ws, mean_wss = (
        sum(a * b**power for a, b in zip(w, s, strict=True)) / n for power in (0, 1, 2)
    )
    eta = Fraction(n, n - 1) * (mean_wss - mean_ws**2 / mean_w)
    wmean = mean_ws / mean_w
    assert eta == sum(a * (b - wmean) ** 2 for a, b in zip(w, s, strict=True)) / (n - 1)
    assert row.eta == row.chi2_nu
    assert row.eta == pytest.approx(float(eta), rel=1e-12, abs=1e-15 * float(mean_wss) + 1e-300)


@settings(max_examples=100, deadline=None)
@given(light_curves)
def test_largest_pair_is_what_going_through_all_pairs_finds(points):
    flux, error = np.array(points).T
    row = measure_variability(curves(flux, error)).iloc[0]
    pairs = {(0.0, 0.0)}
    for a, b in itertools.combinations(range(len(flux)), 2):
        vs = (flux[a] - flux[b]) / np.hypot(error[a], error[b])
        total = flux[a] + flux[b]
        if abs(vs) >= 4.3 and total != 0:
            pairs.add((abs(2 * (flux[a] - flux[b]) / total), abs(vs)))
    assert row.m_max == pytest.approx(max(pairs)[0])
    assert any((row.m_max, row.vs_max) == pytest.approx(pair) for pair in pairs)


def test_numbers_worked_by_hand():
    row = measure_variability(curves([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])).iloc[0]
    assert row.mean_jy == row.wmean_jy == pytest.approx(2.0)
    assert row.std_jy == pytest.approx(1.0) and row.v == pytest.approx(0.5)
    assert row.chi2_nu == pytest.approx(100.0)
    assert row.m_max == pytest.approx(1.0) and row.vs_max == pytest.approx(20 / np.sqrt(2))
    assert (row.epoch_a_mjd, row.epoch_b_mjd) == (60000.0, 60014.0)
    assert row.n_epochs == row.n_detections == 3


def test_a_quiet_source_has_no_pair():
    row = measure_variability(curves([1.0, 1.01, 0.99], [0.1, 0.1, 0.1])).iloc[0]
    assert row.vs_max == row.m_max == 0
    assert np.isnan(row.epoch_a_mjd) and np.isnan(row.epoch_b_mjd)


def test_one_epoch_has_a_flux_and_no_variability():
    row = measure_variability(curves([1.0], [0.1])).iloc[0]
    assert (row.n_epochs, row.mean_jy, row.first_mjd, row.last_mjd) == (1, 1.0, 60000.0, 60000.0)
    assert np.isnan([row.eta, row.v, row.std_jy, row.timescale_days]).all()
    assert np.isnan([row.excess_variance, row.vs_largest, row.pair_p]).all()
    assert row.ese_score == 0 and not row.ese_flag


def test_a_source_never_measured_is_a_row():
    table = measure_variability(
        pd.concat([curves([np.nan] * 3, [0.1] * 3, source_id="a"), curves([1.0, 2.0], [0.1, 0.1])])
    )
    assert table.n_epochs.tolist() == [0, 2]
    assert np.isnan(table.mean_jy[0]) and np.isnan(table.first_mjd[0])
    check_schema(table, VARIABILITY)


def test_no_rows_give_no_rows():
    table = measure_variability(curves([], []))
    assert len(table) == 0
    check_schema(table.astype({"source_id": object}), VARIABILITY)


def test_non_detections_count_as_epochs():
    row = measure_variability(curves([1.0, -0.05, 0.02], [0.1, 0.1, 0.1])).iloc[0]
    assert (row.n_epochs, row.n_detections) == (3, 1)


def test_refused_epochs_do_not_count_and_normalised_fluxes_do():
    table = curves([9.0, 9.0, 9.0], [0.1, 0.1, 0.1]).assign(
        norm_flux_jy=[1.0, 1.2, np.nan],
        norm_err_jy=[0.1, 0.1, np.nan],
        status=["ok", "unnormalised", "bad_gain"],
    )
    row = measure_variability(table).iloc[0]
    assert row.n_epochs == 2 and row.mean_jy == pytest.approx(1.1)


def test_dips_are_searched_by_the_same_options_as_candidates_are():
    flux = [1.0, 1.0, 0.98, 0.5, 0.5, 1.0, 1.01, 1.0]
    found = [
        measure_variability(curves(flux, [0.02] * 8), {"ese": {"min_epochs": least}}).ese_score[0]
        for least in (8, 9)
    ]
    assert found[0] > 0.6 and found[1] == 0


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    table = pd.concat(
        [curves(rng.normal(1, 0.1, 20), np.full(20, 0.1), source_id=f"s{i}") for i in range(5)]
    )
    pd.testing.assert_frame_equal(
        measure_variability(table),
        measure_variability(table.sample(frac=1, random_state=1)),
        check_exact=True,
    )


def test_with_frequencies_there_is_a_row_for_each():
    table = pd.concat(
        [curves([1.0, 2.0], [0.1, 0.1]).assign(freq_hz=f) for f in (1.3e9, 1.4e9, 1.5e9)]
    )
    assert measure_variability(table).freq_hz.tolist() == [1.3e9, 1.4e9, 1.5e9]


def test_subbands_have_rows_and_change_nothing_of_the_whole_band():
    rng = np.random.default_rng(3)
    whole = pd.concat(
        [curves(rng.normal(1, 0.1, 20), np.full(20, 0.1), source_id=f"s{i}") for i in range(12)]
    )
    wild = whole.assign(flux_jy=rng.normal(1, 0.9, len(whole)))  # would raise the noise scale
    table = pd.concat(
        [whole.assign(freq_hz=1.4e9, subband=-1), wild.assign(freq_hz=1.3e9, subband=0)]
    )
    found = measure_variability(table)
    check_schema(found, VARIABILITY)
    assert found.subband.tolist() == [-1, 0] * 12
    alone = found[found.subband == -1].drop(columns=["freq_hz", "subband"])
    pd.testing.assert_frame_equal(alone.reset_index(drop=True), measure_variability(whole))


@settings(max_examples=100, deadline=None)
@given(light_curves)
def test_excess_variance_is_that_of_the_paper(points):
    """Vaughan et al. 2003, MNRAS 345, 1271, eqs. 8 and 11, F_var = 0 where nothing is in excess."""
    flux, error = np.array(points).T
    row = measure_variability(curves(flux, error)).iloc[0]
    n, mean = len(flux), flux.mean()
    if abs(mean) < 1e-3:
        return
    s2 = ((flux - mean) ** 2).sum() / (n - 1)
    mean_error2 = (error**2).mean()
    excess = (s2 - mean_error2) / mean**2
    f_var = np.sqrt(max(excess, 0))
    of_noise = np.sqrt(2 / n) * mean_error2 / mean**2
    of_scatter = np.sqrt(mean_error2 / n) * 2 * f_var / mean
    assert row.excess_variance == pytest.approx(excess, rel=1e-9, abs=1e-9 * mean_error2 / mean**2)
    assert row.excess_variance_err == pytest.approx(np.hypot(of_noise, of_scatter), rel=1e-9)


@pytest.mark.parametrize("modulation", [0.0, 0.02, 0.3])
def test_excess_variance_is_unbiased_and_its_error_is_its_scatter(modulation):
    """The error is that of the measurement: what the fluxes did is taken as it was."""
    rng = np.random.default_rng(4)
    true = 1 + modulation * np.sin(np.arange(80))
    flux = np.concatenate([true + rng.normal(0, 0.05, 80) for _ in range(300)])
    table = pd.concat(
        [
            curves(flux[80 * i : 80 * i + 80], np.full(80, 0.05), source_id=f"{i}")
            for i in range(300)
        ]
    )
    found = measure_variability(table)
    pulls = (
        found.excess_variance - true.var(ddof=1) / true.mean() ** 2
    ) / found.excess_variance_err
    assert abs(pulls.mean()) < 0.25
    assert pulls.std() == pytest.approx(1, abs=0.25)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6))
def test_the_largest_deviation_in_its_own_sigma_has_a_limit(n_epochs, seed):
    """(N-1)/sqrt(N), reached by one outlier: "5 sigma" cannot fire before 27 epochs."""
    noise = np.random.default_rng(seed).normal(1, 0.1, n_epochs)
    outlier = np.where(np.arange(n_epochs) == 1, 1000.0, 1.0)
    table = pd.concat(
        [curves(noise, np.full(n_epochs, 0.1)), curves(outlier, np.full(n_epochs, 0.1), None, "t")]
    )
    found = max_deviation(usable_epochs(table))
    assert found[0] == pytest.approx(np.abs(noise - noise.mean()).max() / noise.std(ddof=1))
    assert found[0] <= found[1] + 1e-9
    assert found[1] == pytest.approx((n_epochs - 1) / np.sqrt(n_epochs))
    assert (found[1] > 5) == (n_epochs >= 27)


def test_metrics_do_not_depend_on_what_else_is_in_the_table():
    rng = np.random.default_rng(6)
    parts = [
        curves(rng.normal(1, 0.3, n), np.full(n, 0.1), source_id=f"s{n}") for n in range(1, 60)
    ]
    together = measure_variability(pd.concat(parts)).set_index("source_id")
    names = ["n_epochs", "wmean_jy", "eta", "vs_max", "m_max", "vs_largest", "pair_p"]
    for part in parts[::7]:
        alone = measure_variability(part).set_index("source_id")[names]
        pd.testing.assert_frame_equal(alone, together.loc[alone.index, names])
