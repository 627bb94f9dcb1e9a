"""Housekeeping: which bulky products may go, by date and age, and how they are taken away.

Visibilities and images are what fills a disk, and all of them can be made again from the raw
files. Nothing else is ever considered: tables, solutions, JSONs, pages and raw files stay. What
a page or a publication names stays too.
"""

import errno
import html
import json
import logging
import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from contimg.groups import DATE, GROUP, days_between
from contimg.imaging import MAX_SUBBANDS, subband_paths

logger = logging.getLogger(__name__)

# What the keys of `retention:` stand for, as the filename contract has it.
KINDS = {
    "raw_ms": ("ms/raw/{date}/{group}.ms", "cal/{date}/{group}.solve.ms"),
    "science_ms": ("ms/science/{date}/{group}.ms",),
    "calibrated_ms": (
        "ms/calibrated/{date}/{group}.ms",
        *(f"selfcal/*/{{date}}/{{group}}{of}.ms" for of in ("", *(f".r{n}" for n in range(1, 10)))),
    ),
    "working_images": (
        *(f"images/{{date}}/{{group}}.{name}.fits" for name in ("psf", "model", "residual")),
        *subband_paths("residual", MAX_SUBBANDS),
    ),
    "images": tuple(
        path
        for name in ("image", "pbcor", "pb", "rms")
        for path in (f"images/{{date}}/{{group}}.{name}.fits", *subband_paths(name, MAX_SUBBANDS))
    ),
}
# Without a word about kinds, `clean --date` takes these: what nothing but a rerun reads.
INTERMEDIATE = ("raw_ms", "science_ms", "calibrated_ms", "working_images")
LEFTOVERS = "leftovers"

