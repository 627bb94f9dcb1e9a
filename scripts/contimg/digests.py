"""Digests of values: of arrays, columns and pixels, never of whole product files.

Files of equal values differ in padding, dates and command lines; the values are what repeats.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.status import plain

LENGTH = 20


class Digest:
    """A running digest of named arrays and plain values, in the order of their coming."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=LENGTH)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Add an array's name, type, shape and values."""
        values = np.ascontiguousarray(array)
        if values.dtype.kind == "O":
            self._hash.update(json.dumps([name, plain(values)]).encode())
            return
        self._hash.update(f"{name}:{values.dtype.str}:{values.shape};".encode())
        if values.size:
            self._hash.update(values.reshape(-1).view(np.uint8).data)

    def hex(self) -> str:
        return self._hash.hexdigest()


def digest_of_arrays(arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Return the digest of (name, array) pairs."""
    digest = Digest()
    for name, array in arrays:
        digest.add(name, array)
    return digest.hex()


def digest_of_value(value: Any) -> str:
    """Return the digest of a plain value (config blocks, lists of names)."""
    text = json.dumps(plain(value), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=LENGTH).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a small text input's bytes (a strategy, a catalogue's source)."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=LENGTH)).hexdigest()
