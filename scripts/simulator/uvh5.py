"""The raw file: UVH5 as the DSA-110 correlator writes it, quirks included."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from simulator.array import ALTITUDE_M, LATITUDE_DEG, LONGITUDE_DEG, enu_m, meridian_uvw_m
from simulator.observation import Observation, subband_freq_hz
from simulator.schedule import second_stamp
from simulator.seeds import date_number, stream
from simulator.settings import INTEGRATION_S

MAX_CLOCK_OFFSET_S = 5


def file_name(observation: Observation, subband: int) -> str:
    """Return {UTC}_sbNN.hdf5; each writing host's clock is off by its own few seconds."""
    numbers = date_number(observation.date), observation.group.index, subband
    random = stream(observation.simulation.seed, "clock", *numbers)
    offset_s = int(random.integers(-MAX_CLOCK_OFFSET_S, MAX_CLOCK_OFFSET_S + 1))
    return f"{second_stamp(observation.group.jd[0], offset_s)}_sb{subband:02d}.hdf5"


def incomplete(path: Path) -> Path:
    """Return the name that a file has while it is being written."""
    return path.with_name(f"{path.stem}_incomplete{path.suffix}")


def write_subband(
    path: Path, observation: Observation, subband: int, visibilities: NDArray[np.complex64]
) -> None:
    """Write one raw file, under its incomplete name until it is whole.

    Parameters
    ----------
    visibilities : (n_times, n_baselines, n_channels, n_pols), Jy, channels descending.
    """
    growing = incomplete(path)
    with h5py.File(growing, "w") as file:
        header = file.create_group("Header")
        for name, value in header_values(observation, subband).items():
            header[name] = value
        extra = header.create_group("extra_keywords")
        for name, value in extra_keywords(observation).items():
            extra[name] = value
        n_times, n_baselines, n_channels, n_pols = visibilities.shape
        shape = (n_times * n_baselines, 1, n_channels, n_pols)
        data = file.create_group("Data")
        data["visdata"] = visibilities.reshape(shape)
        data["flags"] = np.zeros(shape, dtype=bool)
        data["nsamples"] = np.ones(shape, dtype=np.float32)
    growing.rename(path)


def header_values(observation: Observation, subband: int) -> dict[str, object]:
    """Return the header by the names of its datasets."""
    simulation, array = observation.simulation, observation.array
    first, second = array.baselines
    n_times, n_slots = simulation.n_integrations, len(array.station_numbers)
    enu = enu_m(array.ecef_m[array.recorded])
    uvw_m = meridian_uvw_m(enu[second] - enu[first], simulation.pointing_dec_deg)
    return {
        "latitude": LATITUDE_DEG,
        "longitude": LONGITUDE_DEG,
        "altitude": ALTITUDE_M,
        "telescope_name": np.bytes_("OVRO_MMA"),
        "instrument": np.bytes_("DSA"),
        "object_name": np.bytes_("search"),
        "history": np.bytes_("simulated DSA-110 observation"),
        "phase_type": np.bytes_("drift"),
        "phase_center_app_dec": np.deg2rad(simulation.pointing_dec_deg),
        "Nants_data": len(array.recorded),
        "Nants_telescope": n_slots,
        "Nbls": len(first),
        "Nblts": len(first) * n_times,
        "Nfreqs": simulation.channels_per_subband,
        "Npols": len(simulation.polarizations),
        "Nspws": 1,
        "Ntimes": n_times,
        "antenna_diameters": np.full(n_slots, simulation.dish_diameter_m),
        "antenna_names": array.station_numbers.astype("S"),
        "antenna_numbers": array.station_numbers - 1,
        "antenna_positions": array.ecef_m,
        "ant_1_array": np.tile(array.recorded_stations[first] - 1, n_times),
        "ant_2_array": np.tile(array.recorded_stations[second] - 1, n_times),
        "uvw_array": np.tile(uvw_m, (n_times, 1)).astype(np.float32),
        "time_array": np.repeat(observation.group.jd, len(first)),
        "integration_time": np.full(len(first) * n_times, INTEGRATION_S),
        "freq_array": subband_freq_hz(simulation, subband)[None, :],
        "channel_width": simulation.channel_width_hz,
        "spw_array": np.array([1]),
        "polarization_array": np.array(simulation.polarizations),
        "vis_units": np.bytes_("Jy"),
    }


def extra_keywords(observation: Observation) -> dict[str, object]:
    """Return what the correlator adds to the standard header."""
    delays = " ".join(["0.0"] * 2 * len(observation.array.station_numbers))
    return {
        "phase_center_dec": np.deg2rad(observation.simulation.pointing_dec_deg),
        "ha_phase_center": 0.0,
        "phase_center_epoch": np.bytes_("HADEC"),
        "fs_table": np.bytes_("simulated"),
        "applied_delays_ns": np.bytes_(delays),
    }
