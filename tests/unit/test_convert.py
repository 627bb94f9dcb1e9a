"""Raw files become one Measurement Set: geometry, bad files, bad values, and what is recorded."""

import importlib.util
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from casacore import tables
from pyuvdata import UVData
from raw_files import (
    ANTENNAS,
    APPARENT_DEC_DEG,
    FLUX_JY,
    INGEST,
    SOURCE_DEG,
    STATIONS,
    TELESCOPE,
    RawGroup,
    ecef_m,
)

from contimg.convert import Converted, convert
from contimg.measurement_set import ms_digest
from contimg.meridian import meridian_icrs
from contimg.site import OVRO_MMA_LATITUDE_DEG
from contimg.status import Rejected, plain, read_status
from convert_group import main, reject

CENTRE = [8 - 1, 9 - 1, 11 - 1, 103 - 1]  # ids of the active stations


def converted(paths: list[Path], ms: Path, group: RawGroup, **ingest: float) -> Converted:
    return convert(
        paths,
        ms,
        antennas=ANTENNAS,
        telescope=TELESCOPE,
        ingest={**INGEST, **ingest},
        group=group.name,
    )


def column(ms: Path, name: str, table: str = "") -> np.ndarray:
    with tables.table(f"{ms}{table}", ack=False) as opened:
        return opened.getcol(name)


@pytest.fixture(scope="module")
def group() -> RawGroup:
    return RawGroup()


@pytest.fixture(scope="module")
def raw(group, tmp_path_factory) -> list[Path]:
    return group.write_all(tmp_path_factory.mktemp("incoming"))


@pytest.fixture(scope="module")
def done(group, raw, tmp_path_factory) -> tuple[Path, Converted]:
    ms = tmp_path_factory.mktemp("ms") / "whole.ms"
    return ms, converted(raw, ms, group)


def replaced(
    raw: list[Path], group: RawGroup, folder: Path, subband: int, **datasets
) -> list[Path]:
    """The files, one of them written anew with other datasets."""
    return [*(path for path in raw if f"_sb{subband:02d}" not in path.name),
            group.write(folder, subband, **datasets)]  # fmt: skip


