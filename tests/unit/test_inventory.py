"""What incoming holds: groups, their files and calibrators, read when asked for and no sooner."""

import copy
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from raw_files import FIRST_MJD, INTEGRATION_S, RawGroup

from contimg import inventory as module
from contimg.beam import Dish, power
from contimg.checkout import CHECKOUT
from contimg.groups import group_of_mjd, mjd_of_group
from contimg.inventory import Inventory

DEFAULTS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
SPACING_DAYS = 309.237648 / 86400


def inventory_of(incoming: Path, **calibration: object) -> Inventory:
    config = copy.deepcopy(DEFAULTS) | {"incoming": str(incoming)}
    config["calibration"] |= calibration
    return Inventory(config, CHECKOUT)


def write_names(incoming: Path, group: RawGroup, subbands: range = range(16)) -> list[str]:
    """Write a group of which only the first file is whole; that is all that planning reads."""
    first = group.write(incoming, subbands[0])
    names = [f"{group.name}_sb{subband:02d}.hdf5" for subband in subbands]
    for name in names[1:]:
        (incoming / name).touch()
    return [str(first.with_name(name)) for name in names]


@pytest.fixture(scope="module")
def three_groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RawGroup]]:
    incoming = tmp_path_factory.mktemp("incoming")
    groups = [RawGroup(FIRST_MJD + number * SPACING_DAYS) for number in range(3)]
    for group, subbands in zip(groups, (range(16), range(1, 15), range(3)), strict=True):
        write_names(incoming, group, subbands)
    (incoming / f"{groups[0].name}_sb01_incomplete.hdf5").touch()
    (incoming / f"{groups[0].name} it's $(x).hdf5").touch()
    return incoming, groups


def test_groups_are_complete_partial_or_rejected(
    three_groups: tuple[Path, list[RawGroup]],
) -> None:
    incoming, groups = three_groups
    found = inventory_of(incoming)
    date = groups[0].name[:10]
    assert found.dates() == [date]
    assert [(group.name, group.status, group.reason) for group in found.all_groups(date)] == [
        (groups[0].name, "complete", ""),
        (groups[1].name, "partial", ""),
        (groups[2].name, "rejected", "3 of 16 subbands, 14 needed"),
    ]
    assert found.groups(date) == [group.name for group in groups[:2]]
    assert len(found.files_of_group(groups[2].name)) == 3
    assert [one["reason"][:12] for one in found.strange_names(date)] == [
        "not a raw fi", "still being ",
    ]  # fmt: skip
    assert found.declination_deg(date) == pytest.approx(46.81)
    assert found.declinations_deg(date) == [46.81]


