"""The watcher's loop: it looks, starts Snakemake, notes what became of it, and says so.

What to do is decided in `contimg.watching`; what there is, is read in `contimg.watched`.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from contimg import watching
from contimg.checkout import CHECKOUT
from contimg.groups import date_of_group, group_of_mjd
from contimg.inventory import Group
from contimg.watched import CALIBRATION, Incoming, Published, mtime_s
from contimg.watching import Arrival, Attempt, Day, Input, Options, Product, Run, Tally

logger = logging.getLogger("watch")

LOCKED_OUT = (
    b"a living run writes it",
    b"held by a clean-up",
    b"its run was killed",
    b"of an earlier run still write",
)
PHOTOMETRY = "photometry/{date}/{group}.parquet"
PAGE = "report/{date}/index.html"
KILL_S = 30.0  # from one way of ending Snakemake to the next, harder one


@dataclass
class Child:
    """A Snakemake that runs, what it says, and which groups' photometry has been told of."""

    run: Run
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    told: set[str] = field(default_factory=set)

    def was_locked_out(self) -> bool:
        with self.log.open("rb") as stream:
            stream.seek(self.log_start)
            said = stream.read()
        return any(words in said for words in LOCKED_OUT)

    def made(self) -> list[tuple[Product, float]]:
        """Return the products that this run has made so far, and when."""
        times = [(product, mtime_s(product.target)) for product in self.run.products]
        return [(one, at_s) for one, at_s in times if at_s >= one.newest_s and at_s != one.made_s]


