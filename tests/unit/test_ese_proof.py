"""The sums behind the page validation/ese/index.html."""

import json

import numpy as np
import pandas as pd
import pytest

from contimg.backgrounds import correlation
from proof.injections import depth_found
from proof.page import beyond, read_chain, required_table
from proof.rates import poisson_limits, rate_table, upper_limit, verdict
from proof.scores import largest_deviation, roc_curves
from proof.truth import CALIBRATED, Setting, Sizes, backgrounds_of
from proof.work import null_draws
from simulator.backgrounds import PROCESSES, cadence


@pytest.mark.parametrize("process", sorted(set(CALIBRATED) - {"white"}))
def test_a_process_calibrated_on_is_one_that_the_search_simulates(process):
    mjd = cadence("daily")
    values = PROCESSES[process](mjd, 3000, np.random.default_rng(4), 20.0)
    for lag in (1, 5, 20, 40):
        found = (values[:, :-lag] * values[:, lag:]).mean() / (values**2).mean()
        wanted = correlation(CALIBRATED[process], 20.0, mjd[lag] - mjd[0])
        assert found == pytest.approx(wanted, abs=0.02)


def test_each_class_that_is_judged_has_as_many_light_curves_as_asked_for():
    sizes = Sizes(n_nulls={"daily": 3000}, n_others=200)
    drawn = dict.fromkeys(backgrounds_of("daily"), 0)
    for draw in null_draws(Setting("daily", 0.01), sizes, {}):
        drawn[draw.background] += draw.n
    assert all(n == (3000 if one.calibrated else 200) for one, n in drawn.items())


def test_poisson_limits_are_the_tabulated_ones():
    """Gehrels 1986, ApJ 303, 336, table 1 (one-sided 95 %); Garwood 1936 for both sides."""
    assert upper_limit(0) == pytest.approx(2.996, abs=1e-3)
    assert upper_limit(5) == pytest.approx(10.51, abs=1e-2)
    assert poisson_limits(0) == pytest.approx((0, 3.689), abs=1e-3)
    assert poisson_limits(10) == pytest.approx((4.795, 18.39), abs=1e-2)


def test_a_verdict_needs_counts():
    assert verdict(1.7, 0.9, 3.0) == "within"
    assert verdict(2.5, 1.2, 5.0) == "open"
    assert verdict(4.0, 2.2, 7.0) == "outside"


def test_rates_are_counted_by_class_and_by_what_is_known():
    nulls = pd.DataFrame(
        {
            "setting": "daily, 1 %", "background": "white", "calibrated": True,
            "p_inferred": np.linspace(0.0005, 1, 1000), "p_known": np.nan,
        }
    )  # fmt: skip
    table = rate_table(nulls)
    assert table["how"].tolist() == ["inferred", "inferred"]
    assert table["count"].tolist() == [10, 1]
    assert table["ratio"].tolist() == pytest.approx([1.0, 1.0])


def test_the_classes_beyond_a_factor_of_two_are_those_the_search_is_calibrated_on():
    p = np.linspace(0, 1, 20_000)
    classes = {"right": (p, True), "often": (p / 3, True), "another process": (p / 3, False)}
    nulls = pd.concat(
        pd.DataFrame(
            {
                "setting": "demo, 1 %", "background": name, "calibrated": calibrated,
                "p_inferred": values, "p_known": np.nan,
            }
        )
        for name, (values, calibrated) in classes.items()
    )  # fmt: skip
    found = beyond(rate_table(nulls))
    assert [(one["background"], one["level"], one["verdict"]) for one in found] == [
        ("often", 1e-2, "outside"), ("often", 1e-3, "outside"),
    ]  # fmt: skip


def test_events_are_judged_by_nulls_of_the_same_background_wherever_these_come_from():
    llr = np.random.default_rng(2).exponential(1.0, 5000)
    classes = {"setting": "daily, 1 %", "ese_llr": llr}
    nulls = pd.DataFrame(classes | {"background": "simulated", "p_inferred": 1.0})
    calibration = pd.DataFrame(classes | {"known": "own"})
    # A thousandth of such nulls reach 6.9.
    events = pd.DataFrame({"ese_llr": [5.0, 9.0] * 4, "is_found": [False, True] * 4})
    events = events.assign(centre_mjd=0.0, found_centre_mjd=1.0, fwhm_days=60.0)
    both = pd.concat([events.assign(background=name) for name in ("simulated", "own")])
    table = required_table(both, nulls, calibration)
    assert sorted(table["background"]) == ["own", "simulated"]
    assert table["known"].tolist() == table["part"].tolist() == [0.5, 0.5]
    assert dict(zip(table["background"], table["years"], strict=True)) == {
        "own": 0, "simulated": 5000,
    }  # fmt: skip


def test_the_depth_of_nine_in_ten_lies_between_the_last_miss_and_the_next():
    depth = np.array([0.01, 0.02, 0.04])
    assert 0.02 < depth_found(depth, np.array([0.1, 0.8, 1.0])) < 0.04
    assert depth_found(depth, np.array([0.95, 1.0, 1.0])) == 0.01
    assert np.isnan(depth_found(depth, np.array([0.1, 0.5, 0.8])))


def test_a_perfect_score_finds_all_without_false_alarms_and_a_blind_one_as_many():
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"depth": np.repeat([0.0, 0.1], 500)})
    rows["ese_llr"] = rows["depth"] + 0.01 * random.random(1000)
    for name in ("p_inferred", "ese_score", "deviation"):
        rows[name] = random.random(1000)
    curves = roc_curves(rows)
    perfect = curves[(curves["statistic"] == "ese_llr") & (curves["false_alarm_rate"] == 0)]
    assert perfect["recovery"].max() == 1
    blind = curves[curves["statistic"] == "deviation"]
    assert (blind["recovery"] - blind["false_alarm_rate"]).abs().max() < 0.12


def test_few_epochs_cannot_deviate_by_five_sigma():
    """max |S - mean| / std is at most (N - 1) / sqrt(N), whatever happens."""
    flux = np.ones((1, 26))
    flux[0, 3] = -1e6
    assert largest_deviation(flux)[0] == pytest.approx(25 / np.sqrt(26))


def test_what_is_no_verdict_is_an_error(tmp_path):
    path = tmp_path / "chain.jsonl"
    path.write_text(json.dumps({"ESE, seed 1": {"is_first": True}}) + "\n")
    assert list(read_chain([path])) == ["ESE, seed 1"]
    path.write_text("seed 1 passed\n")
    with pytest.raises(ValueError, match=r"chain\.jsonl: 'seed 1 passed' is no verdict"):
        read_chain([path])
