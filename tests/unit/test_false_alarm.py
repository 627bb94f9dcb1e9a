"""The false-alarm probability of the search is right where the truth is known from outside."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contimg.epochs import Epochs
from contimg.ese_search import search
from contimg.false_alarm import false_alarms, fit_tail, flipped_rate
from simulator.backgrounds import cadence, light_curves
from simulator.lenses import Lens, event_factor

# Fewer backgrounds than the defaults, to be quick.
OPTIONS = {
    "n_nulls": 1500, "n_class": 250, "null_drw_days": [3, 10, 30, 100], "null_smooth_days": [5, 15],
}  # fmt: skip
CLASSES = [("white", 0.0, 1.0), ("drw", 0.02, 30.0), ("matern", 0.02, 15.0)]
EACH = 1200


def archive_of(mjd, flux, error) -> Epochs:
    names = [f"J{number:06d}" for number in range(len(flux))]
    sources = pd.DataFrame({"source_id": names, "ra_deg": 0.0, "dec_deg": 0.0})
    return Epochs(sources, np.broadcast_to(mjd, flux.shape).copy(), flux, error)


@pytest.mark.parametrize("when", ["eight", "demo"])
def test_sources_without_events_reach_a_level_as_often_as_it_says(when):
    """Three backgrounds in one archive, which the probability has to tell from the fits."""
    random = np.random.default_rng(5)
    mjd = cadence(when)
    curves = [
        light_curves(
            mjd, EACH, random, background=kind, modulation=m, timescale_days=tau, error=0.01
        )
        for kind, m, tau in CLASSES
    ]
    flux, error = (np.concatenate(one) for one in zip(*curves, strict=True))
    epochs = archive_of(mjd, flux, error)
    alarms = false_alarms(epochs, search(epochs, OPTIONS), OPTIONS, 2)
    p = alarms["ese_false_alarm"].to_numpy().reshape(len(CLASSES), EACH)
    for level in (1e-2, 1e-3):
        # Within a factor of 2 in every class, as far as so many light curves can tell (3 sigma).
        counts = (p <= level).sum(axis=1)
        assert counts.min() >= stats.binom.ppf(1.3e-3, EACH, level / 2)
        assert counts.max() <= stats.binom.isf(1.3e-3, EACH, level * 2)
    assert stats.binomtest(int((p <= 1e-2).sum()), p.size, 1e-2).pvalue > 1e-4 or (
        0.5 < (p <= 1e-2).mean() / 1e-2 < 2
    )


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


def test_an_event_is_unlikely_by_chance_and_the_rest_is_not(small_archive):
    alarms = false_alarms(small_archive, search(small_archive, FEW), FEW)
    assert alarms["source_id"].tolist() == small_archive.sources["source_id"].tolist()
    assert alarms["ese_false_alarm"][0] < 1e-3
    assert alarms["ese_false_alarm"][1:].min() > 1e-3
    assert "12 epochs" in alarms["null_class"][0]
    assert "8 epochs" in alarms["null_class"][30]


def test_a_source_that_is_not_searched_is_no_alarm(small_archive):
    last = false_alarms(small_archive, search(small_archive, FEW), FEW).iloc[-1]
    assert (last["ese_false_alarm"], last["ese_false_alarm_archive"]) == (1.0, 1.0)
    assert (last["null_class"], last["n_nulls"]) == ("", 0)


def test_the_archive_has_as_many_chances_as_sources(small_archive):
    alarms = false_alarms(small_archive, search(small_archive, FEW), FEW)
    p = alarms["ese_false_alarm"][:39]
    assert alarms["ese_false_alarm_archive"][:39] == pytest.approx(1 - (1 - p) ** 39)


def test_the_event_turned_over_is_none(small_archive):
    """Its own flipped light curve is one of the 39, and does not reach it."""
    alarms = false_alarms(small_archive, search(small_archive, FEW), FEW)
    assert alarms["flipped_false_alarm"][0] == pytest.approx(1 / 40)
    assert set(alarms["n_flipped"]) == {39}


def test_the_number_of_processes_changes_nothing(small_archive):
    found = search(small_archive, FEW)
    one = false_alarms(small_archive, found, FEW, 1)
    pd.testing.assert_frame_equal(one, false_alarms(small_archive, found, FEW, 2), check_exact=True)


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
