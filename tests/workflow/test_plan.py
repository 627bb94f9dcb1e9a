"""The plan: whole, clean, for one date or for the archive, and refused when config is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CONFIGS, DATES, ROOT, snakemake
from workflow import copy_for_dry_runs, planned_rules, rules_in, status

RULES = sorted((ROOT / "rules").glob("*.smk"))


def as_typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `snakemake ...` in the root of the checkout, as the README has it."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture
def raw_only(observation: Path, tmp_path: Path) -> Path:
    """A working directory with raw files and nothing else."""
    (tmp_path / "incoming").mkdir()
    for path in (observation / "incoming").iterdir():
        os.link(path, tmp_path / "incoming" / path.name)
    return tmp_path


def test_a_dry_run_on_fresh_raw_files_shows_the_whole_plan(
    observation: Path, raw_only: Path
) -> None:
    date = DATES[0]
    index = status(observation / "index" / f"{date}.json")
    n_groups = sum(group["status"] != "rejected" for group in index["groups"])
    n_solved = sum(group["calibrator"] is not None for group in index["groups"])
    planned = planned_rules(raw_only, f"report/{date}/index.html")
    assert planned == {
        "index_date": 1, "build_catalog": 1, "choose_calibration": 1, "combine_photometry": 1,
        "list_transits": 1, "report_date": 1, "build_mosaic": len(index["mosaics"]),
        "measure_mosaic": len(index["mosaics"]),
        **dict.fromkeys(["predict_model", "solve_bandpass", "solve_gains"], n_solved),
        **dict.fromkeys(
            ["convert_group", "flag_group", "measure_flags", "apply_calibration", "image_group",
             "weigh_image", "correct_primary_beam", "measure_photometry"], n_groups),
    }  # fmt: skip
    assert n_groups == 3
    assert n_solved == 1


def test_delays_are_solved_when_asked(raw_only: Path) -> None:
    delays = raw_only / "delays.yaml"
    delays.write_text("calibration: {delay: {enabled: true}}\n")
    target = f"cal/{DATES[0]}/calibration.json"
    planned = planned_rules(raw_only, target, configs=[*CONFIGS, delays])
    assert planned["solve_delay"] == 1


def test_the_rules_hold_no_checkpoint_run_block_or_shadow() -> None:
    for path in [ROOT / "Snakefile", *RULES]:
        found = re.findall(r"^\s*(checkpoint\b.*|run:|shadow:)", path.read_text(), re.MULTILINE)
        assert not found, f"{path.name}: {found}"


def test_every_rule_says_what_it_needs_of_the_machine_and_where_it_logs() -> None:
    wanted = {"output", "log", "benchmark", "threads", "resources", "message", "params"}
    for path in RULES:
        for name, body in rules_in(path):
            blocks = set(re.findall(r"^    (\w+):", body, re.MULTILINE))
            assert wanted <= blocks, f"{name} lacks {wanted - blocks}"
            assert {"mem_mb", "runtime"} <= set(re.findall(r"^        (\w+)=", body, re.MULTILINE))
            assert f'code=code("{name}"' in body, f"{name} has no digest of its own code"
            assert re.search(rf'"benchmarks/({{date}}/)?{name}(/|\.jsonl")', body)
            assert re.search(rf'"logs/({{date}}/)?{name}(/|\.log")', body)


def test_snakemake_lint_is_content(tmp_path: Path) -> None:
    done = as_typed("--lint", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "Congratulations" in done.stdout


def test_the_cluster_profile_works_as_typed(raw_only: Path) -> None:
    done = as_typed(
        "--profile", "cluster", "--dry-run", "--directory", str(raw_only),
        "--configfile", *map(str, CONFIGS), "--", f"report/{DATES[0]}/index.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "convert_group" in done.stdout


def test_the_archive_profile_runs_its_own_rules_only(observation: Path, tmp_path: Path) -> None:
    folder = copy_for_dry_runs(observation, tmp_path / "copy")
    for path in [*folder.glob("images/*/*.fits"), *folder.glob("variability/*")]:
        path.unlink()
    (folder / "report" / "index.html").unlink()
    done = as_typed(
        "--profile", "archive", "--dry-run", "--directory", str(folder),
        "--configfile", *map(str, CONFIGS), "--", "report/index.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    rules = set(re.findall(r"^(\w+) +\d+$", done.stdout, re.MULTILINE)) - {"total"}
    assert rules == {
        "normalise_lightcurves", "search_ese", "calibrate_false_alarms", "measure_variability",
        "find_ese_candidates", "report_archive",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("imaging: {niterr: 5}", ["imaging.niterr", "unknown", "niter"]),
        ("imaging: {mgain: 1.5}", ["imaging.mgain", "1.5", "1"]),
        ("ingest: {min_subbands: 17}", ["ingest.min_subbands", "17", "16"]),
        ("dates: [2025-10-1]", ["dates", "2025-10-1"]),
        ("beam: {model: table}", ["beam.table"]),
        ("imagin: {niter: 5}", ["imagin", "unknown", "imaging"]),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(
    tmp_path: Path, fault: str, words: list[str]
) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(fault + "\n")
    done = snakemake(tmp_path, "--dry-run", "--", "index/2025-10-01.json",
                     configs=[config], check=False)  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if words[0] in line]
    assert len(lines) == 1, done.stdout
    assert all(word in lines[0] for word in words)


def test_a_group_that_is_not_there_is_named(raw_only: Path) -> None:
    image = "images/2025-10-01/2025-10-01T01:02:03.pbcor.fits"
    done = snakemake(raw_only, "--dry-run", "--", image, check=False)
    assert done.returncode != 0
    assert "no raw files of group 2025-10-01T01:02:03" in done.stdout
    assert "index/2025-10-01.json lists" in done.stdout
