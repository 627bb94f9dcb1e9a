"""Events behind lenses are found with what they are; backgrounds and bad epochs are not events."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_lenses import background, epochs_of, trough

from contimg.backgrounds import BackgroundOptions, make_grid
from contimg.ese_curves import Setting, SharedCurves
from contimg.ese_search import least_squares, search, search_batch, why_not_searched
from contimg.ese_templates import Events, Placement, lay_templates, millidays
from contimg.schemas import ESE_SEARCH
from contimg.tables import check_schema

MJD = 60000 + 4.0 * np.arange(60)
DAYS = MJD - MJD[0]
ERROR = 0.01


@pytest.fixture(scope="module")
def found():
    """Twelve sources on damped random walks, the first two with an event; and what is found."""
    rng = np.random.default_rng(1)
    flux = 1 + background(DAYS, 12, rng) + ERROR * rng.normal(size=(12, 60))
    flux[0] *= trough(DAYS, 0.3, 100, 60)
    flux[1] *= trough(DAYS, 0.3, 225, 60)
    epochs = epochs_of(MJD, 0.2 * flux, 0.2 * ERROR)
    return epochs, search(epochs)


def test_in_white_noise_the_gain_is_half_of_the_fall_of_chi_squared():
    rng = np.random.default_rng(0)
    flux = 1 + 0.02 * rng.normal(size=(3, 60)) - 0.1 * np.exp(-(((DAYS - 90) / 20) ** 2))
    grid = make_grid(0.02, BackgroundOptions())
    curves = SharedCurves(Setting(DAYS, np.full(60, 0.02), grid, Placement()), flux)
    events = Events(np.arange(3)[:, None], np.full((3, 1), 92.0), np.full((3, 1), 40.0))
    gain = curves.gains_of(np.zeros(3, dtype=int), events)
    baseline, fraction = least_squares(flux, np.full((3, 60), 0.02), curves.dips(events)[:, 0])
    for row, dip in enumerate(curves.dips(events)[:, 0]):
        design = np.column_stack([np.ones(60), dip])
        (b, slope), chi2, *_ = np.linalg.lstsq(design / 0.02, flux[row] / 0.02)
        alone = np.sum(((flux[row] - flux[row].mean()) / 0.02) ** 2)
        assert gain[row, 0] == pytest.approx((alone - chi2[0]) / 2, rel=1e-4)
        assert baseline[row] == pytest.approx(b)
        assert fraction[row] == pytest.approx(-slope / b)


def test_an_event_is_found_with_its_time_width_and_depth(found):
    table = found[1]
    check_schema(table, ESE_SEARCH)
    event = table.iloc[0]
    assert event.ese_llr > 20 > table.ese_llr[2:].max() + 5
    assert event.centre_mjd == pytest.approx(60100, abs=5)
    assert event.fwhm_days == pytest.approx(60, abs=12)
    assert event.depth == pytest.approx(0.3, abs=0.06)
    assert 0 < event.lensed_fraction <= 1
    assert event.n_epochs_in_dip == pytest.approx(15, abs=3)
    assert event.baseline_jy == pytest.approx(0.2, rel=0.05)
    assert event.modulation < event.null_modulation


def test_an_event_that_has_not_ended_is_incomplete(found):
    table = found[1]
    assert (table.wings[0], table.incomplete[0]) == ("both", False)
    assert (table.wings[1], table.incomplete[1]) == ("before", True)
    assert table.ese_llr[1] > 12


def test_a_larger_flux_or_another_start_changes_nothing(found):
    epochs, table = found
    other = replace(
        epochs,
        mjd=epochs.mjd - 1234.5,
        flux_jy=epochs.flux_jy * 7,
        error_jy=epochs.error_jy * 7,
    )
    again = search(other)
    np.testing.assert_allclose(again.ese_llr, table.ese_llr, atol=1e-5)
    np.testing.assert_allclose(again.centre_mjd + 1234.5, table.centre_mjd, atol=1e-3)
    np.testing.assert_allclose(again.baseline_jy, 7 * table.baseline_jy, rtol=1e-6)
    assert again.template.tolist() == table.template.tolist()


def test_processes_and_company_change_nothing(found):
    epochs, table = found
    rows = slice(0, 5)
    few = replace(
        epochs,
        sources=epochs.sources[rows],
        mjd=epochs.mjd[rows],
        flux_jy=epochs.flux_jy[rows],
        error_jy=epochs.error_jy[rows],
    )
    pd.testing.assert_frame_equal(search(few), table[rows], check_exact=True)
    many = replace(
        epochs,
        sources=pd.concat([epochs.sources] * 2, ignore_index=True),
        **{name: np.tile(getattr(epochs, name), (2, 1)) for name in ("mjd", "flux_jy", "error_jy")},
    )
    both = pd.concat([table] * 2, ignore_index=True)
    pd.testing.assert_frame_equal(search(many, threads=2), both, check_exact=True)


def test_many_at_once_find_what_each_alone_finds(found):
    epochs, table = found
    flux = np.tile(epochs.flux_jy, (2, 1))
    error = np.full(flux.shape, 0.2 * ERROR)
    error[12:] *= 1.0001  # as many of another error are searched together too
    for part in (slice(0, 12), slice(12, 24)):
        batch = search_batch(MJD, np.tile(flux[part], (2, 1)), np.tile(error[part], (2, 1)))[:12]
        difference = (batch.ese_llr - table.ese_llr).abs()
        assert difference.median() < 0.1 and difference.max() < 2.5
        assert batch.centre_mjd[0] == pytest.approx(table.centre_mjd[0], abs=2)
    alone = search_batch(MJD, flux[:1], error[0])
    names = [name for name in table if name != "source_id"]
    pd.testing.assert_frame_equal(alone[names], table.loc[:0, names], check_exact=True)


def test_gaps_unequal_errors_and_missing_epochs_do_not_hide_an_event():
    rng = np.random.default_rng(3)
    mjd = 60000 + np.sort(rng.uniform(0, 300, (6, 50)), axis=1)
    error = rng.uniform(0.008, 0.03, (6, 50))
    flux = 1 + error * rng.normal(size=(6, 50))
    flux[2] *= trough(mjd[2], 0.35, 60150, 50)
    flux[:, 10:16] = np.nan
    flux[4, 20:] = np.nan
    table = search(epochs_of(mjd, flux, error))
    assert table.n_epochs.tolist() == [44, 44, 44, 44, 14, 44]
    assert table.ese_llr.idxmax() == 2
    assert table.ese_llr[2] > table.ese_llr.drop(2).max() + 10
    assert table.centre_mjd[2] == pytest.approx(60150, abs=6)


@pytest.mark.parametrize("n_epochs", [12, 40])
def test_one_bad_epoch_is_no_event_and_hides_none(n_epochs):
    rng = np.random.default_rng(4)
    mjd = 60000 + 6.0 * np.arange(n_epochs)
    clean = 1 + 0.02 * rng.normal(size=(8, n_epochs))
    clean[4:] *= trough(mjd, 0.4, 60000 + 3.0 * n_epochs, 30)
    bad = clean.copy()
    for row in range(8):
        bad[row, n_epochs // 2 + (2, -1, 0, 3)[row % 4]] += (-0.5, -0.4, 0.6, 0.8)[row % 4]
    without, with_bad = (search(epochs_of(mjd, flux, 0.02)) for flux in (clean, bad))
    assert (with_bad.ese_llr[:4] < without.ese_llr[:4] + 5).all()
    assert with_bad.ese_llr[:4].max() < 9
    assert (with_bad.outliers > 0).sum() >= 7
    assert (with_bad.ese_llr[4:] > with_bad.ese_llr[:4].max() + 5).all()


def test_bad_epochs_near_0_whose_errors_go_as_the_flux_are_no_event():
    """As other telescopes have them: errors of 1.5 % of each flux, so a bad one's is tiny."""
    rng = np.random.default_rng(4)
    days = np.arange(300.0)
    flux = 4 * (1 + background(days, 2, rng)) * (1 + 0.015 * rng.normal(size=(2, 300)))
    flux[0, [70, 112]] = 0.11, 0.07
    row = search(epochs_of(60000 + days, flux, np.hypot(0.0037, 0.015 * flux))).iloc[0]
    assert row.ese_llr < 5
    assert row.null_outliers == 2
    assert row.null_jitter < 0.03
    assert row.null_baseline_jy == pytest.approx(4, rel=0.05)


