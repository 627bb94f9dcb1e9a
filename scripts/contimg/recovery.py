"""What a killed run leaves behind, and how it is put away before the next run.

Its jobs may still run and write, here or on Slurm, and there may be half-written files,
half-removed sets, and temporary sets whose user is done.
"""

import os
import signal
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from contimg.status import is_whole, status_of

SNAKEMAKE_INCOMPLETE = Path(".snakemake") / "incomplete"
RUN_VARIABLE = "CONTIMG_RUN"
"""In the environment of all that a run starts: its name."""
FOLDERS = ("ms/raw", "ms/science", "ms/calibrated", "cal", "selfcal/*", "images", "quick",
           "photometry", "mosaics", "report", "simulated")  # fmt: skip
"""Patterns of the folders that hold one for each date."""
DIRECTORIES = (".ms", ".bcal", ".gcal", ".kcal")
"""Endings of products that are directories."""


class Temporary(NamedTuple):
    """A kind of temporary set: where it lies, and the product after which nobody needs it.

    `folder` and `ending` are patterns; in `last_user` {folder} is what was found.
    """

    folder: str
    ending: str
    last_user: str
    status_stays: bool = False


TEMPORARY = [
    Temporary("ms/raw", ".ms", "ms/science/{date}/{group}.ms.json"),
    Temporary("cal", ".solve.ms", "cal/{date}/{group}.gcal.json"),
    Temporary("ms/calibrated", ".ms", "images/{date}/{group}.image.json", status_stays=True),
    Temporary("selfcal/*", ".r[1-9].ms", "{folder}/{date}/{group}.ms.json"),
    Temporary("selfcal/*", ":[0-9][0-9].ms", "images/{date}/{group}.psf.fits", status_stays=True),
]

TERM_LIMIT_S = 15.0
KILL_LIMIT_S = 15.0
SLURM_LIMIT_S = 180.0


class RecoveryError(Exception):
    """Something of a dead run could not be put away; the message says what to do."""


def processes_of(names: Iterable[str]) -> set[int]:
    """Return the processes on this machine that these runs started, and what those started.

    They are known by a variable in their environment, which children inherit; a program in a
    container that lost it is known by its parent.
    """
    marks = {f"{RUN_VARIABLE}={name}".encode() for name in names}
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            pid = int(folder.name)
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
            if marks & set((folder / "environ").read_bytes().split(b"\0")):
                found.append(pid)
    closure: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in closure:
            closure.add(pid)
            found += children.get(pid, [])
    return closure - {os.getpid()}


def end_processes(names: Iterable[str]) -> None:
    """End what these runs left running: by SIGTERM, so that it cleans up, then by SIGKILL.

    Raises
    ------
    RecoveryError
        When a process does not end.
    """
    names = list(names)
    for message, limit_s in ((signal.SIGTERM, TERM_LIMIT_S), (signal.SIGKILL, KILL_LIMIT_S)):
        told: set[int] = set()

        def all_ended(message: signal.Signals = message, told: set[int] = told) -> bool:
            alive = processes_of(names)
            for pid in alive - told:
                with suppress(ProcessLookupError):
                    os.kill(pid, message)
            told |= alive
            return not alive

        if happens(all_ended, limit_s):
            return
    left = " ".join(map(str, sorted(processes_of(names))))
    raise RecoveryError(f"processes {left} of a dead run do not end: end them, then resume again")


def happens(condition: Callable[[], bool], limit_s: float, every_s: float = 0.1) -> bool:
    """Wait until a condition holds; return whether it came to hold in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True


def slurm_jobs_of(names: Iterable[str]) -> list[str]:
    """Return the ids of the Slurm jobs, waiting or running, that these runs submitted.

    Raises
    ------
    RecoveryError
        When Slurm does not answer.
    """
    names = list(names)
    if not names:
        return []
    listing = slurm("squeue", "--noheader", "--format=%A", f"--name={','.join(names)}")
    return sorted(set(listing.split()))


def end_slurm_jobs(names: Iterable[str]) -> None:
    """Cancel what these runs have on Slurm, and wait until it is gone.

    Raises
    ------
    RecoveryError
        When Slurm does not answer, or a job does not go.
    """
    names = list(names)
    jobs = slurm_jobs_of(names)
    if not jobs:
        return
    slurm("scancel", *jobs)
    if not happens(lambda: not slurm_jobs_of(names), SLURM_LIMIT_S, every_s=1):
        left = " ".join(slurm_jobs_of(names))
        raise RecoveryError(
            f"Slurm jobs {left} of a dead run do not end: see `squeue` for their nodes, start the "
            "slurmd of those or set them down, then resume again"
        )


def slurm(*command: str) -> str:
    """Return what a command of Slurm's prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SLURM_LIMIT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise RecoveryError(
            f"{command[0]}: {said}; the dead run has jobs on Slurm, so resume where it answers"
        ) from error
    return done.stdout


def parts_of(directory: Path, units: set[str]) -> list[Path]:
    """Return what is half-written, or was scratch, of dates or of folders that are no date's."""
    places = [
        place
        for unit in sorted(units)
        for place in (f"{unit}/.", f"index/.{unit}.", *(f"{each}/{unit}/" for each in FOLDERS))
    ]
    patterns = [f"{place}*{ending}" for place in places for ending in (".part", ".scratch")]
    return [path for pattern in patterns for path in sorted(directory.glob(pattern))]


def directories_of(directory: Path, dates: set[str]) -> list[Path]:
    """Return the dates' products that are directories."""
    return [
        path
        for date in sorted(dates)
        for folder in FOLDERS
        for path in sorted(directory.glob(f"{folder}/{date}/*"))
        if path.suffix in DIRECTORIES and path.is_dir()
    ]


def broken_directories(directory: Path, dates: set[str]) -> list[Path]:
    """Return directories among the dates' products that are not whole, with their statuses."""
    stays = {kind.folder for kind in TEMPORARY if kind.status_stays}
    found = []
    for path in directories_of(directory, dates):
        if not is_whole(path):
            found.append(path)
            folder = path.parent.parent.relative_to(directory)
            if not any(folder.match(pattern) for pattern in stays):
                found.append(status_of(path))
    return [path for path in found if path.exists()]


def unneeded_sets(directory: Path, dates: set[str]) -> list[Path]:
    """Return temporary sets whose last user is done, with those statuses that go with them."""
    found = []
    for kind in TEMPORARY:
        endings = [kind.ending] if kind.status_stays else [kind.ending, f"{kind.ending}.json"]
        for date in sorted(dates):
            for ending in endings:
                for path in sorted(directory.glob(f"{kind.folder}/{date}/*{ending}")):
                    folder = path.parent.parent.relative_to(directory)
                    group = path.name.split(".")[0]
                    user = kind.last_user.format(folder=folder, date=date, group=group)
                    if is_done(directory, user):
                        found.append(path)
    return found


def is_done(directory: Path, product: str) -> bool:
    """Whether a product is there and Snakemake had not started to make it (again)."""
    mark = urlsafe_b64encode(product.encode()).decode()
    return (directory / product).exists() and not (directory / SNAKEMAKE_INCOMPLETE / mark).exists()
