"""Limits count by the probability that the flux stayed below them."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from contimg.censored import censored_mean, censored_statistics, upper_bound

NONE = np.array([])


def log_likelihood(mu, tau, flux, error, limit, limit_error):
    """The slow way: each limit's probability is integrated over the fluxes below it."""
    total = stats.norm.logpdf(flux, mu, np.hypot(error, tau)).sum()
    for bound, noise in zip(limit, limit_error, strict=True):
        width = np.hypot(noise, tau)
        below = integrate.quad(stats.norm(mu, width).pdf, mu - 12 * width, bound)[0]
        total += np.log(below)
    return total


def test_no_flux_and_scatter_nearby_are_likelier():
    rng = np.random.default_rng(0)
    error = rng.uniform(0.5, 1.5, 12)
    flux = rng.normal(3.0, np.hypot(error, 1.0))
    data = flux[:8], error[:8], np.array([2.0, 3.5, 4.0]), error[8:11]
    mu, mu_err, tau = censored_mean(*data)
    best = log_likelihood(mu, tau, *data)
    assert tau > 0
    for step in (0.03, -0.03):
        assert log_likelihood(mu + step, tau, *data) < best
        assert log_likelihood(mu, tau + step, *data) < best

    def likeliest(mean):
        """Of all scatters."""
        found = optimize.minimize_scalar(
            lambda tau: -log_likelihood(mean, tau, *data), bounds=(0, 5), method="bounded"
        )
        return -found.fun

    # the error of the mean: the curvature of the likelihood with the best scatter of each mean
    near = best - 0.5 * sum(likeliest(mu + 0.05 * s * mu_err) for s in (1, -1))
    assert near == pytest.approx(0.5 * 0.05**2, rel=0.02)


def test_without_limits_a_constant_source_has_its_weighted_mean():
    flux, error = np.array([1.0, 1.1, 0.95]), np.array([0.1, 0.2, 0.1])
    mu, mu_err, tau = censored_mean(flux, error, NONE, NONE)
    assert tau == 0
    assert mu == pytest.approx(np.average(flux, weights=error**-2))
    assert mu_err == pytest.approx((error**-2).sum() ** -0.5)


def test_the_units_do_not_matter():
    data = [np.array([1.0, 2.0, 0.5]), np.full(3, 0.1), np.array([0.6]), np.array([0.2])]
    there = np.array(censored_mean(*data))
    assert np.array(censored_mean(*(1e-6 * d for d in data))) == pytest.approx(1e-6 * there)


def test_mean_and_scatter_of_half_censored_sources_are_recovered():
    """The plain mean of the detections is far too high; the censored one is not."""
    rng = np.random.default_rng(1)
    n_sources, n_epochs, mean, scatter, error = 800, 60, 4.0, 1.5, 1.0
    flux = rng.normal(mean, np.hypot(scatter, error), (n_sources, n_epochs))
    seen = flux > 4.0
    found = censored_statistics(
        np.where(seen, flux, np.nan),
        np.where(seen, error, np.nan),
        np.where(seen, np.nan, 4.0),
        np.where(seen, np.nan, error),
    )
    assert np.where(seen, flux, np.nan)[seen].mean() > 5.2
    pulls = (found["censored_mean_jy"] - mean) / found["censored_mean_err_jy"]
    assert abs(pulls.mean()) < 0.2 and pulls.std() == pytest.approx(1, abs=0.06)
    assert np.median(found["censored_scatter_jy"]) == pytest.approx(scatter, abs=0.1)
    assert (found["n_limits"] == (~seen).sum(axis=1)).all()


def test_one_limit_bounds_the_mean_at_its_own_95_percent():
    assert upper_bound(np.array([3.0]), np.array([1.0])) == pytest.approx(3 + 1.6449, abs=1e-4)


def test_a_constant_source_at_the_bound_passes_a_limit_in_95_of_100():
    rng = np.random.default_rng(2)
    noise = rng.uniform(0.5, 2.0, 10)
    limit = 3 * noise
    bound = upper_bound(limit, noise)
    below = (rng.normal(bound, noise, (20000, 10)) < limit).all(axis=1).mean()
    assert below == pytest.approx(0.05, abs=0.006)


def test_limits_only_have_a_bound_and_no_mean_and_one_flux_no_scatter():
    nan = np.nan
    found = censored_statistics(
        np.array([[nan], [2.0], [nan]]),
        np.array([[nan], [0.1], [nan]]),
        np.array([[0.3, 0.4], [1.0, nan], [nan, nan]]),
        np.array([[0.1, 0.1], [0.1, nan], [nan, nan]]),
    )
    assert found["n_limits"].tolist() == [2, 1, 0]
    assert np.isnan(found["censored_mean_jy"]).tolist() == [True, False, True]
    assert np.isnan(found["mean_upper_jy"]).tolist() == [False, True, True]
    assert np.isnan(found["censored_scatter_jy"]).all()
