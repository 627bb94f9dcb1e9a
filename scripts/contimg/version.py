"""The workflow's version, told by pyproject.toml alone.

It is data, not code: a new version by itself makes no product stale.
"""

import tomllib
from functools import cache
from pathlib import Path


@cache
def workflow_version() -> str:
    """Return the version of the checkout that this library lies in."""
    pyproject = Path(__file__).resolve().parents[2] / "pyproject.toml"
    return tomllib.loads(pyproject.read_text())["project"]["version"]
