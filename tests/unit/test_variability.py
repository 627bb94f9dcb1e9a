"""Metrics equal their published definitions, worked out here another way."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.schemas import VARIABILITY
from contimg.tables import check_schema
from contimg.variability import measure_variability


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
    flux, error = np.array(points).T
    row = measure_variability(curves(flux, error)).iloc[0]
    w, n = error**-2.0, len(flux)
    eta = n / (n - 1) * (np.mean(w * flux**2) - np.mean(w * flux) ** 2 / np.mean(w))
    chi2_nu = np.sum(((flux - np.average(flux, weights=w)) / error) ** 2) / (n - 1)
    assert row.eta == row.chi2_nu
    assert row.chi2_nu == pytest.approx(chi2_nu, rel=1e-9, abs=1e-12)
    assert row.eta == pytest.approx(eta, rel=1e-6, abs=1e-6 * np.mean(w * flux**2) + 1e-300)


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
