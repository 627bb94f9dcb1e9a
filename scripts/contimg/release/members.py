"""What belongs to a release: products, borrowed tables, raw files, and their digests."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astropy.io import fits

from contimg import calibration_table
from contimg.digests import digest_of_file, digest_of_value
from contimg.fits import pixel_digest
from contimg.status import REJECTED_NOTE
from contimg.tables import read_table, table_digest

DATE_IN_PATH = re.compile(r"(?:^|/)(\d{4}-\d{2}-\d{2})(?:/|\.json$)")
# Visibilities are too large to publish, and temporary things are none of a release's.
LEFT_OUT = re.compile(
    r"\.ms$|^ms/raw/|\.solve\.ms\.json$|^quick/|\.mask\.fits\.gz$|\.r\d\.(image|residual|model)\.fits$"
)
TABLE_RULES = {"kcal": "solve_delay", "bcal": "solve_bandpass", "gcal": "solve_gains"}
HASHING_THREADS = 4


@dataclass(frozen=True)
class Made:
    """An output of a job, as the workflow records it.

    Attributes
    ----------
    path : relative to the working directory.
    rule : that made it.
    job : what tells its job from others, DATE/RULE/GROUP.
    inputs : paths that its job read.
    state, plan : the workflow's words about it: whether it is there, and whether it is to be made.
    """

    path: str
    rule: str
    job: str
    inputs: tuple[str, ...] = ()
    state: str = "ok"
    plan: str = "no update"


@dataclass(frozen=True)
class Product:
    """An entry of products.json; see the package's docstring."""

    path: str
    date: str | None
    rule: str
    digest: str
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True)
class RawFile:
    """An entry of raw.json; group is None for a file that was found and not taken."""

    name: str
    date: str
    group: str | None
    bytes: int
    sha256: str


def unfinished(made: Iterable[Made]) -> list[dict[str, str]]:
    """Return what keeps the products from being whole: missing ones, and those to be made again.

    A removed Measurement Set is no fault: it is not published, and nothing needs it any more.
    """
    faults = []
    for one in made:
        if one.plan != "no update":
            faults.append({"path": one.path, "why": f"{one.rule} has work to do ({one.state})"})
        elif one.state == "missing" and not LEFT_OUT.search(one.path):
            faults.append({"path": one.path, "why": "missing; ask for it by name"})
    return faults


def published(made: Iterable[Made], directory: Path) -> list[Made]:
    """Return those outputs that a release holds, once each, by path."""
    found = {one.path: one for one in made if not LEFT_OUT.search(one.path)}
    return [found[path] for path in sorted(found) if (directory / path).exists()]


def tables_of_other_dates(directory: Path, dates: Sequence[str]) -> list[Made]:
    """Return the tables of other dates that the dates' calibration.json name, with their JSONs.

    What was considered and not taken, or compared with, comes too: the choice can then be made
    again as it was.

    Raises
    ------
    ValueError
        When the values of a table that serves a date are not those that were chosen.
    """
    found: dict[str, Made] = {}
    for date in dates:
        choice = json.loads((directory / "cal" / date / "calibration.json").read_text())["figures"]
        for tables in choice.get("tables", []):
            require_chosen_values(directory, tables)
        compared = [one["previous"] for one in choice.get("compared", [])]
        for tables in [*choice.get("tables", []), *choice.get("considered", []), *compared]:
            if tables["date"] == date:
                continue
            for kind, rule in TABLE_RULES.items():
                prefix = f"cal/{tables['date']}/{tables['group']}.{kind}"
                job = f"{tables['date']}/{rule}/{tables['group']}"
                for path in (prefix, f"{prefix}.json"):
                    if (directory / path).exists():
                        found[path] = Made(path, rule, job)
    return list(found.values())


def require_chosen_values(directory: Path, tables: Mapping[str, Any]) -> None:
    """Raise ValueError when a table is not the one that calibration.json chose."""
    for kind, digest in tables["digests"].items():
        path = directory / tables[kind]
        found = calibration_table.table_digest(path) if path.is_dir() else "nothing"
        if found != digest:
            raise ValueError(
                f"{tables[kind]}: {found} found, {digest} expected by calibration.json; "
                "make the date again with --forcerun choose_calibration"
            )


def with_whole_names(made: Sequence[Made], names: Sequence[str]) -> list[Made]:
    """Put input names together again that hold commas: Snakemake's list of inputs has them between.

    Parameters
    ----------
    names : all paths with commas that there can be.
    """
    whole = []
    for one in made:
        inputs = one.inputs
        for name in names:
            pieces = set(name.split(","))
            if pieces <= set(inputs):
                inputs = (*(piece for piece in inputs if piece not in pieces), name)
        whole.append(replace(one, inputs=inputs))
    return whole


