"""DSA-110 continuum imaging: the library behind the workflow's scripts.

`from contimg import Source` looks at one source of a working directory.
"""

import importlib
from typing import Any

__all__ = ["Source"]


def __getattr__(name: str) -> Any:
    """Import `Source` when it is asked for: most of the library does without it.

    By name, so that rules do not depend on its code (see `contimg.codedigest`).
    """
    if name == "Source":
        return importlib.import_module("contimg.source").Source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
