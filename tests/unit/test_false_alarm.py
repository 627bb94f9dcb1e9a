"""The false-alarm probability of the search is right where the truth is known from outside."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contimg import false_alarm
from contimg.epochs import Epochs
from contimg.ese_nulls import Group, NullOptions, simulate, tasks_of
from contimg.ese_search import search, search_batch
from contimg.false_alarm import Nulls, false_alarms, fit_tail, flipped_rate
from contimg.tables import options_from
from simulator.backgrounds import cadence, light_curves
from simulator.lenses import Lens, event_factor

# Fewer backgrounds than the defaults, to be quick.
OPTIONS = {
    "n_nulls": 1000, "n_class": 150, "null_drw_days": [3, 10, 30, 100], "null_smooth_days": [5, 15],
}  # fmt: skip
CLASSES = [("white", 0.0, 1.0), ("drw", 0.02, 30.0), ("matern52", 0.02, 15.0)]
EACH = 2000


def archive_of(mjd, flux, error) -> Epochs:
    names = [f"J{number:06d}" for number in range(len(flux))]
    sources = pd.DataFrame({"source_id": names, "ra_deg": 0.0, "dec_deg": 0.0})
    return Epochs(sources, np.broadcast_to(mjd, flux.shape).copy(), flux, error)


@cache
def nulls_of(when: str) -> Nulls:
    mjd = cadence(when)
    group = Group(tuple(mjd.tolist()), (0.01,) * len(mjd), largest_modulation=0.05)
    options = options_from(NullOptions, OPTIONS)
    return Nulls(group, pd.concat(simulate(tasks_of(group, options, {}), 2)), options.n_class)


@pytest.mark.parametrize("when", ["eight", "demo"])
def test_sources_without_events_reach_a_level_as_often_as_it_says(when):
    """Whichever background they have: the probability has to tell it from the fit."""
    random = np.random.default_rng(5)
    mjd = cadence(when)
    for kind, modulation, timescale_days in CLASSES:
        flux, error = light_curves(
            mjd, EACH, random, background=kind, modulation=modulation,
            timescale_days=timescale_days, error=0.01,
        )  # fmt: skip
        p = nulls_of(when).probabilities(search_batch(mjd, flux, error))["ese_false_alarm"]
        for level in (1e-2, 1e-3):
            # Within a factor of 2, as far as so many light curves can tell (3 sigma).
            count = int((p <= level).sum())
            assert stats.binom.ppf(1.3e-3, EACH, level / 2) <= count
            assert count <= stats.binom.isf(1.3e-3, EACH, level * 2)


def test_sources_that_scatter_more_have_no_more_false_alarms_than_calm_ones():
    """All are white, and nearly all fits say so: only the scatter tells them apart."""
    mjd = cadence("demo")
    flux, error = light_curves(mjd, EACH, np.random.default_rng(8), error=0.01)
    found = search_batch(mjd, flux, error)
    p = nulls_of("demo").probabilities(found)["ese_false_alarm"].to_numpy()
    for quarter in np.array_split(np.argsort(flux.std(axis=1)), 4):
        # Of 500 with 10 %, as 150 nulls tell where these begin.
        assert 0.05 < (p[quarter] <= 0.1).mean() < 0.17


def test_an_epoch_that_is_far_off_makes_no_event_likelier_than_simulation_says():
    """Without it the rest of such a source is calm, and calm sources have small statistics."""
    mjd = cadence("demo")
    flux, error = light_curves(mjd, EACH, np.random.default_rng(9), error=0.01)
    flux[:, 0] -= 0.045
    found = search_batch(mjd, flux, error)
    far = (found["null_outliers"] > 0).to_numpy()
    p = nulls_of("demo").probabilities(found)["ese_false_alarm"].to_numpy()
    assert far.sum() > 100 and (p[far] <= 1e-2).mean() < 0.03


@pytest.fixture(scope="module")
def small_archive():
    """Forty quiet sources of 8 and 12 epochs; the first has an event; the last, 5 epochs."""
    random = np.random.default_rng(6)
    mjd = cadence("demo")
    event = np.ones((40, len(mjd)))
    event[0] = event_factor(mjd, Lens(15.0, 0.5), depth=0.4, fwhm_days=16, centre_mjd=mjd[6])
    flux, error = light_curves(mjd, 40, random, error=0.02, event=event)
    epochs = archive_of(mjd, 0.1 * flux, 0.1 * error)
    for rows, n in ((slice(20, 39), 8), (slice(39, 40), 5)):
        for values in (epochs.mjd, epochs.flux_jy, epochs.error_jy):
            values[rows, n:] = np.nan
    return epochs


FEW = OPTIONS | {"n_nulls": 300, "n_class": 100}


@pytest.fixture(scope="module")
def alarms(small_archive):
    return false_alarms(small_archive, search(small_archive, FEW), FEW)


def test_an_event_is_unlikely_by_chance_and_the_rest_is_not(small_archive, alarms):
    assert alarms["source_id"].tolist() == small_archive.sources["source_id"].tolist()
    # A hundred nulls tell a chance to a factor of some ten.
    assert alarms["ese_false_alarm"][0] < 0.03
    assert alarms["ese_false_alarm"].idxmin() == 0
    assert "12 epochs" in alarms["null_class"][0]
    assert "8 epochs" in alarms["null_class"][30]


def test_a_source_that_is_not_searched_is_no_alarm(alarms):
    last = alarms.iloc[-1]
    assert (last["ese_false_alarm"], last["ese_false_alarm_archive"]) == (1.0, 1.0)
    assert (last["null_class"], last["n_nulls"]) == ("", 0)


def test_where_nothing_is_searched_nothing_is_unlikely(small_archive):
    few = archive_of(small_archive.mjd[0, :5], np.ones((2, 5)), np.full((2, 5), 0.01))
    alarms = false_alarms(few, search(few, FEW), FEW)
    assert alarms["ese_false_alarm"].tolist() == [1.0, 1.0]
    assert alarms["ese_false_alarm_archive"].tolist() == [1.0, 1.0]


def test_the_archive_has_as_many_chances_as_sources(alarms):
    p = alarms["ese_false_alarm"].to_numpy()[:39]
    archive = alarms["ese_false_alarm_archive"].to_numpy()[:39]
    assert archive == pytest.approx(1 - (1 - p) ** 39)


def test_the_event_turned_over_is_none(alarms):
    """Its own flipped light curve is one of the 39, and does not reach it."""
    assert alarms["flipped_false_alarm"][0] == pytest.approx(1 / 40)
    assert set(alarms["n_flipped"]) == {39}


def test_the_number_of_processes_changes_nothing(small_archive, alarms, monkeypatch):
    shared = []

    def watched(epochs, options, threads=1):
        shared.append(threads)
        return search(epochs, options, threads)

    monkeypatch.setattr(false_alarm, "search", watched)
    two = false_alarms(small_archive, search(small_archive, FEW), FEW, 2)
    pd.testing.assert_frame_equal(alarms, two, check_exact=True)
    assert shared == [2]  # the light curves turned over are searched by both


def test_the_flipped_rate_counts_and_adds_one():
    flipped = np.array([1.0, 2.0, np.nan, 3.0])
    rate = flipped_rate(np.array([0.5, 2.0, 9.0, np.nan]), flipped)
    assert rate == pytest.approx([1.0, 0.75, 0.25, 1.0])


def test_an_exponential_tail_is_recovered():
    statistics = np.random.default_rng(7).exponential(2.0, 40_000)
    tail = fit_tail(statistics)
    wanted = np.array([1e-2, 1e-3, 1e-5])
    assert tail.probability(-2 * np.log(wanted)) == pytest.approx(wanted, rel=0.25)
    assert tail.probability(np.array([0.0])) == pytest.approx([1.0], abs=1e-3)
