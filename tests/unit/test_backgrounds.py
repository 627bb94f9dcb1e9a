"""Likelihoods of backgrounds are those of SciPy's multivariate normal, by either way to them."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from contimg.background_filter import Noise, inner_products, whitened
from contimg.backgrounds import BackgroundOptions, correlation, make_grid
from contimg.ese_curves import Setting, SharedCurves
from contimg.ese_separate import SeparateCurves
from contimg.ese_templates import Events, Placement

KERNELS = [("drw", 20.0), ("smooth", 20.0)]


def covariance(days, error, kernel, timescale, modulation, jitter):
    k = correlation(kernel, timescale, days[:, None] - days)
    return modulation**2 * k + np.diag(error**2 + jitter**2)


@pytest.fixture
def gappy():
    """Two light curves of 14 epochs: irregular times, a long gap and unequal errors."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.uniform(0, 60, 14)).round(3)
    days[9:] += 150
    return days - days[0], 1 + 0.05 * rng.normal(size=(2, 14)), rng.uniform(0.01, 0.05, 14)


@pytest.mark.parametrize("errors", ["equal", "unequal"])
def test_log_posterior_is_that_of_a_normal_distribution_over_the_baseline(gappy, errors):
    days, flux, error = gappy
    if errors == "equal":
        error = np.full(14, 0.02)
    options = BackgroundOptions()
    grid = make_grid(0.02, options)
    found = SharedCurves(Setting(days, error, grid, Placement()), flux).evidence
    baselines = np.linspace(-1, 3, 8001)
    for point in range(0, len(grid.kernel), 397):
        name, timescale = grid.kernels[grid.kernel[point]]
        matrix = covariance(
            days, error, name, timescale, grid.modulation[point], grid.jitter[point]
        )
        normal = multivariate_normal(np.zeros(14), matrix)
        density = normal.logpdf(flux[0] - baselines[:, None])
        expected = np.log(np.trapezoid(np.exp(density - density.max()), baselines))
        expected += density.max() - grid.modulation[point] / options.modulation_scale
        expected -= grid.jitter[point] / options.jitter_scale
        assert found[0, point] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("kernel", "timescale"), KERNELS)
def test_the_filter_gives_what_the_whole_covariance_gives(gappy, kernel, timescale):
    days, flux, error = gappy
    matrix = covariance(days, error, kernel, timescale, 0.1, 0.01)
    columns = np.stack([np.ones(14), *flux])
    expected = columns @ np.linalg.solve(matrix, columns.T)
    noise = Noise(kernel == "smooth", *(np.full((1, 1), x) for x in (timescale, 0.1, 0.01)))
    padded_days = np.append(days, [days[-1]] * 2)[None]
    padded_error = np.append(error, [np.inf] * 2)[None]
    padded = [np.append(column, [0, 0])[None] for column in columns]
    products, log_det = inner_products(noise, padded_days, padded_error, padded)
    np.testing.assert_allclose(products[:, :, 0, 0], expected, rtol=1e-9)
    assert log_det[0, 0] == pytest.approx(np.linalg.slogdet(matrix)[1])
    one = Noise(kernel == "smooth", timescale, 0.1, 0.01)
    white = whitened(one, days, error, columns.T)
    np.testing.assert_allclose(white.T @ white, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_an_epoch_is_predicted_from_the_others_as_a_fit_without_it_does(gappy, kind):
    days, flux, error = gappy
    grid = make_grid(0.02, BackgroundOptions())
    if kind == "shared":
        curves = SharedCurves(Setting(days, error, grid, Placement()), flux)
    else:
        every = [np.tile(one, (2, 1)) for one in (days, error)]
        curves = SeparateCurves(every[0], flux, every[1], grid, Placement())
    point = 1500
    name, timescale = grid.kernels[grid.kernel[point]]
    matrix = covariance(days, error, name, timescale, grid.modulation[point], grid.jitter[point])
    dips = curves.dips(Events(np.array([1, 3]), np.full(2, 25.0), np.full(2, 30.0)))
    for given in (None, dips):
        residual, variance = curves.left_out(np.full(2, point), given)
        for epoch in (0, 6, 13):
            others = np.arange(14) != epoch
            design = np.ones((14, 1))
            if given is not None:
                design = np.column_stack([np.ones(14), given[1]])
            inverse = np.linalg.inv(matrix[np.ix_(others, others)])
            normal = design[others].T @ inverse @ design[others]
            fitted = np.linalg.solve(normal, design[others].T @ inverse @ flux[1, others])
            gain = matrix[epoch, others] @ inverse
            predicted = design[epoch] @ fitted + gain @ (flux[1, others] - design[others] @ fitted)
            left = design[epoch] - gain @ design[others]
            spread = matrix[epoch, epoch] - gain @ matrix[others, epoch]
            spread += left @ np.linalg.solve(normal, left)
            assert residual[1, epoch] == pytest.approx(flux[1, epoch] - predicted)
            assert variance[1, epoch] == pytest.approx(spread)
