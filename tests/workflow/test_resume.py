"""A killed date has the values of an undisturbed one after the one documented command."""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.trials import Trial, Undisturbed, disturb_and_recover, duration_of
from conftest import ROOT, snakemake
from contimg.recovery import happens
from slurm import Slurm
from workflow import SMALL, SMALL_DATE, columns_of_ms, small_date_in

CALIBRATION = f"cal/{SMALL_DATE}/calibration.json"
OTHER_DATE = "2025-10-08"
LIMIT_S = 120


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = small_date_in(tmp_path_factory)
    return Undisturbed.of(folder, duration_of(folder))


def test_one_command_recovers_from_each_kind_of_death(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    kinds = ["scheduler", "disk", "job", "tree"]
    result = disturb_and_recover(kinds, "CI", undisturbed, tmp_path / "trial")
    assert result["hits"] == len(kinds), result
    assert result["problems"] == [], result


@pytest.mark.slurm
def test_one_command_recovers_from_dead_schedulers_and_nodes_of_slurm(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with Slurm() as cluster:
        rng = random.Random("CI")
        trial = Trial(tmp_path / "trial", undisturbed, rng, cluster, target=CALIBRATION)
        trial.copy_raw()
        run = trial.start(resume=False)
        for kind in ("scheduler", "slurmd"):
            wait_for(lambda run=run: "R" in states_of_jobs(cluster) or run.poll() is not None)
            assert trial.disturb(kind, run, 0), trial.output.read_text()
            if kind == "scheduler":
                assert "R" in states_of_jobs(cluster)  # its jobs live on
            run = trial.start(resume=True)
        assert trial.end(run) == [], trial.told
        assert (trial.date / CALIBRATION).exists()
        assert "resume: ends Slurm job" in trial.output.read_text()
        assert states_of_jobs(cluster) == []


def states_of_jobs(cluster: Slurm) -> list[str]:
    return cluster.run("squeue", "--noheader", "--format=%t").split()


@contextmanager
def running(folder: Path, date: str, *targets: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a date beside others: until its first conversion has begun, then the block."""
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", "1",
               "--configfile", *map(str, SMALL), "--", *targets]  # fmt: skip
    with (folder / f"{date}.txt").open("wb") as output:
        run = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: any(folder.glob(f"logs/{date}/convert_group/*.log")))
        assert run.poll() is None, (folder / f"{date}.txt").read_text()
        yield run
    finally:
        run.kill()
        run.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    assert happens(condition, LIMIT_S)


def resume(folder: Path, date: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/resume.py", "--directory", str(folder), "--date", date, *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_resuming_one_date_leaves_a_living_one_alone(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for name in ("incoming", "simulated"):
        shutil.copytree(undisturbed.folder / name, tmp_path / name)
    snakemake(tmp_path, "--", f"simulated/{OTHER_DATE}/truth.json", configs=SMALL)
    groups = sorted(path.stem for path in undisturbed.folder.glob("ms/science/*/*.ms"))
    sets = [f"ms/science/{SMALL_DATE}/{group}.ms.json" for group in groups]
    with running(tmp_path, SMALL_DATE, *sets) as living:
        with running(tmp_path, OTHER_DATE, f"report/{OTHER_DATE}/index.html") as dead:
            living.send_signal(signal.SIGSTOP)  # so that it lives through all of this
            dead.kill()
            dead.wait()
            report = f"report/{OTHER_DATE}/index.html"
            refused = snakemake(tmp_path, "--", report, configs=SMALL, check=False)
            assert f"{OTHER_DATE}: its run was killed (process {dead.pid} on" in refused.stdout
            done = resume(tmp_path, OTHER_DATE)
            assert done.returncode == 0, done.stderr
        refused = resume(tmp_path, SMALL_DATE)
        assert refused.returncode != 0
        assert f"{SMALL_DATE}: a living run writes it (process {living.pid} on" in refused.stderr
        again = snakemake(tmp_path, "--", *sets, configs=SMALL, check=False)
        assert f"{SMALL_DATE}: a living run writes it" in again.stdout
        living.send_signal(signal.SIGCONT)
        assert living.wait(LIMIT_S) == 0
    for path in sets:
        ms = path.removesuffix(".json")
        assert columns_of_ms(tmp_path / ms) == undisturbed.visibilities[ms]


def test_a_dry_run_of_resume_changes_nothing(tmp_path: Path) -> None:
    part = tmp_path / "cal" / SMALL_DATE / ".x.bcal.7.part"
    part.mkdir(parents=True)
    done = resume(tmp_path, SMALL_DATE, "--dry-run", "--", "--cores", "1")
    assert done.returncode == 0
    assert f"would remove cal/{SMALL_DATE}/.x.bcal.7.part" in done.stderr
    assert f"--directory {tmp_path} --rerun-incomplete --cores 1" in done.stderr
    assert part.exists()