def with_applied_tables(made: Sequence[Made], directory: Path) -> list[Made]:
    """Add to the inputs of each `apply_calibration` the tables that it applied.

    They are looked up when the job runs and are no inputs in the workflow's sense; the status of
    the calibrated set names them.
    """
    applied: dict[str, tuple[str, ...]] = {}
    for one in made:
        if one.rule == "apply_calibration" and (directory / one.path).is_file():
            figures = json.loads((directory / one.path).read_text())["figures"]
            tables = figures.get("tables") or {}
            applied[one.job] = tuple(tables[kind] for kind in TABLE_RULES if tables.get(kind))
    return [replace(one, inputs=(*one.inputs, *applied.get(one.job, ()))) for one in made]


def products_of(made: Sequence[Made], directory: Path) -> list[Product]:
    """Return the entries of products.json: digests of values, and of files."""
    paths = [directory / one.path for one in made]
    # Images are nearly all of the bytes; casacore is not made for threads.
    images = [path for path in paths if path.suffix == ".fits"]
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        digests = dict(zip(images, pool.map(value_digest, images), strict=True))
    return [
        Product(
            one.path, date_of(one.path), one.rule, digests.get(path) or value_digest(path), *sums
        )
        for one, path, sums in zip(made, paths, sha256_and_sizes(paths), strict=True)
    ]


def date_of(path: str) -> str | None:
    """Return the date that a product belongs to, by its folder or its name."""
    found = DATE_IN_PATH.search(path)
    return found[1] if found else None


def value_digest(path: Path) -> str:
    """Return the digest of a product's values: pixels, columns, or a text as it is.

    The values of a FITS file are its pixels, those of a calibration table its solutions, those of
    a database its content as SQL. A labelled empty directory has its reason.
    """
    if path.is_dir():
        note = path / REJECTED_NOTE
        return digest_of_file(note) if note.is_file() else calibration_table.table_digest(path)
    if path.suffix == ".fits":
        return pixel_digest(fits.getdata(path))
    if path.suffix == ".parquet":
        return table_digest(read_table(path)[0])
    if path.suffix == ".sqlite3":
        return digest_of_value(database_dump(path))
    return digest_of_file(path)


def database_dump(path: Path) -> list[str]:
    """Return a SQLite database's content as SQL statements."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        return list(database.iterdump())


def sha256_and_size(path: Path) -> tuple[str | None, int | None]:
    """Return a file's SHA-256 and its bytes; of a directory, nothing."""
    if path.is_dir():
        return None, None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size


def sha256_and_sizes(paths: Sequence[Path]) -> list[tuple[str | None, int | None]]:
    """Return SHA-256 and bytes of many files, several at a time."""
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        return list(pool.map(sha256_and_size, paths))


def raw_files(index: Path, incoming: Path) -> list[RawFile]:
    """Return the raw files of a date, as its index lists them, with their digests.

    Parameters
    ----------
    index : index/DATE.json.
    incoming : where the raw files lie.

    Raises
    ------
    FileNotFoundError
        When one is gone.
    """
    content = json.loads(index.read_text())
    groups = list(names_in(content))
    missing = [name for name, _ in groups if not (incoming / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{incoming / missing[0]}: not there, and {index.name} lists it; "
            "a release needs the digest of every raw file"
        )
    sums = sha256_and_sizes([incoming / name for name, _ in groups])
    return [
        RawFile(name, content["date"], group, size or 0, sha256 or "")
        for (name, group), (sha256, size) in zip(groups, sums, strict=True)
    ]


def names_in(index: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the names of raw files in an index, each with its group (None: not taken)."""
    for group in index["groups"]:
        for name in group["files"]:
            yield name, group["group"]
    for stranger in index["unrecognised"]:
        yield stranger["file"], None


def write_sums(folder: Path, known: Mapping[str, str | None]) -> None:
    """Write SHA256SUMS of all files below a folder, as `sha256sum -c` reads it.

    Parameters
    ----------
    known : SHA-256 of files whose sum need not be taken again, by path below the folder.
    """
    sums = {path: sha256 for path, sha256 in known.items() if sha256}
    names = files_below(folder)
    others = [name for name in names if name not in sums]
    found = sha256_and_sizes([folder / name for name in others])
    sums |= {name: str(sha256) for name, (sha256, _) in zip(others, found, strict=True)}
    (folder / "SHA256SUMS").write_text("".join(f"{sums[name]}  {name}\n" for name in names))


def files_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it, in order."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def wrong_sums(folder: Path) -> list[str]:
    """Return what is not as SHA256SUMS says: files that changed, are lacking, or are not in it."""
    listed = {}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        sha256, _, name = line.partition("  ")
        listed[name] = sha256
    there = set(files_below(folder))
    faults = [f"{name}: not in SHA256SUMS" for name in sorted(there - {*listed, "SHA256SUMS"})]
    faults += [f"{name}: lacking" for name in sorted(set(listed) - there)]
    names = sorted(there & set(listed))
    found = sha256_and_sizes([folder / name for name in names])
    return faults + [
        f"{name}: not the file that was published"
        for name, (sha256, _) in zip(names, found, strict=True)
        if sha256 != listed[name]
    ]
