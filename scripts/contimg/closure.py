"""What calibrated data leave of the model: closure phases and residual phases of a solve set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import (
    antenna_names,
    channel_freq_hz,
    read_bandpass,
    read_columns,
    read_gains,
)
from contimg.casa import casa_table

N_INTEGRATIONS = 6
"""Integrations, spread over the group, that are looked at."""


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


def residual_phase_deg(ratio: NDArray[np.complex128]) -> float:
    """Median |phase| of corrected over model visibilities over all baselines, degrees."""
    upper = ratio[np.triu_indices(len(ratio), 1)]
    phases = np.abs(np.angle(upper[upper != 0]))
    return float(np.degrees(np.median(phases))) if phases.size else float("nan")


def corrected_over_model(
    ms: Path, bcal: Path, gcal: Path, kcal: Path | None = None
) -> NDArray[np.complex128]:
    """Average corrected over model visibilities of each baseline, as sum of V M* over the band.

    Parameters
    ----------
    ms : solve set with MODEL_DATA.
    bcal, gcal, kcal : its tables.

    Returns
    -------
    (n_antennas, n_antennas, n_pol), Hermitian; 0 without data.
    """
    gain, flag = antenna_response(ms, bcal, gcal, kcal)
    n = len(antenna_names(ms))
    columns = read_columns(ms, ["TIME", "ANTENNA1", "ANTENNA2"])
    times = np.unique(columns["TIME"])
    chosen = times[np.unique(np.linspace(0, len(times) - 1, N_INTEGRATIONS).astype(int))]
    total = np.zeros((n, n, gain.shape[-1]), dtype=np.complex128)
    with casa_table(ms) as table:
        for time in chosen:
            rows = np.flatnonzero(columns["TIME"] == time)
            span = {"startrow": int(rows[0]), "nrow": int(rows[-1] - rows[0] + 1)}
            part = slice(rows[0], rows[-1] + 1)
            first, second = columns["ANTENNA1"][part], columns["ANTENNA2"][part]
            data, model, bad = parallel_hands(
                [table.getcol(name, **span).T for name in ("DATA", "MODEL_DATA", "FLAG")]
            )
            product = data * model.conj() / (gain[first] * gain[second].conj())
            product[bad | flag[first] | flag[second]] = 0
            np.add.at(total, (first, second), product.sum(axis=1))
    return total + total.conj().transpose(1, 0, 2)


def parallel_hands(columns: Sequence[NDArray]) -> list[NDArray]:
    """Leave XX and YY of two or four correlations (last axis)."""
    step = 3 if columns[0].shape[-1] == 4 else 1
    return [values[..., ::step] for values in columns]


def antenna_response(
    ms: Path, bcal: Path, gcal: Path, kcal: Path | None
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """Product of the tables' gains, (n_antennas, n_chan, n_pol), and where it is flagged.

    Of a gain table with several intervals the mean over time is used.
    """
    bandpass, gains = read_bandpass(bcal), read_gains(gcal)
    mean = np.where(gains.flag, 0, gains.gain).sum(axis=1) / np.maximum(
        (~gains.flag).sum(axis=1), 1
    )
    flag = bandpass.flag | gains.flag.all(axis=1, keepdims=True)
    response = bandpass.gain * mean[:, None]
    if kcal is not None:
        response = response * delay_phasors(ms, kcal)
    return np.where(flag, np.complex64(1), response).astype(np.complex64), flag


def delay_phasors(ms: Path, kcal: Path) -> NDArray[np.complex128]:
    """Delays (CASA type K, ns) as phasors exp(2 pi i delay (nu - nu_0)), (antenna, channel, pol).

    nu_0, where the phase is 0, is the frequency that the delay table gives for its one channel.
    """
    offset_hz = channel_freq_hz(ms) - channel_freq_hz(kcal).mean()
    columns = read_columns(kcal, ["ANTENNA1", "FPARAM", "FLAG"])
    delay_s = np.zeros((len(antenna_names(ms)), columns["FPARAM"].shape[-1]))
    delay_s[columns["ANTENNA1"]] = np.where(columns["FLAG"], 0, columns["FPARAM"])[:, 0] * 1e-9
    return np.exp(2j * np.pi * delay_s[:, None, :] * offset_hz[:, None])
