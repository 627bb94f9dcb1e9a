"""A dip behind simulated plasma is chromatic, any other is not; and who cannot tell says so."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from simulated_subbands import band, curves, fluxes

from contimg.chromaticity import chromaticity, in_words, with_chromaticity
from contimg.epochs import usable_epochs

MJD = 60000 + np.arange(120) * 2.99
FREQ_HZ = band(4)
FWHM = 60.0
STRONG = {
    "centre_mjd": 60180.0, "days_a_radius": 14.0, "alpha": 8.0, "beta_s": 0.3, "fraction": 0.3,
}  # fmt: skip
WEAK = {**STRONG, "alpha": 1.0, "days_a_radius": 33.0, "fraction": 0.6}


@cache
def clean(weak, chromatic):
    return fluxes(MJD, FREQ_HZ, WEAK if weak else STRONG, chromatic)


def judged(table, seed=0):
    return chromaticity(usable_epochs(table), 60185.0, 50.0, seed)


def simulated(weak, chromatic, error, seed=0, common=0.0):
    random = np.random.default_rng(seed)
    alike = 1 + common * random.standard_normal(len(MJD))
    return curves(MJD, FREQ_HZ, clean(weak, chromatic) * alike, error, random)


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize("chromatic", [False, True])
def test_plasma_is_told_from_an_achromatic_dip_of_the_same_shape(weak, chromatic):
    found = judged(simulated(weak, chromatic, 0.02))
    assert found.outcome == ("chromatic" if chromatic else "achromatic")
    assert (found.delta_chi2 > 0) == chromatic
    assert abs(found.delta_chi2) == pytest.approx(found.expected_delta_chi2, rel=0.5)
    assert (found.achromatic_p if chromatic else found.lens_p) < 0.01


def test_noise_that_hides_the_difference_leaves_it_undecided():
    found = [judged(simulated(False, seed % 2 == 0, 0.8, seed)) for seed in range(2)]
    assert [one.outcome for one in found] == ["undecided"] * 2
    assert max(one.expected_delta_chi2 for one in found) < 5


def test_achromatic_dips_are_called_chromatic_no_more_often_than_said():
    """With sidelobes that make the subbands differ three times as much as their errors."""
    found = []
    for seed in range(10):
        table = simulated(True, False, 0.045, seed)
        table["flux_err_jy"] /= 3
        found.append(judged(table, seed).achromatic_p)
    assert min(found) > 0.002 and np.mean(np.array(found) < 0.2) < 0.6


def test_what_all_subbands_share_decides_nothing():
    shared = judged(simulated(True, True, 0.01, common=0.03))
    assert shared.outcome == "chromatic"
    other = judged(simulated(True, False, 0.01, common=0.03))
    assert other.outcome == "achromatic"
    # A flare or a step in all subbands at once is achromatic too.
    table = simulated(True, False, 0.01)
    table.loc[table.mjd > 60250, "flux_jy"] *= 1.2
    assert judged(table).outcome != "chromatic"


def test_subbands_are_normalised_each_for_itself():
    table = simulated(False, True, 0.02)
    scaled = table.assign(
        flux_jy=table.flux_jy * (1 + 0.3 * table.subband),
        flux_err_jy=table.flux_err_jy * (1 + 0.3 * table.subband),
    )
    one, other = judged(table), judged(scaled)
    assert one.delta_chi2 == pytest.approx(other.delta_chi2, abs=0.01)


def test_missing_subbands_and_epochs_are_left_out():
    table = simulated(False, True, 0.02)
    gone = (table.subband == 1) & (table.mjd < 60250) | (table.index % 7 == 0)
    found = judged(table.assign(flux_jy=table.flux_jy.mask(gone)))
    assert found.outcome == "chromatic" and len(found.depths.depth) == 4
    assert judged(table[table.subband == 2]).outcome == ""
    few = judged(table[table.mjd < MJD[4]])
    assert few.outcome == "undecided" and np.isnan(few.delta_chi2)
    assert in_words(few) == "; undecided over 4 subbands: too few epochs"
    apart = table[(table.subband + (table.mjd // 2.99).astype(int)) % 4 == 0]
    assert judged(apart).outcome == "undecided"  # never two subbands in one transit
    nothing = table.assign(flux_jy=-table.flux_jy)
    assert judged(nothing).outcome == "undecided"


def test_a_dip_that_no_epoch_sees_has_no_depths():
    mjd = 60000 + np.concatenate([np.arange(0.0, 60, 3), np.arange(160.0, 220, 3)])
    flux = np.ones((2, len(mjd))) * (band(2)[:, None] / 1.4e9) ** -0.7
    table = curves(mjd, band(2), flux, 0.01, np.random.default_rng(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chromaticity(usable_epochs(table), 60110.0, 14.0, seed=1)
    assert found.outcome == "undecided"
    assert np.isnan(found.depths.exponent)


def test_depth_goes_as_the_plasma_of_a_weak_lens_makes_it():
    found = judged(simulated(True, True, 0.005))
    ratio = (FREQ_HZ / 1.4e9) ** -2
    truth = ratio / (1 + ratio)  # of a point on the axis, alpha = 1
    exponent = np.polyfit(np.log(1 / FREQ_HZ), np.log(truth), 1)[0]
    assert found.depths.exponent == pytest.approx(exponent, abs=1.2)
    assert found.depths.exponent > 3 * found.depths.exponent_err
    level = judged(simulated(True, False, 0.005)).depths
    assert abs(level.exponent) < 3 * level.exponent_err


def test_candidates_get_their_columns_and_words():
    about = {"centre_mjd": 60182.0, "fwhm_days": 55.0, "reason": "it fell"}
    candidates = pd.DataFrame([{"source_id": name, **about} for name in ("s", "unseen")])
    added, details = with_chromaticity(candidates, simulated(False, True, 0.02))
    assert added.n_subbands.tolist() == [4, 0]
    assert added.chromaticity.tolist() == ["chromatic", ""]
    assert added.reason[0].startswith("it fell; chromatic over 4 subbands: lens over achromatic by")
    assert added.reason[1] == "it fell" and np.isnan(added.depth_exponent[1])
    assert details["s"]["freq_hz"] == FREQ_HZ.tolist() and details["unseen"]["depth"] == []
    assert details["s"]["lens"]["alpha"] == pytest.approx(8, rel=0.3)
    again, _ = with_chromaticity(candidates, simulated(False, True, 0.02))
    pd.testing.assert_frame_equal(added, again)
    # A source that a person flags may have been searched in vain: there is no dip to judge.
    flagged, _ = with_chromaticity(candidates.assign(fwhm_days=np.nan), simulated(False, True, 0.1))
    assert flagged.chromaticity.tolist() == ["", ""] and flagged.reason[0] == "it fell"
    none, nothing = with_chromaticity(candidates[:0], simulated(False, True, 0.02))
    assert len(none) == 0 and nothing == {}
