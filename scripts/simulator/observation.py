"""One group as the correlator sees it: everything that its 16 files share, and their data."""

from dataclasses import dataclass

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from simulator.array import Array, enu_m, meridian_direction
from simulator.corruption import antenna_gains, bandpass, thermal_noise
from simulator.rfi import Emission, emissions
from simulator.schedule import Group
from simulator.seeds import date_number, stream
from simulator.settings import BAND_BOTTOM_HZ, BAND_TOP_HZ, Simulation
from simulator.sky import Sky, directions_enu
from simulator.visibility import beam_response, correlate

FEEDS_OF_POL = {-5: (0, 0), -6: (1, 1), -7: (0, 1), -8: (1, 0)}


@dataclass(frozen=True)
class Observation:
    """One group: its array, the sources in view, where they stand, and what corrupts them.

    Attributes
    ----------
    directions : (n_times, n_sources, 3) apparent east, north, up.
    flux_jy : (n_times, n_sources) at 1.4 GHz.
    gains : (n_times, n_recorded, 2 feeds).
    """

    date: str
    group: Group
    simulation: Simulation
    array: Array
    sky: Sky
    directions: NDArray[np.float64]
    flux_jy: NDArray[np.float64]
    gains: NDArray[np.complex128]
    emissions: list[Emission]

    @property
    def pointing(self) -> NDArray[np.float64]:
        """Unit vector toward which dishes point and fringes are stopped."""
        return meridian_direction(self.simulation.pointing_dec_deg)


def observe(date: str, group: Group, simulation: Simulation, array: Array, sky: Sky) -> Observation:
    """Prepare one group of a date: sources in view, gains, interference."""
    pointing = meridian_direction(simulation.pointing_dec_deg)
    middle = Time([(group.jd[0] + group.jd[-1]) / 2], format="jd", scale="utc")
    towards = directions_enu(sky.ra_deg, sky.dec_deg, middle)[0]
    in_view = towards @ pointing > np.cos(np.deg2rad(simulation.max_radius_deg))
    if simulation.min_flux_jy > 0:
        centre_hz = np.array([(BAND_BOTTOM_HZ + BAND_TOP_HZ) / 2])
        response = beam_response(towards, pointing, centre_hz, simulation.dish_diameter_m)[0]
        in_view &= response * sky.flux_at(np.array([group.mid_mjd]))[0] >= simulation.min_flux_jy
    if simulation.noise_only:
        in_view[:] = False
    seen = sky.select(in_view)
    mjd = group.jd - 2400000.5
    return Observation(
        date=date,
        group=group,
        simulation=simulation,
        array=array,
        sky=seen,
        directions=directions_enu(
            seen.ra_deg, seen.dec_deg, Time(group.jd, format="jd", scale="utc")
        ),
        flux_jy=seen.flux_at(mjd),
        gains=antenna_gains(array, simulation, date, mjd),
        emissions=emissions(simulation, date, group, len(array.baselines[0])),
    )


def subband_freq_hz(simulation: Simulation, subband: int) -> NDArray[np.float64]:
    """Return a subband's channel centres; they descend, and subband 0 is the highest."""
    first = subband * simulation.channels_per_subband
    channel = np.arange(first, first + simulation.channels_per_subband)
    return np.asarray(BAND_TOP_HZ - (channel + 0.5) * simulation.channel_width_hz)


def band_freq_hz(simulation: Simulation) -> NDArray[np.float64]:
    """Return all channel centres of the band, ascending."""
    channel = np.arange(simulation.n_channels)
    return np.asarray(BAND_BOTTOM_HZ + (channel + 0.5) * simulation.channel_width_hz)


def mean_beam(observation: Observation) -> NDArray[np.float64]:
    """Return each source's beam response, averaged over integrations and channels."""
    simulation = observation.simulation
    total = np.zeros(len(observation.sky.ra_deg))
    for freq_hz in band_freq_hz(simulation):
        response = beam_response(
            observation.directions,
            observation.pointing,
            np.array([freq_hz]),
            simulation.dish_diameter_m,
        )
        total += response[0].mean(axis=0)
    return total / simulation.n_channels


def subband_visibilities(observation: Observation, subband: int) -> NDArray[np.complex64]:
    """Return what one file holds: (n_times, n_baselines, n_channels, n_pols), Jy."""
    simulation, array = observation.simulation, observation.array
    first, second = array.baselines
    shape = (
        simulation.n_integrations,
        len(first),
        simulation.channels_per_subband,
        len(simulation.polarizations),
    )
    random = stream(
        simulation.seed, "noise", date_number(observation.date), observation.group.index, subband
    )
    visibilities = thermal_noise(shape, simulation.noise_sigma_jy, random)
    autos = first == second
    make_autos(visibilities, autos, simulation)
    add_sky(visibilities, observation, subband)
    add_interference(visibilities, observation, subband)
    return visibilities


def make_autos(
    visibilities: NDArray[np.complex64], autos: NDArray[np.bool_], simulation: Simulation
) -> None:
    """Turn the noise of autocorrelations into real powers: SEFD, with SEFD / sqrt(dnu tau)."""
    for pol_index, pol in enumerate(simulation.polarizations):
        if FEEDS_OF_POL[pol] in ((0, 0), (1, 1)):
            noise = visibilities[:, autos, :, pol_index].real
            visibilities[:, autos, :, pol_index] = simulation.sefd_jy + np.sqrt(2) * noise


def add_sky(visibilities: NDArray[np.complex64], observation: Observation, subband: int) -> None:
    """Add the sky, as the antennas' gains and bandpasses change it."""
    simulation, array = observation.simulation, observation.array
    if len(observation.sky.ra_deg) == 0:
        return
    freq_hz = subband_freq_hz(simulation, subband)
    antennas_m = enu_m(array.ecef_m[array.recorded])
    response = bandpass(array, simulation, freq_hz)
    spectrum = observation.sky.spectrum(freq_hz)
    first, second = array.baselines
    for time, directions in enumerate(observation.directions):
        beam = beam_response(directions, observation.pointing, freq_hz, simulation.dish_diameter_m)
        flux_jy = observation.sky.across_band(observation.flux_jy[time], freq_hz)
        apparent_jy = beam * spectrum * flux_jy
        pairs = correlate(antennas_m, directions, observation.pointing, apparent_jy, freq_hz)
        intensity = pairs[:, first, second].T
        gains = observation.gains[time][:, None, :] * response
        for pol_index, pol in enumerate(simulation.polarizations):
            feed, other = FEEDS_OF_POL[pol]
            if feed == other:
                gain = gains[first, :, feed] * gains[second, :, feed].conj()
                visibilities[time, :, :, pol_index] += gain * intensity


def add_interference(
    visibilities: NDArray[np.complex64], observation: Observation, subband: int
) -> None:
    """Add the interferers; an autocorrelation gets their power."""
    simulation = observation.simulation
    n = simulation.channels_per_subband
    top = simulation.n_channels - subband * n
    first, second = observation.array.baselines
    autos = first == second
    for emission in observation.emissions:
        amplitude = emission.strength[:, top - n : top][:, ::-1] * simulation.noise_sigma_jy
        for time, channel in np.argwhere(amplitude > 0):
            for pol_index, pol in enumerate(simulation.polarizations):
                added = amplitude[time, channel] * emission.phasor[:, FEEDS_OF_POL[pol][0]]
                added[autos] = np.abs(added[autos])
                visibilities[time, :, channel, pol_index] += added
