"""The pairs of epochs: the fast way finds what going through all pairs finds, and p is right."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from contimg.pairs import largest_pairs, pair_probability

MIN_VS = 4.3

# Rounded values make equal fluxes, equal m and sums of exactly zero.
epochs = st.lists(
    st.one_of(
        st.tuples(st.floats(-0.5, 5.0), st.floats(0.01, 0.5)),
        st.tuples(st.integers(-3, 12).map(lambda i: 0.25 * i), st.sampled_from([0.03125, 0.0625])),
        st.just((np.nan, np.nan)),
    ),
    min_size=1,
    max_size=14,
)


def all_pairs(flux, error):
    """The plain way: every pair in memory. Returns vs_largest, m_max, vs_max."""
    there = np.isfinite(flux)
    s, e = flux[there], error[there]
    a, b = np.triu_indices(len(s), k=1)
    vs = np.abs(s[a] - s[b]) / np.hypot(e[a], e[b])
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.abs(2 * (s[a] - s[b]) / (s[a] + s[b]))
    counts = (vs >= MIN_VS) & np.isfinite(m)
    best = max(zip(m[counts], vs[counts], strict=True), default=(0.0, 0.0))
    return vs.max(initial=0.0), *best


def assert_same_as_all_pairs(flux, error):
    found = largest_pairs(flux, error, MIN_VS)
    for i in range(len(flux)):
        vs_largest, m_max, vs_max = all_pairs(flux[i], error[i])
        assert found["vs_largest"][i] == pytest.approx(vs_largest, rel=1e-12)
        assert (found["m_max"][i], found["vs_max"][i]) == pytest.approx((m_max, vs_max), rel=1e-12)
        first, second = found["first"][i], found["second"][i]
        if m_max == 0:
            assert (first, second) == (-1, -1)
            continue
        assert first < second
        a, b = flux[i, first], flux[i, second]
        assert abs(2 * (a - b) / (a + b)) == pytest.approx(m_max, rel=1e-12)


@settings(max_examples=300, deadline=None)
@given(st.lists(epochs, min_size=1, max_size=4))
@example([[(0.25, 0.03125), (-0.25, 0.03125)]])  # m of fluxes whose sum is 0 is not defined
def test_the_pairs_are_those_of_all_pairs(sources):
    shape = (len(sources), max(map(len, sources)))
    flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, points in enumerate(sources):
        flux[i, : len(points)], error[i, : len(points)] = np.array(points).T
    assert_same_as_all_pairs(flux, error)


@pytest.mark.parametrize("mean", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("modulation", [0.0, 0.3])
def test_the_pairs_of_long_light_curves_are_those_of_all_pairs(mean, modulation):
    rng = np.random.default_rng(3)
    error = rng.uniform(0.5, 2.0, (40, 150))
    flux = mean * rng.lognormal(0, modulation, error.shape) + rng.normal(0, error)
    flux[rng.random(error.shape) < 0.2] = np.nan
    assert_same_as_all_pairs(flux, error)


def test_probability_is_that_of_the_studentized_range():
    n = np.array([2, 3, 10, 100, 365, 365, 2000])
    vs = np.array([1.96, 2.3, 3.0, 4.0, 4.3, 6.0, 4.5])
    expected = [
        stats.studentized_range.sf(np.sqrt(2) * v, k, np.inf) for v, k in zip(vs, n, strict=True)
    ]
    assert pair_probability(vs, n) == pytest.approx(expected, rel=1e-9)


def test_a_third_of_constant_sources_has_a_pair_beyond_4_3_in_a_year():
    assert pair_probability(np.array([4.3]), np.array([365]))[0] == pytest.approx(0.325, abs=0.001)


def test_probability_falls_without_a_step_to_where_the_sum_over_pairs_is_exact():
    vs = np.linspace(6, 20, 1000)
    p = pair_probability(vs, np.full(1000, 365))
    assert (np.diff(p) < 0).all() and p[-1] == pytest.approx(365 * 364 * stats.norm.sf(20.0))
    steps = np.diff(np.log(p))
    assert np.abs(np.diff(steps)).max() < 1e-3


def test_one_epoch_has_no_probability_and_equal_fluxes_are_certain():
    assert np.isnan(pair_probability(np.zeros(2), np.array([0, 1]))).all()
    assert pair_probability(np.zeros(2), np.array([2, 365])) == pytest.approx([1, 1])


def false_alarms(error, level, seed, n=4000):
    """Share of constant light curves whose pair has at most this probability."""
    rng = np.random.default_rng(seed)
    errors = np.stack([error(rng) for _ in range(n)])
    found = largest_pairs(rng.normal(0, errors), errors, MIN_VS)
    counts = np.full(n, errors.shape[1])
    return (pair_probability(found["vs_largest"], counts) <= level).mean()


@pytest.mark.parametrize("level", [0.3, 0.05, 0.01])
def test_constant_sources_reach_a_probability_as_often_as_it_says(level):
    rate = false_alarms(lambda rng: np.full(60, 0.1), level, seed=1)
    assert rate == pytest.approx(level, abs=4 * np.sqrt(level / 4000))


@pytest.mark.parametrize("level", [0.3, 0.05, 0.01])
def test_with_unequal_errors_the_probability_is_an_upper_bound(level):
    rate = false_alarms(lambda rng: rng.lognormal(0, 1, 60), level, seed=2)
    assert rate <= level + 3 * np.sqrt(level / 4000)
