"""The depth of a dip against wavelength, from made-up subband light curves of known exponent."""

import numpy as np
import pandas as pd
import pytest

from contimg.achromaticity import depth_spectrum, with_depth_spectra
from contimg.epochs import usable_epochs
from contimg.ese import SHAPES

FREQ_HZ = np.array([1.3347e9, 1.3816e9, 1.4284e9, 1.4753e9])
CENTRE, FWHM, DEPTH = 60045.0, 30.0, 0.3


def curves(exponent, error, seed=0, n_epochs=40, common=0.0, shape=SHAPES[0], extra=0.0):
    """Light curves of one source; `common` changes all subbands alike, `extra` each for itself."""
    rng = np.random.default_rng(seed)
    mjd = 60000 + np.sort(rng.choice(90, n_epochs, replace=False)) * 0.99727
    alike = common * rng.standard_normal(n_epochs)
    parts = []
    for subband, freq_hz in enumerate(FREQ_HZ):
        depth = DEPTH * (1.405e9 / freq_hz) ** exponent
        flux = 0.5 * (freq_hz / 1.4e9) ** -0.7 * (1 - depth * shape((mjd - CENTRE) / FWHM) + alike)
        noise = np.hypot(error, extra) * rng.standard_normal(n_epochs)
        parts.append(
            pd.DataFrame(
                {
                    "source_id": "s",
                    "mjd": mjd + subband * 1e-3,
                    "flux_jy": flux + noise,
                    "flux_err_jy": error,
                    "freq_hz": freq_hz,
                    "subband": subband,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def spectrum(table, shape="gaussian"):
    return depth_spectrum(usable_epochs(table), shape, CENTRE, FWHM)


@pytest.mark.parametrize("exponent", [0.0, 2.0])
def test_exponent_and_its_error_are_right_for_noise(exponent):
    found = [spectrum(curves(exponent, 0.005, seed)) for seed in range(200)]
    pull = [(one.exponent - exponent) / one.exponent_err for one in found]
    assert np.mean(pull) == pytest.approx(0.0, abs=0.2)
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)


def test_refraction_is_told_from_an_eclipse_and_the_reverse():
    plasma, eclipse = (spectrum(curves(x, 0.001)) for x in (2.0, 0.0))
    assert plasma.achromatic_p < 1e-4 and abs(plasma.exponent - 2) < 3 * plasma.exponent_err
    assert eclipse.achromatic_p > 0.01 and abs(eclipse.exponent) < 3 * eclipse.exponent_err
    assert plasma.exponent_err < 0.4
    np.testing.assert_allclose(plasma.depth, DEPTH * (1.405e9 / FREQ_HZ) ** 2, rtol=0.05)
    assert plasma.freq_hz.tolist() == FREQ_HZ.tolist()


def test_what_all_subbands_share_costs_no_accuracy():
    quiet = spectrum(curves(2.0, 0.001))
    flickering = spectrum(curves(2.0, 0.001, common=0.03))
    other_shape = spectrum(curves(2.0, 0.001, shape=SHAPES[2]))
    assert flickering.exponent_err < 1.4 * quiet.exponent_err
    assert other_shape.exponent_err < 3 * quiet.exponent_err  # misfit goes with the depth
    for found in (flickering, other_shape):
        assert abs(found.exponent - 2) < 4 * found.exponent_err


def test_errors_that_are_too_small_are_scaled():
    found = [spectrum(curves(0.0, 0.002, seed, extra=0.006)) for seed in range(100)]
    pull = [one.exponent / one.exponent_err for one in found]
    assert np.std(pull) == pytest.approx(1.0, abs=0.2)


def test_a_subband_without_epochs_is_left_out():
    table = curves(2.0, 0.001)
    empty = (table.subband == 1) & (table.index % 40 > 2)
    found = spectrum(table.assign(flux_jy=table.flux_jy.mask(empty)))
    assert found.freq_hz.tolist() == FREQ_HZ[[0, 2, 3]].tolist()
    assert abs(found.exponent - 2) < 4 * found.exponent_err
    alone = spectrum(table[table.subband == 2])
    assert len(alone.depth) == 1 and np.isnan(alone.exponent)


def test_candidates_get_their_columns_and_words():
    about = {"shape": "gaussian", "centre_mjd": CENTRE, "fwhm_days": FWHM, "reason": "it fell"}
    candidates = pd.DataFrame([{"source_id": name, **about} for name in ("s", "unseen")])
    added, depths = with_depth_spectra(candidates, curves(2.0, 0.001))
    assert added.n_subbands.tolist() == [4, 0]
    assert added.reason[0].startswith("it fell; depth goes as wavelength^(2.")
    assert added.reason[1] == "it fell" and np.isnan(added.depth_exponent[1])
    assert depths["s"]["freq_hz"] == FREQ_HZ.tolist() and depths["unseen"]["depth"] == []
    none, nothing = with_depth_spectra(candidates[:0], curves(2.0, 0.001))
    assert len(none) == 0 and nothing == {}
