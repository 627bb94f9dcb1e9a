"""What is made again after a change, and what is not: dry runs beside the shared observation."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import CONFIGS, DATES, ROOT
from simulator.campaign import make_file, observations_of
from simulator.settings import Calibrator, Simulation
from workflow import checkout, copy_for_dry_runs, plan, planned_rules, status

REPORTS = [f"report/{date}/index.html" for date in DATES]
AFTER_IMAGING = {"weigh_image", "image_group", "correct_primary_beam", "measure_photometry",
                 "combine_photometry", "build_mosaic", "measure_mosaic", "report_date"}  # fmt: skip


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The sources at another place, all of them newer than the products."""
    return checkout(tmp_path / "clone")


def configs_of(root: Path) -> list[Path]:
    return [root / path.relative_to(ROOT) for path in CONFIGS]


def test_a_second_run_finds_nothing_to_do(observation: Path) -> None:
    assert planned_rules(observation, *REPORTS) == {}


def test_a_fresh_checkout_elsewhere_finds_nothing_to_do(observation: Path, clone: Path) -> None:
    truths = [f"simulated/{date}/truth.json" for date in DATES]
    targets = [*REPORTS, *truths, "catalogs/master_sources.sqlite3"]
    assert planned_rules(observation, *targets, root=clone, configs=configs_of(clone)) == {}


def test_the_archive_finds_nothing_to_do_either(observation: Path) -> None:
    archive = ("--profile", str(ROOT / "profiles" / "archive"))
    assert planned_rules(observation, "report/index.html", options=archive) == {}


@pytest.mark.parametrize(
    ("option", "first"),
    [
        ("max_false_alarm: 0.5", []),
        ("n_class: 90", ["calibrate_false_alarms", "measure_variability"]),
        (
            "modulation_scale: 0.04",
            ["search_ese", "calibrate_false_alarms", "measure_variability"],
        ),
    ],
)
def test_an_option_of_the_search_reruns_what_it_is_of(
    observation: Path, tmp_path: Path, option: str, first: list[str]
) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(f"ese: {{{option}}}\n")
    archive = ("--profile", str(ROOT / "profiles" / "archive"))
    planned = planned_rules(
        observation, "report/index.html", options=archive, configs=[*CONFIGS, changed]
    )
    assert set(planned) == {*first, "find_ese_candidates", "report_archive"}


