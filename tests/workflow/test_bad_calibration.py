"""What goes wrong in calibration is told with its reason, and the rest of the date goes on."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bad_input import make_files, observations, raw_groups

from conftest import ROOT, snakemake
from contimg.calibration_table import channel_freq_hz, read_bandpass, read_columns, read_gains
from simulator.corruption import bandpass
from workflow import SMALL, made_once, status

CONFIGS = [*SMALL, ROOT / "tests" / "workflow" / "bad_calibration.yaml"]
FIRST, BORROWER, LATE = "2025-10-01", "2025-10-05", "2025-11-20"
MISSING = [3, 9]
CALIBRATOR, GOOD, MOVED, ONE_HAND = range(4)


@cache
def groups_of(date: str) -> list[str]:
    return [group.name for group in raw_groups(date, CONFIGS, Path())]


def product(kind: str, date: str, number: int) -> str:
    """Path of a group's status in a stage."""
    path = {"gcal": "cal/{}/{}.gcal.json", "calibrated": "ms/calibrated/{}/{}.ms.json",
            "image": "images/{}/{}.image.json"}[kind]  # fmt: skip
    return path.format(date, groups_of(date)[number])


def dishes_moved(file: h5py.File) -> None:
    file["Header/phase_center_app_dec"][()] += np.radians(1.5)


def second_hand_is_zero(file: h5py.File) -> None:
    file["Data/visdata"][..., 1] = 0


def nine_of_sixteen_are_noise(file: h5py.File) -> None:
    ends = [file[f"Header/ant_{end}_array"][:] for end in (1, 2)]
    rows = np.isin(ends, np.unique(ends)[:9]).any(axis=0) & (ends[0] != ends[1])
    data = file["Data/visdata"][...]
    power = np.random.default_rng(2).normal(scale=50, size=(2, *data[rows].shape))
    data[rows] = power[0] + 1j * power[1]
    file["Data/visdata"][...] = data


@pytest.fixture(scope="session")
def dates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "bad_calibration", make_dates)


def make_dates(folder: Path) -> None:
    incoming = folder / "incoming"
    for date in (FIRST, BORROWER, LATE):
        make_files(date, CONFIGS, folder / date)
        shutil.copytree(folder / date, incoming, dirs_exist_ok=True)
        shutil.rmtree(folder / date)
    first = raw_groups(FIRST, CONFIGS, incoming)
    for subband in MISSING:
        first[CALIBRATOR].files[subband].unlink()
    first[MOVED].change(dishes_moved)
    first[ONE_HAND].change(second_hand_is_zero)
    raw_groups(BORROWER, CONFIGS, incoming)[CALIBRATOR].change(nine_of_sixteen_are_noise)
    images = [product("image", FIRST, number) for number in (GOOD, MOVED, ONE_HAND)]
    snakemake(folder, "--notemp", "--", *images, configs=CONFIGS)
    later = [product("calibrated", BORROWER, GOOD), f"cal/{LATE}/calibration.json"]
    snakemake(folder, "--", *later, configs=CONFIGS)


def read(dates: Path, path: str) -> dict[str, Any]:
    return status(dates / path)


def test_a_dead_reference_antenna_is_replaced(dates: Path) -> None:
    found = read(dates, product("gcal", FIRST, CALIBRATOR))
    assert found["status"] == "ok"
    assert found["figures"]["flagged_antennas"] == ["DSA-024"]
    assert len(found["figures"]["reference_antennas"]) == 5
    assert "DSA-024" not in found["figures"]["reference_antennas"]
    assert read(dates, product("image", FIRST, GOOD))["status"] == "ok"


def test_channels_that_the_calibrator_lacks_are_flagged_in_the_data(dates: Path) -> None:
    """14 of its 16 subbands came; the science group has all."""
    found = read(dates, product("calibrated", FIRST, GOOD))
    assert found["figures"]["missing"] == []
    columns = read_columns(dates / product("calibrated", FIRST, GOOD)[: -len(".json")], ["FLAG"])
    lost = columns["FLAG"].all(axis=(0, 2)).reshape(16, 2).all(axis=1)
    # Subbands are numbered from the top of the band, channels ascend.
    assert np.flatnonzero(lost[::-1]).tolist() == MISSING


