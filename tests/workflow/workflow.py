"""What the workflow tests share: checkouts, plans, and the values in products."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from conftest import ROOT, snakemake
from contimg.fits import pixel_digest
from contimg.tables import read_table, table_digest

SMALL = [ROOT / "config" / "demo.yaml", ROOT / "tests" / "workflow" / "small.yaml"]
SMALL_PROOF = ROOT / "tests" / "workflow" / "small_proof.yaml"
SMALL_DATE = "2025-10-01"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Make a folder once a session, whichever test (of whichever xdist process) asks first."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def small_date_in(factory: pytest.TempPathFactory) -> Path:
    """Return the working directory of the small date, simulated and reduced."""
    return made_once(factory, "small_date", make_small_date)


def make_small_date(folder: Path) -> None:
    snakemake(folder, "--", f"simulated/{SMALL_DATE}/truth.json", configs=SMALL)
    snakemake(folder, "--", f"report/{SMALL_DATE}/index.html", configs=SMALL)


def checkout(folder: Path) -> Path:
    """Copy the sources, as a fresh clone of this working tree has them; return the folder."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    names = subprocess.run(
        [*listing, "--exclude-standard"], check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        source, copy = ROOT / name, folder / name
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy, follow_symlinks=False)
    return folder


def copy_for_dry_runs(observation: Path, folder: Path) -> Path:
    """Copy a working directory by links: for dry runs only, because the files are shared."""
    linked = ["index", "ms", "cal", "images", "photometry", "mosaics", "catalogs", "report",
              "variability", "source", "simulated", "incoming"]  # fmt: skip
    for name in linked:
        if (observation / name).exists():
            shutil.copytree(observation / name, folder / name, copy_function=os.link)
    # copytree gives folders their times last, and links keep those of files.
    shutil.copytree(observation / ".snakemake" / "metadata", folder / ".snakemake" / "metadata")
    return folder


def plan(directory: Path, *targets: str, options: tuple[str, ...] = (), **how: Any) -> list[str]:
    """Return the jobs that a dry run would run, as their messages."""
    done = snakemake(directory, "--dry-run", *options, "--", *targets, **how)
    if "Nothing to be done" in done.stdout:
        return []
    jobs = re.findall(r"^ *Job \d+: (.+)$", done.stdout, re.MULTILINE)
    assert jobs, done.stdout
    return jobs


def planned_rules(
    directory: Path, *targets: str, options: tuple[str, ...] = (), **how: Any
) -> dict[str, int]:
    """Return how many jobs of each rule a dry run would run."""
    done = snakemake(directory, "--dry-run", *options, "--", *targets, **how)
    if "Nothing to be done" in done.stdout:
        return {}
    table = done.stdout.split("Job stats:")[1].split("\ntotal")[0]
    found = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
    assert found, done.stdout
    return {rule: int(count) for rule, count in found}


def values(folder: Path) -> dict[str, str]:
    """Return a digest of the values in each product below a working directory.

    Of pixels, of tables' values with their metadata, of JSON and of pages as they are.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in (".snakemake", "incoming", "logs", "benchmarks"):
            digest = value_of(path)
            if digest:
                found[str(name)] = digest
    return found


def value_of(path: Path) -> str:
    """Return the digest of one product's values; nothing for the files inside an MS or table."""
    if path.suffix == ".fits":
        return pixel_digest(fits.getdata(path))
    if path.suffix == ".parquet":
        table, metadata = read_table(path)
        return f"{table_digest(table)} {metadata}"
    if path.suffix == ".sqlite3":
        with closing(sqlite3.connect(path)) as database:
            return hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()
    if path.suffix in (".json", ".html"):
        return path.read_text()
    return ""


def cards(path: Path) -> dict[str, str]:
    """Return a FITS header as text by keyword."""
    header = fits.getheader(path)
    return {name: str(header[name]) for name in header if name}


def rules_in(path: Path) -> list[tuple[str, str]]:
    """Return name and body of each rule of a file, those within an if or else too."""
    found = re.findall(r"^( *)rule (\w+):\n((?:\1[ ]{4}.*\n|\n)+)", path.read_text(), re.MULTILINE)
    return [(name, re.sub(f"^{indent}", "", body, flags=re.M)) for indent, name, body in found]


def columns_of_ms(ms: Path) -> str:
    """Return a digest of an MS's visibilities and flags, read in a process of its own."""
    code = (
        "import sys, casacore.tables as t; from contimg.digests import digest_of_arrays as d;"
        "m = t.table(sys.argv[1], ack=False);"
        "print(d((n, m.getcol(n)) for n in ('TIME', 'UVW', 'DATA', 'FLAG')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ms)],
        check=True, capture_output=True, text=True, cwd=ROOT / "scripts",
    )  # fmt: skip
    return done.stdout.strip()


def status(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
