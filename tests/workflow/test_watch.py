"""A live telescope: groups that arrive slowly, out of order, twice and never are reduced."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import ROOT
from contimg.groups import group_of_mjd
from unit.raw_files import FIRST_MJD, RawGroup
from workflow import SMALL, SMALL_DATE, small_date_in, values

WATCH = ROOT / "scripts" / "watch.py"
LIMIT_S = 180.0
QUICK = ("--settle", "0.4", "--timeout", "2", "--poll", "0.1", "--grace", "5")
SPACING_DAYS = 309.237648 / 86400
DATE = group_of_mjd(FIRST_MJD)[:10]

# In Snakemake's place: makes what it is asked for, and notes of which raw files. It fails for the
# groups named in the file `fail`, and goes on with no target while the file `wait` is there.
STAND_IN = """
import json, signal, sys, time
from pathlib import Path
from contimg.locks import Held, marks, start_run

words = sys.argv[1:]
last = len(words) - words[::-1].index("--")
targets = words[last:]
home = Path(words[words.index("--directory") + 1])
try:
    start_run(home, targets, marks(home))
except Held as held:
    sys.exit(str(held))
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
failed = False
call = {"targets": targets, "recovered": "--rerun-incomplete" in words}
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
for target in targets:
    while (home / "wait").exists() and not stop:
        time.sleep(0.02)
    name = Path(target).stem
    if stop or ((home / "fail").exists() and name in (home / "fail").read_text()):
        failed = True
        continue
    path, date = home / target, target.split("/")[1]
    used = {raw.name: raw.stat().st_size for raw in sorted((home / "incoming").glob(f"{name}_sb*"))}
    calibration = home / "cal" / date / "calibration.json"
    for product, text in ((calibration, '{"status": "ok"}'), (path, json.dumps(used))):
        product.parent.mkdir(parents=True, exist_ok=True)
        product.write_text(text)
sys.exit(failed)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the stand-in is what `python -m snakemake` finds."""
    package = tmp_path / "stand_in" / "snakemake"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    paths = [str(package.parent), str(ROOT / "scripts")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working directory."""
    folder = tmp_path / "home"
    (folder / "incoming").mkdir(parents=True)
    return folder