def test_an_imaging_option_reruns_imaging_and_what_follows(
    observation: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "deeper.yaml"
    changed.write_text("imaging: {niter: 6000}\n")
    planned = planned_rules(observation, REPORTS[0], configs=[*CONFIGS, changed])
    # The calibrated visibilities were temporary: they are made again of what is kept.
    assert set(planned) == AFTER_IMAGING | {"apply_calibration"}
    assert planned["image_group"] == 3


def test_comments_docstrings_and_times_rerun_nothing(observation: Path, clone: Path) -> None:
    library, script = clone / "scripts/contimg/photometry.py", clone / "scripts/convert_group.py"
    edited(library, '"""', '"""Other words first. ')
    library.write_text(library.read_text() + "\n# A remark.\n")
    edited(script, '    """Convert', '    # A remark.\n    """Other words. Convert')
    edited(clone / "config" / "config.yaml", "# Everything", "# Really everything")
    edited(clone / "rules" / "functions.sh", "# Functions", "# Some functions")
    for path in (clone / "scripts").rglob("*.py"):
        path.touch()
    assert planned_rules(observation, *REPORTS, root=clone, configs=configs_of(clone)) == {}


def test_a_change_of_the_photometry_reruns_it_and_what_follows(
    observation: Path, clone: Path
) -> None:
    library = clone / "scripts/contimg/photometry.py"
    function = re.search(
        r"^def measure_fluxes\(.*?\n\) -> .*?:\n", library.read_text(), re.S | re.M
    )
    assert function
    edited(library, function[0], function[0] + "    unused = 1\n")
    planned = planned_rules(observation, REPORTS[0], root=clone, configs=configs_of(clone))
    assert set(planned) == {
        "measure_photometry", "combine_photometry", "build_mosaic", "measure_mosaic",
        "report_date",
    }  # fmt: skip


def test_a_change_of_a_shell_command_reruns_it(observation: Path, clone: Path) -> None:
    edited(clone / "rules" / "image.smk", 'mv "$part/wsclean-', 'mv -f "$part/wsclean-')
    planned = planned_rules(observation, REPORTS[0], root=clone, configs=configs_of(clone))
    assert set(planned) == AFTER_IMAGING | {"apply_calibration"}
    edited(clone / "rules" / "functions.sh", "--kill-after=5", "--kill-after=6")
    planned = planned_rules(observation, REPORTS[0], root=clone, configs=configs_of(clone))
    assert planned["flag_group"] == 3


def test_a_change_of_the_flagging_strategy_reruns_flagging(observation: Path, clone: Path) -> None:
    strategy = clone / "config" / "aoflagger.lua"
    strategy.write_text(strategy.read_text() + "-- more\n")
    planned = planned_rules(observation, REPORTS[0], root=clone, configs=configs_of(clone))
    assert planned["flag_group"] == 3
    assert "build_catalog" not in planned


def test_a_new_subband_reruns_its_group_and_the_summaries(
    observation: Path, tmp_path: Path
) -> None:
    date = "2025-10-04"
    folder = copy_for_dry_runs(observation, tmp_path / "copy")
    index = status(observation / "index" / f"{date}.json")
    group = index["groups"][1]
    assert group["missing"] == [5]
    write_missing_subband(date, 1, 5, folder / "incoming")
    jobs = plan(folder, f"report/{date}/index.html")
    other = index["groups"][0]["group"]
    assert not [job for job in jobs if other in job]
    assert sorted(jobs) == sorted([
        f"What {date} holds", f"Calibrators that pass through the beam on {date}",
        f"Measurement Set of {group['group']}",
        f"Interference in {group['group']}", f"What is flagged in {group['group']}",
        f"Weights and thermal noise of {group['group']}",
        f"Calibrated and averaged visibilities of {group['group']}",
        f"Image of {group['group']}", f"Beam, noise and corrected image of {group['group']}",
        f"Forced fluxes of {group['group']}", f"Forced fluxes of {date}", f"Report of {date}",
        *[f"Mosaic {name} of {date}" for name in index["mosaics"]],
        *[f"Forced fluxes in the mosaic {name} of {date}" for name in index["mosaics"]],
    ])  # fmt: skip


def write_missing_subband(date: str, group: int, subband: int, incoming: Path) -> None:
    config = {}
    for path in CONFIGS:
        config |= yaml.safe_load(path.read_text())
    settings = config["simulation"]
    simulation = Simulation.from_mapping(settings["observation"])
    surveys = [ROOT / path for path in settings["surveys"]]
    antennas = ROOT / "config" / "dsa110_antennas.csv"
    calibrator = Calibrator(**settings["calibrator"])
    observed = observations_of(date, simulation, calibrator, antennas, surveys)[group]
    make_file(observed, subband, incoming)


def test_a_date_without_calibrator_borrows_and_later_dates_change_nothing(
    observation: Path,
) -> None:
    first, second, _ = DATES
    own = status(observation / "cal" / first / "calibration.json")
    borrowed = status(observation / "cal" / second / "calibration.json")
    assert not list((observation / "cal" / second).glob("*.gcal"))
    assert borrowed["figures"]["source"] == "borrowed"
    names = [table[kind] for table in borrowed["figures"]["tables"] for kind in ("bcal", "gcal")]
    assert names == [table[kind] for table in own["figures"]["tables"] for kind in ("bcal", "gcal")]
    for name in names:
        assert name.startswith(f"cal/{first}/")
        assert (observation / name).is_dir()
    calibrated = sorted((observation / "ms/calibrated" / second).glob("*.json"))
    assert len(calibrated) == 2
    for path in calibrated:
        used = status(path)
        assert used["status"] == "ok"
        assert used["figures"]["calibration_date"] == first
    # The third date was added when these two were made.
    assert planned_rules(observation, *REPORTS[:2]) == {}


def test_losing_the_raw_files_of_an_earlier_date_changes_nothing_borrowed(
    observation: Path, tmp_path: Path
) -> None:
    folder = copy_for_dry_runs(observation, tmp_path / "copy")
    for path in (folder / "incoming").glob(f"{DATES[0]}*"):
        path.unlink()
    shutil.rmtree(folder / "ms" / "science" / DATES[0])
    assert planned_rules(folder, REPORTS[1]) == {}