def test_a_moved_group_is_not_calibrated_by_the_other_strip(dates: Path) -> None:
    for kind in ("calibrated", "image"):
        found = read(dates, product(kind, FIRST, MOVED))
        assert found["status"] == "rejected"
        assert found["reason"].startswith("no calibration for declination 48.310 deg: ")
        assert "declination 46.810 deg is 1.500 deg off, 0.1 deg allowed" in found["reason"]


def test_a_group_of_one_polarization_is_rejected(dates: Path) -> None:
    for kind in ("calibrated", "image"):
        found = read(dates, product(kind, FIRST, ONE_HAND))
        assert found["status"] == "rejected"
        assert found["reason"] == "all of YY is flagged, and Stokes I needs both polarizations"


def test_a_solution_mostly_flagged_is_rejected_and_the_neighbour_serves(dates: Path) -> None:
    solved = read(dates, product("gcal", BORROWER, CALIBRATOR))
    assert solved["status"] == "rejected"
    assert "of solutions flagged, 50% allowed" in solved["reason"]
    choice = read(dates, f"cal/{BORROWER}/calibration.json")["figures"]
    assert choice["source"] == "borrowed"
    assert choice["considered"][0]["why_not"] == solved["reason"]
    found = read(dates, product("calibrated", BORROWER, GOOD))
    assert found["status"] == "ok"
    used = (found["figures"]["calibration_source"], found["figures"]["calibration_date"])
    assert used == ("borrowed", FIRST)


def test_without_a_calibrator_in_thirty_days_the_date_is_rejected(dates: Path) -> None:
    reason = (
        f"no calibration for {LATE}: no calibrator was solved on it, "
        "and no date of the 30 days before has tables"
    )
    found = read(dates, f"cal/{LATE}/calibration.json")
    assert (found["status"], found["reason"]) == ("rejected", reason)


def test_filled_channels_and_phases_alone_give_the_simulated_gains(
    dates: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(dates, folder)
    filling = tmp_path / "fill.yaml"
    filling.write_text("calibration: {bandpass: {fill: polynomial}, gains: {mode: p}}\n")
    group = groups_of(FIRST)[CALIBRATOR]
    bcal = folder / f"cal/{FIRST}/{group}.bcal"
    snakemake(folder, "--", f"cal/{FIRST}/{group}.gcal.json", configs=[*CONFIGS, filling])
    gains = read_gains(bcal.with_suffix(".gcal"))
    # Phases alone were asked for: the amplitudes are the bandpass's.
    np.testing.assert_allclose(np.abs(gains.gain[~gains.flag]), 1, atol=1e-6)
    observed = observations(FIRST, CONFIGS)[CALIBRATOR]
    table = read_bandpass(bcal)
    numbers = [table.antennas.index(f"DSA-{each:03d}") for each in observed.array.recorded_stations]
    live = observed.array.live
    gain, flag = (table.gain * gains.gain)[numbers][live], table.flag[numbers][live]
    assert not flag.any()
    # A Measurement Set holds the conjugates of the raw visibilities.
    true = bandpass(observed.array, observed.simulation, channel_freq_hz(bcal))[live].conj()
    true = true * observed.gains[:, live].mean(axis=0)[:, None, :].conj()
    lost = np.isin(15 - np.arange(32) // 2, MISSING)
    # All phases are the reference antenna's off.
    ratio = gain / true
    ratio /= np.exp(1j * np.angle(ratio.mean(axis=0)))
    assert status(Path(f"{bcal}.json"))["figures"]["filled_solutions"] == pytest.approx(
        4 / 32 * 15 / len(table.antennas), rel=0.01
    )
    filled, solved = (np.sqrt(np.mean(np.abs(ratio[:, own] - 1) ** 2)) for own in (lost, ~lost))
    # The solved channels' error is thermal noise.
    assert solved < 0.02
    assert filled < 1.5 * solved