def test_asking_for_a_group_reads_one_header(
    three_groups: tuple[Path, list[RawGroup]], monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming, groups = three_groups
    read: list[str] = []

    def read_header(path: Path):
        read.append(path.name)
        return real(path)

    real = module.read_header
    monkeypatch.setattr(module, "read_header", read_header)
    module.first_readable.cache_clear()
    found = inventory_of(incoming)
    assert len(found.files_of_group(groups[1].name)) == 14
    assert read == [f"{groups[1].name}_sb01.hdf5"]
    found.files_of_group(groups[1].name)
    assert len(read) == 1


def test_a_group_that_is_not_there_is_named(three_groups: tuple[Path, list[RawGroup]]) -> None:
    with pytest.raises(LookupError, match="no raw files of group 2025-01-01T00:00:00"):
        inventory_of(three_groups[0]).group("2025-01-01T00:00:00")


def test_a_groups_size_is_that_of_its_files_and_nothing_when_they_are_gone(tmp_path: Path) -> None:
    group = RawGroup(FIRST_MJD)
    first = group.write(tmp_path, 0)
    write_names(tmp_path, group)  # the other files are empty, as if cut short
    assert inventory_of(tmp_path).raw_gb(group.name) == 16 * first.stat().st_size / 1e9
    assert inventory_of(tmp_path / "gone").raw_gb(group.name) == 0


def test_a_new_file_changes_its_own_group_only(tmp_path: Path) -> None:
    groups = [RawGroup(FIRST_MJD + number * SPACING_DAYS) for number in range(2)]
    for group in groups:
        write_names(tmp_path, group, range(15))
    before = inventory_of(tmp_path)
    old = [before.files_of_group(group.name) for group in groups]
    (tmp_path / f"{groups[1].name}_sb15.hdf5").touch()
    after = inventory_of(tmp_path)
    assert after.files_of_group(groups[0].name) == old[0]
    assert len(after.files_of_group(groups[1].name)) == len(old[1]) + 1


@pytest.mark.parametrize(("header_s", "date"), [(2.0, "2025-10-19"), (-2.0, "2025-10-18")])
def test_near_midnight_the_header_says_the_date(tmp_path: Path, header_s: float, date: str) -> None:
    """The names' clocks lie on both sides of midnight; the group has one date and all files."""
    midnight = mjd_of_group("2025-10-19T00:00:00")
    group = RawGroup(midnight + header_s / 86400)
    path = group.write(tmp_path, 0)
    path.rename(tmp_path / f"{group_of_mjd(midnight + 5 / 86400)}_sb00.hdf5")
    for subband in range(1, 16):
        clock = group_of_mjd(midnight + (subband - 8) / 86400)
        (tmp_path / f"{clock}_sb{subband:02d}.hdf5").touch()
    other = ({"2025-10-18", "2025-10-19"} - {date}).pop()
    found = inventory_of(tmp_path)
    assert found.groups(date) == [group.name]
    assert found.groups(other) == []
    assert len(inventory_of(tmp_path).files_of_group(group.name)) == 16


def test_the_first_readable_file_names_the_group(tmp_path: Path) -> None:
    group = RawGroup()
    paths = group.write_all(tmp_path, range(14))
    paths[0].write_text("not HDF5")
    paths[1].write_bytes(b"")
    assert inventory_of(tmp_path).groups(group.name[:10]) == [group.name]
    for path in paths:
        path.write_text("not HDF5")
    module.first_readable.cache_clear()
    lone = inventory_of(tmp_path).all_groups(group.name[:10])
    assert [(one.status, one.reason) for one in lone] == [
        ("rejected", "none of its files can be read")
    ]


def test_3c196_is_found_in_the_group_in_which_it_transits(tmp_path: Path) -> None:
    """It transits 1.35 deg north of the beam's centre, at a time that astropy gave."""
    transit = mjd_of_group("2025-10-01T15:26:07")
    half = INTEGRATION_S / 86400
    groups = [RawGroup(transit - half + number * SPACING_DAYS) for number in (-1, 0, 1)]
    for group in groups:
        write_names(tmp_path, group)
    found = inventory_of(tmp_path)
    best = found.calibrators("2025-10-01")[0]
    assert best.name == "0813+482"
    assert best.flux_jy == 13.9
    assert abs(best.mjd - transit) * 86400 < 2
    assert found.calibrator_groups("2025-10-01") == [best.group]
    assert best.group == groups[1].name
    north = power(math.radians(1.3277), 1.405e9, Dish("airy", 4.65))
    assert best.beam == pytest.approx(float(north), abs=0.002)
    place = {"name": "0813+482", "ra_deg": best.ra_deg, "dec_deg": best.dec_deg}
    standard = {"standard": "Perley-Butler 2017", "flux_model": "Perley-Butler 2017"}
    assert found.calibrator_of(best.group) == place | standard
    of_list = inventory_of(tmp_path, flux_standard="").calibrator_of(best.group)
    assert of_list == place | {"flux_jy": 13.9, "flux_model": "VLA list"}
    others = [group.name for group in groups if group.name != best.group]
    with pytest.raises(LookupError, match=f"no calibrator to solve on.*{best.group}"):
        found.calibrator_of(others[0])


def test_pinned_calibrators_replace_the_list(tmp_path: Path) -> None:
    group = RawGroup(mjd_of_group("2025-10-01T15:25:58"))
    write_names(tmp_path, group)
    pinned = {"name": "mine", "ra_deg": 123.4, "dec_deg": 47.0, "flux_jy": 5.0}
    found = inventory_of(tmp_path, pinned_calibrators=[pinned])
    assert [one.name for one in found.calibrators("2025-10-01")] == ["mine"]
    assert inventory_of(tmp_path, transits_per_date=0).calibrator_groups("2025-10-01") == []


def test_a_date_without_raw_files_is_empty(tmp_path: Path) -> None:
    found = inventory_of(tmp_path / "nowhere")
    assert found.dates() == []
    assert found.all_groups("2025-10-01") == []
    assert found.declination_deg("2025-10-01") is None
    assert found.declinations_deg("2025-10-01") == []
    assert found.mosaics("2025-10-01") == {}


def test_planning_imports_nothing_slow() -> None:
    code = (
        "import sys, contimg.inventory, contimg.configuration, contimg.codedigest;"
        "slow = {'astropy', 'pandas', 'scipy', 'pyuvdata', 'casatasks', 'casacore', 'matplotlib'};"
        "print(*sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(CHECKOUT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == ""
