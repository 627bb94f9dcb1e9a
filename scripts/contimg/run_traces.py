"""What runs leave behind: Snakemake's marks of what is half made, logs, and the lines in locks."""

import os
import socket
from base64 import urlsafe_b64decode
from contextlib import suppress
from pathlib import Path

from contimg.groups import GROUP
from contimg.locks import LOCKS, Run, runs_in

LAST_BYTES = 4096  # of a log, in which its last line is looked for
LONGEST_LINE = 400


def listed(folder: Path) -> list[str]:
    """Return the names in a folder; none when it is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def in_progress(directory: Path) -> set[str]:
    """Return the outputs that Snakemake has marked as being made, or as half made by a kill."""
    root = directory / ".snakemake" / "incomplete"
    found = set()
    for folder, _, names in os.walk(root):
        parts = [part.removeprefix("@") for part in Path(folder).relative_to(root).parts]
        for name in names:
            with suppress(ValueError):
                found.add(urlsafe_b64decode("".join([*parts, name])).decode())
    return found


def is_of(path: str, date: str, name: str) -> bool:
    """Whether an output belongs to the job of a group, of a mosaic, or of a whole date."""
    if date not in path:
        return False
    last = Path(path).name
    return not GROUP.match(last) if name == date else last.startswith(f"{name}.")


def last_moment(log: Path, benchmark: Path) -> tuple[float, bool]:
    """Return when a job gave its last sign, seconds since 1970, and whether it ended well then.

    A job that ends well writes its benchmark last.
    """
    written_s, ended_s = time_of(log), time_of(benchmark)
    return max(written_s, ended_s), ended_s >= written_s


def time_of(path: Path) -> float:
    """Return a file's time, seconds since 1970; 0 when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def last_line(log: Path) -> str:
    """Return the last line with text in it, cut where it is very long."""
    with suppress(FileNotFoundError), log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - LAST_BYTES))
        lines = stream.read().decode(errors="replace").split("\n")
        return next((line.strip()[:LONGEST_LINE] for line in lines[::-1] if line.strip()), "")
    return ""


def is_live(directory: Path) -> bool:
    """Whether a run lives in a working directory, as far as can be seen from this host."""
    for path in (directory / LOCKS).glob("*.lock"):
        with suppress(FileNotFoundError), path.open() as file:
            if any(not run.ended and may_live(run) for run in runs_in(file)):
                return True
    return False


def may_live(run: Run) -> bool:
    """Whether a run's process exists; of another host's nobody can tell, so it may."""
    return run.host != socket.gethostname() or Path(f"/proc/{run.pid}").exists()