def by_pyuvdata(raw: list[Path]) -> UVData:
    """The reference recipe: fringe-stopped toward the meridian, then phased as pyuvdata does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [UVData.from_file(path, file_type="uvh5", run_check=False) for path in raw]
        for part in parts:
            part.uvw_array = part.uvw_array.astype(float)
        data = parts[0].fast_concat(parts[1:], "freq", run_check=False)
        data.reorder_freqs(channel_order="freq", run_check=False)
        data.select(antenna_nums=CENTRE, run_check=False)
        zenith_angle_deg = APPARENT_DEC_DEG - OVRO_MMA_LATITUDE_DEG
        number = data._add_phase_center(
            "meridian",
            cat_type="driftscan",
            cat_lon=0.0,
            cat_lat=np.deg2rad(90 - zenith_angle_deg),
            cat_frame="altaz",
        )
        data.phase_center_id_array[:] = number
        data._clear_unused_phase_centers()
        data._set_app_coords_helper()
        data.set_uvws_from_antenna_positions(update_vis=False)
        middle_mjd = np.unique(data.time_array).mean() - 2400000.5
        lon, lat = np.deg2rad(meridian_icrs(middle_mjd, APPARENT_DEC_DEG)[0])
        data.phase(lon=lon, lat=lat, phase_frame="icrs", cat_name="field")
    return data


def test_same_as_pyuvdatas_own_recipe(raw, done):
    reference, (ms, _) = by_pyuvdata(raw), done
    assert np.abs(column(ms, "DATA") - reference.data_array.conj()).max() < 1e-6 * FLUX_JY
    assert np.abs(column(ms, "UVW") + reference.uvw_array).max() < 1e-6


def test_the_source_is_coherent_where_the_catalogue_has_it(done):
    ms, result = done
    uvw_m, data = column(ms, "UVW"), column(ms, "DATA")
    freq_hz = column(ms, "CHAN_FREQ", "::SPECTRAL_WINDOW")[0]
    ra, dec, ra0, dec0 = np.deg2rad(
        [*SOURCE_DEG, result.figures["ra_deg"], result.figures["dec_deg"]]
    )
    cosines = [
        np.cos(dec) * np.sin(ra - ra0),
        np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0),
    ]
    cosines.append(np.sqrt(1 - np.sum(np.square(cosines))) - 1)
    # The sign with which WSClean images the set where the source is.
    turns = (uvw_m @ cosines)[:, None] * freq_hz / 299792458.0
    flux_jy = (data * np.exp(-2j * np.pi * turns)[..., None]).mean()
    assert flux_jy.real == pytest.approx(FLUX_JY, rel=2e-3)
    assert abs(flux_jy.imag) < 0.01 * FLUX_JY
    mirrored = (data * np.exp(2j * np.pi * turns)[..., None])[np.abs(uvw_m[:, 0]) > 100].mean()
    assert abs(mirrored) < 0.5 * FLUX_JY


def test_inactive_antennas_keep_their_rows_and_lose_their_baselines(done):
    ms, result = done
    assert column(ms, "NAME", "::ANTENNA") == [f"DSA-{number:03d}" for number in range(1, 118)]
    ids = np.unique([column(ms, "ANTENNA1"), column(ms, "ANTENNA2")])
    assert ids.tolist() == CENTRE
    assert result.figures["antennas"] == ["DSA-008", "DSA-009", "DSA-011", "DSA-103"]
    assert set(STATIONS) - {10, 117} == {id + 1 for id in ids}


def test_uvw_are_64_bit_baselines_of_the_antenna_table(done):
    ms, _ = done
    uvw_m, position_m = column(ms, "UVW"), column(ms, "POSITION", "::ANTENNA")
    first, second = column(ms, "ANTENNA1"), column(ms, "ANTENNA2")
    assert uvw_m.dtype == np.float64
    baseline_m = position_m[first] - position_m[second]
    lengths_m = np.linalg.norm(baseline_m, axis=1)
    assert np.abs(np.linalg.norm(uvw_m, axis=1) - lengths_m).max() < 1e-6
    assert np.abs(np.diff(position_m, axis=0) - np.diff(ecef_m(), axis=0)).max() < 1e-6
    # At hour angle 0, v grows to the north and u to the east: antenna 103 lies north of 8.
    row = np.flatnonzero((first == 7) & (second == 102))[0]
    north_m = position_m[7, 2] - position_m[102, 2]
    assert np.sign(uvw_m[row, 1]) == np.sign(north_m)


def test_one_spectral_window_one_field_both_icrs(done):
    ms, result = done
    freq_hz = column(ms, "CHAN_FREQ", "::SPECTRAL_WINDOW")
    assert freq_hz.shape == (1, 32)
    assert np.all(np.diff(freq_hz) > 0)
    assert np.all(column(ms, "CHAN_WIDTH", "::SPECTRAL_WINDOW") == 11.71875e6 / 2)
    with tables.table(f"{ms}::FIELD", ack=False) as fields:
        assert fields.nrows() == 1
        directions = [fields.getcol(f"{name}_DIR") for name in ("PHASE", "DELAY", "REFERENCE")]
        for name in ("PHASE", "DELAY", "REFERENCE"):
            assert fields.getcolkeyword(f"{name}_DIR", "MEASINFO")["Ref"] == "ICRS"
    assert np.array_equal(directions[0], directions[1])
    assert np.array_equal(directions[0], directions[2])
    centre_deg = np.rad2deg(directions[0].ravel()) % 360
    assert centre_deg == pytest.approx([result.figures["ra_deg"], result.figures["dec_deg"]])
    assert set(column(ms, "MOUNT", "::ANTENNA")) == {"ALT-AZ"}
    assert column(ms, "TELESCOPE_NAME", "::OBSERVATION") == ["OVRO_MMA"]


def test_the_set_knows_no_clock(done):
    ms, _ = done
    times_s = column(ms, "TIME")
    assert column(ms, "TIME", "::HISTORY") == pytest.approx([times_s.min()])
    assert "/" not in "".join(column(ms, "MESSAGE", "::HISTORY"))


def test_pointing_follows_the_meridian(group, done):
    figures = done[1].figures
    pointing = np.array(figures["pointing"])
    assert pointing.shape == (3, 2)
    assert pointing[1] == pytest.approx([figures["ra_deg"], figures["dec_deg"]], abs=1e-9)
    drift_s = (pointing[2, 0] - pointing[0, 0]) * 240
    assert drift_s == pytest.approx(2 * 12.884902, rel=0.01)
    assert figures["integration_mjd"] == pytest.approx(group.times_mjd, abs=1e-9)


def test_missing_subbands_are_zero_and_flagged_in_their_place(group, raw, tmp_path):
    left = [path for path in raw if "_sb03" not in path.name]
    result = converted(left, tmp_path / "x.ms", group)
    flags, data = column(tmp_path / "x.ms", "FLAG"), column(tmp_path / "x.ms", "DATA")
    # Subband 0 is the highest: subband 3 of 2 channels is counted from the end.
    assert np.flatnonzero(flags.all(axis=(0, 2))).tolist() == [24, 25]
    assert flags.mean() == pytest.approx(2 / 32)
    assert not data[:, 24:26].any()
    assert column(tmp_path / "x.ms", "CHAN_FREQ", "::SPECTRAL_WINDOW").shape == (1, 32)
    assert result.figures["missing"] == [3]
    assert result.figures["flagged_fraction"] == pytest.approx(2 / 32)


def test_too_few_subbands_are_rejected(group, raw, tmp_path):
    with pytest.raises(Rejected, match="3 of 16 subbands, 14 needed"):
        converted(raw[:3], tmp_path / "x.ms", group)


def excluded_reason(paths: list[Path], ms: Path, group: RawGroup) -> str:
    (excluded,) = converted(paths, ms, group).figures["excluded"]
    return excluded["reason"]


def test_a_header_a_minute_off_is_left_out(group, raw, tmp_path):
    times = np.repeat(group.times_mjd + 2400000.5, len(group.pairs)) + 60 / 86400
    paths = replaced(raw, group, tmp_path, 5, **{"Header/time_array": times})
    assert "+60.0 s" in excluded_reason(paths, tmp_path / "x.ms", group)


def test_another_antenna_count_is_left_out(group, raw, tmp_path):
    fewer = replace(group, stations=group.stations[:-1])
    paths = replaced(raw, fewer, tmp_path, 5)
    reason = excluded_reason(paths, tmp_path / "x.ms", group)
    assert reason == "5 antennas with data, the group's others have 6"


def test_other_frequencies_than_the_names_are_left_out(group, raw, tmp_path):
    freq_hz = group.freq_hz(6)[None, :]
    paths = replaced(raw, group, tmp_path, 5, **{"Header/freq_array": freq_hz})
    assert "is not its subband's" in excluded_reason(paths, tmp_path / "x.ms", group)


def test_a_second_file_of_a_subband_is_left_out(group, raw, tmp_path):
    again = tmp_path / raw[5].name.replace("_sb", ".5_sb")
    again.write_bytes(raw[5].read_bytes())
    reason = excluded_reason([*raw, again], tmp_path / "x.ms", group)
    assert reason.startswith("a second file of subband 05")


def test_a_file_cut_short_is_left_out(group, raw, tmp_path):
    cut = tmp_path / raw[5].name
    cut.write_bytes(raw[5].read_bytes()[:3000])
    paths = [*(path for path in raw if path != raw[5]), cut]
    reason = excluded_reason(paths, tmp_path / "x.ms", group)
    assert "cut short" in reason
    assert str(tmp_path) not in reason


def test_reads_that_return_less_than_asked_for_are_gone_on_with(
    group, raw, done, tmp_path, monkeypatch
):
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, parts, at: whole(file, [parts[0][:1000]], at))
    assert converted(raw, tmp_path / "x.ms", group).digest == done[1].digest


def test_visibilities_that_cannot_be_read_leave_their_subband_out(group, raw, tmp_path):
    path = group.write(tmp_path, 5, **{"Data/visdata": None})
    values = group.visibilities(5)
    with h5py.File(path, "r+") as file:
        stored = file.create_dataset(
            "Data/visdata", data=values, chunks=values.shape, fletcher32=True
        )
        offset = stored.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 8] ^= 0xFF
    path.write_bytes(content)
    paths = [*(other for other in raw if "_sb05" not in other.name), path]
    result = converted(paths, tmp_path / "x.ms", group)
    assert result.figures["missing"] == [5]
    assert "cannot be read" in result.figures["excluded"][0]["reason"]
    assert column(tmp_path / "x.ms", "FLAG")[:, 20:22].all()


def test_values_that_are_no_numbers_and_zeros_are_flagged(group, raw, tmp_path):
    values = group.visibilities(0)
    rows = np.flatnonzero(np.tile(np.isin(group.pairs, np.array(CENTRE)).all(axis=1), 3))
    values[rows[1], 0, 0, 0] = np.nan
    values[rows[2], 0, 1, 1] = np.inf + 1j
    values[rows[4], 0, 0, 1] = 0
    paths = replaced(raw, group, tmp_path, 0, **{"Data/visdata": values})
    converted(paths, tmp_path / "x.ms", group)
    flags, data = column(tmp_path / "x.ms", "FLAG"), column(tmp_path / "x.ms", "DATA")
    # Subband 0 descends: its first channel is the set's last.
    assert np.argwhere(flags).tolist() == [[1, 31, 0], [2, 30, 1], [4, 31, 1]]
    assert np.isfinite(data).all()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_group_without_any_value_is_rejected(group, tmp_path, value):
    blank = np.full(group.visibilities(0).shape, value, dtype=np.complex64)
    paths = [group.write(tmp_path, number, **{"Data/visdata": blank}) for number in range(16)]
    with pytest.raises(Rejected, match="all are zero, not finite or flagged"):
        converted(paths, tmp_path / "x.ms", group)


def test_an_antenna_without_values_is_not_among_those_with_data(group, tmp_path):
    dead = np.tile((group.pairs == 9 - 1).any(axis=1), 3)
    for number in range(16):
        values = group.visibilities(number)
        values[dead] = 0
        group.write(tmp_path, number, **{"Data/visdata": values})
    result = converted(sorted(tmp_path.glob("*.hdf5")), tmp_path / "x.ms", group)
    assert result.figures["antennas"] == ["DSA-008", "DSA-011", "DSA-103"]


def test_the_digest_repeats_and_is_of_the_values(group, raw, done, tmp_path):
    ms, result = done
    again = converted(raw, tmp_path / "x.ms", group)
    assert (again.digest, again.inputs) == (result.digest, result.inputs)
    assert plain(again.figures) == plain(result.figures)
    assert ms_digest(ms) == result.digest == ms_digest(tmp_path / "x.ms")
    with tables.table(str(tmp_path / "x.ms"), readonly=False, ack=False) as table:
        flags = table.getcell("FLAG", 7)
        flags[3, 1] = True
        table.putcell("FLAG", 7, flags)
    assert ms_digest(tmp_path / "x.ms") != result.digest


def test_baselines_the_other_way_round_give_the_same_set(group, done, tmp_path):
    turned = replace(group, second_first=True)
    converted(turned.write_all(tmp_path), tmp_path / "x.ms", turned)
    for name in ("ANTENNA1", "ANTENNA2", "UVW"):
        assert np.array_equal(column(tmp_path / "x.ms", name), column(done[0], name))
    assert np.abs(column(tmp_path / "x.ms", "DATA") - column(done[0], "DATA")).max() < 1e-5


def test_four_polarizations_are_kept_in_casas_order(group, tmp_path):
    four = replace(group, polarizations=(-5, -6, -7, -8))
    converted(four.write_all(tmp_path), tmp_path / "x.ms", four)
    assert column(tmp_path / "x.ms", "CORR_TYPE", "::POLARIZATION").tolist() == [[9, 10, 11, 12]]
    flags = column(tmp_path / "x.ms", "FLAG")
    assert flags.all(axis=(0, 1)).tolist() == [False, True, True, False]  # XY, YX are zero here


def test_an_antenna_that_the_table_lacks_stops_the_run(group, raw, tmp_path):
    table = tmp_path / "antennas.csv"
    table.write_text("\n".join(ANTENNAS.read_text().splitlines()[:50]))
    with pytest.raises(ValueError, match="not in the antenna table"):
        convert(
            raw,
            tmp_path / "x.ms",
            antennas=table,
            telescope=TELESCOPE,
            ingest=INGEST,
            group=group.name,
        )


def test_the_script_writes_set_and_status_or_the_labelled_empty_ones(group, raw, tmp_path):
    arguments = {
        "antennas": ANTENNAS,
        "ms": tmp_path / "x.ms",
        "status": tmp_path / "x.ms.json",
        "telescope": TELESCOPE,
        "ingest": INGEST,
        "bad_data": {},
        "group": group.name,
    }
    main(subbands=raw, **arguments)
    status = read_status(arguments["status"])
    assert status.ok
    assert status.digest == ms_digest(arguments["ms"])
    assert sorted(status.inputs) == [path.name for path in raw]
    assert str(tmp_path) not in json.dumps(status.figures)
    reject("no sky", ms=arguments["ms"], status=arguments["status"])
    assert read_status(arguments["status"]).reason == "no sky"
    assert [path.name for path in arguments["ms"].iterdir()] == ["REJECTED"]


@pytest.fixture(scope="module")
def ngc5921_field(tmp_path_factory) -> Path:
    """The VLA's 1445+099 of CASA's demonstration data, as pyuvdata writes it."""
    spec = importlib.util.find_spec("casadata")
    assert spec is not None
    source = Path(spec.submodule_search_locations[0]) / "__data__" / "demo" / "NGC5921.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = UVData.from_file(source, file_type="uvfits")
        (number,) = (
            key
            for key, centre in data.phase_center_catalog.items()
            if centre["cat_name"].startswith("1445")
        )
        data.select(phase_center_ids=[number], freq_chans=range(20, 24))
        path = tmp_path_factory.mktemp("vla") / "1445+099.uvh5"
        data.flag_array[3, 1, 0] = True
        data.write_uvh5(path)
    return path


def test_a_real_vla_field_keeps_its_own_place_and_becomes_linear(ngc5921_field, tmp_path):
    ms = tmp_path / "x.ms"
    result = converted([ngc5921_field], ms, RawGroup())
    figures = result.figures
    # 1445+099 in the VLA's list: J2000 14h45m16.465s, +09d58'36.07".
    assert figures["ra_deg"] == pytest.approx(221.318604, abs=2e-5)
    assert figures["dec_deg"] == pytest.approx(9.976686, abs=2e-5)
    assert (figures["dialect"], figures["telescope"]) == ("standard", "VLA")
    assert (figures["dish_diameter_m"], figures["n_antennas"]) == (25.0, 27)
    assert figures["apparent_dec_deg"] is None
    assert np.ptp(figures["pointing"], axis=0).tolist() == [0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = UVData.from_file(ngc5921_field)
    assert np.abs(column(ms, "DATA") - truth.data_array.conj()).max() < 1e-5
    assert np.abs(column(ms, "UVW") + truth.uvw_array).max() < 0.01
    assert column(ms, "CORR_TYPE", "::POLARIZATION").tolist() == [[9, 12]]
    assert set(np.ravel(column(ms, "POLARIZATION_TYPE", "::FEED")["array"])) == {"X", "Y"}
    assert column(ms, "FLAG")[3, 1].tolist() == [True, False]
    assert "" not in column(ms, "NAME", "::ANTENNA")
