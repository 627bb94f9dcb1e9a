"""Which runs live: a lock a date, which the kernel frees when its holder ends, however it ends.

Snakemake's own lock files outlive a killed run, and each run that ends removes those of all
others in its directory. So a scheduler also takes an advisory lock (flock) on a small file for
each date that it is to write, and for each folder that is no date's (catalogs, variability), and
keeps it as long as it lives. The file has a line for each run since the last recovery: whoever
gets the lock can read whose leftovers to look for (`contimg.recovery`).
"""

import atexit
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

from contimg.groups import DATE
from contimg.recovery import RUN_VARIABLE, slurm_jobs_of

LOCKS = Path(".snakemake") / "runs"


@dataclass(frozen=True)
class Run:
    """A scheduler's run.

    Attributes
    ----------
    name : unique; in the environment of all that the run starts, and the name of its Slurm jobs.
    host : where the scheduler runs.
    pid : its process there.
    cluster : whether it gives its jobs to Slurm.
    ended : whether it came to an end of its own.
    """

    name: str
    host: str
    pid: int
    cluster: bool
    ended: bool = False


class Held(Exception):  # noqa: N818  (a state, not an error)
    """Another run writes the same date: it lives, or its jobs may."""


def units_of(paths: Iterable[str | Path]) -> set[str]:
    """Return what is locked for these paths: their dates; of a path without one, its folder."""
    found = set()
    for path in map(str, paths):
        date = DATE.search(path)
        found.add(date.group() if date else Path(path).parts[0])
    return found


class Locks:
    """The locks of some units in a working directory, held until `release` or the process's end.

    Raises
    ------
    Held
        When a living run has one of them; none is held then.
    OSError
        When the file system has no locks.
    """

    def __init__(self, directory: Path, units: Iterable[str]) -> None:
        self.directory = directory
        self._files: dict[str, TextIO] = {}
        try:
            for unit in sorted(units):
                self._files[unit] = self._locked(unit)
        except (Held, OSError):
            self.release()
            raise

    @property
    def units(self) -> set[str]:
        return set(self._files)

    def _locked(self, unit: str) -> TextIO:
        path = self.directory / LOCKS / f"{unit}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise Held(held_by(unit, runs_in(file))) from None
        except OSError as error:
            file.close()
            raise OSError(
                error.errno,
                f"{path}: this file system has no locks ({error.strerror}), and without them two "
                "runs could write one date; mount it with them (Lustre: -o flock)",
            ) from None
        return file

    def runs(self) -> list[Run]:
        """Return the runs since the last recovery that held one of these locks."""
        found = {run.name: run for file in self._files.values() for run in runs_in(file)}
        return list(found.values())

    def killed(self) -> list[tuple[str, Run]]:
        """Return the units, and the runs of them that came to no end of their own."""
        return [
            (unit, run)
            for unit, file in self._files.items()
            for run in runs_in(file)
            if not run.ended
        ]

    def enter(self, run: Run) -> None:
        """Write down that this process is `run`, and, when it comes to its end, that it ended.

        The interpreter's exit refers to these locks, so that they are held until then.
        """
        self._append(run)
        atexit.register(self._append_if_possible, replace(run, ended=True))

    def forget(self) -> None:
        """Take all runs off the list: nothing of them is left."""
        for file in self._files.values():
            file.truncate(0)

    def release(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _append(self, run: Run) -> None:
        for file in self._files.values():
            file.write(f"\n{json.dumps(asdict(run))}\n")
            file.flush()

    def _append_if_possible(self, run: Run) -> None:
        with suppress(OSError):  # a full disk: the run counts as killed
            self._append(run)


def runs_in(file: TextIO) -> list[Run]:
    """Return the runs that a lock file names, in their order; a half-written line is passed by."""
    file.seek(0)
    found: dict[str, Run] = {}
    for line in file:
        with suppress(json.JSONDecodeError, TypeError):
            run = Run(**json.loads(line))
            found[run.name] = run
    return list(found.values())


def held_by(unit: str, runs: list[Run]) -> str:
    """Say in one line who holds a lock."""
    living = [run for run in runs if not run.ended]
    if not living:
        return f"{unit}: held by a clean-up, a publication or a recovery; wait for its end"
    who = f"process {living[-1].pid} on {living[-1].host}"
    return f"{unit}: a living run writes it ({who}); wait for its end, or stop it first"


def marks(directory: Path) -> dict[str, tuple[int, int]]:
    """Return what each lock file's start or end of a run changes: its time (ns) and size."""
    files = {path.stem: path.stat() for path in (directory / LOCKS).glob("*.lock")}
    return {unit: (file.st_mtime_ns, file.st_size) for unit, file in files.items()}


def start_run(
    directory: Path,
    outputs: Iterable[str],
    before: Mapping[str, tuple[int, int]],
    slurm_name: str = "",
) -> Run:
    """Make this process the one that writes `outputs`, until it ends; name it to its children.

    Parameters
    ----------
    directory : the working directory.
    outputs : all paths that the run is to write.
    before : `marks` from before the run was planned.
    slurm_name : the name that the run gives to its Slurm jobs, if it gives its jobs to Slurm.

    Raises
    ------
    Held
        When another living run writes one of their dates, or did so while this one was planned;
        when a run of one was killed and not taken up by scripts/resume.py, or its Slurm jobs
        still run: they may write.
    """
    locks = Locks(directory, units_of(outputs))
    for unit, run in locks.killed():
        raise Held(
            f"{unit}: its run was killed (process {run.pid} on {run.host}), and jobs of it may "
            f"still write; take it up by scripts/resume.py (make resume)"
        )
    for unit, (time_ns, size) in marks(directory).items():
        if unit in locks.units and (time_ns, size) != before.get(unit, (time_ns, 0)):
            raise Held(
                f"{unit}: a living run writes it, or did while this one was planned; "
                "give the command again"
            )
    if slurm_name:
        jobs = slurm_jobs_of(run.name for run in locks.runs() if run.cluster)
        if jobs:
            raise Held(f"Slurm jobs {' '.join(jobs)} of an earlier run still write; wait for them")
    name = slurm_name or str(uuid.uuid4())
    run = Run(name, socket.gethostname(), os.getpid(), cluster=bool(slurm_name))
    locks.enter(run)
    os.environ[RUN_VARIABLE] = name
    return run
