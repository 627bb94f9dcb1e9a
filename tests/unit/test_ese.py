"""A dip of an extreme scattering event is found; noise and other variability are not one."""

import numpy as np
import pandas as pd
import pytest
from simulated_photometry import Field

from contimg.epochs import usable_epochs
from contimg.ese import SHAPES, ese_score, fit_dips, noise_scale
from contimg.lightcurves import light_curves


def table(flux, error, mjd):
    n_sources, n_epochs = flux.shape
    return usable_epochs(
        pd.DataFrame(
            {
                "source_id": np.repeat([f"s{i:05d}" for i in range(n_sources)], n_epochs),
                "mjd": np.tile(mjd, n_sources),
                "flux_jy": flux.ravel(),
                "flux_err_jy": np.broadcast_to(error, flux.shape).ravel(),
            }
        )
    )


def flagged(epochs):
    """Return what the documented score calls events, the best first."""
    dips = pd.concat([epochs.sources, fit_dips(epochs)], axis=1)
    passes = (dips.ese_score > 0.6) & (dips.dip_false_alarm <= 1e-3)
    return dips[passes].sort_values("ese_score", ascending=False, ignore_index=True)


def dip(mjd, depth, centre, fwhm):
    return 1 - depth * 0.5 ** ((2 * (mjd - centre) / fwhm) ** 2)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("span_days", [60.0, 77.0, 90.0])
@pytest.mark.parametrize("seed", range(3))
def test_an_event_among_constant_sources_is_first_and_alone(seed, span_days, images):
    field = Field(
        n_sources=26,
        seed=seed,
        span_days=span_days,
        images_a_transit=images,
        max_snr=50,
        gradient_scatter=0.01,
    )
    number = 7 * seed + 3
    photometry = field.photometry(dip=(number, 0.3, 0.45 * span_days, 25))
    curves, _ = light_curves(photometry, set(photometry.source_id))
    found = flagged(usable_epochs(curves))
    assert found.source_id.tolist() == [photometry.source_id[number]]
    assert found.depth[0] == pytest.approx(0.3, abs=0.1)
    assert found.timescale_days[0] == pytest.approx(25, abs=12)
    assert found.centre_mjd[0] == pytest.approx(60900.25 + 0.45 * span_days, abs=6)


def test_false_alarm_probability_is_a_bound_on_noise():
    rng = np.random.default_rng(0)
    mjd = 60000 + np.sort(rng.uniform(0, 80, 12))
    dips = fit_dips(table(rng.normal(1, 0.03, (2000, 12)), 0.03, mjd))
    for level in (0.3, 0.1, 0.03, 0.01, 0.003):
        assert (dips.dip_false_alarm < level).mean() <= level


def test_errors_too_small_by_half_make_no_candidates():
    rng = np.random.default_rng(1)
    mjd = 60000 + np.arange(30) * 5.0
    epochs = table(rng.normal(1, 0.045, (500, 30)), 0.03, mjd)
    assert noise_scale(epochs) == pytest.approx(2.25, rel=0.1)
    assert len(flagged(epochs)) == 0


def test_flickering_sources_are_not_events():
    rng = np.random.default_rng(2)
    flux = rng.normal(1, 0.03, (300, 30))
    flux[:100] *= rng.normal(1, 0.10, (100, 30))
    assert len(flagged(table(flux, 0.03, 60000 + np.arange(30) * 5.0))) == 0


def test_one_bad_epoch_is_not_an_event():
    rng = np.random.default_rng(3)
    flux = rng.normal(1, 0.03, (50, 15))
    flux[np.arange(50), np.arange(50) % 15] -= 0.4
    assert len(flagged(table(flux, 0.03, 60000 + np.arange(15) * 6.0))) == 0


def test_a_brightening_is_not_a_dip():
    mjd = 60000 + np.arange(30) * 4.0
    flux = np.random.default_rng(4).normal(1, 0.02, (20, 30))
    flux[5] *= dip(mjd, -0.4, 60060, 30)
    assert "s00005" not in set(flagged(table(flux, 0.02, mjd)).source_id)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_unit_depth_and_width(shape):
    x = np.linspace(-2, 2, 4001)
    values = shape(x)
    below = x[values > 0.5]
    assert values.max() == pytest.approx(1.0, abs=0.03)
    assert below.max() - below.min() == pytest.approx(1.0, abs=0.05)


