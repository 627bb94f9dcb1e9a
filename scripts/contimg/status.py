"""Status files: how a product says whether it is good, why not, and what went into it.

Every directory product, and every product that can be rejected, has a small JSON beside it.
Bad data is a result: code that meets it raises `Rejected`, the script's `reject` writes the
labelled empty product, and every consumer reads the status of its inputs first (both in
`contimg.script.run`).

Snakemake sees nothing of what is inside a directory, so a directory's status also holds the
listing of its files. A directory that a killed run was removing, or that a lost node had not yet
written out, has another listing; consumers refuse it. rules/functions.sh does the same without
Python.
"""

import fnmatch
import glob
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from contimg.version import workflow_version

REJECTED_NOTE = "REJECTED"

NOT_LISTED = (".snakemake_timestamp", ".nfs*", ".fuse_hidden*")
"""Files in a directory that are not of the product."""

SIZE_OF_THE_RUN = re.compile(rb"(.*/)?(HISTORY/.*|table\.lock)")
"""Files whose size may differ between equal products (paths in a history; casacore's locks)."""


class InputError(ValueError):
    """What a person gave cannot be used; the message is one line that says what to do."""


class Rejected(Exception):  # noqa: N818  (a result, not an error)
    """Foreseen bad data; the message is the reason that people read in the report."""


class NotWhole(Exception):  # noqa: N818  (says what is the matter)
    """A directory whose files are not those that its status lists."""


@dataclass(frozen=True)
class Status:
    """What a product's JSON says.

    Attributes
    ----------
    status : "ok" or "rejected".
    reason : one line for people, empty when ok.
    digest : digest of the product's values (not of its files), empty when rejected.
    inputs : digest of each thing that went in, by name.
    figures : key figures, units in the names.
    listing : of the directory that the status belongs to (see `listing`), else empty.
    container : digest of the container image that made the product, empty without one.
    failed_checks : why a product that is kept is not to be trusted; empty when it is.
    """

    status: str
    reason: str = ""
    digest: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    listing: str = ""
    container: str = ""
    failed_checks: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == "ok"


def plain(value: Any) -> Any:
    """Turn numpy values into JSON's own; what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    Whatever stood at `path` is replaced, and what killed runs left beside it goes. When the
    block fails, nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.[0-9]*.part"):
        remove(leftover)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        remove(path)
        temporary.rename(path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all, in an order that does not depend on the run."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def write_status(
    path: Path,
    *,
    status: str = "ok",
    reason: str = "",
    digest: str = "",
    inputs: Mapping[str, str] | None = None,
    figures: Mapping[str, Any] | None = None,
    container: str = "",
    failed_checks: Sequence[str] = (),
) -> None:
    """Write a product's status file; that of a directory (written before) has its listing."""
    directory = directory_of(path)
    write_json(
        path,
        {
            "status": status,
            "reason": reason,
            "version": workflow_version(),
            "digest": digest,
            **({"listing": listing(directory)} if directory.is_dir() else {}),
            **({"container": container} if container else {}),
            **({"failed_checks": failed_checks} if failed_checks else {}),
            "inputs": dict(sorted((inputs or {}).items())),
            "figures": figures or {},
        },
    )


def read_status(path: Path) -> Status:
    """Read a status file.

    Raises
    ------
    ValueError
        When the file is not a status file.
    """
    try:
        content = json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); remove it and rerun") from error
    if not isinstance(content, dict) or content.get("status") not in ("ok", "rejected"):
        raise ValueError(
            f"{path}: not a status file (no 'status' of ok or rejected); remove it and rerun"
        )
    names = [each.name for each in fields(Status)]
    return Status(**{name: content[name] for name in names if name in content})


def require_ok(path: Path) -> Status:
    """Read a status file and raise `Rejected`, with its reason, when the product is rejected."""
    found = read_status(path)
    if not found.ok:
        raise Rejected(found.reason)
    return found


def reject_directory(directory: Path, reason: str) -> None:
    """Write the labelled empty product in place of a directory (MS or calibration table)."""
    with written_whole(directory) as temporary:
        temporary.mkdir()
        (temporary / REJECTED_NOTE).write_text(reason + "\n")


def status_of(directory: Path) -> Path:
    """Return the path of a directory's status file."""
    return directory.parent / f"{directory.name}.json"


def directory_of(status: Path) -> Path:
    """Return the path of the directory that a status file would belong to."""
    return status.parent / status.name.removesuffix(".json")


def listing(directory: Path) -> str:
    """Return a digest of the names and sizes of a directory's files: is it whole?

    It is no digest of values. Left out are files that are not of the product, and the sizes of
    those that may differ between equal products.

    Returns
    -------
    SHA-256, in hexadecimal, of a sorted line a file: its size (or "-"), a space, its path.
    """
    lines = []
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        if not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in NOT_LISTED):
            name = os.fsencode(path.relative_to(directory))
            size = b"-" if SIZE_OF_THE_RUN.fullmatch(name) else b"%d" % path.stat().st_size
            lines.append(size + b" " + name + b"\n")
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def is_whole(directory: Path, status: Path | None = None) -> bool:
    """Whether a directory holds the files that its status lists.

    Parameters
    ----------
    directory : a Measurement Set or calibration table.
    status : its status file, by default the JSON beside it. One without a listing, as earlier
        versions wrote, vouches for any directory; one that is missing or unreadable for none.
    """
    try:
        require_whole(directory, status)
    except (NotWhole, OSError, ValueError):
        return False
    return True


def require_whole(directory: Path, status: Path | None = None) -> None:
    """Check that a directory holds the files that its status lists; see `is_whole`.

    Raises
    ------
    NotWhole
        When it does not.
    """
    path = status or status_of(directory)
    expected = read_status(path).listing
    found = listing(directory)
    if expected and found != expected:
        raise NotWhole(
            f"{directory}: not whole: the listing of its files is {found[:12]}, {expected[:12]} "
            f"expected by {path.name} (a run died that was writing or removing it); "
            f"remove both and run again"
        )