class Watcher:
    """The loop's state: what was tried in this process, what runs, what was told.

    Parameters
    ----------
    incoming : the raw files.
    options : how to decide.
    snakemake_options : as on its command line, without directory and targets.
    grace_s : how long running jobs may take to end when the watcher is stopped.
    """

    def __init__(
        self, incoming: Incoming, options: Options, snakemake_options: list[str], grace_s: float
    ) -> None:
        self.incoming, self.options = incoming, options
        self.snakemake_options, self.grace_s = snakemake_options, grace_s
        self.published = Published()
        self.attempts: dict[str, Attempt] = {}
        self.children: dict[str, Child] = {}
        self.ended_well: set[str] = set()
        self.locked_until_s: dict[str, float] = {}
        self.taken: dict[str, Arrival] = {}
        self.tallies: dict[str, Tally] = {}
        self.told: dict[str, object] = {}
        self.idle = False

    # -- one turn of the loop

    def turn(self, now_s: float) -> None:
        """Look, note what has ended, start what can be started."""
        for child in self.children.values():
            self.tell_photometry(child)
        for date, child in list(self.children.items()):
            if child.process.poll() is not None:
                self.note_end(self.children.pop(date), now_s)
        arrivals = self.incoming.arrivals(now_s, self.options)
        days = self.days(arrivals, now_s)
        locked_out = {date for date, until_s in self.locked_until_s.items() if now_s < until_s}
        runs = watching.next_runs(
            days, self.attempts, self.children.keys() | locked_out, self.options
        )
        for run in runs:
            self.start(run)
        self.idle = not (self.children or locked_out) and all(one.ready for one in arrivals)
        self.forget_all_but({day.date for day in days} | self.children.keys())

    def days(self, arrivals: list[Arrival], now_s: float) -> list[Day]:
        """Bring together what is known of each date."""
        identified = self.incoming.identified(arrivals)
        by_date: dict[str, list[Arrival]] = {}
        for one in arrivals:
            group = identified.get(one.inputs)
            name = group.name if group else group_of_mjd(min(one.cluster).mjd)
            by_date.setdefault(date_of_group(name), []).append(one)
        newest = max(by_date, default="")
        return [
            self.day(date, by_date[date], identified, date < newest, now_s)
            for date in sorted(by_date)
        ]

    def day(
        self,
        date: str,
        arrivals: list[Arrival],
        identified: dict[frozenset[Input], Group],
        later_ones_came: bool,
        now_s: float,
    ) -> Day:
        """Say what a date has: groups to ask for, its page when it is over, what holds it up."""
        members: dict[str, list[Arrival]] = {}
        held_by = ""
        for one in arrivals:
            group = identified.get(one.inputs)
            if group and one.ready:
                self.tell_taken(one, group, now_s)
                if group.status != "rejected":
                    members.setdefault(group.name, []).append(one)
            elif group and self.incoming.may_calibrate(group):
                held_by = group.name
        groups = {
            name: self.published.product(PHOTOMETRY.format(date=date, group=name), of_group)
            for name, of_group in members.items()
        }
        page = None
        if watching.is_over(arrivals, later_ones_came, now_s, self.options):
            page = self.published.product(PAGE.format(date=date), arrivals)
        to_do = watching.waiting(groups.values(), self.attempts, self.options.retries)
        self.tallies[date] = self.tallies.get(date, Tally()).with_backlog(len(to_do))
        if held_by and to_do:
            self.tell_once(f"held {date}", held_by, f"{date}: waits for calibrator {held_by}")
        calibrated_s = mtime_s(CALIBRATION.format(date=date))
        return Day(
            date,
            groups=list(groups.values()),
            uncalibrated=self.published.uncalibrated(date, groups),
            page=page,
            held_by=held_by,
            calibrated=all(calibrated_s >= product.newest_s for product in to_do),
        )

    def forget_all_but(self, dates: set[str]) -> None:
        """Drop what is kept of dates that are not watched any more."""
        self.attempts = {
            target: attempt
            for target, attempt in self.attempts.items()
            if target.split("/")[1] in dates
        }
        self.taken = {name: one for name, one in self.taken.items() if name[:10] in dates}
        self.tallies = {date: tally for date, tally in self.tallies.items() if date in dates}
        self.told = {
            about: value for about, value in self.told.items() if about.split()[1][:10] in dates
        }

    # -- Snakemake

    def start(self, run: Run) -> None:
        """Start Snakemake for a date's products; what it says goes to logs/DATE/watch.log."""
        log = Path("logs", run.date, "watch.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        targets = [product.target for product in run.products]
        with log.open("ab") as stream:
            log_start = stream.tell()
            process = subprocess.Popen(
                [*self.program(run.date), *self.snakemake_options, "--", *targets],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                start_new_session=True,  # a Ctrl-C at a terminal is for the watcher to pass on
            )
            self.children[run.date] = Child(run, process, log, log_start)
        what = targets[0] if len(targets) == 1 else f"{len(targets)} groups"
        logger.info("%s: Snakemake starts for %s; it writes to %s", run.date, what, log)

    def program(self, date: str) -> list[str]:
        """Return what starts Snakemake: itself, or what first puts away a dead run's leftovers.

        The latter whenever the date's last run is not known to have ended well.
        """
        where = ["--directory", str(Path.cwd())]
        if date in self.ended_well:
            snakefile = ["--snakefile", str(CHECKOUT / "Snakefile")]
            return [sys.executable, "-m", "snakemake", *snakefile, *where]
        resume = str(CHECKOUT / "scripts" / "resume.py")
        return [sys.executable, resume, *where, "--date", date, "--"]

    def note_end(self, child: Child, now_s: float) -> None:
        """Note which products a run has made, and tell of those that it has not."""
        date, succeeded = child.run.date, child.process.returncode == 0
        (self.ended_well.add if succeeded else self.ended_well.discard)(date)
        if not succeeded and child.was_locked_out():
            self.locked_until_s[date] = now_s + self.options.settle_s
            self.tell_once(
                f"locked {date}",
                True,
                f"{date}: another Snakemake has the date; tried every {self.options.settle_s:g} s",
            )
            return
        self.told.pop(f"locked {date}", None)
        current = {one.target for one in child.run.products if mtime_s(one.target) >= one.newest_s}
        self.attempts = watching.after_run(self.attempts, child.run, succeeded, current)
        for product in child.run.products:
            self.tell_end(product, child)

    def stop(self) -> None:
        """End the Snakemakes that run: let their jobs finish, else interrupt, else kill them."""
        for child in self.children.values():
            child.process.terminate()
        self.wait(self.grace_s)
        for harder in (signal.SIGINT, signal.SIGKILL):
            for child in self.children.values():
                if child.process.poll() is None:
                    os.killpg(child.process.pid, harder)
            self.wait(KILL_S)

    def wait(self, limit_s: float) -> None:
        end_s = time.monotonic() + limit_s
        for child in self.children.values():
            try:
                child.process.wait(max(end_s - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                logger.warning("%s: Snakemake still runs after %g s", child.run.date, limit_s)

    # -- what people read

    def tell_once(self, about: str, value: object, message: str) -> None:
        """Log what is new about something; once, as long as `value` stays the same."""
        if self.told.get(about) != value:
            self.told[about] = value
            logger.info(message)

    def tell_taken(self, arrival: Arrival, group: Group, now_s: float) -> None:
        """Say that a group is taken; not of one that was done before this watcher came."""
        self.taken[group.name] = arrival
        about = f"taken {arrival.cluster[0].name}"
        target = PHOTOMETRY.format(date=date_of_group(group.name), group=group.name)
        if about not in self.told and mtime_s(target) >= arrival.newest_s:
            self.told[about] = arrival.inputs
        taken = "taken" if arrival.state == watching.WHOLE else "timed out and taken"
        self.tell_once(
            about,
            arrival.inputs,
            f"{group.name}: {arrival.n_subbands}/{self.options.n_subbands} subbands, {taken} "
            f"{now_s - arrival.last_s:.0f} s after the last file"
            + (f"; rejected: {group.reason}" if group.reason else ""),
        )

    def tell_photometry(self, child: Child) -> None:
        """Say which groups' photometry has come since the last look, and how long it took."""
        for product, made_s in child.made():
            taken = self.taken.get(Path(product.target).stem)
            if taken is None or product.target in child.told:
                continue
            child.told.add(product.target)
            if product.inputs > taken.inputs:
                logger.info("%s: again, with the date's calibration", product.target)
            elif product.inputs == taken.inputs:
                date, latency_s = child.run.date, made_s - taken.last_s
                tally = self.tallies[date].with_latency(product.target, latency_s)
                self.tallies[date] = tally
                logger.info(
                    "%s: there %.0f s after the last file; backlog %d",
                    product.target,
                    latency_s,
                    tally.backlog,
                )

    def tell_end(self, product: Product, child: Child) -> None:
        """Say that a product failed, or that a page is there."""
        date = child.run.date
        if failures := watching.failures_of(product, self.attempts):
            state = watching.state_of(product, self.attempts, self.options.retries)
            next_step = "left until its files change" if state == watching.GIVEN_UP else "once more"
            logger.warning(
                "%s: failed, try %d; %s; see %s", product.target, failures, next_step, child.log
            )
        elif product.target == PAGE.format(date=date):
            logger.info("%s: page; %s", date, self.tallies[date])
