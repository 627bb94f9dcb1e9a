"""What went into a simulation: truth.h5 (arrays) and truth.json (the record)."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from simulator.corruption import antenna_gains, bandpass
from simulator.observation import Observation, band_freq_hz, mean_beam
from simulator.rfi import total_strength
from simulator.settings import N_SUBBANDS, SEFD_JY, Calibrator, Simulation
from simulator.uvh5 import file_name

TRUTH_VERSION = 1


def write_arrays(path: Path, observations: list[Observation]) -> None:
    """Write truth.h5: one HDF5 group per observed group, named as it is.

    Datasets: `sources` (table), `station_number` (antenna), `live` (antenna), `freq_hz` (channel,
    ascending), `time_mjd` (time), `gains` (antenna, feed) at mid-group, `gains_time`
    (time, antenna, feed), `bandpass` (antenna, channel, feed), `rfi_mask` (time, channel),
    `rfi_inr` (time, channel): amplitude over the thermal sigma of one part of a visibility, on the
    baselines that see it; the same by interferer: `rfi_inr_each` (interferer, time, channel) and
    `rfi_seen` (interferer, baseline), baselines in the files' order, of `station_1`, `station_2`.
    """
    growing = path.with_name(f".{path.name}.part")
    with h5py.File(growing, "w") as file:
        for observation in observations:
            part = file.create_group(observation.group.name)
            for name, values in group_arrays(observation).items():
                part[name] = values
    growing.rename(path)


def group_arrays(observation: Observation) -> dict[str, NDArray[Any]]:
    """Return the truth of one group by dataset name."""
    simulation, array, group = observation.simulation, observation.array, observation.group
    freq_hz = band_freq_hz(simulation)
    strength = total_strength(observation.emissions, simulation)
    middle = np.array([group.mid_mjd])
    first, second = array.baselines
    found = observation.emissions
    return {
        "sources": source_table(observation),
        "station_number": array.recorded_stations,
        "live": array.live,
        "freq_hz": freq_hz,
        "time_mjd": group.jd - 2400000.5,
        "gains": antenna_gains(array, simulation, observation.date, middle)[0],
        "gains_time": observation.gains,
        "bandpass": bandpass(array, simulation, freq_hz),
        "rfi_mask": strength > 0,
        "rfi_inr": strength,
        "rfi_inr_each": np.array([each.strength for each in found]).reshape(-1, *strength.shape),
        "rfi_seen": np.array([each.phasor[:, 0] != 0 for each in found]).reshape(-1, len(first)),
        "station_1": array.recorded_stations[first],
        "station_2": array.recorded_stations[second],
    }


def source_table(observation: Observation) -> NDArray[Any]:
    """Return the sources in view: position, flux at mid-group and at 1.4 GHz, mean beam."""
    sky = observation.sky
    columns = {
        "name": np.array(sky.names, dtype="S20"),
        "ra_deg": sky.ra_deg,
        "dec_deg": sky.dec_deg,
        "flux_jy": sky.flux_at(np.array([observation.group.mid_mjd]))[0],
        "catalogue_flux_jy": sky.flux_jy,
        "spectral_index": sky.spectral_index,
        "beam": mean_beam(observation),
        "is_variable": sky.variable,
    }
    dtype = [(name, values.dtype) for name, values in columns.items()]
    table = np.empty(len(sky.ra_deg), dtype=dtype)
    for name, values in columns.items():
        table[name] = values
    return table


def record(
    date: str, simulation: Simulation, calibrator: Calibrator, observations: list[Observation]
) -> dict[str, Any]:
    """Return the contents of truth.json."""
    lowered = simulation.sefd_jy < SEFD_JY
    return {
        "version": TRUTH_VERSION,
        "seed": simulation.seed,
        "date": date,
        "pointing_dec_deg": simulation.pointing_dec_deg,
        "sefd_jy": simulation.sefd_jy,
        "sefd_note": f"lowered from {SEFD_JY:.0f} Jy for a small array" if lowered else "",
        "noise_sigma_jy": simulation.noise_sigma_jy,
        "dead_antennas": sorted(simulation.dead_antennas),
        "calibrator": {"name": calibrator.name, "flux_jy": calibrator.flux_jy},
        "groups": [group_record(observation) for observation in observations],
    }


def group_record(observation: Observation) -> dict[str, Any]:
    """Return the record of one group."""
    group = observation.group
    return {
        "group": group.name,
        "field": group.field,
        "mid_mjd": group.mid_mjd,
        "files": [
            file_name(observation, subband)
            for subband in range(N_SUBBANDS)
            if subband not in group.missing
        ],
        "missing": list(group.missing),
        "n_sources": len(observation.sky.ra_deg),
    }


def write_record(path: Path, contents: dict[str, Any]) -> None:
    """Write truth.json; it appears when whole."""
    growing = path.with_name(f".{path.name}.part")
    growing.write_text(json.dumps(contents, indent=2) + "\n")
    growing.rename(path)
