"""The figures that tests measure, kept for docs/validation.md when CONTIMG_FIGURES names a file."""

import json
import os
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any


def record(name: str, measured: Any) -> None:
    """Append a line of JSON: the name, and a number, a mapping or a dataclass."""
    path = os.environ.get("CONTIMG_FIGURES")
    if path:
        value = asdict(measured) if is_dataclass(measured) else measured  # type: ignore[arg-type]
        with Path(path).open("a") as lines:
            lines.write(json.dumps({name: value}, default=float) + "\n")
