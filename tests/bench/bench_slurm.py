"""What Slurm and Snakemake's starts cost a science group, beyond what its rules take.

PYTHONPATH=tests python tests/bench/bench_slurm.py DIR DATE [--configfile FILE...]

DIR holds the date's raw files in incoming/; the date is reduced there, on the Slurm of
tests/slurm.py.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from slurm import Slurm

ROOT = Path(__file__).parents[2]
# Before each sbatch the plugin waits 5 s, in two threads.
SUBMISSION_S = 5 / 2
SCIENCE_JOB = re.compile(r"rule_science_(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)_")
# A calibrator's group has been converted and solved in an earlier job.
SOLVING = {"convert_group", "flag_group", "measure_flags", "predict_model", "solve_delay",
           "solve_bandpass", "solve_gains"}  # fmt: skip


def seconds_in_rules(folder: Path, date: str, group: str) -> float:
    """Sum of the benchmarked seconds of the rules in a group's science job."""
    records = {
        path.parent.name: json.loads(path.read_text().splitlines()[-1])["s"]
        for path in (folder / "benchmarks" / date).glob(f"*/{group}.jsonl")
    }
    earlier = SOLVING if "solve_gains" in records else set()
    return sum(seconds for rule, seconds in records.items() if rule not in earlier)


def seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def report(folder: Path, date: str, jobs: list[dict[str, str]], wall_s: float) -> None:
    """Print a line a science job, and what they cost beyond their rules on average."""
    overheads = []
    for job in jobs:
        found = SCIENCE_JOB.match(job["Comment"])
        if found:
            rules_s = seconds_in_rules(folder, date, found[1])
            job_s = seconds_between(job["Start"], job["End"])
            queue_s = seconds_between(job["Submit"], job["Start"])
            overheads.append(job_s - rules_s + queue_s + SUBMISSION_S)
            sys.stdout.write(
                f"{found[1]}: rules {rules_s:.1f} s, job {job_s:.0f} s, queue {queue_s:.0f} s, "
                f"overhead {overheads[-1]:.1f} s\n"
            )
    sys.stdout.write(
        f"{len(jobs)} jobs in {wall_s:.0f} s; overhead of a science group "
        f"{sum(overheads) / len(overheads):.1f} s\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("date")
    parser.add_argument("--configfile", nargs="*", default=["config/demo.yaml"])
    wanted = parser.parse_args()
    command = [sys.executable, "-m", "snakemake", "--profile", "cluster",
               "--profile", "profiles/slurm_test", "--quiet", "all",
               "--directory", str(wanted.directory), "--configfile", *wanted.configfile,
               "--", f"report/{wanted.date}/index.html"]  # fmt: skip
    with Slurm() as cluster:
        start = time.monotonic()
        subprocess.run(command, cwd=ROOT, env=cluster.environment, check=True)
        wall_s = time.monotonic() - start
        jobs = cluster.jobs("JobID", "Comment", "Submit", "Start", "End")
    report(wanted.directory, wanted.date, jobs, wall_s)


if __name__ == "__main__":
    main()
