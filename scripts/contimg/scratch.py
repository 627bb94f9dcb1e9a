"""Folders for temporary files, on a fast local disk while it has room, that leave nothing behind.

Each is named `contimg-HOST-PURPOSE-…` and holds a file `.lock` that its owner keeps locked for
life. Whoever makes the next one on that host first removes those whose lock is free: their owners
were killed. rules/functions.sh does the same without Python.
"""

import fcntl
import glob
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contimg.status import remove

logger = logging.getLogger(__name__)

LOCK = ".lock"


@contextmanager
def scratch_folder(tmpdir: Path, need_bytes: int, product: Path) -> Iterator[Path]:
    """Give a private folder for temporary files, which is removed when the block ends.

    Parameters
    ----------
    tmpdir : where temporary files belong: the rule's resource of that name.
    need_bytes : what the caller expects to write there. With less free space the folder is made
        beside the product, under a hidden name.
    product : path of what is being made.
    """
    remove_abandoned(tmpdir)
    product.parent.mkdir(parents=True, exist_ok=True)
    for leftover in product.parent.glob(f".{glob.escape(product.name)}.*.scratch"):
        remove(leftover)
    free_bytes, lock = shutil.disk_usage(tmpdir).free, None
    if free_bytes < need_bytes:
        folder = Path(tempfile.mkdtemp(".scratch", f".{product.name}.", product.parent))
        logger.warning(
            "%s: %.3g GB free, %.3g GB needed: temporary files go to %s",
            tmpdir, free_bytes / 1e9, need_bytes / 1e9, folder,
        )  # fmt: skip
    else:
        folder, lock = locked_folder(tmpdir, f"{prefix()}{product.suffix[1:]}-")
    try:
        yield folder
    finally:
        clear(folder, lock)


def size_bytes(folder: Path) -> int:
    """What the files of a folder take up."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def prefix() -> str:
    """How the names of this host's scratch folders begin."""
    return f"contimg-{platform.node()}-"


def locked_folder(tmpdir: Path, start_of_name: str) -> tuple[Path, int | None]:
    """Make a folder and lock it; the lock is None where the file system has no locks."""
    for _ in range(3):
        folder = Path(tempfile.mkdtemp(prefix=start_of_name, dir=tmpdir))
        lock = lock_of(folder)
        if lock is not None:
            return folder, lock
        # Another job took it for abandoned just before it was locked, or there are no locks.
        shutil.rmtree(folder, ignore_errors=True)
    logger.warning("%s: no file locks; its temporary files stay if this job is killed", tmpdir)
    return Path(tempfile.mkdtemp(prefix=start_of_name, dir=tmpdir)), None


def lock_of(folder: Path) -> int | None:
    """Lock a folder and return the descriptor of the lock, or None when that cannot be had."""
    path = folder / LOCK
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.samefile(f"/proc/self/fd/{lock}"):
            return lock
    except OSError:
        logger.debug("%s: in use, or removed by another", path)
    os.close(lock)
    return None


def remove_abandoned(tmpdir: Path) -> None:
    """Remove this user's and host's scratch folders whose owners are dead."""
    for folder in sorted(tmpdir.glob(f"{glob.escape(prefix())}*")):
        with suppress(FileNotFoundError):  # another job may be removing it too
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            lock = lock_of(folder)
            if lock is not None:
                logger.info("%s: its owner is dead, removed", folder)
                clear(folder, lock)


def clear(folder: Path, lock: int | None) -> None:
    """Remove a folder, its lock last and closed: an open file cannot go on a network file system.

    What is still open elsewhere (`.nfs…`, `.fuse_hidden…`) stays, for the next job to remove.
    """
    for path in folder.iterdir():
        if path.name != LOCK:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
    if lock is not None:
        os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("%s: not empty yet, left for the next job to remove", folder)
