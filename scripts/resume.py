"""Take up dates whose run was killed: one command, and other dates may be running meanwhile."""

import argparse
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path

from contimg.checkout import CHECKOUT
from contimg.groups import DATE
from contimg.locks import LOCKS, Held, Locks, Run
from contimg.recovery import (
    RecoveryError,
    broken_directories,
    end_processes,
    end_slurm_jobs,
    parts_of,
    processes_of,
    slurm_jobs_of,
    unneeded_sets,
)
from contimg.scratch import remove_abandoned
from contimg.status import remove

logger = logging.getLogger("resume")

HELP = """\
Take up dates whose run was killed (scheduler, job, node, full disk), and run Snakemake again.

It ends what the dead runs left running, here and on Slurm, removes their locks, half-written
files and temporary sets that are not whole or not needed, and starts Snakemake with the arguments
after the first `--`, as you gave them before. Without arguments it only recovers. It does nothing
to a date whose run lives, and nothing to other dates.

    python scripts/resume.py --directory D --date 2025-10-01 -- \\
        --profile cluster -- report/2025-10-01/index.html
"""


def main(arguments: list[str]) -> None:
    ours, theirs = split(arguments)
    options = parse(ours)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        recover(
            options.directory, set(options.date), host_is_down=options.host_is_down,
            dry_run=options.dry_run,
        )  # fmt: skip
    except (Held, RecoveryError, OSError) as error:
        sys.exit(f"resume: {error}")
    if theirs:
        command = snakemake_command(options.directory, theirs)
        logger.info("%s %s", "would run" if options.dry_run else "runs", " ".join(command))
        if not options.dry_run:
            os.execv(command[0], command)


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part our arguments from Snakemake's, at the first `--`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] --date DATE [--date DATE ...] [-- SNAKEMAKE ARGUMENTS]",
    )  # fmt: skip
    parser.add_argument("--directory", type=Path, default=Path(), help="the working directory")
    parser.add_argument(
        "--date",
        action="append",
        default=[],
        type=date,
        help="YYYY-MM-DD; can be repeated; none: what is no date's (catalogs, variability, report)",
    )
    parser.add_argument(
        "--host-is-down", action="store_true",
        help="the dead run was on another host, and that is down or has none of its processes",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    return parser.parse_args(arguments)


def date(text: str) -> str:
    if not DATE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no date: give YYYY-MM-DD")
    return text


def snakemake_command(directory: Path, arguments: list[str]) -> list[str]:
    """Return the command that runs the workflow with the user's arguments, which are stronger."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"),
            "--directory", str(directory), "--rerun-incomplete", *arguments]  # fmt: skip


def recover(directory: Path, dates: set[str], *, host_is_down: bool, dry_run: bool) -> None:
    """Put away what dead runs of some dates left in a working directory.

    Raises
    ------
    Held
        When a run of one of the dates lives.
    RecoveryError
        When something of a dead run cannot be ended.
    """
    if not directory.is_dir():
        raise RecoveryError(f"{directory}: no such directory; give --directory")
    locks = Locks(directory, dates)
    folders = folders_of_the_dead(directory, {run.name for run in locks.runs()} if dates else None)
    runs = [run for each in (locks, *folders) for run in each.runs()]
    units = locks.units.union(*(each.units for each in folders))
    end_jobs(runs, host_is_down=host_is_down, dry_run=dry_run)
    for what, find in (
        ("half-written", lambda: parts_of(directory, units)),
        ("not whole", lambda: broken_directories(directory, dates)),
        ("not needed any more", lambda: unneeded_sets(directory, dates)),
    ):
        for path in find():
            verb = "would remove" if dry_run else "removes"
            logger.info("%s %s (%s)", verb, path.relative_to(directory), what)
            if not dry_run:
                remove(path)
    if not dry_run:
        remove_abandoned(Path(tempfile.gettempdir()))
    for each in (locks, *folders):
        if not dry_run:
            each.forget()
        each.release()


def folders_of_the_dead(directory: Path, names: set[str] | None) -> list[Locks]:
    """Take the locks of folders that are no date's and that no living run has.

    Parameters
    ----------
    names : only folders whose killed runs are among these; None: all.
    """
    found = []
    for path in sorted((directory / LOCKS).glob("*.lock")):
        if not DATE.fullmatch(path.stem):
            try:
                locks = Locks(directory, {path.stem})
                if names is None or {run.name for _, run in locks.killed()} <= names:
                    found.append(locks)
                else:
                    locks.release()
            except Held as held:
                logger.info("%s; leaves it alone", held)
    return found


def end_jobs(runs: list[Run], *, host_is_down: bool, dry_run: bool) -> None:
    """End what dead runs left running, on Slurm and on this machine."""
    here = socket.gethostname()
    away = [run for run in runs if run.host != here and not run.cluster and not run.ended]
    if away and not host_is_down:
        raise RecoveryError(
            f"the dead run was on {away[-1].host} (process {away[-1].pid}), and its jobs may still "
            f"write: resume there, or give --host-is-down if {away[-1].host} is down"
        )
    names = {run.name for run in runs}
    on_slurm = {run.name for run in runs if run.cluster}
    verb = "would end" if dry_run else "ends"
    for job in slurm_jobs_of(on_slurm):
        logger.info("%s Slurm job %s", verb, job)
    if not dry_run:
        end_slurm_jobs(on_slurm)
    for pid in sorted(processes_of(names)):
        logger.info("%s process %d", verb, pid)
    if not dry_run:
        end_processes(names)


if __name__ == "__main__":
    main(sys.argv[1:])
