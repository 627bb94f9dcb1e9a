"""What calibrated data leave of the model: closures and residual phases of a solve set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contimg.band_sum import PARALLEL, Response
from contimg.calibration_table import (
    antenna_names,
    channel_freq_hz,
    read_bandpass,
    read_columns,
    read_gains,
)


def closure_phase_deg(ratio: NDArray[np.complex128]) -> float:
    """Median |closure phase| over all triangles.

    Parameters
    ----------
    ratio : (n, n, n_pol) corrected over model visibility of antennas i and j, Hermitian in its
        first two axes; 0 where there is none.

    Returns
    -------
    Degrees; NaN without a triangle. Independent of any antenna's phase (Jennison 1958).
    """
    found = []
    for i in range(len(ratio) - 2):
        rest = ratio[i, i + 1 :]
        triangles = rest[:, None] * ratio[i + 1 :, i + 1 :] * rest[None, :].conj()
        upper = triangles[np.triu_indices(len(rest), 1)]
        found.append(np.abs(np.angle(upper[upper != 0])))
    phases = np.concatenate(found) if found else np.zeros(0)
    return float(np.degrees(np.median(phases))) if phases.size else float("nan")


def closure_amplitude(ratio: NDArray[np.complex128]) -> float:
    """Median |ln closure amplitude| over quadrangles of antennas.

    Parameters
    ----------
    ratio : as `closure_phase_deg` takes it.

    Returns
    -------
    0 at best, NaN without a quadrangle. The closure amplitude |V_ij V_kl| / (|V_il| |V_kj|) does
    not depend on any antenna's gain (Twiss, Carter & Little 1960). k and l are the live antennas
    after i and j: nearly every baseline is in four quadrangles.
    """
    found = []
    for pol in range(ratio.shape[-1]):
        size = np.abs(ratio[..., pol])
        live = np.flatnonzero(size.any(axis=0))
        size = size[np.ix_(live, live)]
        i, j = np.triu_indices(max(len(live) - 1, 0), 2)
        four = np.stack([size[i, j], size[i + 1, j + 1], size[i, j + 1], size[i + 1, j]])
        four = four[:, np.all(four > 0, axis=0)]
        found.append(np.abs(np.log(four[0] * four[1] / (four[2] * four[3]))))
    both = np.concatenate(found)
    return float(np.median(both)) if both.size else float("nan")


def residual_phase_deg(ratio: NDArray[np.complex128]) -> float:
    """Median |phase| of corrected over model visibilities over all baselines, degrees."""
    upper = ratio[np.triu_indices(len(ratio), 1)]
    phases = np.abs(np.angle(upper[upper != 0]))
    return float(np.degrees(np.median(phases))) if phases.size else float("nan")


def corrected_over_model(band: Path, gcal: Path) -> NDArray[np.complex128]:
    """Average corrected over model visibilities of each baseline.

    Parameters
    ----------
    band : the calibrator's set summed over the band, bandpass and delays taken out.
    gcal : the gains that were solved on it. Of several intervals the mean over time is used.

    Returns
    -------
    (n_antennas, n_antennas, n_feeds), Hermitian; 0 without data.
    """
    gains = read_gains(gcal)
    flag = np.all(gains.flag, axis=1)
    count = np.maximum((~gains.flag).sum(axis=1), 1)
    gain = np.where(flag, 1, np.where(gains.flag, 0, gains.gain).sum(axis=1) / count)
    columns = read_columns(band, ["ANTENNA1", "ANTENNA2", "DATA", "WEIGHT", "FLAG"])
    first, second = columns["ANTENNA1"], columns["ANTENNA2"]
    feeds = PARALLEL[columns["WEIGHT"].shape[-1]]
    weight = columns["WEIGHT"][:, feeds].astype(float)
    weight[columns["FLAG"][:, 0, feeds] | flag[first] | flag[second]] = 0
    product = weight * columns["DATA"][:, 0, feeds] / (gain[first] * gain[second].conj())
    total = np.zeros((len(gain), *gain.shape), dtype=np.complex128)
    weights = np.zeros(total.shape)
    np.add.at(total, (first, second), product)
    np.add.at(weights, (first, second), weight)
    mean = total / np.where(weights > 0, weights, 1)
    return mean + mean.conj().transpose(1, 0, 2)


def band_response(ms: Path, bcal: Path, kcal: Path | None) -> Response:
    """Product of bandpass and delays."""
    bandpass = read_bandpass(bcal)
    gain = bandpass.gain if kcal is None else bandpass.gain * delay_phasors(ms, kcal)
    return Response(np.where(bandpass.flag, 1, gain).astype(np.complex64), bandpass.flag)


def delay_response(ms: Path, kcal: Path) -> Response:
    """Delays alone."""
    gain = delay_phasors(ms, kcal).astype(np.complex64)
    columns = read_columns(kcal, ["ANTENNA1", "FLAG"])
    flag = np.ones((len(gain), 1, gain.shape[2]), dtype=bool)
    flag[columns["ANTENNA1"]] = columns["FLAG"]
    return Response(gain, flag)


def delay_phasors(ms: Path, kcal: Path) -> NDArray[np.complex128]:
    """Delays (CASA type K, ns) as phasors exp(2 pi i delay (nu - nu_0)), (antenna, channel, pol).

    nu_0, where the phase is 0, is the frequency that the delay table gives for its one channel.
    """
    offset_hz = channel_freq_hz(ms) - channel_freq_hz(kcal).mean()
    columns = read_columns(kcal, ["ANTENNA1", "FPARAM", "FLAG"])
    delay_s = np.zeros((len(antenna_names(ms)), columns["FPARAM"].shape[-1]))
    delay_s[columns["ANTENNA1"]] = np.where(columns["FLAG"], 0, columns["FPARAM"])[:, 0] * 1e-9
    return np.exp(2j * np.pi * delay_s[:, None, :] * offset_hz[:, None])
