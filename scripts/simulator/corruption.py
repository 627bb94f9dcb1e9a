"""What the instrument does to the visibilities: antenna gains, bandpass and thermal noise."""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from simulator.array import Array
from simulator.seeds import date_number, stream
from simulator.settings import BAND_BOTTOM_HZ, BAND_TOP_HZ, Simulation

N_FEEDS = 2
N_RIPPLES = 6
N_SINUSOIDS = 3
DRIFT_PERIOD_DAYS = (0.25, 1.25)


def antenna_gains(
    array: Array, simulation: Simulation, date: str, mjd: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return the gains, shape (n_times, n_recorded, 2 feeds); 0 for antennas that see no sky.

    A fixed log-normal amplitude and a random phase each, times a slow drift: a sum of sinusoids
    with periods of 6 to 30 hours. One common factor a date on top.
    """
    gains = np.zeros((len(mjd), len(array.recorded), N_FEEDS), dtype=np.complex128)
    common = stream(simulation.seed, "date gain", date_number(date)).normal()
    common_factor = np.exp(simulation.date_gain_rms * common)
    for index, station in enumerate(array.recorded_stations):
        for feed in range(N_FEEDS if array.live[index] else 0):
            random = stream(simulation.seed, "gain", int(station), feed)
            amplitude = np.exp(simulation.gain_amp_rms * random.normal())
            phase = np.deg2rad(simulation.gain_phase_deg) * random.uniform(-1, 1)
            amplitude = amplitude * (1 + simulation.drift_amp_rms * wander(mjd, random))
            phase = phase + np.deg2rad(simulation.drift_phase_deg) * wander(mjd, random)
            gains[:, index, feed] = common_factor * amplitude * np.exp(1j * phase)
    return gains


def wander(mjd: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a sum of slow sinusoids of unit rms at the times `mjd`."""
    period = random.uniform(*DRIFT_PERIOD_DAYS, size=N_SINUSOIDS)
    start = random.uniform(0, 2 * np.pi, size=N_SINUSOIDS)
    waves = np.sin(2 * np.pi * mjd[:, None] / period + start)
    return np.sqrt(2 / N_SINUSOIDS) * waves.sum(axis=1)


def bandpass(
    array: Array, simulation: Simulation, freq_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return the bandpass, shape (n_recorded, n_freqs, 2 feeds), the same on all dates.

    A smooth ripple in amplitude and in phase, each of the rms asked for over the band, and the
    phase of a residual delay, which is 0 at mid-band.
    """
    middle = (BAND_BOTTOM_HZ + BAND_TOP_HZ) / 2
    place = 2 * (freq_hz - middle) / (BAND_TOP_HZ - BAND_BOTTOM_HZ)
    response = np.ones((len(array.recorded), len(freq_hz), N_FEEDS), dtype=np.complex128)
    for index, station in enumerate(array.recorded_stations):
        for feed in range(N_FEEDS):
            random = stream(simulation.seed, "bandpass", int(station), feed)
            amplitude = 1 + simulation.bandpass_amp_rms * ripple(place, random)
            phase = np.deg2rad(simulation.bandpass_phase_deg) * ripple(place, random)
            delay_s = 1e-9 * simulation.delay_rms_ns * random.normal()
            phase = phase + 2 * np.pi * delay_s * (freq_hz - middle)
            response[index, :, feed] = amplitude * np.exp(1j * phase)
    return response


def ripple(place: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth curve of unit rms and no mean over -1 <= place <= 1."""
    terms = np.concatenate([[0.0], random.normal(size=N_RIPPLES)])
    curve = chebyshev.chebval(np.linspace(-1, 1, 201), terms)
    return np.asarray((chebyshev.chebval(place, terms) - curve.mean()) / curve.std())


def thermal_noise(
    shape: tuple[int, ...], sigma_jy: float, random: np.random.Generator
) -> NDArray[np.complex64]:
    """Return complex noise with `sigma_jy` in each of the real and imaginary parts."""
    parts = random.standard_normal((*shape, 2), dtype=np.float32)
    parts *= np.float32(sigma_jy)
    return parts.view(np.complex64)[..., 0]
