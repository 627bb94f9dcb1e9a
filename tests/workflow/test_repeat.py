"""The same date made twice gives the same values: elsewhere, unprivileged, after a crash."""

import os
import shutil
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from conftest import ROOT, snakemake
from workflow import (
    SMALL,
    SMALL_DATE,
    cards,
    checkout,
    columns_of_ms,
    made_once,
    small_date_in,
    values,
)

REPORT = f"report/{SMALL_DATE}/index.html"
# WSClean writes the time and its command line, with the scratch folder's name, into its files.
OF_THE_RUN = {"DATE", "HISTORY"}
WSCLEAN = (".image.fits", ".residual.fits", ".model.fits", ".psf.fits")


@pytest.fixture(scope="session")
def small_date(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_date_in(tmp_path_factory)


def raw_files_of(date: Path, folder: Path) -> Path:
    """A new working directory with the same raw files."""
    shutil.copytree(date / "incoming", folder / "incoming")
    shutil.copytree(date / "simulated", folder / "simulated")
    return folder


def unprivileged() -> list[str]:
    """Return what to put before a command to make permission bits hold for it.

    Root's power to ignore them is a capability. Without any, for itself and for what it starts,
    root is an owner of files like anyone (and can still read an interpreter in root's own home).
    """
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def made_again(small_date: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same date from a checkout elsewhere, in another directory, without privileges."""
    make = partial(make_again, small_date)
    return made_once(tmp_path_factory, "small_date_again", make) / "elsewhere"


def make_again(small_date: Path, home: Path) -> None:
    folder = raw_files_of(small_date, home / "elsewhere")
    root = checkout(home / "clone")
    configs = [root / path.relative_to(ROOT) for path in SMALL]
    command = [*unprivileged(), *command_of(folder, root, configs), "--", REPORT]
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"),
                   "TMPDIR": str(home), "PYTHONPATH": ""}  # fmt: skip
    done = subprocess.run(
        command, cwd=root, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


def command_of(folder: Path, root: Path, configs: list[Path]) -> list[str]:
    """Return the command that runs a checkout's workflow in a working directory."""
    options = ["--snakefile", root / "Snakefile", "--directory", folder, "--cores", "2"]
    return [sys.executable, "-m", "snakemake", *map(str, [*options, "--configfile", *configs])]


def test_all_values_repeat(small_date: Path, made_again: Path) -> None:
    first, second = values(small_date), values(made_again)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []
    kinds = {Path(name).suffix for name in first}
    assert kinds == {".json", ".fits", ".parquet", ".sqlite3", ".html"}


def test_visibilities_and_flags_repeat(small_date: Path, made_again: Path) -> None:
    for ms in sorted((small_date / "ms/science" / SMALL_DATE).glob("*.ms")):
        assert columns_of_ms(ms) == columns_of_ms(made_again / ms.relative_to(small_date))


def test_headers_differ_only_where_wsclean_tells_of_its_run(
    small_date: Path, made_again: Path
) -> None:
    paths = sorted(small_date.rglob("*.fits"))
    assert len(paths) > 20
    for path in paths:
        first, second = cards(path), cards(made_again / path.relative_to(small_date))
        differing = {name for name in first | second if first.get(name) != second.get(name)}
        allowed = OF_THE_RUN if path.name.endswith(WSCLEAN) else set()
        assert differing <= allowed, f"{path.name}: {differing}"


def test_the_files_of_a_science_ms_are_read_only(small_date: Path) -> None:
    sets = sorted((small_date / "ms/science" / SMALL_DATE).glob("*.ms"))
    assert len(sets) == 3
    for ms in sets:
        files = [path for path in ms.rglob("*") if path.is_file()]
        writable = [
            path.name for path in files
            if path.stat().st_mode & 0o222 and path.name != ".snakemake_timestamp"
        ]  # fmt: skip
        assert len(files) > 20
        assert writable == []


def test_the_second_run_was_bound_by_permission_bits(made_again: Path) -> None:
    ms = next((made_again / "ms/science" / SMALL_DATE).glob("*.ms"))
    table = ms / "table.dat"
    assert not table.stat().st_mode & stat.S_IWUSR
    done = subprocess.run(
        [*unprivileged(), "sh", "-c", f"echo x >> '{table}'"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "denied" in done.stderr


def test_two_imaging_threads_agree_within_the_rule(small_date: Path, tmp_path: Path) -> None:
    for name in ("incoming", "ms/science", "cal", ".snakemake"):
        shutil.copytree(small_date / name, tmp_path / name)
    group = min((small_date / "ms/science" / SMALL_DATE).glob("*.ms")).stem
    threads = tmp_path / "threads.yaml"
    threads.write_text("reproducible: false\nthreads: {image_group: 2}\n")
    image = f"images/{SMALL_DATE}/{group}.image.fits"
    snakemake(tmp_path, "--", image, configs=[*SMALL, threads])
    one, two = fits.getdata(small_date / image), fits.getdata(tmp_path / image)
    tolerance = max(1e-5 * np.abs(one).max(), 1e-2 * one.std())
    assert np.abs(one - two).max() <= tolerance
    assert " -j 2 " in str(fits.getheader(tmp_path / image)["HISTORY"])
    assert " -j 1 " in str(fits.getheader(small_date / image)["HISTORY"])
