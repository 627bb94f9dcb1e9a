"""Whether a calibration table is good enough: limits on its figures, and on its bandpass's change.

A table that fails a gate is rejected with the reason and kept for inspection. A bandpass that is
unlike the previous one of its strip draws a warning first: antennas are mended, and a wrong model
of the calibrator shows as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import Bandpass

DELAYS_PER_CHANNEL = 8
"""Trial delays for each channel of the band: the phase left by their spacing is small."""


def gate(figures: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    """Reason why a table fails its gate, or "" when it passes.

    Only the figures that are there are judged.
    """
    flagged, largest = figures["flagged_solutions"], calibration["max_flagged_solutions"]
    if flagged > largest:
        return f"{flagged:.0%} of solutions flagged, {largest:.0%} allowed"
    if figures.get("unsolved_feeds"):
        return f"no antenna has a solution for feed {figures['unsolved_feeds'][0]}"
    snr, smallest = figures.get("bandpass_snr"), calibration["min_median_snr"]
    if snr is not None and snr < smallest:
        return f"median S/N of the bandpass {snr:.1f}, {smallest} required"
    closure, limit = figures.get("closure_phase_deg"), calibration["max_closure_phase_deg"]
    if closure is not None and closure > limit:
        return f"median closure phase {closure:.1f} deg, {limit} deg allowed"
    closure, limit = figures.get("closure_amplitude"), calibration["max_closure_amplitude"]
    if closure is not None and closure > limit:
        return f"median |ln closure amplitude| {closure:.2f}, {limit} allowed"
    return ""


def bandpass_change(new: Bandpass, old: Bandpass) -> dict[str, Any] | None:
    """Figures of how a bandpass differs from an older one.

    Amplitudes are compared as they are, so that a wrong flux of the calibrator shows; phases after
    each antenna's and polarization's mean phase and delay are taken out, which change freely.

    Returns
    -------
    figures : amplitude (median of |ratio of amplitudes - 1|), amplitude_ratio (median, 1 at best),
        phase_deg (rms), n_antennas; None where there is nothing to compare: other channels, other
        polarizations, or no solution in common.
    """
    both = [name for name in new.antennas if name in old.antennas]
    if new.gain.shape[1:] != old.gain.shape[1:] or not np.allclose(new.freq_hz, old.freq_hz):
        return None
    rows, old_rows = ([one.antennas.index(name) for name in both] for one in (new, old))
    good = ~(new.flag[rows] | old.flag[old_rows]) & (old.gain[old_rows] != 0)
    if not good.any():
        return None
    ratio = np.where(good, new.gain[rows] / np.where(good, old.gain[old_rows], 1), 0)
    amplitude = np.abs(ratio[good])
    straight = ratio * slopes(ratio, new.freq_hz).conj()
    mean = straight.sum(axis=1, keepdims=True)
    phase = np.angle(straight * mean.conj())[good]
    return {
        "amplitude": float(np.median(np.abs(amplitude - 1))),
        "amplitude_ratio": float(np.median(amplitude)),
        "phase_deg": float(np.degrees(np.sqrt(np.mean(phase**2)))),
        "n_antennas": int(good.any(axis=(1, 2)).sum()),
    }


def slopes(gain: NDArray[np.complexfloating], freq_hz: NDArray[np.float64]) -> NDArray:
    """Phasors of the delay that each antenna and polarization has.

    Parameters
    ----------
    gain : (n_antennas, n_chan, n_pol), 0 where flagged.
    freq_hz : (n_chan,).

    Returns
    -------
    (n_antennas, n_chan, n_pol) exp(2 pi i delay (nu - nu_0)), of the delay at which the sum over
    channels of the phasors is largest.
    """
    n_trials = DELAYS_PER_CHANNEL * len(freq_hz)
    span_hz = np.ptp(freq_hz) * len(freq_hz) / max(len(freq_hz) - 1, 1)
    # The smallest first: with few channels several delays are as good.
    steps = np.arange(1, n_trials + 1) // 2 * (-1) ** np.arange(n_trials)
    delay_s = steps / (DELAYS_PER_CHANNEL * max(span_hz, 1.0))
    trials = np.exp(2j * np.pi * delay_s[:, None] * (freq_hz - freq_hz.mean()))
    phasor = np.where(gain == 0, 0, gain / np.where(gain == 0, 1, np.abs(gain)))
    best = np.abs(np.einsum("dc,acp->adp", trials.conj(), phasor, optimize=True)).argmax(axis=1)
    return trials[best].transpose(0, 2, 1)


def judged_change(change: Mapping[str, Any] | None, limits: Mapping[str, Any]) -> tuple[str, str]:
    """Return a verdict on a changed bandpass ("", warning or refused), and why.

    Parameters
    ----------
    change : figures of `bandpass_change`.
    limits : the configuration's `previous_bandpass`: warn_amplitude, warn_phase_deg and,
        beyond which the table is refused, max_amplitude, max_phase_deg; a null never refuses.
    """
    for verdict, kind in (("refused", "max"), ("warning", "warn")):
        amplitude, phase_deg = limits[f"{kind}_amplitude"], limits[f"{kind}_phase_deg"]
        beyond = []
        if change and amplitude is not None and change["amplitude"] > amplitude:
            ratio = change["amplitude_ratio"]
            beyond.append(
                f"amplitudes by {change['amplitude']:.0%}, {amplitude:.0%} allowed "
                f"(median ratio {ratio:.3f})"
            )
        if change and phase_deg is not None and change["phase_deg"] > phase_deg:
            beyond.append(f"phases by {change['phase_deg']:.0f} deg rms, {phase_deg} deg allowed")
        if beyond:
            return verdict, "; ".join(beyond)
    return "", ""
