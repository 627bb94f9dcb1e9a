"""The simulator against pyuvsim: same sources, array and times."""

from pathlib import Path

import numpy as np
import pytest
from pyuvdata import UVData
from pyuvdata.analytic_beam import AiryBeam, UniformBeam
from pyuvsim_visibilities import pyuvsim_visibilities
from scipy.constants import speed_of_light

from simulator.array import LATITUDE_DEG, meridian_direction, read_array
from simulator.observation import observe, subband_visibilities
from simulator.schedule import groups_of
from simulator.settings import Calibrator, Simulation
from simulator.sky import Sky
from simulator.uvh5 import write_subband

ANTENNAS = Path(__file__).parents[2] / "config" / "dsa110_antennas.csv"
PLAIN = {
    "seed": 1,
    "fields": [{"name": "C", "n_groups": 1}],
    "n_integrations": 2,
    "channels_per_subband": 2,
    "stations": [1, 48, 102, 106, 116],
    "sefd_jy": 0.0,
    "gain_amp_rms": 0.0,
    "gain_phase_deg": 0.0,
    "drift_amp_rms": 0.0,
    "drift_phase_deg": 0.0,
    "bandpass_amp_rms": 0.0,
    "bandpass_phase_deg": 0.0,
    "delay_rms_ns": 0.0,
}
OFFSETS_DEG = np.array([[0.0, 0.0], [1.2, -0.8], [-1.5, 0.6], [0.3, 1.9]])
FLUX_JY = np.array([1.0, 2.5, 0.7, 4.0])


@pytest.mark.parametrize(
    ("pointing_dec_deg", "diameter_m", "beam"),
    [
        pytest.param(46.81, 1e-4, UniformBeam(), id="geometry and sign at dec 46.8"),
        pytest.param(LATITUDE_DEG, 4.65, AiryBeam(diameter=4.65), id="Airy beam at zenith"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_visibilities_are_those_of_pyuvsim(tmp_path, pointing_dec_deg, diameter_m, beam):
    simulation = Simulation.from_mapping(
        PLAIN | {"pointing_dec_deg": pointing_dec_deg, "dish_diameter_m": diameter_m}
    )
    calibrator = Calibrator("C", 227.0, pointing_dec_deg, 1.0)
    ra_deg = 227.0 + OFFSETS_DEG[:, 0] / np.cos(np.deg2rad(pointing_dec_deg))
    sky = Sky(ra_deg, pointing_dec_deg + OFFSETS_DEG[:, 1], FLUX_JY, np.zeros(4), (None,) * 4)
    array = read_array(ANTENNAS, simulation)
    (group,) = groups_of("2025-10-04", simulation, calibrator)
    observation = observe("2025-10-04", group, simulation, array, sky)
    path = tmp_path / "2025-10-04T22:00:00_sb15.hdf5"
    write_subband(path, observation, 15, subband_visibilities(observation, 15))

    uv = UVData.from_file(path, file_type="uvh5", run_check=False)
    uv.set_uvws_from_antenna_positions()
    theirs = pyuvsim_visibilities(uv, sky.ra_deg, sky.dec_deg, sky.flux_jy, beam)
    path_m = uv.uvw_array @ meridian_direction(pointing_dec_deg)
    theirs *= np.exp(-2j * np.pi * path_m[:, None] * uv.freq_array / speed_of_light)[..., None]

    assert len(observation.sky.flux_jy) == 4
    assert np.abs(uv.data_array - theirs).max() / FLUX_JY.sum() < 1e-4
