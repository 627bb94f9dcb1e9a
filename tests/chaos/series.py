"""The long series of killed runs: so many trials of each kind, at random moments.

Results are lines in FOLDER/results.jsonl. A series that was interrupted goes on where it was.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from chaos.trials import KINDS, Trial, Undisturbed, disturb_and_recover, duration_of
from conftest import ROOT
from slurm import Slurm
from workflow import make_small_date

MAX_DRAWS = 5


class Series:
    """The trials of some kinds, in a folder that keeps their results and the failed ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results.jsonl"

    def done(self) -> dict[tuple[str, int], dict]:
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        return {(each["kind"], each["trial"]): each for each in map(json.loads, lines)}

    def undisturbed(self, cluster: Slurm | None) -> Undisturbed:
        """Return the undisturbed run: here, or on Slurm, where it takes longer."""
        here = self.folder / "undisturbed"
        if not (here / "duration").exists():
            shutil.rmtree(here, ignore_errors=True)
            here.mkdir(parents=True)
            make_small_date(here)
            (here / "duration").write_text(str(duration_of(here)))
        truth = Undisturbed.of(here, float((here / "duration").read_text()))
        if cluster is None:
            return truth
        timed = self.folder / "duration_on_slurm"
        if not timed.exists():
            shutil.rmtree(self.folder / "on_slurm", ignore_errors=True)
            trial = Trial(self.folder / "on_slurm", truth, random.Random(0), cluster)
            trial.copy_raw()
            start = time.monotonic()
            problems = trial.end(trial.start(resume=False))
            if problems:
                sys.exit(f"chaos: the undisturbed run on Slurm: {problems[0]}")
            timed.write_text(str(time.monotonic() - start))
            shutil.rmtree(trial.home)
        return Undisturbed(truth.folder, float(timed.read_text()), truth.values, truth.visibilities)

    def run(self, kinds: list[str], trials: int) -> None:
        """Run those of the trials that have no result yet."""
        done = self.done()
        for on_cluster in (False, True):
            missing = [
                (kind, number) for number in range(trials) for kind in kinds
                if (kind == "slurmd") == on_cluster and (kind, number) not in done
            ]  # fmt: skip
            if missing:
                with ExitStack() as stack:
                    cluster = stack.enter_context(Slurm()) if on_cluster else None
                    undisturbed = self.undisturbed(cluster)
                    for kind, number in missing:
                        self.run_one(kind, number, undisturbed, cluster)

    def run_one(
        self, kind: str, number: int, undisturbed: Undisturbed, cluster: Slurm | None
    ) -> None:
        """Run a trial, again with another moment when the run had ended before, and keep it."""
        home = self.folder / f"{kind}-{number}"
        for draw in range(MAX_DRAWS):
            if (home / "date").is_mount():  # this program was killed here
                subprocess.run(["umount", "--lazy", str(home / "date")], check=True)
            shutil.rmtree(home, ignore_errors=True)
            seed = f"{kind} {number} {draw}"
            result = disturb_and_recover([kind], seed, undisturbed, home, cluster)
            say(f"{seed}: {'; '.join(result['told'])}: {result['problems'] or 'good'}")
            if cluster:
                cluster.wait_idle()
            if result["hits"] or result["problems"]:
                break
        with self.results.open("a") as stream:
            stream.write(json.dumps({"kind": kind, "trial": number, **result}) + "\n")
        if not result["problems"]:
            shutil.rmtree(home)

    def summary(self) -> str:
        """Return a table of trials and failures."""
        results = list(self.done().values())
        lines = ["| killed | trials | hit a running date | failures |", "| --- | --- | --- | --- |"]
        for kind in KINDS:
            mine = [each for each in results if each["kind"] == kind]
            hits = sum(bool(each["hits"]) for each in mine)
            failed = sum(bool(each["problems"]) for each in mine)
            lines.append(f"| {kind} | {len(mine)} | {hits} | {failed} |")
        return "\n".join(lines)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", choices=KINDS, help="can be repeated; all")
    parser.add_argument("--trials", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "chaos")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    series = Series(options.folder.absolute())
    series.run(options.kind or list(KINDS), options.trials)
    say(series.summary())
    sys.exit(any(each["problems"] for each in series.done().values()))


if __name__ == "__main__":
    main()
