"""Housekeeping and the page of progress, on a reduced observation and with Snakemake itself."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from conftest import CONFIGS, DATES, ROOT, snakemake
from contimg.locks import LOCKS, Locks, Run
from contimg.retention import INTERMEDIATE, KINDS
from contimg.status import read_status, write_json, write_status
from contimg.tables import read_table
from workflow import copy_for_dry_runs, planned_rules

DATE, LATER = DATES[0], DATES[1]
REASON = "imaging diverged, they say: <script>alert(1)</script>"


def run_script(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / name), "--directory", str(folder)]
    done = [*command, "--configfile", *map(str, CONFIGS), *arguments]
    return subprocess.run(done, capture_output=True, text=True, check=False, cwd=ROOT)


def clean(folder: Path, *arguments: str) -> str:
    done = run_script("clean.py", folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bulky(folder: Path, date: str) -> set[str]:
    """Return the sets and images of a date, as paths in the working directory."""
    found = [*folder.glob(f"ms/*/{date}/*.ms"), *folder.glob(f"cal/{date}/*.solve.ms")]
    found += folder.glob(f"images/{date}/*.fits")
    return {str(path.relative_to(folder)) for path in found}


@pytest.fixture
def copy(observation: Path, tmp_path: Path) -> Path:
    return copy_for_dry_runs(observation, tmp_path / "copy")


def groups_of(folder: Path, date: str) -> list[str]:
    index = json.loads((folder / "index" / f"{date}.json").read_text())
    return [entry["group"] for entry in index["groups"]]


def leave(folder: Path, *sets: str) -> None:
    """Leave behind what killed runs leave."""
    for name in sets:
        (folder / name).mkdir(parents=True)
        (folder / name / "table.dat").write_text("x")


def test_nothing_is_made_again_after_a_clean_up_of_any_kind(copy: Path) -> None:
    group = groups_of(copy, DATE)[1]
    report = f"report/{DATE}/index.html"
    leftovers = {
        "raw_ms": [f"ms/raw/{DATE}/{group}.ms", f"cal/{DATE}/{group}.solve.ms"],
        "calibrated_ms": [f"ms/calibrated/{DATE}/{group}.ms"],
    }
    for kind in KINDS:
        leave(copy, *leftovers.get(kind, []))
        before = bulky(copy, DATE)
        clean(copy, "--date", DATE, "--kinds", kind, "--yes")
        assert bulky(copy, DATE) < before, kind
        if kind != "raw_ms":  # it is seen to with the next
            assert planned_rules(copy, report) == {}, kind
    # What the date's page links to is all that is left.
    assert {name.split(".", 1)[1] for name in bulky(copy, DATE)} == {"pbcor.fits"}
    # What is asked for by name is made again from the raw files, with what that takes.
    again = planned_rules(copy, f"images/{DATE}/{group}.psf.fits")
    assert again == dict.fromkeys(
        ("convert_group", "flag_group", "apply_calibration", "image_group"), 1
    )


def test_the_policy_shows_first_and_takes_what_is_old_and_finished(
    copy: Path, tmp_path: Path
) -> None:
    keep = tmp_path / "keep.yaml"
    keep.write_text("retention: {science_ms: 5, working_images: 5}\n")
    policy = ("--older-than-policy", "--configfile", *map(str, CONFIGS), str(keep))
    policy += ("--today", "2025-10-12")
    shutil.rmtree(copy / "report" / LATER)  # not finished, then
    published = min(name for name in bulky(copy, DATE) if name.endswith(".model.fits"))
    write_json(copy / "publish/2026a/products.json", {"products": [{"path": published}]})
    before = {date: bulky(copy, date) for date in DATES}
    shown = clean(copy, *policy)
    assert "Nothing was removed" in shown
    assert f"{LATER}: kept, it has no page yet" in shown
    assert {date: bulky(copy, date) for date in DATES} == before
    clean(copy, *policy, "--yes")
    gone = before[DATE] - bulky(copy, DATE)
    assert len(gone) == 3 * 4 - 1
    assert published not in gone
    assert {name.split(".", 1)[1] for name in gone} == {
        "ms", "psf.fits", "model.fits", "residual.fits",
    }  # fmt: skip
    assert [bulky(copy, date) for date in DATES[1:]] == [before[date] for date in DATES[1:]]


def test_a_date_that_a_run_writes_is_left_alone(copy: Path) -> None:
    before = bulky(copy, DATE)
    locks = Locks(copy, [DATE])
    try:
        refused = run_script("clean.py", copy, "--date", DATE, "--yes")
        assert refused.returncode == 1
        assert DATE in refused.stderr
        assert bulky(copy, DATE) == before
        clean(copy, "--date", LATER, "--yes")
    finally:
        locks.release()
    died = Run(name="a", host="here", pid=1, cluster=False)
    (copy / LOCKS / f"{DATE}.lock").write_text(json.dumps(asdict(died)) + "\n")
    refused = run_script("clean.py", copy, "--date", DATE, "--yes")
    assert (refused.returncode, "make resume" in refused.stderr) == (1, True)
    assert bulky(copy, DATE) == before
    (copy / LOCKS / f"{DATE}.lock").unlink()
    clean(copy, "--date", DATE, "--yes")
    left = {name.split(".", 1)[1] for name in bulky(copy, DATE)}
    assert left == {"image.fits", "pbcor.fits", "pb.fits", "rms.fits"}
    assert "images" not in INTERMEDIATE


def test_the_page_of_progress_tells_what_was_measured_rejected_and_failed(
    copy: Path, observation: Path
) -> None:
    for name in ("logs", "benchmarks"):
        shutil.copytree(observation / name, copy / name)
    groups = [
        one["group"] for one in json.loads((copy / f"index/{DATE}.json").read_text())["groups"]
    ]
    good, rejected, failed = groups
    spoiled = copy / f"images/{DATE}/{failed}.pb.fits"
    spoiled.unlink()
    spoiled.write_text("not an image\n")
    status = copy / f"images/{DATE}/{rejected}.image.json"
    status.unlink()
    write_status(status, status="rejected", reason=REASON)
    target = f"photometry/{DATE}/photometry.parquet"
    assert snakemake(copy, "--quiet", "rules", "--", target, check=False).returncode != 0
    assert run_script("report_status.py", copy).returncode == 0
    content = json.loads((copy / "report" / "status.json").read_text())
    assert content["live"] is False
    by_date = {one["date"]: one for one in content["dates"]}
    assert list(by_date) == sorted(DATES, reverse=True)
    told = by_date[DATE]["groups"]
    assert (told["measured"], told["rejected"], told["failed"]) == ([good], [rejected], [failed])
    assert by_date[DATE]["rejected"] == [{"group": rejected, "reason": REASON}]
    (failure,) = by_date[DATE]["failed"]
    log = (copy / failure["log"]).read_text().rstrip().splitlines()
    assert (failure["rule"], failure["reason"]) == ("measure_photometry", log[-1])
    # Of each date the raw files of one more group are still being written.
    assert [len(by_date[date]["waiting"]) for date in DATES] == [1, 1, 1]
    for date in DATES[1:]:
        counts = by_date[date]["counts"]
        assert counts["measured"] == by_date[date]["n_groups"] - 1
        assert by_date[date]["groups_per_hour"] > 0
    slowest = content["rules"][0]
    assert slowest["rule"] == "image_group"
    assert 0 < slowest["median_s"] <= slowest["max_s"]
    page = (copy / "report" / "status.html").read_text()
    assert "<script>alert" not in page
    assert failure["log"] in page
    # The page names no product, so that housekeeping is free to take them.
    assert "../images" not in page
    assert read_status(status).reason == REASON
    assert read_table(copy / f"photometry/{DATE}/{rejected}.parquet")[1]["reason"] == REASON