def test_eight_epochs_are_searched_and_seven_are_not():
    rng = np.random.default_rng(5)
    mjd = 60000 + 8.0 * np.arange(8)
    flux = 1 + 0.01 * rng.normal(size=(4, 8))
    flux[0, 3:5] = 0.6
    flux[1] = np.where(np.arange(8) == 0, np.nan, flux[0])
    table = search(epochs_of(mjd, flux, 0.01))
    assert table.n_epochs.tolist() == [8, 7, 8, 8]
    assert table.ese_llr[0] > table.ese_llr[2:].max() + 3
    assert table.n_epochs_in_dip[0] == 2
    assert (table.template[1], table.ese_llr[1], table.wings[1]) == ("", 0, "none")


def test_what_has_no_flux_is_a_row_in_which_nothing_was_searched():
    flux = np.stack([np.zeros(20), -np.ones(20), np.full(20, 0.5), np.ones(20)])
    table = search(epochs_of(60000 + 5.0 * np.arange(20), flux, [[1.0], [1.0], [1.0], [0.01]]))
    assert (table.template == "").tolist() == [True, True, True, False]
    assert np.isfinite(table.ese_llr).all() and (table.ese_llr >= 0).all()
    check_schema(table, ESE_SEARCH)
    crowded = np.ones((1, 20)) + 0.01 * np.sin(np.arange(20))
    one_day = search(epochs_of(60000 + 0.01 * np.arange(20), crowded, 0.01))
    assert one_day.template[0] == ""  # no wing beside a dip of 14 days


