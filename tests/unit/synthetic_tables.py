"""Rows of tables of which a test cares about a few columns only."""

import numpy as np

from contimg.schemas import Schema


def untold(schema: Schema) -> dict[str, object]:
    """Return a row that tells nothing: what a table must have and a test does not care about."""
    blanks = {"string": "", "float64": np.nan, "int64": 0, "bool": False}
    return {one.name: blanks[one.dtype] for one in schema if not one.optional}
