"""Reduce the groups of a live telescope as they arrive: see `python scripts/watch.py --help`."""

import argparse
import fcntl
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contimg.configuration import ConfigurationError
from contimg.settings import settings_of
from contimg.watched import Incoming
from contimg.watcher import Watcher
from contimg.watching import Options

logger = logging.getLogger("watch")

LOCK = Path(".snakemake/watch.lock")


@contextmanager
def only_watcher() -> Iterator[None]:
    """Hold the directory's lock; the system lets go of it when the process ends in any way."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"watch.py: another watcher runs in {Path.cwd()}; stop it first")
        except OSError as error:
            sys.exit(f"watch.py: {LOCK.absolute()}: {error.strerror}; mount it with locks (flock)")
        yield


@contextmanager
def wakening_signals() -> Iterator[socket.socket]:
    """Give a socket that holds the numbers of the signals that came: to end, or a child's end."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        yield reader
        signal.set_wakeup_fd(-1)


def watch(watcher: Watcher, poll_s: float) -> None:
    """Take turns until a signal says to end or, with `once`, nothing is left to do."""
    with wakening_signals() as signals:
        while True:
            try:
                watcher.turn(time.time())
            except OSError as error:  # a file server that is away comes back
                logger.warning("%s; looking again", error)
            if watcher.options.once and watcher.idle:
                return
            if select.select([signals], [], [], poll_s)[0]:
                came = signals.recv(4096)
                if signal.SIGTERM in came or signal.SIGINT in came:
                    logger.info("stopping; waiting for %d Snakemake", len(watcher.children))
                    watcher.stop()
                    return


def parsed(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse the command line; what stands after `--` is Snakemake's."""
    end = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        description="Run Snakemake for each group that arrives in a working directory's incoming/, "
        "and for a date's page when it is over. Arguments after -- go to Snakemake.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--directory", type=Path, default=Path(), help="working directory")
    add("--configfile", type=Path, nargs="+", default=[], help="laid over config/config.yaml")
    add("--profile", default="local", help="Snakemake's profile")
    add("--settle", type=float, default=30.0, help="s without change after which a file is whole")
    add("--timeout", type=float, default=900.0, help="s after which a group is taken as it is")
    add("--retries", type=int, default=2, help="how often a failed group is tried again")
    add("--poll", type=float, default=10.0, help="s between two looks")
    add("--days", type=int, default=3, help="watch the newest dates in incoming, so many")
    add("--batch", type=int, default=16, help="groups in one run, at most")
    add("--schedulers", type=int, default=2, help="dates that run at once, at most")
    add("--grace", type=float, default=120.0, help="s that jobs may take to end at a stop")
    add("--once", action="store_true", help="end when nothing is left to do")
    arguments = parser.parse_args(words[:end])
    if not arguments.directory.is_dir():
        parser.error(f"--directory: {arguments.directory} is no directory; make it first")
    for name in ("settle", "timeout", "poll", "days", "batch", "schedulers"):
        if getattr(arguments, name) <= 0:
            parser.error(f"--{name}: {getattr(arguments, name):g} found, more than 0 expected")
    for name in ("retries", "grace"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name}: {getattr(arguments, name):g} found, 0 or more expected")
    if arguments.timeout < arguments.settle:
        parser.error("--timeout is shorter than --settle; a group is taken when its files settled")
    more = words[end + 1 :]
    if any(
        word.split("=")[0] in ("--config", "-C", "--configfile", "--configfiles") for word in more
    ):
        parser.error("give configuration in files, to --configfile before the --")
    if "--" in more or (more and not more[0].startswith("-")):
        parser.error("options only after the --: the watcher chooses the targets")
    return arguments, more


def snakemake_options(arguments: argparse.Namespace, more: list[str]) -> list[str]:
    """Return Snakemake's options; it runs from the checkout, where the profiles are."""
    profile = Path(arguments.profile)
    options = ["--profile", str(profile.resolve()) if profile.is_dir() else arguments.profile]
    if arguments.configfile:
        options += ["--configfile", *(str(path.resolve()) for path in arguments.configfile)]
    return [*options, *more]


def main(words: list[str]) -> None:
    """Watch a working directory until told to stop."""
    arguments, more = parsed(words)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    logging.Formatter.converter = time.gmtime
    try:
        config = settings_of(arguments.configfile)
    except (ConfigurationError, FileNotFoundError) as error:
        sys.exit(f"watch.py: {error}")
    ingest = config["ingest"]
    options = Options(
        settle_s=arguments.settle,
        timeout_s=arguments.timeout,
        retries=arguments.retries,
        batch=arguments.batch,
        schedulers=arguments.schedulers,
        n_subbands=ingest["n_subbands"],
        min_subbands=ingest["min_subbands"],
        name_tolerance_s=ingest["name_tolerance_s"],
        once=arguments.once,
    )
    for_snakemake = snakemake_options(arguments, more)
    os.chdir(arguments.directory)
    with only_watcher():
        logger.info("watching %s", Path(config["incoming"]).resolve())
        watcher = Watcher(Incoming(config, arguments.days), options, for_snakemake, arguments.grace)
        watch(watcher, arguments.poll)
        gave_up = [one for one in watcher.attempts.values() if one.failures > options.retries]
    if options.once and gave_up:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
