"""Runs that are killed at random moments, and what the documented recovery makes of them.

Each trial reduces a small date from its raw files, disturbs the run at a moment drawn uniformly
over the duration of an undisturbed one, recovers by the one command that the documentation gives
(scripts/resume.py), and compares all products with the undisturbed run's.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from conftest import ROOT
from contimg.groups import DATE
from contimg.locks import LOCKS, RUN_VARIABLE, Locks
from contimg.recovery import TEMPORARY, broken_directories, happens
from slurm import NODES, Slurm
from workflow import SMALL, SMALL_DATE, columns_of_ms, values

KINDS = ("scheduler", "tree", "job", "disk", "slurmd")
REPORT = f"report/{SMALL_DATE}/index.html"
DISK_MB = 200
RUN_LIMIT_S = 900
OUTAGE_S = 20


@dataclass(frozen=True)
class Undisturbed:
    """The products of an undisturbed run, and how long it took."""

    folder: Path
    duration_s: float
    values: dict[str, str]
    visibilities: dict[str, str]

    @classmethod
    def of(cls, folder: Path, duration_s: float) -> "Undisturbed":
        return cls(folder, duration_s, values(folder), visibilities(folder))


@dataclass
class Trial:
    """A date whose run is disturbed, in a working directory and with a scratch folder of its own.

    Attributes
    ----------
    home : holds the working directory `date`, the scratch folder `scratch` and `output.txt`.
    undisturbed : what the products must equal.
    rng : draws moments and victims.
    cluster : the Slurm that the jobs go to, if any.
    target : what is asked for; of other products than the report, only what is there is judged.
    told : what was done, a line each.
    """

    home: Path
    undisturbed: Undisturbed
    rng: random.Random
    cluster: Slurm | None = None
    target: str = REPORT
    told: list[str] = field(default_factory=list)

    @property
    def date(self) -> Path:
        return self.home / "date"

    @property
    def scratch(self) -> Path:
        return self.home / "scratch"

    @property
    def output(self) -> Path:
        return self.home / "output.txt"

    def copy_raw(self) -> None:
        for name in ("incoming", "simulated"):
            shutil.copytree(self.undisturbed.folder / name, self.date / name)
        self.scratch.mkdir(exist_ok=True)

    def start(self, *, resume: bool) -> subprocess.Popen[bytes]:
        """Start the run, or the recovery, which becomes the run."""
        where = on_slurm() if self.cluster else ["--cores", "2"]
        options = [*where, "--configfile", *map(str, SMALL), "--", self.target]
        command = ["-m", "snakemake", "--directory", str(self.date)]
        if resume:
            directory = ["--directory", str(self.date)]
            command = ["scripts/resume.py", *directory, "--date", SMALL_DATE, "--"]
        environment = {**(self.cluster.environment if self.cluster else os.environ),
                       "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1"}  # fmt: skip
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *command, *options], cwd=ROOT, env=environment,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def disturb(self, kind: str, run: subprocess.Popen[bytes], moment_s: float) -> bool:
        """Disturb a run `moment_s` after its start, and wait for its end."""
        with suppress(subprocess.TimeoutExpired):
            run.wait(moment_s)
            self.told.append(f"{kind}: the run ended before {moment_s:.1f} s")
            return False
        victim = DISTURBANCES[kind](self, run)
        run.wait(RUN_LIMIT_S)
        with suppress(FileNotFoundError):
            ballast(self.date).unlink()
        self.told.append(f"{kind} at {moment_s:.1f} s: {victim or 'nothing was running any more'}")
        return bool(victim)

    def end(self, run: subprocess.Popen[bytes]) -> list[str]:
        """Wait for the last recovery, and say what is wrong with what it made."""
        code = run.wait(RUN_LIMIT_S)
        if code:
            return [f"the recovery ended with exit code {code}"]
        problems = different(self.date, self.undisturbed, whole=self.target == REPORT)
        return problems + left_behind(self.date, self.scratch)


def on_slurm() -> list[str]:
    """Return the options of a run on the tests' Slurm."""
    return ["--profile", "cluster", "--profile", "profiles/slurm_test"]


# What is done to a run. Each returns what it hit.


def kill_scheduler(trial: Trial, run: subprocess.Popen[bytes]) -> str:
    run.send_signal(signal.SIGKILL)
    return f"process {run.pid}"


def kill_tree(trial: Trial, run: subprocess.Popen[bytes]) -> str:
    """Kill a run with all that it started, as when its machine loses power."""
    victims = [psutil.Process(run.pid), *descendants(run.pid)]
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    victims += [process for process in descendants(run.pid) if process not in victims]
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return f"{len(victims)} processes"


def kill_job(trial: Trial, run: subprocess.Popen[bytes]) -> str:
    """Kill one process, any, of a running job: its shell, its script or a program."""
    happens(lambda: bool(processes_of_jobs(run.pid)) or run.poll() is not None, RUN_LIMIT_S)
    for victim in trial.rng.sample(victims := processes_of_jobs(run.pid), len(victims)):
        with suppress(psutil.NoSuchProcess):
            command = " ".join(Path(word).name for word in victim.cmdline()[:3])
            victim.kill()
            return command[:80]
    return ""


