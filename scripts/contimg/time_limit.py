"""A job's time limit, watched by a process of its own: it holds even when CASA never returns.

The watcher learns of the job's end by a pipe. It is run as a plain file (see `start`) and so
imports nothing but the standard library.
"""

import faulthandler
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

BEFORE_THE_END_S = 45.0
"""A limit falls this long before the rule's runtime ends, so that it and not Slurm ends the job."""

GRACE_S = 5.0
"""Time to tidy up in."""


def seconds_of(runtime_min: float) -> float:
    """Return the time limit of a rule with this runtime."""
    return max(60.0 * runtime_min - BEFORE_THE_END_S, 1.0)


def start(limit_s: float) -> None:
    """End this process and all that it started when the limit is reached, and say so on stderr.

    The stack of each thread goes to stderr first. From now on SIGTERM ends the process as an
    exception does: temporary files are removed.
    """
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    signal.signal(signal.SIGTERM, leave)
    reading, _ = os.pipe()  # the other end is open for as long as this process lives
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(limit_s)]
    stdin = [(os.POSIX_SPAWN_DUP2, reading, 0)]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=stdin, setsid=True)
    os.close(reading)


def leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"ended by SIGTERM\n")
    sys.exit(128 + number)


def watch(job: int, limit_s: float) -> None:
    """Wait for the job's end; at the limit end it, and say so on stderr.

    Parameters
    ----------
    job : process id of the parent, which holds the other end of stdin.
    """
    if ends_within(limit_s) or os.getppid() != job:
        return
    os.kill(job, signal.SIGUSR1)  # it writes its stacks
    if ends_within(1.0):
        return
    family = descendants(job)
    said = f"time limit of {limit_s:.0f} s reached: killed the job and {len(family)} processes "
    os.write(2, f"{said}that it had started\n".encode())
    os.kill(job, signal.SIGTERM)
    if not ends_within(GRACE_S):
        os.kill(job, signal.SIGSTOP)  # it starts no more
        family |= descendants(job)
        os.kill(job, signal.SIGKILL)
    for pid, started in family.items():
        if start_time(pid) == started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def ends_within(seconds: float) -> bool:
    """Whether the other end of stdin is closed within a time."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def descendants(pid: int) -> dict[int, str]:
    """Return the processes below a process, but not this one, with the times of their start."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            parents[int(path.name)] = fields_of(int(path.name))[1:2]
    found: dict[int, str] = {}
    generation = {pid}
    while generation:
        generation = {
            child for child, parent in parents.items()
            if parent and int(parent[0]) in generation and child != os.getpid()
        }  # fmt: skip
        found |= {child: start_time(child) for child in generation}
    return found


def start_time(pid: int) -> str:
    return next(iter(fields_of(pid)[19:20]), "")


def fields_of(pid: int) -> list[str]:
    """Return what /proc says of a process, from its state on; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
