"""The simulated raw files: the form that the telescope gives them, and their physics."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.coordinates import TETE, EarthLocation, SkyCoord
from astropy.time import Time
from pyuvdata import UVData
from scipy.constants import speed_of_light
from threadpoolctl import threadpool_limits

from simulator.array import LONGITUDE_DEG, meridian_direction, read_array, telescope_location
from simulator.campaign import make_file, observations_of, simulate
from simulator.lightcurve import flux_factor
from simulator.neighbours import as_csv, synthetic_neighbours
from simulator.observation import Observation, band_freq_hz, subband_freq_hz, subband_visibilities
from simulator.schedule import transit
from simulator.settings import Calibrator, Simulation
from simulator.sky import directions_enu, source_name
from simulator.visibility import airy_power

CONFIG = Path(__file__).parents[2] / "config"
ANTENNAS = CONFIG / "dsa110_antennas.csv"
CALIBRATOR = Calibrator("0813+482", 123.4002158, 48.2172950, 13.9)
DATE = "2025-10-01"
STATIONS = [1, 20, 38, 51, 102, 112]
SMALL = {
    "seed": 5,
    "pointing_dec_deg": 46.81,
    "fields": [{"name": "0813+482", "n_groups": 2}],
    "n_integrations": 4,
    "channels_per_subband": 3,
    "stations": STATIONS,
    "dead_antennas": [38],
    "record_inactive": [60],
    "missing": [{"date": DATE, "group": 1, "subbands": [3, 7]}],
    "leave_incomplete": True,
    "workers": 1,
}
PERFECT = {
    "sefd_jy": 0.0,
    "gain_amp_rms": 0.0,
    "gain_phase_deg": 0.0,
    "drift_amp_rms": 0.0,
    "drift_phase_deg": 0.0,
    "bandpass_amp_rms": 0.0,
    "bandpass_phase_deg": 0.0,
    "delay_rms_ns": 0.0,
}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="session")
def survey(tmp_path_factory) -> Path:
    """A survey with nothing near the calibrator."""
    path = tmp_path_factory.mktemp("survey") / "survey.csv"
    path.write_text("ra_deg,dec_deg,peak_jy\n227.5,46.9,1.0\n")
    return path


@pytest.fixture(scope="session")
def campaign(tmp_path_factory, survey) -> Path:
    """A date simulated whole: the directory of incoming/, truth.json and truth.h5."""
    place = tmp_path_factory.mktemp("campaign")
    simulation = Simulation.from_mapping(SMALL)
    arguments = (CALIBRATOR, ANTENNAS, [survey], place / "incoming")
    simulate(DATE, simulation, *arguments, place / "truth.json", place / "truth.h5")
    return place


@pytest.fixture(scope="session")
def truth(campaign) -> dict:
    return json.loads((campaign / "truth.json").read_text())


def observed(survey: Path, **settings) -> list[Observation]:
    simulation = Simulation.from_mapping(SMALL | settings)
    return observations_of(DATE, simulation, CALIBRATOR, ANTENNAS, [survey])


def first_file(campaign: Path, truth: dict, subband: int = 0) -> Path:
    return campaign / "incoming" / truth["groups"][0]["files"][subband]


def test_header_has_the_correlators_quirks(campaign, truth):
    with h5py.File(first_file(campaign, truth)) as file:
        header, data = file["Header"], file["Data"]
        n_blts = int(header["Nblts"][()])
        assert header["phase_type"][()] == b"drift"
        assert header["telescope_name"][()] == b"OVRO_MMA"
        assert header["phase_center_app_dec"][()] == pytest.approx(np.deg2rad(46.81))
        assert header["uvw_array"].dtype == np.float32
        assert header["freq_array"].shape == (1, 3)
        assert header["channel_width"].shape == () and header["channel_width"][()] > 0
        assert header["antenna_numbers"][:].tolist() == list(range(117))
        assert header["antenna_names"][0] == b"1" and header["antenna_names"][116] == b"117"
        assert set(header["extra_keywords"]) == {
            "phase_center_dec",
            "ha_phase_center",
            "phase_center_epoch",
            "fs_table",
            "applied_delays_ns",
        }
        for name, dtype in [("visdata", np.complex64), ("flags", bool), ("nsamples", np.float32)]:
            assert data[name].dtype == dtype
            assert data[name].shape == (n_blts, 1, 3, 2)


def test_rows_are_blocks_of_one_integration(campaign, truth):
    with h5py.File(first_file(campaign, truth)) as file:
        times = file["Header/time_array"][:].reshape(4, -1)
        first = file["Header/ant_1_array"][:].reshape(4, -1)
        second = file["Header/ant_2_array"][:].reshape(4, -1)
    assert np.all(times == times[:, :1])
    np.testing.assert_allclose(np.diff(times[:, 0]) * 86400, 12.884902, atol=1e-4)
    assert np.all(first == first[0]) and np.all(second == second[0])
    assert np.count_nonzero(first[0] == second[0]) == 7  # autos of six stations and an inactive one


def test_frequencies_descend_over_the_published_band():
    full = Simulation.from_mapping(SMALL | {"channels_per_subband": 48})
    top, bottom = subband_freq_hz(full, 0), subband_freq_hz(full, 15)
    assert np.all(np.diff(top) < 0)
    assert top[0] == pytest.approx(1498.628e6, abs=500)
    assert top[-1] == pytest.approx(1487.2e6, abs=0.1e6)
    assert bottom[-1] == pytest.approx(1311.372e6, abs=500)
    assert full.channel_width_hz == 244140.625


def test_fewer_channels_cover_the_same_band():
    few = Simulation.from_mapping(SMALL)
    assert few.channel_width_hz * few.n_channels == pytest.approx(187.5e6)
    assert few.channel_width_hz == pytest.approx(48 / 3 * 244140.625)


def test_file_clocks_differ_but_the_header_time_does_not(campaign, truth):
    group = truth["groups"][0]
    stamps, header_jds = set(), set()
    for name in group["files"]:
        stamps.add(Time(name[:19]).unix - Time(group["group"]).unix)
        with h5py.File(campaign / "incoming" / name) as file:
            header_jds.add(float(file["Header/time_array"][0]))
    assert len(stamps) > 3
    assert max(abs(offset) for offset in stamps) <= 5
    (jd,) = header_jds
    assert abs(Time(jd, format="jd").unix - Time(group["group"]).unix) <= 0.5


def test_pyuvdata_reads_the_antennas_where_the_table_has_them(campaign, truth):
    uv = UVData.from_file(first_file(campaign, truth), file_type="uvh5", run_check=False)
    places = EarthLocation.from_geocentric(
        *(uv.telescope.antenna_positions + uv.telescope._location.xyz()).T, unit="m"
    ).geodetic
    table = np.genfromtxt(ANTENNAS, delimiter=",", names=True, dtype=None, encoding="utf-8")
    np.testing.assert_allclose(places.lon.deg, table["longitude_deg"], atol=1e-8)
    np.testing.assert_allclose(places.lat.deg, table["latitude_deg"], atol=1e-8)
    np.testing.assert_allclose(places.height.value, table["elevation_m"], atol=1e-4)
    assert uv.telescope.location.lon.deg == pytest.approx(LONGITUDE_DEG)


def declare_meridian(uv: UVData) -> None:
    """Tell pyuvdata what the visibilities are: fringe-stopped toward the meridian."""
    lat = uv.telescope.location.lat.rad
    dec = uv.extra_keywords["phase_center_dec"]
    meridian = uv._add_phase_center(
        "meridian",
        cat_type="driftscan",
        cat_lon=0.0 if dec > lat else np.pi,
        cat_lat=np.pi / 2 - abs(dec - lat),
        cat_frame="altaz",
    )
    uv.phase_center_id_array[:] = meridian
    uv._clear_unused_phase_centers()
    uv._set_app_coords_helper()


def test_uvw_are_pyuvdatas_for_the_meridian(campaign, truth):
    uv = UVData.from_file(first_file(campaign, truth), file_type="uvh5", run_check=False)
    written = uv.uvw_array.copy()
    declare_meridian(uv)
    uv.set_uvws_from_antenna_positions(update_vis=False)
    np.testing.assert_allclose(written, uv.uvw_array, atol=1e-3)


def test_source_is_coherent_after_pyuvdatas_rephasing(survey, tmp_path):
    observation = observed(survey, dead_antennas=[], record_inactive=[], **PERFECT)[0]
    path = make_file(observation, 15, tmp_path)
    uv = UVData.from_file(path, file_type="uvh5", run_check=False)
    uv.uvw_array = uv.uvw_array.astype(float)
    declare_meridian(uv)
    uv.phase(
        lon=np.deg2rad(CALIBRATOR.ra_deg),
        lat=np.deg2rad(CALIBRATOR.dec_deg),
        phase_frame="icrs",
        cat_name="calibrator",
    )
    crosses = uv.data_array[uv.ant_1_array != uv.ant_2_array]
    assert np.abs(crosses.mean()) / np.abs(crosses).mean() > 0.999999
    assert np.abs(np.angle(crosses)).max() < np.deg2rad(0.2)


def test_calibrator_is_attenuated_as_its_offset_says(survey):
    one_group = [{"name": "0813+482", "n_groups": 1}]
    settings = PERFECT | {"dead_antennas": [], "record_inactive": [], "fields": one_group}
    observation = observed(survey, **settings)[0]
    flux_jy = np.abs(subband_visibilities(observation, 8)).mean(axis=(0, 1, 3))
    apparent = SkyCoord(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, unit="deg").transform_to(
        TETE(obstime=Time(DATE), location=telescope_location())
    )
    offset_rad = np.deg2rad(apparent.dec.deg - 46.81)
    freq_hz = subband_freq_hz(observation.simulation, 8)
    expected_jy = 13.9 * airy_power(np.sin(offset_rad), freq_hz, 4.65)
    assert np.rad2deg(offset_rad) == pytest.approx(1.33, abs=0.01)
    np.testing.assert_allclose(flux_jy, expected_jy, rtol=3e-3)


def test_airy_half_power_width_is_1_029_wavelengths_over_diameter():
    half_width = 0.5 * 1.029 * speed_of_light / 1.405e9 / 4.65
    assert airy_power(np.sin(half_width), 1.405e9, 4.65) == pytest.approx(0.5, abs=1e-3)
    assert airy_power(np.array(0.0), 1.405e9, 4.65) == 1


def test_noise_is_that_of_the_sefd(survey):
    observation = observed(
        survey, noise_only=True, channels_per_subband=24, n_integrations=24, record_inactive=[]
    )[0]
    data = subband_visibilities(observation, 2)
    first, second = observation.array.baselines
    crosses = data[:, first != second]
    expected_jy = 5800 / np.sqrt(2 * 2 * 244140.625 * 12.884902)
    n = crosses.size
    assert crosses.real.std() == pytest.approx(expected_jy, rel=5 / np.sqrt(2 * n))
    assert crosses.imag.std() == pytest.approx(expected_jy, rel=5 / np.sqrt(2 * n))
    assert abs(crosses.mean()) < 5 * expected_jy * np.sqrt(2 / n)


def test_autos_are_real_powers_of_the_sefd(survey):
    observation = observed(survey, noise_only=True)[0]
    first, second = observation.array.baselines
    autos = subband_visibilities(observation, 2)[:, first == second]
    assert np.all(autos.imag == 0)
    assert autos.real.mean() == pytest.approx(5800, rel=1e-3)


def test_one_file_made_alone_is_the_same_to_the_byte(campaign, truth, survey, tmp_path):
    alone = make_file(observed(survey)[1], 5, tmp_path)
    assert alone.name in truth["groups"][1]["files"]
    assert alone.read_bytes() == (campaign / "incoming" / alone.name).read_bytes()


def test_a_file_is_the_same_to_the_byte_with_any_number_of_threads(tmp_path):
    """One of enough antennas and sources for BLAS to share its products among threads."""
    survey = tmp_path / "survey.csv"
    ra_deg, dec_deg = np.meshgrid(123.4 + np.linspace(-1, 1, 21), 46.8 + np.linspace(-1, 1, 21))
    rows = [f"{ra},{dec},1.0" for ra, dec in zip(ra_deg.flat, dec_deg.flat, strict=True)]
    survey.write_text("\n".join(["ra_deg,dec_deg,peak_jy", *rows]))
    stations = [1, 5, 9, 13, 17, 24, 28, 32, 38, 44, 50, 68, 76, 84, 92, 102]
    observation = observed(survey, stations=stations, dead_antennas=[], record_inactive=[])[0]
    made = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            (tmp_path / str(threads)).mkdir()
            made.append(make_file(observation, 0, tmp_path / str(threads)).read_bytes())
    assert made[0] == made[1]


def test_another_seed_gives_another_sky_noise(survey):
    one, other = (
        subband_visibilities(observed(survey, noise_only=True, seed=seed)[0], 0) for seed in (1, 2)
    )
    assert not np.any(one.imag[one.imag != 0] == other.imag[other.imag != 0])


def test_missing_subbands_are_not_written(campaign, truth):
    written = sorted(p.name for p in (campaign / "incoming").glob("*_sb??.hdf5"))
    listed = sorted(name for group in truth["groups"] for name in group["files"])
    assert written == listed
    assert [group["missing"] for group in truth["groups"]] == [[], [3, 7]]
    assert len(truth["groups"][1]["files"]) == 14


def test_one_incomplete_file_is_left_behind(campaign):
    (left,) = (campaign / "incoming").glob("*_incomplete.hdf5")
    with pytest.raises(OSError, match="truncated"):
        h5py.File(left)


def test_data_are_truths_gains_times_the_sky(campaign, truth, survey):
    group = truth["groups"][0]["group"]
    with h5py.File(campaign / "truth.h5") as file:
        gains, response = file[group]["gains_time"][:], file[group]["bandpass"][:]
        freq_hz, stations = file[group]["freq_hz"][:], file[group]["station_number"][:]
    quiet = subband_visibilities(observed(survey, sefd_jy=0.0)[0], 4)
    perfect = subband_visibilities(observed(survey, **PERFECT)[0], 4)
    wanted = subband_freq_hz(Simulation.from_mapping(SMALL), 4)
    channels = [int(np.argmin(np.abs(freq_hz - f))) for f in wanted]
    total = gains[:, :, None, :] * response[None, :, channels, :]
    first, second = np.triu_indices(len(stations))
    np.testing.assert_allclose(
        quiet, total[:, first] * total[:, second].conj() * perfect, atol=1e-4
    )


def test_dead_and_inactive_antennas_see_no_sky(survey):
    observation = observed(survey, sefd_jy=0.0)[0]
    stations = observation.array.recorded_stations
    first, second = observation.array.baselines
    blind = np.isin(stations, [38, 60])
    data = subband_visibilities(observation, 0)
    assert np.all(data[:, blind[first] | blind[second]] == 0)
    assert np.all(np.abs(data[:, ~(blind[first] | blind[second])]) > 1)
    assert 60 in stations and 61 not in stations


def test_gains_are_the_same_on_all_dates_but_for_the_drift(survey):
    simulation = Simulation.from_mapping(SMALL)
    gains = [
        observations_of(date, simulation, CALIBRATOR, ANTENNAS, [survey])[0].gains[0, :2]
        for date in (DATE, "2025-10-20")
    ]
    change = gains[1] / gains[0]
    assert 0 < np.abs(np.abs(change) - 1).max() < 0.1
    assert 0 < np.abs(np.angle(change)).max() < np.deg2rad(30)


@pytest.mark.parametrize(
    ("spec", "n_occupied"),
    [
        ({"kind": "narrowband", "frequencies_mhz": [1400.0]}, 4),
        ({"kind": "burst", "integration": 2}, 48),
        ({"kind": "sweep", "start_mhz": 1400.0, "rate_mhz_per_s": 0.4}, 4),
    ],
)
def test_interference_is_where_the_mask_says(survey, spec, n_occupied):
    settings = {"noise_only": True, "record_inactive": [], "dead_antennas": []}
    loud = observed(survey, rfi=[spec | {"strength": 40, "baseline_fraction": 0.5}], **settings)[0]
    quiet = observed(survey, **settings)[0]
    (emission,) = loud.emissions
    found = np.zeros((4, 48), dtype=bool)
    for subband in range(16):
        added = subband_visibilities(loud, subband) - subband_visibilities(quiet, subband)
        strength = np.abs(added).max(axis=(1, 3))[:, ::-1]
        found[:, 45 - 3 * subband : 48 - 3 * subband] = strength > 1e-3
        amplitude = np.abs(added)[np.abs(added) > 1e-3]
        np.testing.assert_allclose(amplitude, 40 * loud.simulation.noise_sigma_jy, rtol=1e-3)
    assert np.array_equal(found, emission.strength > 0)
    assert found.sum() == n_occupied


def test_narrowband_interference_is_in_the_channel_of_its_frequency(survey):
    observation = observed(
        survey, rfi=[{"kind": "narrowband", "frequencies_mhz": [1400.0], "strength": 1}]
    )[0]
    (channel,) = set(np.argwhere(observation.emissions[0].strength)[:, 1])
    simulation = observation.simulation
    assert abs(band_freq_hz(simulation)[channel] - 1400e6) <= simulation.channel_width_hz / 2


def test_transit_is_where_sidereal_time_is_the_apparent_right_ascension():
    moment = transit(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, DATE)
    apparent = SkyCoord(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, unit="deg").transform_to(
        TETE(obstime=moment, location=telescope_location())
    )
    sidereal = moment.sidereal_time("apparent", longitude=LONGITUDE_DEG)
    assert moment.isot.startswith(DATE)
    assert (sidereal - apparent.ra).wrap_at("180d").arcsec == pytest.approx(0, abs=1)


def test_block_of_groups_is_centred_on_the_transit(truth):
    middle = np.mean([group["mid_mjd"] for group in truth["groups"]])
    expected = transit(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, DATE).mjd
    assert middle == pytest.approx(expected, abs=0.1 / 86400)


def test_source_on_the_meridian_stands_where_fringes_are_stopped():
    moment = transit(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, DATE)
    place = [np.array([x]) for x in (CALIBRATOR.ra_deg, CALIBRATOR.dec_deg)]
    apparent = SkyCoord(*place, unit="deg").transform_to(
        TETE(obstime=moment, location=telescope_location())
    )
    direction = directions_enu(*place, moment.reshape(1))[0, 0]
    np.testing.assert_allclose(direction, meridian_direction(apparent.dec.deg[0]), atol=5e-6)


def test_scattering_event_has_its_depth_width_and_spikes():
    spec = {"kind": "ese", "depth": 0.4, "centre_mjd": 60950, "fwhm_days": 40, "caustic": 0.15}
    centre, before, edges = (
        flux_factor(np.array(t, dtype=float), spec)
        for t in ([60950], [60850, 61050], [60930, 60970])
    )
    assert centre[0] == pytest.approx(0.6, abs=2e-3)
    np.testing.assert_allclose(before, 1, atol=1e-6)
    np.testing.assert_allclose(edges, 0.8, atol=0.03)
    light_curve = flux_factor(np.arange(60880.0, 61020.0, 0.1), spec)
    assert 1.1 < light_curve.max() <= 1.15
    by_date = {"centre_date": "2025-10-02"} | {k: v for k, v in spec.items() if k != "centre_mjd"}
    assert flux_factor(60945.0, by_date) == flux_factor(60945.0, spec | {"centre_mjd": 60950})


def test_step_sine_and_table_light_curves():
    step = {"kind": "step", "at_date": "2025-10-02", "factor": 1.5}
    assert flux_factor(np.array([60949.9, 60950.1]), step).tolist() == [1, 1.5]
    sine = {"kind": "sine", "amplitude": 0.2, "period_days": 4}
    np.testing.assert_allclose(flux_factor(np.array([0.0, 1, 3]), sine), [1, 1.2, 0.8])
    table = {"kind": "table", "mjd": [60000, 60010], "factor": [1, 2]}
    assert flux_factor(60005.0, table) == 1.5


def test_light_curve_changes_the_visibilities_of_its_source(survey):
    curve = {"ra_deg": 123.4002, "dec_deg": 48.2173, "kind": "constant", "factor": 0.5}
    settings = PERFECT | {"dead_antennas": [], "record_inactive": []}
    steady, halved = (
        subband_visibilities(observed(survey, light_curves=curves, **settings)[0], 0)
        for curves in ([], [curve])
    )
    np.testing.assert_allclose(halved, 0.5 * steady, rtol=1e-5)


def test_chromatic_dip_goes_as_its_power_of_wavelength(survey):
    curve = {"ra_deg": 123.4002, "dec_deg": 48.2173, "kind": "constant", "factor": 0.7}
    settings = PERFECT | {"dead_antennas": [], "record_inactive": []}
    steady, dipped, plasma = (
        observed(survey, light_curves=curves, **settings)[0]
        for curves in ([], [curve], [curve | {"chromatic": 2.0}])
    )
    for subband in (0, 15):
        wavelength = 1.4e9 / subband_freq_hz(steady.simulation, subband)[None, None, :, None]
        of_sky, grey, dispersed = (
            subband_visibilities(one, subband) for one in (steady, dipped, plasma)
        )
        np.testing.assert_allclose(grey, 0.7 * of_sky, rtol=1e-5)
        np.testing.assert_allclose(dispersed, (1 - 0.3 * wavelength**2) * of_sky, rtol=1e-5)


def test_light_curve_of_no_source_is_refused(survey):
    curve = {"ra_deg": 100.0, "dec_deg": 48.0, "kind": "constant"}
    with pytest.raises(ValueError, match="no source within"):
        observed(survey, light_curves=[curve])


def test_the_table_of_neighbours_is_what_its_seed_makes():
    table = (ANTENNAS.parent / "surveys" / "synthetic_0813+482.csv").read_text()
    assert table == as_csv(synthetic_neighbours())


def test_neighbours_lie_around_the_calibrator_within_their_fluxes():
    ra_deg, dec_deg, flux_jy = synthetic_neighbours().T
    centre = SkyCoord(CALIBRATOR.ra_deg, CALIBRATOR.dec_deg, unit="deg")
    assert SkyCoord(ra_deg, dec_deg, unit="deg").separation(centre).deg.max() <= 2
    assert flux_jy.min() >= 0.02 and flux_jy.max() <= 0.5


def test_source_names_are_iau_designations():
    assert source_name(227.33255, 47.448872) == "J150919.8+472655"
    assert source_name(0.0001, -0.01) == "J000000.0-000036"


def test_unknown_and_impossible_settings_are_refused(survey):
    with pytest.raises(ValueError, match="sefd"):
        Simulation.from_mapping(SMALL | {"sefd": 1})
    with pytest.raises(ValueError, match="polarizations"):
        Simulation.from_mapping(SMALL | {"polarizations": [-5]})
    with pytest.raises(ValueError, match=r"\[60\]"):
        read_array(ANTENNAS, Simulation.from_mapping(SMALL | {"stations": [1, 60]}))


def test_four_polarizations_keep_the_sky_in_the_parallel_hands(survey):
    observation = observed(
        survey, polarizations=[-5, -7, -8, -6], **PERFECT, dead_antennas=[], record_inactive=[]
    )[0]
    data = subband_visibilities(observation, 0)
    assert np.array_equal(data[..., 0], data[..., 3])
    assert np.all(data[..., 1:3] == 0) and np.abs(data[..., 0]).min() > 1
