"""Interference, and the mask of where it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.schedule import Group
from simulator.seeds import date_number, stream
from simulator.settings import (
    BAND_BOTTOM_HZ,
    BAND_TOP_HZ,
    INTEGRATION_S,
    N_SUBBANDS,
    Settings,
    Simulation,
)


@dataclass(frozen=True)
class Emission:
    """One interferer during one group.

    Attributes
    ----------
    strength : (n_times, n_channels) interference-to-noise: amplitude over the thermal sigma of
        the real part of one visibility; channels ascend in frequency over the whole band.
    phasor : (n_baselines, 2 feeds) unit phasor of each baseline, 0 where it is not seen.
    """

    strength: NDArray[np.float32]
    phasor: NDArray[np.complex64]


def emissions(simulation: Simulation, date: str, group: Group, n_baselines: int) -> list[Emission]:
    """Return the interferers that are on during a group."""
    found = []
    for number, spec in enumerate(simulation.rfi):
        if not is_on(spec, date, group):
            continue
        random = stream(simulation.seed, "rfi", date_number(date), group.index, number)
        seen = random.uniform(size=n_baselines) < spec.get("baseline_fraction", 1.0)
        phase = random.uniform(0, 2 * np.pi, size=(n_baselines, 2))
        phasor = np.where(seen[:, None], np.exp(1j * phase), 0).astype(np.complex64)
        where = occupied(spec, simulation, random)
        found.append(Emission(where * np.float32(spec["strength"]), phasor))
    return found


def is_on(spec: Settings, date: str, group: Group) -> bool:
    """Whether an interferer is on: `dates` and `groups` (indices) restrict it."""
    dates = [str(day) for day in spec.get("dates", [date])]
    return date in dates and group.index in spec.get("groups", [group.index])


def occupied(
    spec: Settings, simulation: Simulation, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return 1 where the interferer is and 0 elsewhere, (n_times, n_channels ascending).

    - narrowband: `frequencies_mhz`, at all times.
    - burst: the whole band, `duration` (1) integrations from `integration` (drawn if not given).
    - sweep: the channel of `start_mhz` + `rate_mhz_per_s` x time, or `width_mhz` about it.
    - band: `width_mhz` about `centre_mhz`, at all times.
    - edge: `width_mhz` at the lower end of each of `subbands` (numbers; 0 is the highest), at all
      times.

    Raises
    ------
    ValueError
        When the kind is unknown.
    """
    n_times, n_channels = simulation.n_integrations, simulation.n_channels
    kind, width_mhz = spec["kind"], float(spec.get("width_mhz", 0))
    if kind == "burst":
        where = np.zeros((n_times, n_channels), dtype=np.float32)
        duration = int(spec.get("duration", 1))
        drawn = int(random.integers(0, n_times - duration + 1))
        first = int(spec.get("integration", drawn))
        where[first : first + duration] = 1
        return where
    steady = np.ones((n_times, 1))
    if kind == "narrowband":
        centre_mhz = steady * np.asarray(spec["frequencies_mhz"], dtype=float)
    elif kind == "sweep":
        seconds = np.arange(n_times)[:, None] * INTEGRATION_S
        centre_mhz = spec["start_mhz"] + spec["rate_mhz_per_s"] * seconds
    elif kind == "band":
        centre_mhz = steady * spec["centre_mhz"]
    elif kind == "edge":
        # Half a kHz inside, so that rounding does not take a channel of the next subband.
        centre_mhz = steady * (lower_ends_mhz(spec["subbands"]) + width_mhz / 2 + 0.0005)
        width_mhz -= 0.001
    else:
        raise ValueError(f"rfi kind is {kind!r}; known are band, burst, edge, narrowband, sweep")
    return between(centre_mhz - width_mhz / 2, centre_mhz + width_mhz / 2, simulation)


def lower_ends_mhz(subbands: list[int]) -> NDArray[np.float64]:
    """Return the lowest frequency of each subband; subband 0 is the highest."""
    width_hz = (BAND_TOP_HZ - BAND_BOTTOM_HZ) / N_SUBBANDS
    return (BAND_TOP_HZ - (np.asarray(subbands) + 1) * width_hz) / 1e6


def between(
    low_mhz: NDArray[np.float64], high_mhz: NDArray[np.float64], simulation: Simulation
) -> NDArray[np.float32]:
    """Return 1 in the channels that lie between (n_times, n_interferers) pairs of frequencies."""
    channel = np.arange(simulation.n_channels)[:, None, None]
    low, high = channel_of(low_mhz, simulation), channel_of(high_mhz, simulation)
    inside = (channel >= low) & (channel <= high)
    return np.asarray(inside.any(axis=2).T, dtype=np.float32)


def channel_of(freq_mhz: NDArray[np.float64], simulation: Simulation) -> NDArray[np.int64]:
    """Return the ascending channel that holds each frequency (outside 0..n-1: not in the band)."""
    place = (freq_mhz * 1e6 - BAND_BOTTOM_HZ) / simulation.channel_width_hz
    return np.floor(place).astype(np.int64)


def total_strength(found: list[Emission], simulation: Simulation) -> NDArray[np.float32]:
    """Return the strongest interference-to-noise at each (time, ascending channel)."""
    total = np.zeros((simulation.n_integrations, simulation.n_channels), dtype=np.float32)
    for emission in found:
        np.maximum(total, emission.strength, out=total)
    return total
