"""An imager that hangs, and a job that is killed: the rest goes on, and nothing is left behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT, snakemake
from contimg.time_limit import fields_of
from workflow import SMALL, SMALL_DATE, small_date_in, values

# WSClean, but that it hangs on one group, as does a child that hears of nothing but a kill.
STAND_IN = """#!/usr/bin/env bash
case "$*" in
    *@GROUP@*)
        bash -c 'trap "" TERM; echo $$ >>"$0"; sleep 600' "@PIDS@" &
        echo $$ >>"@PIDS@"
        sleep 600 ;;
    *) exec @WSCLEAN@ "$@" ;;
esac
"""


class HangingDate:
    """A working directory with the small date up to its calibration, and a WSClean that hangs."""

    def __init__(self, small_date: Path, home: Path) -> None:
        self.folder, self.tmpdir, self.pids = home / "date", home / "a node's disk", home / "pids"
        for name in (".snakemake", "incoming", "ms/science", "cal", "catalogs"):
            shutil.copytree(small_date / name, self.folder / name)
        groups = sorted(path.stem for path in self.folder.glob(f"ms/science/{SMALL_DATE}/*.ms"))
        self.good, self.hanging = groups[-2:]
        self.programs = home / "bin"
        for folder in (self.tmpdir, self.programs):
            folder.mkdir()
        text = STAND_IN.replace("@GROUP@", self.hanging).replace("@PIDS@", str(self.pids))
        stand_in = self.programs / "wsclean"
        stand_in.write_text(text.replace("@WSCLEAN@", shutil.which("wsclean") or ""))
        stand_in.chmod(0o755)

    def image(self, group: str) -> Path:
        return Path(f"images/{SMALL_DATE}/{group}.pbcor.fits")

    def hung(self) -> list[int]:
        """The processes of the stand-in, once both are there."""
        pids = self.pids.read_text().split() if self.pids.exists() else []
        return [int(pid) for pid in pids] if len(pids) == 2 else []

    def leftovers(self) -> list[Path]:
        hidden = [path for path in self.folder.rglob(".*.part") if ".snakemake" not in path.parts]
        return [*hidden, *self.tmpdir.glob("contimg-*")]


@pytest.fixture
def date(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch) -> HangingDate:
    date = HangingDate(small_date_in(tmp_path_factory), tmp_path)
    monkeypatch.setenv("PATH", f"{date.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(date.tmpdir))
    return date


def is_alive(pid: int) -> bool:
    return fields_of(pid)[:1] not in ([], ["Z"])


def test_an_imager_that_hangs_fails_its_rule_in_time_and_the_date_goes_on(
    date: HangingDate,
) -> None:
    """A runtime of 1 min, less the 45 s that are left to Slurm, is a limit of 15 s."""
    limit = ["--set-resources", "image_group:runtime=1", "--retries", "0"]
    targets = [str(date.image(group)) for group in (date.hanging, date.good)]
    done = snakemake(date.folder, *limit, "--", *targets, configs=SMALL, check=False)
    assert done.returncode != 0
    log = date.folder / f"logs/{SMALL_DATE}/image_group/{date.hanging}.log"
    assert "s reached: killed wsclean and what it had started" in log.read_text()
    assert "killed wsclean" in done.stdout  # (the run's end shows the logs of what failed)
    assert len(date.hung()) == 2
    assert not [pid for pid in date.hung() if is_alive(pid)]
    assert (date.folder / date.image(date.good)).is_file()
    assert not list(date.folder.glob(f"images/*/{date.hanging}.*.fits"))
    assert date.leftovers() == []


def test_what_a_killed_job_left_is_gone_after_the_next_run(
    date: HangingDate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2",
        "--directory", date.folder, "--configfile", *SMALL, "--", date.image(date.hanging),
    ]  # fmt: skip
    output = date.folder.with_name("output.txt")
    with output.open("w") as stream:
        running = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, start_new_session=True,
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    end = time.monotonic() + 120
    while not date.hung():
        assert running.poll() is None, output.read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    os.killpg(os.getpgid(date.hung()[0]), signal.SIGKILL)  # the program's own process group
    assert len(date.leftovers()) == 2  # the folder beside the images, and the one in TMPDIR
    (date.programs / "wsclean").unlink()
    resume = [sys.executable, "scripts/resume.py", "--directory", date.folder, "--date", SMALL_DATE]
    subprocess.run(resume, cwd=ROOT, check=True)
    snakemake(date.folder, "--", str(date.image(date.hanging)), configs=SMALL)
    assert date.leftovers() == []
    first, second = values(small_date_in(tmp_path_factory)), values(date.folder)
    made = [name for name in second if name.startswith("images/")]
    assert len(made) == 9
    assert [name for name in made if first[name] != second[name]] == []
