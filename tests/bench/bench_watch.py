"""How soon photometry follows a stream of groups, and what a look at incoming costs.

    python tests/bench/bench_watch.py --groups 8 --every 60

simulates a small date, lets its groups arrive one by one before a watcher, and prints what that
says at the end; then the time of a turn of the watcher with full dates in incoming.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from conftest import snakemake  # noqa: E402
from contimg.groups import clusters, group_of_mjd, parse_raw_name  # noqa: E402
from contimg.settings import settings_of  # noqa: E402
from contimg.watched import Incoming  # noqa: E402
from contimg.watching import Options  # noqa: E402
from unit.raw_files import FIRST_MJD, RawGroup  # noqa: E402

CONFIGS = [ROOT / "config" / "demo.yaml", ROOT / "tests" / "workflow" / "small.yaml"]
DATE = "2025-10-01"
SPACING_DAYS = 309.237648 / 86400


def simulated(folder: Path, n_groups: int) -> list[list[Path]]:
    """Simulate a calibrator's group and science groups; return the files of each."""
    stream = folder / "stream.yaml"
    stream.write_text(
        "simulation: {observation: {fields: [{name: 0813+482, n_groups: 1}, "
        f"{{name: science, ra_deg: 227.5, n_groups: {n_groups - 1}, spacing_s: 80}}]}}}}\n"
    )
    target = f"simulated/{DATE}/truth.json"
    snakemake(folder, "--quiet", "all", "--", target, configs=[*CONFIGS, stream])
    names = [raw for path in (folder / "incoming").iterdir() if (raw := parse_raw_name(path.name))]
    return [[folder / "incoming" / raw.name for raw in group] for group in clusters(names, 60)]


def stream(groups: list[list[Path]], home: Path, every_s: float, cores: int) -> str:
    """Let the groups arrive one by one, end when the date's page is there; return the log."""
    (home / "incoming").mkdir(parents=True)
    log = home / "log"
    with log.open("w") as said:
        watcher = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "watch.py"), "--directory", str(home),
             "--settle", "2", "--timeout", str(2 * every_s), "--poll", "1",
             "--configfile", *map(str, CONFIGS), "--", "--cores", str(cores), "--quiet", "all"],
            stdout=said, stderr=said,
        )  # fmt: skip
    for number, files in enumerate(groups):
        if number:
            time.sleep(every_s)
        for path in files:
            shutil.copy(path, home / "incoming" / path.name)
    while watcher.poll() is None and "page;" not in log.read_text():
        time.sleep(1)
    watcher.send_signal(signal.SIGTERM)
    watcher.wait()
    return log.read_text()


def time_of_a_turn(folder: Path, n_dates: int = 3, n_groups: int = 279) -> tuple[float, float]:
    """Return the seconds of a look at full dates that have just settled, and of the next."""
    incoming = folder / "full"
    incoming.mkdir(parents=True)
    content = RawGroup(n_times=1, n_channels=1).write(folder, 0).read_bytes()
    for number in range(n_dates * n_groups):
        name = group_of_mjd(FIRST_MJD + number * SPACING_DAYS)
        for subband in range(16):
            (incoming / f"{name}_sb{subband:02d}.hdf5").write_bytes(b"" if subband else content)
    files = Incoming(settings_of([]) | {"incoming": str(incoming)}, n_dates)
    now_s = time.time()
    files.arrivals(now_s, Options())
    took_s = []
    for _ in range(2):  # all groups have settled: the first of these looks reads their headers
        start_s = time.perf_counter()
        files.identified(files.arrivals(now_s + 1000, Options()))
        took_s.append(time.perf_counter() - start_s)
    return took_s[0], took_s[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between groups")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first_s, next_s = time_of_a_turn(folder / "look")
        sys.stdout.write(f"3 full dates: first look {first_s:.2f} s, later ones {next_s:.2f} s\n")
        sys.stdout.flush()
        groups = simulated(folder, options.groups)
        sys.stdout.write(stream(groups, folder / "home", options.every, options.cores))


if __name__ == "__main__":
    main()
