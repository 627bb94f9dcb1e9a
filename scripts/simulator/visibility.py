"""The measurement equation of a fringe-stopped transit array, by antenna factors."""

import numpy as np
from numpy.typing import NDArray
from scipy.constants import speed_of_light
from scipy.special import j1


def airy_power(
    sine: NDArray[np.float64], freq_hz: NDArray[np.float64] | float, diameter_m: float
) -> NDArray[np.float64]:
    """Return the power response [2 J1(x) / x]^2 of a uniform dish, x = pi D sin(theta) nu / c.

    Parameters
    ----------
    sine : sine of the angle theta from the pointing direction.
    freq_hz : frequency; broadcasts against `sine`.
    diameter_m : dish diameter.
    """
    x = np.pi * diameter_m * np.asarray(freq_hz) / speed_of_light * sine
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, (2 * j1(safe) / safe) ** 2)


def beam_response(
    directions: NDArray[np.float64],
    pointing: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
    diameter_m: float,
) -> NDArray[np.float64]:
    """Return the beam toward each source, shape (n_freqs, *directions.shape[:-1])."""
    sine = np.linalg.norm(np.cross(directions, pointing), axis=-1)
    above = np.sum(directions * pointing, axis=-1) > 0
    freqs = freq_hz.reshape(-1, *[1] * sine.ndim)
    return np.where(above, airy_power(sine, freqs, diameter_m), 0.0)


def correlate(
    antennas_m: NDArray[np.float64],
    directions: NDArray[np.float64],
    pointing: NDArray[np.float64],
    flux_jy: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Return the visibilities of all antenna pairs at one moment.

    Parameters
    ----------
    antennas_m : (n_antennas, 3) east, north, up.
    directions : (n_sources, 3) unit vectors.
    pointing : (3,) unit vector toward which the fringes are stopped.
    flux_jy : (n_freqs, n_sources) apparent fluxes.
    freq_hz : (n_freqs,), equally spaced.

    Returns
    -------
    (n_freqs, n_antennas, n_antennas), Jy. Entry (i, j) is
    sum_s S_s exp(-2 pi i nu/c (b_i - b_j).(s - s0)): with uvw = b_j - b_i, as pyuvdata has it,
    the phase is +2 pi uvw.(s - s0).
    """
    delay_s = antennas_m @ (directions - pointing).T / speed_of_light
    step = freq_hz[1] - freq_hz[0] if len(freq_hz) > 1 else 0.0
    phasor = np.empty((len(freq_hz), *delay_s.shape), dtype=np.complex128)
    phasor[0] = np.exp(-2j * np.pi * freq_hz[0] * delay_s)
    turn = np.exp(-2j * np.pi * step * delay_s)
    for channel in range(1, len(freq_hz)):
        np.multiply(phasor[channel - 1], turn, out=phasor[channel])
    weighted = phasor * flux_jy[:, None, :]
    return np.asarray(weighted @ phasor.conj().transpose(0, 2, 1), dtype=np.complex128)
