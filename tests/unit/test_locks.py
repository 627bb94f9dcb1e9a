"""A date has one living writer, and the death of it frees the date, whatever it leaves behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from contimg.locks import LOCKS, RUN_VARIABLE, Held, Locks, marks, start_run, units_of
from contimg.recovery import end_processes, processes_of

DATE, OTHER = "2025-10-01", "2025-10-08"
# A scheduler: takes the locks, starts a job, tells its pid, and waits to be killed.
SCHEDULER = """
import subprocess, sys, time
from pathlib import Path
from contimg.locks import marks, start_run
start_run(Path(sys.argv[1]), sys.argv[2:], marks(Path(sys.argv[1])))
job = subprocess.Popen(["sleep", "100"], stdout=subprocess.DEVNULL)
print(job.pid, flush=True)
sys.stdin.read()
job.kill()
job.wait()
"""


def scheduler(directory: Path, *outputs: str) -> tuple[subprocess.Popen[str], int]:
    """Start a process that writes these outputs; return it and its job's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, str(directory), *outputs],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
    )  # fmt: skip
    return process, int(process.stdout.readline())


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_paths_belong_to_their_date_or_folder() -> None:
    paths = [f"ms/raw/{DATE}/{DATE}T15:00:00.ms", f"index/{OTHER}.json", "catalogs/x.sqlite3"]
    assert units_of(paths) == {DATE, OTHER, "catalogs"}


def test_a_living_run_keeps_its_date_and_no_other(tmp_path: Path) -> None:
    process, job = scheduler(tmp_path, f"images/{DATE}/a.fits", "catalogs/x.sqlite3")
    with pytest.raises(Held, match=rf"{DATE}: .*process {process.pid} on "):
        Locks(tmp_path, {DATE})
    with pytest.raises(Held, match="catalogs: "):
        Locks(tmp_path, {OTHER, "catalogs"})
    Locks(tmp_path, {OTHER}).release()  # also after the refusal
    process.communicate("")
    assert not lives(job)


def test_a_run_that_was_planned_beside_another_is_refused(tmp_path: Path) -> None:
    before = marks(tmp_path)
    process, _ = scheduler(tmp_path, f"images/{DATE}/a.fits")
    process.communicate("")
    with pytest.raises(Held, match=f"{DATE}: .* while this one was planned"):
        start_run(tmp_path, [f"images/{DATE}/b.fits"], before)
    assert lives_on(tmp_path, f"images/{DATE}/b.fits")


@pytest.mark.parametrize("output", [f"images/{DATE}/a.fits", "variability/lightcurves.parquet"])
def test_after_a_kill_nothing_starts_before_the_recovery(tmp_path: Path, output: str) -> None:
    process, _ = scheduler(tmp_path, output)
    kill(process)
    with pytest.raises(Held, match=rf"its run was killed \(process {process.pid} on "):
        start_run(tmp_path, [output], marks(tmp_path))
    (unit,) = units_of([output])
    locks = Locks(tmp_path, {unit})
    locks.forget()
    locks.release()
    assert lives_on(tmp_path, output)


def lives_on(directory: Path, output: str) -> bool:
    """Whether a run starts now."""
    process, _ = scheduler(directory, output)
    process.communicate("")
    return process.returncode == 0


def test_a_killed_run_frees_its_date_though_its_job_lives(tmp_path: Path) -> None:
    process, job = scheduler(tmp_path, f"images/{DATE}/a.fits")
    kill(process)
    locks = Locks(tmp_path, {DATE})
    (run,) = locks.runs()
    assert (run.pid, run.ended) == (process.pid, False)
    assert processes_of([run.name]) == {job}
    end_processes([run.name])
    assert processes_of([run.name]) == set()
    locks.forget()
    assert locks.runs() == []
    locks.release()


def test_a_run_that_came_to_its_end_says_so(tmp_path: Path) -> None:
    process, _ = scheduler(tmp_path, f"images/{DATE}/a.fits")
    process.communicate("")
    locks = Locks(tmp_path, {DATE})
    assert [run.ended for run in locks.runs()] == [True]
    locks.release()


def test_jobs_of_other_runs_are_left_alone(tmp_path: Path) -> None:
    mine, my_job = scheduler(tmp_path, f"images/{DATE}/a.fits")
    other, other_job = scheduler(tmp_path, f"images/{OTHER}/a.fits")
    kill(mine)
    locks = Locks(tmp_path, {DATE})
    names = [run.name for run in locks.runs()]
    end_processes(names)
    assert processes_of(names) == set()
    assert lives(other_job)
    assert my_job != other_job
    other.communicate("")
    locks.release()


def test_a_process_is_known_by_its_parent_when_it_lost_its_environment(tmp_path: Path) -> None:
    command = ["sh", "-c", "env -i sleep 100 >/dev/null & echo $!; wait"]
    shell = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, RUN_VARIABLE: "lost"}
    )
    sleep = int(shell.stdout.readline())
    assert processes_of(["lost"]) == {shell.pid, sleep}
    end_processes(["lost"])
    shell.communicate()
    assert not lives(sleep)


def test_what_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contimg.recovery.TERM_LIMIT_S", 0.3)
    deaf = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, RUN_VARIABLE: "deaf"},
    )  # fmt: skip
    deaf.stdout.readline()
    end_processes(["deaf"])
    deaf.communicate()
    assert deaf.returncode == -signal.SIGKILL


def test_a_half_written_line_costs_only_its_own_run(tmp_path: Path) -> None:
    path = tmp_path / LOCKS / f"{DATE}.lock"
    path.parent.mkdir(parents=True)
    path.write_text('{"name": "a", "host"')
    process, _ = scheduler(tmp_path, f"images/{DATE}/a.fits")
    kill(process)
    locks = Locks(tmp_path, {DATE})
    assert [run.pid for run in locks.runs()] == [process.pid]
    end_processes([run.name for run in locks.runs()])
    locks.release()
