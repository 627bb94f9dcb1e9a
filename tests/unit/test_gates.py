"""Limits on solutions, and the comparison of a bandpass with the one before it."""

import numpy as np
import pytest

from contimg.calibration_table import Bandpass
from contimg.closure import closure_amplitude
from contimg.gates import bandpass_change, gate, judged_change

LIMITS = {
    "max_flagged_solutions": 0.5, "min_median_snr": 10, "max_closure_phase_deg": 10,
    "max_closure_amplitude": 0.2,
}  # fmt: skip
FREQ_HZ = 1.3e9 + 2e6 * np.arange(64)
RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"flagged_solutions": 0.5}, ""),
        ({"flagged_solutions": 0.6}, "60% of solutions flagged, 50% allowed"),
        ({"flagged_solutions": 0.5, "unsolved_feeds": [2]}, "no antenna has a solution for feed 2"),
        ({"flagged_solutions": 0, "bandpass_snr": 9.9}, "S/N of the bandpass 9.9, 10 required"),
        ({"flagged_solutions": 0, "closure_phase_deg": 12.0}, "closure phase 12.0 deg, 10 deg"),
        (
            {"flagged_solutions": 0, "closure_amplitude": 0.3},
            "closure amplitude| 0.30, 0.2 allowed",
        ),
        ({"flagged_solutions": 0, "bandpass_snr": 50, "closure_amplitude": 0.02}, ""),
    ],
)
def test_gate_says_what_failed(figures: dict[str, float], reason: str) -> None:
    assert reason in gate(figures, LIMITS)
    assert bool(gate(figures, LIMITS)) == bool(reason)


def amplitudes(n: int) -> np.ndarray:
    """Visibilities of antennas with gains of their own, one polarization."""
    gain = RANDOM.uniform(0.5, 2, n) * np.exp(1j * RANDOM.uniform(0, 6, n))
    both = gain[:, None] * gain.conj()
    np.fill_diagonal(both, 0)
    return both[:, :, None]


def test_closure_amplitude_does_not_depend_on_gains_and_passes_over_dead_antennas() -> None:
    ratio = amplitudes(9)
    ratio[4] = ratio[:, 4] = 0
    assert closure_amplitude(ratio) == pytest.approx(0, abs=1e-9)


def test_closure_amplitude_is_what_no_gains_explain() -> None:
    ratio = amplitudes(4)
    ratio[0, 2] *= np.exp(0.4)
    ratio[2, 0] *= np.exp(0.4)
    assert closure_amplitude(ratio) == pytest.approx(0.4)
    assert np.isnan(closure_amplitude(amplitudes(3)))


def bandpass(gain: np.ndarray) -> Bandpass:
    return Bandpass(("1", "2", "3", "4"), FREQ_HZ, gain, np.zeros(gain.shape, bool))


def wild(n_chan: int = 64) -> np.ndarray:
    shape = (4, n_chan, 2)
    return RANDOM.uniform(0.5, 2, shape) * np.exp(1j * RANDOM.uniform(0, 6, shape))


def test_mean_phase_and_delay_are_no_change_and_a_factor_is() -> None:
    old = wild()
    delay_s = RANDOM.uniform(-20e-9, 20e-9, (4, 1, 2))
    turned = np.exp(2j * np.pi * delay_s * FREQ_HZ[:, None] + 1j * RANDOM.uniform(0, 6, (4, 1, 2)))
    change = bandpass_change(bandpass(1.25 * old * turned), bandpass(old))
    assert change is not None
    assert change["amplitude"] == pytest.approx(0.25)
    assert change["amplitude_ratio"] == pytest.approx(1.25)
    assert change["phase_deg"] < 5
    assert change["n_antennas"] == 4


def test_phase_noise_comes_out_with_its_rms() -> None:
    old = wild()
    noise = np.radians(20) * RANDOM.normal(size=old.shape)
    change = bandpass_change(bandpass(old * np.exp(1j * noise)), bandpass(old))
    assert change is not None
    assert change["phase_deg"] == pytest.approx(20, rel=0.1)


def test_what_has_nothing_in_common_is_not_compared() -> None:
    flagged = bandpass(wild())
    flagged.flag[:] = True
    assert bandpass_change(flagged, bandpass(wild())) is None
    assert bandpass_change(bandpass(wild(32)), bandpass(wild())) is None
    limits = dict.fromkeys(("warn_amplitude", "warn_phase_deg"), 1) | dict.fromkeys(
        ("max_amplitude", "max_phase_deg")
    )
    assert judged_change(None, limits) == ("", "")


def test_antennas_are_matched_by_name() -> None:
    gain = wild()
    other = Bandpass(("4", "3", "2", "5"), FREQ_HZ, gain[[3, 2, 1, 0]], np.zeros(gain.shape, bool))
    change = bandpass_change(bandpass(gain), other)
    assert change is not None
    assert (change["n_antennas"], change["amplitude"]) == (3, pytest.approx(0, abs=1e-9))