REMOVED_SUFFIX = ".removed"
# What network and FUSE file systems leave of a removed file that is still open somewhere.
HELD_PREFIXES = (".nfs", ".fuse_hidden")
LINK = re.compile(r"""\b(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


@dataclass(frozen=True)
class Item:
    """A product that may go: its kind, date, path in the working directory, and what it holds."""

    kind: str
    date: str
    path: str
    n_files: int
    n_bytes: int


@dataclass(frozen=True)
class Plan:
    """What would be removed, and what stays although its age or date would have it go."""

    items: tuple[Item, ...]
    kept: tuple[tuple[str, str], ...] = ()


def dates_with_products(directory: Path) -> list[str]:
    """Return the dates that have a folder of anything that may go, ascending."""
    roots = {pattern.split("/{date}")[0] for patterns in KINDS.values() for pattern in patterns}
    names = {path.name for root in roots for path in directory.glob(f"{root}/*")}
    return sorted(name for name in names if DATE.fullmatch(name))


def expired_kinds(retention: Mapping[str, int | None], date: str, today: str) -> list[str]:
    """Return the kinds that a date has kept for longer than `retention` says, in days."""
    age_days = days_between(date, today)
    limits = {kind: retention.get(kind) for kind in KINDS}
    return [kind for kind, days in limits.items() if days is not None and age_days > days]


def is_finished(directory: Path, date: str) -> bool:
    """Whether a date has its page: what it was made of is needed by reruns only."""
    return (directory / "report" / date / "index.html").is_file()


def plan_for_date(directory: Path, date: str, kinds: Iterable[str], named: set[str]) -> Plan:
    """Find what may go of a date.

    Parameters
    ----------
    directory : the working directory.
    kinds : names of `KINDS`.
    named : paths that something names, relative to the working directory; they stay.
    """
    items: list[Item] = []
    kept: list[tuple[str, str]] = []
    around = {str(parent) for name in named for parent in PurePosixPath(name).parents}
    for kind in [*kinds, LEFTOVERS]:
        for path in found(directory, date, kind, kept):
            name = path.relative_to(directory).as_posix()
            parents = {str(parent) for parent in PurePosixPath(name).parents} - {"."}
            if path.is_symlink():
                kept.append((name, "a link"))
            elif name in named or name in around or parents & named:
                kept.append((name, "a page or a publication names it"))
            else:
                items.append(Item(kind, date, name, *extent(path)))
    return Plan(tuple(items), tuple(dict.fromkeys(kept)))


def found(directory: Path, date: str, kind: str, kept: list[tuple[str, str]]) -> list[Path]:
    """Return the paths of a kind; folders that lead out of `directory` go to `kept`."""
    patterns = KINDS.get(kind) or [pattern for group in KINDS.values() for pattern in group]
    wanted: dict[str, list[str]] = {}
    for pattern in patterns:
        folder, name = posixpath.split(pattern.format(date=date, group="{group}"))
        suffix = re.escape(name.removeprefix("{group}"))
        wanted.setdefault(folder, []).append(GROUP.pattern + suffix)
    paths: list[Path] = []
    for folder, names in wanted.items():
        text = "|".join(names)
        pattern = rf"\.({text})\.\d+{re.escape(REMOVED_SUFFIX)}" if kind == LEFTOVERS else text
        for place in sorted(path for path in directory.glob(folder) if path.is_dir()):
            if place.resolve().is_relative_to(directory.resolve()):
                paths += sorted(one for one in place.iterdir() if re.fullmatch(pattern, one.name))
            else:
                named = str(place.relative_to(directory))
                kept.append((named, "leads out of the working directory"))
    return list(dict.fromkeys(paths))


def extent(path: Path) -> tuple[int, int]:
    """Return how many files a path holds, and their bytes; links are not followed."""
    if not path.is_dir():
        return 1, path.lstat().st_size
    n_files = n_bytes = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                files, size = extent(Path(entry.path))
            else:
                files, size = 1, entry.stat(follow_symlinks=False).st_size
            n_files, n_bytes = n_files + files, n_bytes + size
    return n_files, n_bytes


def named_by_pages(directory: Path, dates: Iterable[str]) -> set[str]:
    """Return what pages link to: those of `dates`, and all that belong to no date."""
    chosen = set(dates)
    named: set[str] = set()
    for page in sorted((directory / "report").rglob("*.html")):
        folder = page.relative_to(directory).parts[1]
        if DATE.fullmatch(folder) and folder not in chosen:
            continue
        base = page.parent.relative_to(directory).as_posix()
        for match in LINK.finditer(page.read_text(encoding="utf-8", errors="replace")):
            address = html.unescape(match[1] or match[2] or "")
            if address and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|#", address):
                target = unquote(re.split(r"[?#]", address)[0])
                named.add(posixpath.normpath(posixpath.join(base, target)))
    return named


def named_by_publications(directory: Path) -> set[str]:
    """Return what the products.json of each publication names: all texts under a key `path`.

    Raises
    ------
    ValueError
        When one cannot be read: nobody knows then what it names.
    """
    named: set[str] = set()
    for listing in sorted((directory / "publish").glob("*/products.json")):
        try:
            content = json.loads(listing.read_text())
        except ValueError as error:
            raise ValueError(
                f"{listing}: not JSON ({error}), so that nobody knows what it names; mend it or "
                "remove that publication first"
            ) from error
        named |= {posixpath.normpath(path) for path in texts_under("path", content)}
    return named


def texts_under(key: str, content: Any) -> Iterable[str]:
    """Yield the texts that stand under a key anywhere in a JSON value."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from texts_under(key, value)
    elif isinstance(content, list):
        for value in content:
            yield from texts_under(key, value)


def remove_item(directory: Path, item: Item) -> bool:
    """Take a product away; a directory is renamed first, so that no half of it looks whole.

    Returns
    -------
    Whether all of it is gone: a file that some process holds open may leave a hidden rest, which
    the next clean-up takes.
    """
    path = directory / item.path
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    hidden = path
    if item.kind != LEFTOVERS:
        hidden = path.with_name(f".{path.name}.{os.getpid()}{REMOVED_SUFFIX}")
        path.rename(hidden)
    return delete_tree(hidden)


def delete_tree(path: Path) -> bool:
    """Delete a directory; False when only files that are still held open are left.

    Raises
    ------
    OSError
        The first one met, when anything else is left.
    """
    failures: list[OSError] = []

    def note(_function: object, _path: str, about: tuple[Any, Any, Any]) -> None:
        failures.append(about[1])

    shutil.rmtree(path, onerror=note)
    if not path.exists():
        return True
    left = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    busy = (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT)
    held = all(file.name.startswith(HELD_PREFIXES) for file in left)
    if failures and not (held and all(failure.errno in busy for failure in failures)):
        raise failures[0]
    logger.info("%s: held open by another process; the next clean-up takes it", path)
    return False


def totals(items: Iterable[Item]) -> dict[str, tuple[int, int, int]]:
    """Return products, files and bytes by kind."""
    summed: dict[str, tuple[int, int, int]] = {}
    for item in items:
        n_items, n_files, n_bytes = summed.get(item.kind, (0, 0, 0))
        summed[item.kind] = (n_items + 1, n_files + item.n_files, n_bytes + item.n_bytes)
    return summed


def size_text(n_bytes: float) -> str:
    """Return a size as people write it, with decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}" if unit != "B" else f"{n_bytes:.0f} B"
        n_bytes /= 1000
    return f"{n_bytes:,.3g} TB"
