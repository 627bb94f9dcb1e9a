"""The demo's date on a real Slurm of two nodes and two partitions, through `--profile cluster`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_input import STRANGE_NAME

from conftest import CONFIGS, DATES, ROOT
from slurm import ACCOUNT, Slurm
from workflow import status, values

pytestmark = pytest.mark.slurm
DATE = DATES[0]
# Snakemake cannot quote an apostrophe together with what a shell understands (docs/how-to.md).
NASTY_FOLDER = """it is "$(touch pwned)" & <b>;"""
SITE = ["--profile", "cluster", "--profile", "profiles/slurm_test"]
LIMIT_S = 900


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with Slurm() as running:
        yield running


@dataclass(frozen=True)
class OnSlurm:
    """The reduced date, what the runs said, and what Slurm's accounting holds of them."""

    folder: Path
    output: str
    jobs: list[dict[str, str]]
    no_such_partition: str
    no_such_account: str
    apostrophe: str

    def jobs_of(self, group: str) -> list[dict[str, str]]:
        """Return the jobs whose comment names a group (the plugin puts the wildcards there)."""
        return [job for job in self.jobs if group in job["Comment"]]


@pytest.fixture(scope="module")
def on_slurm(
    cluster: Slurm, observation: Path, tmp_path_factory: pytest.TempPathFactory
) -> OnSlurm:
    home = tmp_path_factory.mktemp("slurm")
    folder = with_raw_files(observation, home / NASTY_FOLDER)
    (folder / "incoming" / STRANGE_NAME).write_text("x")
    other = with_raw_files(observation, home / "elsewhere")
    another = with_raw_files(observation, home / "another")
    apostrophe = with_raw_files(observation, home / "it's")
    report, index = f"report/{DATE}/index.html", f"index/{DATE}.json"
    on_long = ["--set-resources", "build_mosaic:slurm_partition=long"]
    nowhere = ["--retries", "0", "--default-resources", "slurm_partition=nowhere"]
    running = [
        start(cluster, folder, *SITE, *on_long, "--", report),
        start(cluster, other, *SITE, *nowhere, f"slurm_account={ACCOUNT}", "--", index),
        start(cluster, another, *SITE[:2], "--retries", "0", "--", index, SBATCH_ACCOUNT="nobody"),
        start(cluster, apostrophe, *SITE, "--", index),
    ]
    output, *refusals = [process.communicate(timeout=LIMIT_S)[0] for process in running]
    codes = [process.returncode for process in running]
    assert codes == [0, 1, 1, 1], output[-6000:]
    return OnSlurm(folder, output, cluster.jobs(), *refusals)


def with_raw_files(observation: Path, folder: Path) -> Path:
    """Make a working directory that holds the date's raw files and nothing else."""
    (folder / "incoming").mkdir(parents=True)
    for path in (observation / "incoming").glob(f"{DATE}*"):
        os.link(path, folder / "incoming" / path.name)
    return folder


def start(
    cluster: Slurm, folder: Path, *arguments: str, **variables: str
) -> "subprocess.Popen[str]":
    """Start `snakemake ...` in the root of the checkout, as users type it."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    where = ["--directory", str(folder), "--configfile", *map(str, CONFIGS)]
    command[3:3] = where
    return subprocess.Popen(
        command, cwd=ROOT, env={**cluster.environment, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_all_tables_and_pixels_are_those_of_the_local_run(
    on_slurm: OnSlurm, observation: Path
) -> None:
    found, local = values(on_slurm.folder), values(observation)
    # The record of what was found, and the page that shows it, name the strange file.
    of_the_date = [
        name for name in local
        if (DATE in name or name.startswith("catalogs/"))
        and not name.startswith(("index/", "report/", "simulated/"))
    ]  # fmt: skip
    assert [name for name in of_the_date if found.get(name) != local[name]] == []
    kinds = {Path(name).suffix for name in of_the_date}
    assert kinds == {".json", ".fits", ".parquet", ".sqlite3"}
    assert len([name for name in of_the_date if name.endswith(".fits")]) > 25


def test_a_science_group_is_one_job_on_one_node(on_slurm: OnSlurm) -> None:
    index = status(on_slurm.folder / f"index/{DATE}.json")
    groups = {group["group"]: group["calibrator"] for group in index["groups"]}
    assert len(groups) == 3
    for group, calibrator in groups.items():
        jobs = on_slurm.jobs_of(group)
        # A calibrator's group waits for the date's calibration between its two chains.
        assert len(jobs) == (1 if calibrator is None else 2), jobs
        assert {(job["State"], job["NodeList"] in ("n1", "n2")) for job in jobs} == {
            ("COMPLETED", True)
        }


def test_a_science_groups_job_asks_for_the_memory_of_what_runs_at_once_and_the_time_of_all(
    on_slurm: OnSlurm, cluster: Slurm
) -> None:
    index = status(on_slurm.folder / f"index/{DATE}.json")
    group = next(one["group"] for one in index["groups"] if one["calibrator"] is None)
    asked = cluster.jobs("Comment", "ReqMem", "TimelimitRaw")
    (job,) = [each for each in asked if group in each["Comment"]]
    # Flags are counted beside the application of calibration, which takes 300 MB a raw GB more (of
    # which there are 0.012): together more than imaging, with 60 for each of 2048^2 pixels.
    assert job["ReqMem"] == f"{800 + 800 + 300 * 0.0119:.0f}M"
    # minutes of conversion, flagging, application, imaging, beam and photometry
    assert int(job["TimelimitRaw"]) == 5 + 5 + 5 + 14 + 10 + 10


def test_both_partitions_and_both_nodes_were_used(on_slurm: OnSlurm) -> None:
    mosaics = {job["Partition"] for job in on_slurm.jobs if "build_mosaic" in job["Comment"]}
    others = {job["Partition"] for job in on_slurm.jobs if "build_mosaic" not in job["Comment"]}
    assert (mosaics, others) == ({"long"}, {"main"})
    assert {job["NodeList"] for job in on_slurm.jobs} == {"n1", "n2"}
    assert {job["Account"] for job in on_slurm.jobs} == {ACCOUNT}


def test_a_wrong_partition_or_account_is_told_in_plain_words(on_slurm: OnSlurm) -> None:
    assert "invalid partition specified: nowhere" in on_slurm.no_such_partition
    assert "Invalid account or account/partition combination" in on_slurm.no_such_account


def test_a_path_that_snakemake_cannot_quote_is_refused(on_slurm: OnSlurm) -> None:
    assert "jobs cannot quote an apostrophe" in on_slurm.apostrophe
    assert "submitted" not in on_slurm.apostrophe


def test_names_from_outside_do_nothing(on_slurm: OnSlurm) -> None:
    index = status(on_slurm.folder / f"index/{DATE}.json")
    assert STRANGE_NAME in [one["file"] for one in index["unrecognised"]]
    places = [on_slurm.folder.parent, ROOT]
    assert [path for place in places for path in place.glob("**/pwned")] == []


def test_no_step_was_repeated(on_slurm: OnSlurm) -> None:
    submitted = re.findall(r"submitted with SLURM jobid (\d+)", on_slurm.output)
    assert len(submitted) == len(set(submitted)) == len(on_slurm.jobs)
