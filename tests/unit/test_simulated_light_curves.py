"""The simulator's backgrounds and lenses are what they say; the library's lens agrees with rays."""

import numpy as np
import pytest

from contimg.lens import LensShape, magnification
from simulator.backgrounds import PROCESSES, cadence, light_curves
from simulator.lenses import BAND_HZ, REFERENCE_HZ, Lens, depth_and_width, event_factor, profile

DAILY = cadence("daily")
TAU = 20.0


def correlation_at(values: np.ndarray, lag: int) -> float:
    return float((values[:, :-lag] * values[:, lag:]).mean() / (values**2).mean())


@pytest.mark.parametrize("process", sorted(set(PROCESSES) - {"white"}))
def test_a_process_has_unit_variance(process):
    values = PROCESSES[process](DAILY, 600, np.random.default_rng(1), TAU)
    assert values.shape == (600, len(DAILY))
    assert values.std() == pytest.approx(1, abs=0.07)
    assert values.mean() == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ("drw", lambda x: np.exp(-x)),
        ("smooth", lambda x: np.exp(-0.5 * x**2)),
        ("matern52", lambda x: (1 + np.sqrt(5) * x + 5 / 3 * x**2) * np.exp(-np.sqrt(5) * x)),
        ("matern32", lambda x: (1 + np.sqrt(3) * x) * np.exp(-np.sqrt(3) * x)),
        ("flares", lambda x: np.exp(-x)),
    ],
)
def test_its_correlation_is_the_stated_one(process, expected):
    values = PROCESSES[process](DAILY, 3000, np.random.default_rng(2), TAU)
    for lag in (5, 20, 40):
        x = lag * (DAILY[1] - DAILY[0]) / TAU
        # The two Matern processes are 0.04 apart.
        assert correlation_at(values, lag) == pytest.approx(expected(x), abs=0.02)


def test_noise_has_the_stated_errors_and_outliers_exceed_them():
    random = np.random.default_rng(3)
    errors = np.linspace(0.01, 0.03, len(DAILY))
    flux, stated = light_curves(DAILY, 500, random, error=errors)
    assert ((flux - 1) / stated).std() == pytest.approx(1, abs=0.01)
    flux, stated = light_curves(DAILY, 500, random, error=0.01, outliers=0.02)
    assert np.mean(np.abs(flux - 1) > 4.5 * stated) == pytest.approx(0.02, abs=0.005)


SEVERAL = [Lens(1.5, 0.5), Lens(5, 0.3), Lens(15, 0.5), Lens(5, 0.6, 0.0), Lens(8, 1.0, 1.0)]


@pytest.mark.parametrize("lens", SEVERAL)
def test_the_library_magnifies_as_counted_rays_do(lens):
    offset, counted = profile(lens)
    impact = np.nan if lens.impact is None else lens.impact
    shape = LensShape("", lens.alpha, lens.source_fwhm, impact)
    computed = np.mean(
        [magnification(offset, shape, freq_hz / REFERENCE_HZ) for freq_hz in BAND_HZ], axis=0
    )
    assert np.abs(counted - computed).max() < 0.03 * counted.max()
    assert np.sqrt(np.mean((counted - computed) ** 2)) < 0.01


def test_an_event_has_the_depth_width_and_centre_asked_for():
    mjd = np.arange(0, 400, 0.1)
    factor = event_factor(
        mjd, Lens(15.0, 0.5), depth=0.2, fwhm_days=60, centre_mjd=np.array([180.0, 220.0])
    )
    assert factor.min(axis=1) == pytest.approx([0.8, 0.8], abs=0.002)
    low = mjd[factor[0] < 0.9]
    assert low[-1] - low[0] == pytest.approx(60, abs=1)
    assert (low[-1] + low[0]) / 2 == pytest.approx(180, abs=0.5)


def test_a_lens_takes_no_more_away_than_it_can():
    deepest, _ = depth_and_width(Lens(1.0, 0.5))
    with pytest.raises(ValueError, match="at most"):
        event_factor(DAILY, Lens(1.0, 0.5), depth=deepest + 0.1, fwhm_days=30, centre_mjd=61000)