def test_event_with_caustic_spikes_is_found_with_its_depth_and_amplitude():
    mjd = 60000 + np.arange(60) * 3.0
    flux = np.random.default_rng(5).normal(1, 0.02, (20, 60))
    flux[0] *= 1 - 0.4 * SHAPES[2]((mjd - 60090) / 50)
    found = flagged(table(flux, 0.02, mjd))
    assert found.source_id.tolist() == ["s00000"]
    assert found.depth[0] == pytest.approx(0.4, abs=0.05)
    best = fit_dips(table(flux, 0.02, mjd)).iloc[0]
    assert best.amplitude == pytest.approx(0.4 * 1.4, abs=0.07)


def test_event_that_has_not_ended_is_found():
    mjd = 60000 + np.arange(20) * 5.0
    flux = np.random.default_rng(6).normal(1, 0.02, (20, 20))
    flux[3] *= dip(mjd, 0.4, mjd[-1], 40)
    found = flagged(table(flux, 0.02, mjd))
    assert found.source_id.tolist() == ["s00003"]


def test_fast_fall_and_slow_rise_have_positive_asymmetry():
    mjd = 60000 + np.arange(60) * 2.0
    shape = np.where(mjd < 60040, 0, 0.5 * np.exp(-(mjd - 60040) / 20))
    flux = np.stack([1 - shape, (1 - shape)[::-1]])
    asymmetry = fit_dips(table(flux, 0.01, mjd)).asymmetry
    assert asymmetry[0] > 0.2 and asymmetry[1] < -0.2


def test_a_long_dip_in_a_short_light_curve_is_significant():
    """max|S - mean| / std cannot exceed (N-1)/sqrt(N) = 3.2 here; the false alarm can."""
    mjd = 60000 + np.arange(12) * 7.0
    flux = np.random.default_rng(7).normal(1, 0.03, (25, 12))
    flux[0] *= dip(mjd, 0.3, 60038, 25)
    deviation = np.abs(flux[0] - flux[0].mean()).max() / flux[0].std(ddof=1)
    assert deviation < 5
    assert fit_dips(table(flux, 0.03, mjd)).dip_false_alarm[0] < 1e-6


def test_score_is_the_documented_sum():
    assert ese_score(1e-4, 30, 0.3, -0.5) == pytest.approx(0.5 + 0.2 + 0.2 + 0.05)
    assert ese_score(1e-2, 30, 0.15, 0.0) == pytest.approx(0.25 + 0.2 + 0.1)
    assert ese_score(1.0, 30, 2.5, 0.0) == pytest.approx(0.2)


def test_the_score_knows_white_noise_only():
    """What the documented score cannot do: a slow flicker of 2 % is an event to it."""
    rng = np.random.default_rng(9)
    mjd, kept = 60000 + np.arange(200.0), np.exp(-1 / 30)
    walk = rng.normal(size=(50, 200))
    for i in range(1, 200):
        walk[:, i] = kept * walk[:, i - 1] + np.sqrt(1 - kept**2) * walk[:, i]
    flux = rng.normal(1, 0.01, (250, 200))
    flux[:50] += 0.02 * walk
    flagged = fit_dips(table(flux, 0.01, mjd)).ese_score > 0.6
    assert flagged[:50].mean() > 0.9 and flagged[50:].mean() < 0.02


def test_few_epochs_are_not_searched():
    flux = np.array([[1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0]])  # 7, by default 8 are needed
    epochs = table(flux, 0.01, 60000 + np.arange(7) * 10.0)
    assert fit_dips(epochs, {"min_epochs": 7}).ese_score[0] > 0.6
    best = fit_dips(epochs).iloc[0]
    assert (best.ese_score, best.dip_false_alarm) == (0, 1)


def test_sources_without_flux_or_signal_cause_no_trouble():
    mjd = 60000 + np.arange(10) * 7.0
    flux = np.stack([np.full(10, np.nan), np.zeros(10), -np.ones(10), np.ones(10)])
    dips = fit_dips(table(flux, 0.01, mjd))
    assert (dips.ese_score == 0).all() and len(dips) == 4


def test_order_of_sources_does_not_matter():
    rng = np.random.default_rng(8)
    mjd = 60000 + np.arange(12) * 7.0
    flux = rng.normal(1, 0.03, (12, 12))
    forward, backward = (fit_dips(table(f, 0.03, mjd)) for f in (flux, flux[::-1]))
    pd.testing.assert_frame_equal(forward, backward[::-1].reset_index(drop=True), check_exact=True)