def test_why_a_source_was_not_searched_is_said_of_each():
    flux = np.stack([np.full(20, 0.5), np.ones(20)])
    told = why_not_searched(epochs_of(60000 + 5.0 * np.arange(20), flux, 1.0))
    assert told[0] == "its flux is not above its errors (20 epochs)"
    few = epochs_of(60000 + 5.0 * np.arange(5), np.ones((1, 5)), 0.01)
    assert why_not_searched(few) == ["too few epochs (5; 8 are needed)"]
    one_day = epochs_of(60000 + 0.01 * np.arange(20), np.ones((1, 20)), 0.01)
    assert "no dip with enough" in why_not_searched(one_day)[0]


@pytest.mark.filterwarnings("error")
def test_a_source_without_any_usable_epoch_passes_in_silence(found):
    epochs, table = found
    gone = replace(epochs, flux_jy=np.where(np.arange(12)[:, None] == 5, np.nan, epochs.flux_jy))
    again = search(gone)
    assert (again.n_epochs[5], again.template[5], again.ese_llr[5]) == (0, "", 0)
    pd.testing.assert_frame_equal(again.drop(5), table.drop(5), check_exact=True)


def test_the_strength_is_that_at_1400_mhz_where_the_frequency_is_known(found):
    epochs, table = found
    few = replace(
        epochs,
        sources=epochs.sources[:2].assign(freq_hz=[2.8e9, np.nan]),
        **{name: getattr(epochs, name)[:2] for name in ("mjd", "flux_jy", "error_jy")},
    )
    # The same light curve at twice the frequency: a lens four times as strong at 1.4 GHz.
    np.testing.assert_allclose(search(few).alpha, table.alpha[:2] * [4, 1])


def test_a_brightening_is_no_event():
    rng = np.random.default_rng(6)
    flux = (1 + 0.02 * rng.normal(size=(4, 60))) * (2 - trough(DAYS, 0.4, 110, 40))
    assert search(epochs_of(MJD, flux, 0.02)).ese_llr.max() < 12


def test_templates_have_epochs_in_them_and_a_wing():
    days = np.append(np.arange(0, 60, 5.0), np.arange(200, 260, 5.0))
    events = lay_templates(millidays(days), Placement()).events
    offset = np.abs(days - events.centre_days[:, None]) / events.fwhm_days[:, None]
    assert ((offset <= 0.5).sum(axis=1) >= 2).all()
    signed = (days - events.centre_days[:, None]) / events.fwhm_days[:, None]
    wings = [((side * signed > 0.749) & (side * signed < 1.751)).sum(axis=1) for side in (-1, 1)]
    assert (np.maximum(*wings) >= 2).all()
    assert set(events.shape) == set(range(5))


def test_without_events_ten_times_rarer_statistics_are_but_a_little_larger():
    """The tail is about exponential, and much alike for white and red backgrounds."""
    rng = np.random.default_rng(7)
    days = 10.0 * np.arange(30)
    thresholds = []
    for modulation in (0.0, 0.02, 0.05):
        flux = 1 + background(days, 400, rng, modulation) + 0.01 * rng.normal(size=(400, 30))
        thresholds.append(np.quantile(search_batch(60000 + days, flux, 0.01 * np.ones(30)).ese_llr,
                                      [0.9, 0.99]))  # fmt: skip
    one_in_ten, one_in_hundred = np.transpose(thresholds)
    assert (one_in_ten < 11).all() and (one_in_hundred < 15).all()
    assert np.ptp(one_in_ten) < 4
