"""Status files: how a product says whether it is good, why not, and what went into it.

Every directory product, and every product that can be rejected, has a small JSON beside it.
Bad data is a result: code that meets it raises `Rejected`, the script's `reject` writes the
labelled empty product, and every consumer reads the status of its inputs first (both in
`contimg.script.run`).
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from contimg.version import workflow_version

REJECTED_NOTE = "REJECTED"


class Rejected(Exception):  # noqa: N818  (a result, not an error)
    """Foreseen bad data; the message is the reason that people read in the report."""


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
    """

    status: str
    reason: str = ""
    digest: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

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

    Whatever stood at `path` is replaced. When the block fails, nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    remove(temporary)
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
) -> None:
    """Write a product's status file."""
    write_json(
        path,
        {
            "status": status,
            "reason": reason,
            "version": workflow_version(),
            "digest": digest,
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
    content = json.loads(Path(path).read_text())
    if not isinstance(content, dict) or content.get("status") not in ("ok", "rejected"):
        raise ValueError(
            f"{path}: not a status file (no 'status' of ok or rejected); remove it and rerun"
        )
    names = ("status", "reason", "digest", "inputs", "figures")
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
