"""Headers of raw files: what they say, and what is said of files that are none."""

import h5py
import numpy as np
import pytest
from astropy.coordinates import FK4, SkyCoord
from raw_files import FIRST_MJD, INTEGRATION_S, RawGroup

from contimg.status import Rejected
from contimg.uvh5 import DSA, STANDARD, UnreadableFile, read_header


def test_header_of_a_subband(tmp_path):
    header = read_header(RawGroup().write(tmp_path, 3))
    assert header.dialect == DSA
    assert header.first_mjd == pytest.approx(FIRST_MJD, abs=1e-9)
    assert header.last_mjd - header.first_mjd == pytest.approx(2 * INTEGRATION_S / 86400, abs=1e-9)
    assert (header.n_times, header.n_antennas_data, header.n_baselines) == (3, 6, 21)
    assert header.n_antennas_telescope == 117
    assert header.descending
    assert header.low_hz == pytest.approx(1498.75e6 - 4 * 11.71875e6 + 11.71875e6 / 4)
    assert header.channel_width_hz == pytest.approx(11.71875e6 / 2)
    assert header.apparent_dec_deg == pytest.approx(46.81)
    assert header.ra_deg is None
    assert header.dish_diameter_m == 4.65
    assert header.polarizations == (-5, -6)


def test_counts_do_not_depend_on_the_order_of_rows(tmp_path):
    path = RawGroup().write(tmp_path, 0)
    with h5py.File(path, "r+") as file:
        order = np.random.default_rng(1).permutation(file["Header/time_array"].size)
        for name in ("time_array", "ant_1_array", "ant_2_array"):
            file["Header"][name][...] = file["Header"][name][:][order]
    header = read_header(path)
    assert (header.n_times, header.n_antennas_data, header.n_baselines) == (3, 6, 21)


def test_a_file_cut_short_is_named(tmp_path):
    path = RawGroup().write(tmp_path, 0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableFile, match=r"sb00\.hdf5.*cut short.*copy it again"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"a letter, not a file of visibilities\n", "not an HDF5")],
)
def test_what_is_no_hdf5_is_named(tmp_path, content, said):
    path = tmp_path / "x_sb00.hdf5"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=said):
        read_header(path)


@pytest.mark.parametrize("name", ["Header/time_array", "Header/freq_array", "Data/visdata"])
def test_a_missing_dataset_is_named(tmp_path, name):
    path = RawGroup().write(tmp_path, 0, **{name: None})
    with pytest.raises(UnreadableFile, match=name):
        read_header(path)


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    path = RawGroup().write(tmp_path, 0, **{"Data/visdata": np.zeros((5, 1, 2, 2), np.complex64)})
    with pytest.raises(UnreadableFile, match="visdata is"):
        read_header(path)


def test_an_unreadable_file_is_bad_data_not_a_bug():
    assert issubclass(UnreadableFile, Rejected)


def as_standard(path, frame="icrs", epoch=2000.0, n_centres=1, kind="sidereal"):
    """Turn a raw file into one with a catalogue of phase centres."""
    with h5py.File(path, "r+") as file:
        header = file["Header"]
        del header["phase_type"], header["phase_center_app_dec"]
        for number in range(n_centres):
            centre = header.create_group(f"phase_center_catalog/{number}")
            centre["cat_type"], centre["cat_frame"] = np.bytes_(kind), np.bytes_(frame)
            centre["cat_epoch"] = epoch
            centre["cat_lon"], centre["cat_lat"] = np.deg2rad([221.0, 10.0])
        header["phase_center_id_array"] = np.arange(header["time_array"].size) % n_centres
    return path


def test_phase_centre_of_1950_becomes_icrs(tmp_path):
    path = as_standard(RawGroup().write(tmp_path, 0), frame="fk4", epoch=1950.0)
    header = read_header(path)
    truth = SkyCoord(221.0, 10.0, unit="deg", frame=FK4(equinox="B1950")).icrs
    assert header.dialect == STANDARD
    assert header.apparent_dec_deg is None
    assert header.ra_deg == pytest.approx(truth.ra.deg, abs=1e-9)
    assert header.dec_deg == pytest.approx(truth.dec.deg, abs=1e-9)


def test_several_fields_in_one_file_are_refused(tmp_path):
    path = as_standard(RawGroup().write(tmp_path, 0), n_centres=3)
    with pytest.raises(UnreadableFile, match=r"3 phase centres.*a file for each field"):
        read_header(path)


def test_drifting_standard_files_are_refused(tmp_path):
    path = as_standard(RawGroup().write(tmp_path, 0), kind="unprojected")
    with pytest.raises(UnreadableFile, match="unprojected"):
        read_header(path)


def test_neither_dialect_is_refused(tmp_path):
    path = RawGroup().write(tmp_path, 0, **{"Header/phase_center_app_dec": None})
    with pytest.raises(UnreadableFile, match="phase_center_app_dec"):
        read_header(path)
