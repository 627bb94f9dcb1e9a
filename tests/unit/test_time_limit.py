"""Time limits: nothing of a job that hangs is left, and its log says why it ended."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_status import FUNCTIONS

from contimg import time_limit

SCRIPTS = Path(time_limit.__file__).parents[1]

# A program that hangs, with a child that hangs and hears of nothing but a kill.
HANGS = """#!/usr/bin/env bash
trap '' TERM INT
bash -c 'trap "" TERM; echo $$ >child; sleep 600 & wait' &
echo $$ >self
wait; wait; wait
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    program = tmp_path / "hangs"
    program.write_text(HANGS)
    program.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def is_alive(pid: int) -> bool:
    return time_limit.fields_of(pid)[:1] not in ([], ["Z"])


def wait_for_end(pids: list[int], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < end, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.02)


def pids_in(folder: Path) -> list[int]:
    return [int((folder / name).read_text()) for name in ("self", "child")]


# Hangs where Python cannot be interrupted, as CASA may: in C, with the interpreter's lock held.
IN_C = """
import ctypes, subprocess
from contimg import time_limit
time_limit.start(1.0)
subprocess.Popen(["./hangs"])
def solve():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # the second time waits for ever
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)
solve()
"""

IN_PYTHON = """
import subprocess, time
from pathlib import Path
from contimg import time_limit
from contimg.scratch import scratch_folder
time_limit.start(1.0)
subprocess.Popen(["./hangs"])
with scratch_folder(Path("tmp"), 0, Path("x.bcal")) as folder:
    (folder / "file").touch()
    time.sleep(600)
"""

ENDS = """
from contimg import time_limit
time_limit.start(600.0)
import os, pathlib
started = time_limit.descendants(os.getpid())
pathlib.Path("watcher").write_text(" ".join(map(str, started)))
"""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    with (folder / "log").open("w") as log:
        return subprocess.run(
            [sys.executable, "-c", program], cwd=folder, stdout=log, stderr=log, text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, timeout=60, check=False,
        )  # fmt: skip


SAID = "time limit of 1 s reached: killed the job and 3 processes that it had started\n"


def test_a_script_that_hangs_in_python_ends_with_all_it_started_and_tidies_up(
    folder: Path,
) -> None:
    assert run(IN_PYTHON, folder).returncode != 0
    wait_for_end(pids_in(folder))
    log = (folder / "log").read_text()
    assert SAID in log
    assert "line 10 in <module>" in log  # the stack
    assert list((folder / "tmp").iterdir()) == []


def test_a_script_that_hangs_in_c_ends_with_all_it_started(folder: Path) -> None:
    assert run(IN_C, folder).returncode != 0
    wait_for_end(pids_in(folder))
    log = (folder / "log").read_text()
    assert SAID in log
    assert "in solve" in log


def test_the_watcher_ends_with_the_job(folder: Path) -> None:
    assert run(ENDS, folder).returncode == 0
    watchers = [int(pid) for pid in (folder / "watcher").read_text().split()]
    assert len(watchers) == 1
    wait_for_end(watchers)
    assert (folder / "log").read_text() == ""


def test_a_limit_falls_before_the_runtime_that_slurm_enforces() -> None:
    assert time_limit.seconds_of(30) == 30 * 60 - 45
    assert time_limit.seconds_of(0.5) > 0


def shell_job(commands: str, folder: Path) -> subprocess.Popen[str]:
    text = f"set -euo pipefail\nexec >log 2>&1\n{FUNCTIONS.read_text()}\n{commands}"
    return subprocess.Popen(["bash", "-c", text], cwd=folder, text=True)


def test_a_program_of_a_shell_rule_that_hangs_ends_with_all_it_started(folder: Path) -> None:
    """Its limit is 2 s: of a runtime of 1 min, 45 s are for Slurm, and 13 s are over."""
    commands = "make_part . g.imaging; make_scratch tmp imaging 0; SECONDS=13; within 1 . ./hangs"
    assert shell_job(commands, folder).wait(60) != 0
    wait_for_end(pids_in(folder))
    log = (folder / "log").read_text()
    assert log.endswith("time limit of 2 s reached: killed ./hangs and what it had started\n")
    assert list((folder / "tmp").iterdir()) == []
    assert not list(folder.glob(".*.part"))


def test_a_shell_rule_that_is_told_to_end_takes_its_program_with_it(folder: Path) -> None:
    job = shell_job("make_part . g; make_scratch tmp imaging 0; within 9 . ./hangs", folder)
    end = time.monotonic() + 30
    while not (folder / "child").exists() or not (folder / "child").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    job.terminate()
    assert job.wait(30) == 128 + 15
    wait_for_end(pids_in(folder))
    assert "ended by SIGTERM" in (folder / "log").read_text()
    assert list((folder / "tmp").iterdir()) == []
    assert not list(folder.glob(".*.part"))


def test_a_program_that_fails_by_itself_is_not_said_to_have_run_into_its_limit(
    folder: Path,
) -> None:
    assert shell_job("within 9 . bash -c 'exit 3'; echo went on", folder).wait(30) == 3
    assert (folder / "log").read_text() == "bash ended with exit code 3\n"
