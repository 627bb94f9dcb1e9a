"""Holes of a bandpass are filled with what was there, and nothing else is touched."""

from typing import Any

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from contimg.bandpass import filled, holes_of

N_CHAN, SUBBAND = 768, 48
FREQ_HZ = 1.31e9 + 0.244e6 * np.arange(N_CHAN)
OPTIONS: dict[str, Any] = {
    "fill": "polynomial", "max_gap_channels": 64, "degree": 12, "width_channels": 15,
    "replace_unflagged": False,
}  # fmt: skip


@pytest.fixture
def truth() -> np.ndarray:
    """Gains of 6 antennas: ripples of 10 % and 10 deg of rms, delays, and any mean phase."""
    rng = np.random.default_rng(8)
    place = np.linspace(-1, 1, N_CHAN)
    curves = chebyshev.chebval(place, rng.normal(size=(7, 2, 6, 2)) / np.sqrt(7 / 2))
    amplitude, phase = 1 + 0.1 * curves[0], np.radians(10) * curves[1]
    delay = 3e-9 * rng.normal(size=(6, 2, 1)) * 2 * np.pi * (FREQ_HZ - FREQ_HZ.mean())
    gain = amplitude * np.exp(1j * (phase + delay))
    return gain.transpose(0, 2, 1) * np.exp(2j * np.pi * rng.uniform(size=(6, 1, 2)))


def with_two_subbands_missing(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    noise = 0.01 * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
    flag = np.zeros(truth.shape, dtype=bool)
    flag[:, 3 * SUBBAND : 4 * SUBBAND] = flag[:, 9 * SUBBAND : 10 * SUBBAND] = True
    return np.where(flag, 1, truth + noise).astype(np.complex64), flag


@pytest.mark.parametrize(("fill", "rms"), [("polynomial", 0.005), ("smooth", 0.02)])
def test_two_missing_subbands_are_filled_with_the_truth(
    truth: np.ndarray, fill: str, rms: float
) -> None:
    """Beside noise of 1 % a channel in each part."""
    gain, flag = with_two_subbands_missing(truth)
    found, left = filled(gain, flag, FREQ_HZ, {**OPTIONS, "fill": fill})
    assert not left.any()
    error = np.abs(found / truth - 1)[flag]
    assert np.sqrt(np.mean(error**2)) < rms
    np.testing.assert_array_equal(found[~flag], gain[~flag])


@pytest.mark.parametrize("fill", ["polynomial", "smooth"])
def test_solved_channels_follow_the_curve_when_asked(truth: np.ndarray, fill: str) -> None:
    gain, flag = with_two_subbands_missing(truth)
    options = {**OPTIONS, "fill": fill, "replace_unflagged": True}
    found, _ = filled(gain, flag, FREQ_HZ, options)
    before, after = (np.abs(one / truth - 1)[~flag].std() for one in (gain, found))
    assert after < 0.5 * before


def test_wide_holes_the_ends_of_the_band_and_dead_antennas_stay_flagged(truth: np.ndarray) -> None:
    flag = np.zeros(truth.shape, dtype=bool)
    flag[0, :10] = flag[1, -10:] = flag[2, 300:365] = flag[3] = True
    flag[4, 300:364] = flag[5, [7, 9]] = True
    holes = holes_of(flag, OPTIONS["max_gap_channels"])
    assert not holes[:4].any()
    np.testing.assert_array_equal(holes[4:], flag[4:])
    found, left = filled(truth.astype(np.complex64), flag, FREQ_HZ, OPTIONS)
    np.testing.assert_array_equal(left[:4], flag[:4])
    assert not left[4:].any()
    assert np.isfinite(found).all()


def test_few_solved_channels_are_no_ground_for_a_high_degree() -> None:
    gain = np.full((1, 5, 1), 0.5j, dtype=np.complex64)
    flag = np.array([False, True, True, True, False])[None, :, None]
    found, left = filled(gain, flag, FREQ_HZ[:5], OPTIONS)
    assert not left.any()
    np.testing.assert_allclose(np.where(flag, found, gain), 0.5j, atol=1e-6)