def fill_disk(trial: Trial, run: subprocess.Popen[bytes]) -> str:
    """Fill the file system of the working directory to the last byte."""
    written = 0
    with ballast(trial.date).open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            written += stream.write(bytes(4096))
    return f"{written / 1e6:.0f} MB of ballast"


def kill_slurmd(trial: Trial, run: subprocess.Popen[bytes]) -> str:
    """Kill a node's daemon, with or without the node's jobs, and start it again after a while."""
    name, with_jobs = trial.rng.choice(NODES), trial.rng.random() < 0.5
    outage_s = trial.rng.uniform(0, OUTAGE_S)
    trial.cluster.kill_node(name, with_jobs=with_jobs)
    with suppress(subprocess.TimeoutExpired):
        run.wait(outage_s)
    trial.cluster.start_node(name)
    return f"{name}{' with its jobs' if with_jobs else ''}, {outage_s:.1f} s"


DISTURBANCES: dict[str, Callable[[Trial, subprocess.Popen[bytes]], str]] = {
    "scheduler": kill_scheduler,
    "tree": kill_tree,
    "job": kill_job,
    "disk": fill_disk,
    "slurmd": kill_slurmd,
}


def descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def processes_of_jobs(pid: int) -> list[psutil.Process]:
    """Return what a run has started since its jobs began, but for the watchdogs of time limits."""
    found = []
    for process in descendants(pid):
        with suppress(psutil.NoSuchProcess):
            watchdog = any("time_limit.py" in word for word in process.cmdline())
            if RUN_VARIABLE in process.environ() and not watchdog:
                found.append(process)
    return found


def ballast(date: Path) -> Path:
    return date / "ballast"


# What must be true in the end.


def visibilities(folder: Path) -> dict[str, str]:
    """Return a digest of the visibilities and flags of each science set."""
    sets = sorted(folder.glob("ms/science/*/*.ms"))
    return {str(path.relative_to(folder)): columns_of_ms(path) for path in sets}


def different(date: Path, undisturbed: Undisturbed, *, whole: bool) -> list[str]:
    """Say which products are not there (of a whole date), are too much, or have other values."""
    found, expected = values(date), undisturbed.values
    lacking = expected.keys() - found.keys() if whole else ()
    problems = [f"{name}: missing" for name in sorted(lacking)]
    problems += [f"{name}: too much" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"{name}: other values" for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]  # fmt: skip
    problems += [
        f"{path.relative_to(date)}: not whole" for path in broken_directories(date, {SMALL_DATE})
    ]
    if not problems:
        problems = [
            f"{name}: other visibilities or flags" for name, digest in visibilities(date).items()
            if digest != undisturbed.visibilities[name]
        ]  # fmt: skip
    return problems


def left_behind(date: Path, scratch: Path) -> list[str]:
    """Say what the recovered run did not clean up: files, scratch, locks, processes."""
    paths = [path for path in date.rglob("*.part") if ".snakemake" not in path.parts]
    for kind in TEMPORARY:
        paths += date.glob(f"{kind.folder}/*/*{kind.ending}")
    paths += (date / ".snakemake" / "locks").glob("*")
    paths += (date / ".snakemake" / "incomplete").glob("*")
    # Snakemake makes an empty folder there, which a killed one leaves.
    paths += [path for path in scratch.iterdir() if path.is_file() or any(path.iterdir())]
    problems = [f"{path}: left behind" for path in paths]
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(str(date)):
            with suppress(psutil.NoSuchProcess):
                problems.append(f"process {process.pid} ({process.name()}): left behind")
    Locks(date, {SMALL_DATE, *folders_with_locks(date)}).release()  # raises when one is held
    return problems


def folders_with_locks(date: Path) -> set[str]:
    return {path.stem for path in (date / LOCKS).glob("*.lock") if not DATE.fullmatch(path.stem)}


# One trial.


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a file system of limited size on a folder, while the block lasts."""
    size = f"size={megabytes}m"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disturb_and_recover(
    kinds: list[str], seed: str, undisturbed: Undisturbed, home: Path, cluster: Slurm | None = None
) -> dict[str, object]:
    """Disturb a date's run once for each of `kinds`, recovering each time; judge the result."""
    trial = Trial(home, undisturbed, random.Random(seed), cluster)
    home.mkdir(parents=True)
    with ExitStack() as stack:
        if "disk" in kinds:
            stack.enter_context(small_disk(trial.date, DISK_MB))
        trial.copy_raw()
        run = trial.start(resume=False)
        try:
            hits = 0
            for kind in kinds:
                moment_s = trial.rng.uniform(0, undisturbed.duration_s / len(kinds))
                hits += trial.disturb(kind, run, moment_s)
                start = time.monotonic()
                run = trial.start(resume=True)
            problems = trial.end(run)
        finally:
            kill_tree(trial, run) if run.poll() is None else None
        if problems and "disk" in kinds:
            shutil.copytree(trial.date, home / "kept", symlinks=True)
    return {"seed": seed, "told": trial.told, "hits": hits, "problems": problems,
            "recovery_s": round(time.monotonic() - start, 1)}  # fmt: skip


def duration_of(date: Path) -> float:
    """Return how long the reduction of a date took, by Snakemake's own log."""
    log = max((date / ".snakemake" / "log").glob("*.log"))
    elapsed = log.read_text().rpartition("Elapsed time: ")[2].split()[0]
    hours, minutes, seconds = elapsed.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
