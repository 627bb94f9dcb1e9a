"""The errors are what successive transits differ by."""

import numpy as np
import pytest

from contimg.error_model import Transits, clipped_mean_square, fit_error_model

FIXED = {"a": 1.0, "b": 0.0}


def transits(a, b, n_sources=200, n_epochs=30, extra=None, seed=4):
    """Transits of sources of 5 mJy to 1 Jy with a map error of 1 mJy."""
    rng = np.random.default_rng(seed)
    flux = np.exp(rng.uniform(np.log(0.005), np.log(1.0), n_sources))[:, None]
    sigma = np.hypot(a * 0.001, b * flux)
    true = flux * (1 if extra is None else extra(rng, np.arange(n_epochs)))
    measured = true + sigma * rng.standard_normal((n_sources, n_epochs))
    ones = np.ones(n_sources * n_epochs)
    return Transits(
        source=np.repeat(np.arange(n_sources), n_epochs),
        flux_jy=measured.ravel(),
        noise_variance=1e-6 * ones,
        scatter_variance=np.repeat(flux.ravel() ** 2, n_epochs),
        other_variance=0 * ones,
    )


def fit(given):
    return fit_error_model(given, min_transits=4, min_sources=20, otherwise=FIXED)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.5, 0.0), (0.55, 0.02), (1.5, 0.03)])
def test_scale_and_scatter_are_recovered_within_their_errors(a, b):
    found = fit(transits(a, b))
    assert found.fitted and found.n_differences == 200 * 29
    assert found.a_err < 0.03 * a
    assert abs(found.a - a) < 3 * found.a_err
    assert abs(found.b - b) < 3 * found.b_err


def test_the_errors_of_a_and_b_are_their_scatter():
    found = [fit(transits(0.6, 0.02, n_sources=60, n_epochs=12, seed=s)) for s in range(60)]
    for name, true in (("a", 0.6), ("b", 0.02)):
        pull = [(getattr(f, name) - true) / getattr(f, f"{name}_err") for f in found]
        assert np.std(pull) == pytest.approx(1, abs=0.3) and abs(np.mean(pull)) < 0.45


def test_slow_variation_cancels():
    def slow(rng, epoch):
        return 1 + 0.2 * np.sin(2 * np.pi * epoch / 100 + rng.uniform(0, 6, 200)[:, None])

    scatter = fit(transits(0.6, 0.0, n_epochs=100, extra=slow))
    assert scatter.a == pytest.approx(0.6, rel=0.05) and scatter.b < 0.012


def test_a_tenth_of_the_sources_may_vary_fast():
    def fast(rng, epoch):
        varies = (np.arange(200) % 10 == 0)[:, None]
        return 1 + varies * rng.uniform(-0.5, 0.5, (200, len(epoch)))

    found = fit(transits(1.5, 0.03, extra=fast))
    assert found.a == pytest.approx(1.5, rel=0.15) and found.b == pytest.approx(0.03, rel=0.15)


def test_too_few_transits_say_so():
    found = fit(transits(0.5, 0.0, n_epochs=3))
    assert not found.fitted and (found.a, found.b) == (1.0, 0.0)
    assert found.reason == "0 sources have 4 transits or more, 20 are needed"


def test_clipped_mean_square_is_that_of_a_gaussian():
    z = np.random.default_rng(0).standard_normal(400_000)
    assert clipped_mean_square(2.5) == pytest.approx(np.mean(np.minimum(z**2, 6.25)), abs=0.01)
