"""How compact sources flicker by themselves, and when a telescope looks: light curves of truth.

Each process is fractional, of mean 0 and of root mean square `modulation` over many
realisations; `timescale_days` means what its function says. They judge the workflow's own nulls
and share no code with them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Random = np.random.Generator

SIDEREAL_DAY = 0.99726957
GRID_DAYS = 0.25
# Light curves that are drawn at once, to spare memory.
_AT_ONCE = 500


def constant(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Nothing."""
    return np.zeros((n, len(mjd)))


def damped_walk(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Damped random walk of correlation exp(-|dt| / timescale), by its exact recursion."""
    values = np.empty((n, len(mjd)))
    values[:, 0] = random.standard_normal(n)
    for epoch, step in enumerate(np.diff(mjd), start=1):
        kept = np.exp(-step / timescale_days)
        new = np.sqrt(-np.expm1(-2 * step / timescale_days))
        values[:, epoch] = kept * values[:, epoch - 1] + new * random.standard_normal(n)
    return values


def smooth(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Scintillation of correlation exp(-dt^2 / (2 timescale^2)): white noise, smeared."""
    step = timescale_days / 12
    reach = 6 * timescale_days
    grid = np.arange(mjd[0] - reach, mjd[-1] + reach + step, step)
    lag = np.arange(-60, 61) * step
    window = np.exp(-((lag / timescale_days) ** 2))
    window /= np.sqrt(np.sum(window**2))
    noise = random.standard_normal((n, len(grid)))
    smeared = np.fft.irfft(
        np.fft.rfft(noise, 2 * len(grid)) * np.fft.rfft(window, 2 * len(grid)), axis=1
    )[:, : len(grid)]
    # The window's middle is its 60th element; the first elements lack their past.
    times = grid - 60 * step
    return sampled(smeared[:, 60:], times[60:], mjd)


def by_spectrum(mjd: Floats, n: int, random: Random, power: Callable[[Any], Any]) -> Floats:
    """Gaussian process of a power spectrum (of frequency, 1/day), by FFT of four times the span."""
    span = mjd[-1] - mjd[0] + 1
    size = int(2 ** np.ceil(np.log2(max(4 * span, 1500.0) / GRID_DAYS)))
    frequency = np.fft.rfftfreq(size, GRID_DAYS)
    spectrum = power(frequency)
    # The mean over the whole length has no wave beside it.
    spectrum[0] /= 2
    amplitude = np.sqrt(spectrum / spectrum.sum()) * size / 2
    amplitude[0] *= 2
    times: Floats = mjd[0] + np.arange(size) * GRID_DAYS
    values = np.empty((n, len(mjd)))
    for first in range(0, n, _AT_ONCE):
        part = values[first : first + _AT_ONCE]
        waves = random.standard_normal((len(part), 2 * len(frequency))).view(complex)
        part[:] = sampled(np.fft.irfft(amplitude * waves, size, axis=1), times, mjd)
    return values


def flicker(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Flicker noise, power 1/f down to 1/(4 timescale) and flat below."""
    knee = 1 / (4 * timescale_days)
    return by_spectrum(mjd, n, random, lambda f: 1 / np.maximum(f, knee))


def broken(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Broken power law: 1/f below 1/(2 pi timescale), f^-3 above."""
    knee = 1 / (2 * np.pi * timescale_days)
    lowest = knee / 20
    return by_spectrum(mjd, n, random, lambda f: 1 / np.maximum(f, lowest) / (1 + (f / knee) ** 2))


def matern52(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Matern process of smoothness 5/2: (1 + x + x^2/3) exp(-x), x = sqrt(5) |dt| / timescale."""
    knee = np.sqrt(5) / (2 * np.pi * timescale_days)
    return by_spectrum(mjd, n, random, lambda f: (1 + (f / knee) ** 2) ** -3.0)


def matern32(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Matern process of smoothness 3/2: (1 + x) exp(-x), x = sqrt(3) |dt| / timescale."""
    knee = np.sqrt(3) / (2 * np.pi * timescale_days)
    return by_spectrum(mjd, n, random, lambda f: (1 + (f / knee) ** 2) ** -2.0)


def annual(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Smooth scintillation whose strength swings with the seasons, by 4 to 1 in variance."""
    phase = random.uniform(0, 2 * np.pi, (n, 1))
    strength = 1 + 0.6 * np.sin(2 * np.pi * mjd / 365.25 + phase)
    return np.sqrt(strength) * smooth(mjd, n, random, timescale_days)


def jumps(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Damped random walk on a telegraph signal: half of the variance in sudden steps.

    The level is drawn anew at moments that come once in two timescales on average.
    """
    changed = random.random((n, len(mjd) - 1)) < -np.expm1(-np.diff(mjd) / (2 * timescale_days))
    number = np.concatenate([np.zeros((n, 1), int), np.cumsum(changed, axis=1)], axis=1)
    levels = random.standard_normal((n, number.max() + 1))
    steps = np.take_along_axis(levels, number, axis=1)
    return (damped_walk(mjd, n, random, timescale_days) + steps) / np.sqrt(2)


def flares(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Shot noise: sudden rises, five a timescale, that decay within a timescale; mean removed."""
    rate = 5 / timescale_days
    start = mjd[0] - 8 * timescale_days
    values = np.zeros((n, len(mjd)))
    for row in values:
        count = random.poisson(rate * (mjd[-1] - start))
        begin = random.uniform(start, mjd[-1], count)
        size = random.exponential(1.0, count)
        age = mjd - begin[:, None]
        row += (size[:, None] * np.where(age >= 0, np.exp(-age / timescale_days), 0.0)).sum(axis=0)
    # Campbell: mean rate timescale <a>, variance rate timescale <a^2> / 2, <a> = 1, <a^2> = 2.
    return (values - 5) / np.sqrt(5)


def lognormal(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Damped random walk in the logarithm, of 50 %: skewed towards bright epochs."""
    width = 0.5
    values = np.exp(width * damped_walk(mjd, n, random, timescale_days) - width**2 / 2) - 1
    return values / np.sqrt(np.expm1(width**2))


def nightly(mjd: Floats, n: int, random: Random, timescale_days: float) -> Floats:
    """Gain errors of neighbouring nights that are alike: a damped walk of one day."""
    return damped_walk(mjd, n, random, 1.0)


PROCESSES: dict[str, Callable[[Floats, int, Random, float], Floats]] = {
    "white": constant,
    "drw": damped_walk,
    "smooth": smooth,
    "flicker": flicker,
    "broken": broken,
    "matern52": matern52,
    "matern32": matern32,
    "annual": annual,
    "jumps": jumps,
    "flares": flares,
    "lognormal": lognormal,
    "nightly": nightly,
}


def sampled(values: Floats, times: Floats, mjd: Floats) -> Floats:
    """Interpolate rows, known on a regular grid of times, linearly."""
    place = (mjd - times[0]) / (times[1] - times[0])
    left = np.clip(np.floor(place).astype(int), 0, len(times) - 2)
    part = place - left
    return values[:, left] * (1 - part) + values[:, left + 1] * part


def cadence(name: str) -> Floats:
    """Return the MJDs of a named cadence; a transit comes a sidereal day after the last.

    daily: 365 in a year; every4: each fourth of these; seasons: a year with ten weeks missing and
    a fifth of the rest lost; demo: 12 in 42 days; eight: 8 in 59 days, unevenly.
    """
    days = np.arange(365)
    if name == "every4":
        days = days[::4]
    elif name == "seasons":
        random = np.random.default_rng(26)
        days = days[(days < 150) | (days >= 220)]
        days = np.sort(random.choice(days, int(0.8 * len(days)), replace=False))
    elif name == "demo":
        days = np.array([0, 3, 7, 11, 14, 18, 22, 26, 30, 34, 38, 42])
    elif name == "eight":
        days = np.array([0, 6, 17, 23, 31, 42, 50, 59])
    elif name != "daily":
        raise ValueError(f"cadence is {name!r}; known are daily, every4, seasons, demo, eight")
    return np.asarray(60950.0 + SIDEREAL_DAY * days, dtype=np.float64)


def light_curves(
    mjd: Floats,
    n: int,
    random: Random,
    *,
    background: str = "white",
    modulation: float = 0.0,
    timescale_days: float = 30.0,
    error: float | Floats = 0.01,
    jitter: float = 0.0,
    outliers: float = 0.0,
    event: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Return fluxes and their stated errors, (n, Nepochs), of sources of mean flux 1.

    Parameters
    ----------
    mjd : (Nepochs,) in order.
    background, modulation, timescale_days : a name of `PROCESSES`, its rms, its time scale.
    error : standard error, one or (Nepochs,).
    jitter : noise that the errors do not tell, as a fraction.
    outliers : part of the epochs that are off by 5 errors and more, either way.
    event : (n, Nepochs) or (Nepochs,) factor of the flux.
    """
    flickering = PROCESSES[background](mjd, n, random, timescale_days)
    flux = (1 + modulation * flickering) * (1.0 if event is None else event)
    errors: Floats = np.broadcast_to(np.asarray(error, dtype=float), (len(mjd),))
    noise = np.hypot(errors, jitter) * random.standard_normal(flux.shape)
    if outliers:
        hit = random.random(flux.shape) < outliers
        size = 5 + random.exponential(3.0, flux.shape)
        noise += np.where(hit, errors * size * random.choice([-1.0, 1.0], flux.shape), 0.0)
    return flux + noise, np.broadcast_to(errors, flux.shape).copy()