@contextmanager
def watcher(
    home: Path, environment: dict[str, str], *options: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the watcher; its lines are in `home/said`. It is ended with the block."""
    with (home / "said").open("a") as said:
        process = subprocess.Popen(
            [sys.executable, str(WATCH), "--directory", str(home), *QUICK, *options],
            env=environment, stdout=said, stderr=said, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(LIMIT_S)


def wait_until(condition: Callable[[], object], home: Path) -> None:
    """Wait until something is so; show what the watcher said if it does not come to be."""
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s, (home / "said").read_text()
        time.sleep(0.05)


def group_number(number: int, **settings: object) -> RawGroup:
    return RawGroup(FIRST_MJD + number * SPACING_DAYS, n_times=1, n_channels=1, **settings)


def photometry(home: Path, group: RawGroup) -> Path:
    return home / "photometry" / group.name[:10] / f"{group.name}.parquet"


def page(home: Path, date: str = DATE) -> Path:
    return home / "report" / date / "index.html"


def calls(home: Path, target: Path | None = None) -> list[dict[str, list[str]]]:
    """Return the calls of the stand-in, or those that asked for one product."""
    path = home / "calls"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    wanted = str(target.relative_to(home)) if target else ""
    return [call for call in found if not wanted or wanted in call["targets"]]


def test_a_group_is_taken_when_its_last_subband_is_whole(
    home: Path, environment: dict[str, str]
) -> None:
    group = group_number(0)
    incoming = home / "incoming"
    files = [group.write(home / "elsewhere", subband) for subband in range(16)]
    with watcher(home, environment, "--settle", "1.5"):
        for path in reversed(files[1:]):
            path.rename(incoming / path.name)
        (incoming / f"{group.name}_sb00_incomplete.hdf5").write_bytes(b"")
        content = files[0].read_bytes()
        with (incoming / files[0].name).open("wb") as stream:
            for start in range(0, len(content), len(content) // 8):
                stream.write(content[start : start + len(content) // 8])
                stream.flush()
                time.sleep(0.25)  # shorter than --settle: a file that grows
                assert not photometry(home, group).exists()
        wait_until(photometry(home, group).exists, home)
    used = json.loads(photometry(home, group).read_text())
    assert used == {path.name: (incoming / path.name).stat().st_size for path in files} | {
        f"{group.name}_sb00_incomplete.hdf5": 0
    }
    assert f"{group.name}: 16/16 subbands, taken" in (home / "said").read_text()


def test_a_file_that_comes_again_makes_its_group_again_and_nothing_else(
    home: Path, environment: dict[str, str]
) -> None:
    first, second = group_number(0), group_number(1)
    for group in (first, second):
        group.write_all(home / "incoming")
    with watcher(home, environment):
        wait_until(page(home).exists, home)
        before = len(calls(home))
        first.write(home / "incoming", 7)
        wait_until(lambda: len(calls(home, page(home))) == 2, home)
        wait_until(lambda: "page" in (home / "said").read_text().splitlines()[-1], home)
    assert [call["targets"] for call in calls(home)[before:]] == [
        [str(photometry(home, first).relative_to(home))],
        [str(page(home).relative_to(home))],
    ]


def test_what_never_comes_is_not_waited_for(home: Path, environment: dict[str, str]) -> None:
    partial, hopeless = group_number(0), group_number(1)
    partial.write_all(home / "incoming", range(2, 16))
    hopeless.write_all(home / "incoming", range(13))
    with watcher(home, environment):
        wait_until(page(home).exists, home)
    assert len(json.loads(photometry(home, partial).read_text())) == 14
    assert not calls(home, photometry(home, hopeless))
    said = (home / "said").read_text()
    assert f"{partial.name}: 14/16 subbands, timed out and taken" in said
    assert "13/16 subbands, timed out" in said
    assert "rejected: 13 of 16 subbands, 14 needed" in said


def test_a_group_that_fails_is_tried_again_and_left_until_its_files_change(
    home: Path, environment: dict[str, str]
) -> None:
    bad, good = group_number(0), group_number(1)
    for group in (bad, good):
        group.write_all(home / "incoming")
    (home / "fail").write_text(f"{bad.name} index")
    with watcher(home, environment, "--retries", "1"):
        wait_until(lambda: f"{page(home).name}: failed" in (home / "said").read_text(), home)
        assert photometry(home, good).exists()
        assert len(calls(home, photometry(home, bad))) == 2
        assert len(calls(home, page(home))) == 1
        (home / "fail").unlink()
        bad.write(home / "incoming", 3)
        wait_until(page(home).exists, home)
    assert len(calls(home, photometry(home, bad))) == 3
    assert len(calls(home, photometry(home, good))) == 1


def test_killed_with_its_scheduler_it_goes_on_where_it_was(
    home: Path, environment: dict[str, str]
) -> None:
    groups = [group_number(number) for number in range(3)]
    groups[0].write_all(home / "incoming")
    with watcher(home, environment) as process:
        wait_until(photometry(home, groups[0]).exists, home)
        (home / "wait").touch()
        groups[1].write_all(home / "incoming")
        wait_until(lambda: calls(home, photometry(home, groups[1])), home)
        process.kill()
        process.wait(LIMIT_S)
    groups[2].write_all(home / "incoming")
    with watcher(home, environment, "--once") as process:
        # The first watcher's Snakemake lives: the date is left to it.
        wait_until(lambda: "another Snakemake has the date" in (home / "said").read_text(), home)
        (home / "wait").unlink()
        assert process.wait(LIMIT_S) == 0, (home / "said").read_text()
    assert all(photometry(home, group).exists() for group in groups)
    assert page(home).exists()
    assert len(calls(home, photometry(home, groups[0]))) == 1
    assert len(calls(home, photometry(home, groups[1]))) == 1
    assert calls(home, photometry(home, groups[2]))[0]["recovered"]


def test_it_ends_when_told_to_and_takes_its_scheduler_along(
    home: Path, environment: dict[str, str]
) -> None:
    group_number(0).write_all(home / "incoming")
    (home / "wait").touch()
    with watcher(home, environment) as process:
        wait_until(lambda: calls(home), home)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    last = (home / "said").read_text().splitlines()[-1]
    assert "stopping" in last
    locks = json.loads((home / ".snakemake/runs" / f"{DATE}.lock").read_text().split("\n")[-2])
    assert locks["ended"]


def test_a_second_watcher_refuses_in_one_line(home: Path, environment: dict[str, str]) -> None:
    with watcher(home, environment):
        wait_until(lambda: "watching" in (home / "said").read_text(), home)
        second = subprocess.run(
            [sys.executable, str(WATCH), "--directory", str(home), *QUICK],
            env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    assert second.returncode == 1
    assert second.stderr == f"watch.py: another watcher runs in {home}; stop it first\n"


def test_a_later_date_ends_the_one_before_it(home: Path, environment: dict[str, str]) -> None:
    today, tomorrow = group_number(0), group_number(279)
    assert today.name[:10] < tomorrow.name[:10]
    today.write_all(home / "incoming")
    with watcher(home, environment, "--timeout", "1000"):
        wait_until(photometry(home, today).exists, home)
        tomorrow.write_all(home / "incoming")
        wait_until(photometry(home, tomorrow).exists, home)
        wait_until(page(home).exists, home)
    assert not page(home, tomorrow.name[:10]).exists()


def runs_of(home: Path) -> list[int]:
    """Return the process ids of the schedulers that have run, as they wrote them down."""
    lock = home / ".snakemake" / "runs" / f"{SMALL_DATE}.lock"
    lines = lock.read_text().splitlines() if lock.exists() else []
    return [json.loads(line)["pid"] for line in lines if line]


def test_after_a_late_calibrator_and_a_kill_the_values_are_those_of_an_undisturbed_run(
    tmp_path_factory: pytest.TempPathFactory, home: Path
) -> None:
    small_date = small_date_in(tmp_path_factory)
    files = sorted((small_date / "incoming").iterdir())
    calibrator, science = files[:16], files[16:32]

    def come(paths: list[Path]) -> None:
        for path in paths:
            shutil.copy(path, home / "incoming" / path.name)

    options = ["--configfile", *map(str, SMALL), "--", "--cores", "2", "--quiet", "rules"]
    with watcher(home, dict(os.environ), "--timeout", "600", *options) as process:
        come(science)
        wait_until(lambda: list(home.glob("photometry/*/*.parquet")), home)
        come(calibrator)
        wait_until(lambda: list(home.glob("cal/*/*.bcal.json")), home)
        process.kill()
        process.wait(LIMIT_S)
        os.killpg(runs_of(home)[-1], signal.SIGKILL)
    with watcher(home, dict(os.environ), "--timeout", "600", *options) as process:
        wait_until(
            lambda: "again, with the date's calibration" in (home / "said").read_text(), home
        )
    assert process.returncode == 0
    expected, found = values(small_date), values(home)
    assert [name for name in found if found[name] != expected.get(name)] == []
    assert len([name for name in found if name.startswith("photometry/")]) == 2
