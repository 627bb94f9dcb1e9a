"""Parquet tables that say what they hold: written whole, checked, with units and status.

The file metadata is one JSON text under the key `contimg`: status, reason, workflow version,
digest of the values, the columns' units and descriptions, and what the writer adds.
"""

import csv
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contimg.digests import digest_of_arrays, digest_of_value
from contimg.schemas import WHOLE_BAND, Column, Schema
from contimg.status import InputError, plain, written_whole
from contimg.version import workflow_version

Options = TypeVar("Options")

METADATA_KEY = b"contimg"

_ARROW_TYPES = {
    "string": pa.string(),
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
}
_CSV: dict[str, Any] = {"skipinitialspace": True}
_FIELDS = "write decimals with a point, quote a text that holds a comma, or remove the line"
_KINDS = {"string": "OSTU", "float64": "fiu", "int64": "iu", "bool": "b"}


def write_table(
    path: Path,
    df: pd.DataFrame,
    columns: Schema,
    metadata: Mapping[str, Any] | None = None,
    *,
    by_source: bool = False,
) -> None:
    """Write a table to parquet, whole or not at all.

    Parameters
    ----------
    path : output file.
    df : the rows; columns beyond the schema are refused.
    columns : the schema; an optional column may be missing.
    metadata : further JSON-able entries of the file metadata. `status` is "ok" and `reason`
        "" unless they are given here; `options` is stored with its digest, `config_digest`.
    by_source : the rows are in the order of source_id, and go into the file in groups so small
        that `read_table` finds those of one source without reading the others.

    Raises
    ------
    ValueError
        When a column is missing, unknown or of another type, or rows are in another order.
    """
    present = check_schema(df, columns, path)
    ordered = df[[column.name for column in present]]
    if by_source and not ordered["source_id"].is_monotonic_increasing:
        raise ValueError(f"{path}: rows are not in the order of source_id; sort them")
    content: dict[str, Any] = {"status": "ok", "reason": "", **(metadata or {})}
    content["workflow_version"] = workflow_version()
    if "options" in content:
        content["config_digest"] = digest_of_value(content["options"])
    content["digest"] = table_digest(ordered)
    content["columns"] = {
        column.name: {"unit": column.unit, "description": column.description} for column in present
    }
    text = json.dumps(plain(content), sort_keys=True, allow_nan=False)
    schema = pa.schema([_arrow_field(column) for column in present], {METADATA_KEY: text.encode()})
    arrays = [pa.array(ordered[column.name], schema.field(column.name).type) for column in present]
    with written_whole(Path(path)) as temporary:
        table = pa.Table.from_arrays(arrays, schema=schema)
        rows_per_group = rows_of_a_group(len(df)) if by_source else None
        pq.write_table(table, temporary, row_group_size=rows_per_group)


def rows_of_a_group(n_rows: int) -> int:
    """Return how many rows make a row group of a file in which single sources are looked up.

    A look-up reads one group, about 60 bytes a row, and the statistics of all groups, about 1500
    bytes a group: both are the same at sqrt(25 n_rows).
    """
    return max(1000, math.isqrt(25 * n_rows))


def write_rejected_table(
    path: Path, columns: Schema, reason: str, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write the labelled empty table that stands for a rejected product."""
    rejected = {**(metadata or {}), "status": "rejected", "reason": reason}
    write_table(path, empty_table(columns), columns, rejected)


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    categories: Sequence[str] = (),
    source_ids: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table and its metadata.

    Parameters
    ----------
    path : a parquet or CSV file, of this workflow or of another telescope's.
    columns : names to read, all when None; a table need not have all of them.
    categories : text columns of parquet that become categories: a tenth of the memory. The
        frame then is read-only in place, and no second copy of it is made.
    source_ids : read the rows of these sources, all when None. Of a table that was written
        `by_source` only the groups of rows are read in which they are.

    Returns
    -------
    df : the rows.
    metadata : as written by `write_table`; `{"status": "ok", "reason": ""}` for a file that
        another program wrote.

    Raises
    ------
    InputError
        When the file cannot be read as a table.
    """
    path = Path(path)
    there = column_names(path)
    names = [name for name in there if columns is None or name in columns]
    if is_csv(path):
        rows = _read_csv(path, names)
        if source_ids is not None:
            rows = rows[rows["source_id"].isin(source_ids)].reset_index(drop=True)
        return rows, _no_metadata()
    lean = len(categories) > 0
    wanted = None if source_ids is None else [("source_id", "in", list(source_ids))]
    table = pq.read_table(
        path,
        columns=names,
        filters=wanted,
        read_dictionary=[*categories],
        pre_buffer=not lean,
    )
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    metadata = _no_metadata() if text is None else json.loads(text)
    frame = table.to_pandas(split_blocks=lean, self_destruct=lean)
    if lean:
        del table
        pa.default_memory_pool().release_unused()
    return frame, metadata


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises
    ------
    InputError
        When the file cannot be read as a table.
    """
    path = Path(path)
    if not is_csv(path) and path.suffix != ".parquet":
        raise InputError(f"{path}: unknown form; a name that ends in .csv or .parquet expected")
    if path.is_dir():
        raise InputError(f"{path}: a directory found, a file expected; correct the path")
    try:
        if is_csv(path):
            return list(pd.read_csv(path, nrows=0, **_CSV).columns)
        return list(pq.read_schema(path).names)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: empty; a line of column names is expected") from error
    except UnicodeDecodeError as error:
        raise _no_utf8(path, error) from error
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: not a readable parquet table ({error}); remove it and make it again"
        ) from error


def is_csv(path: Path) -> bool:
    """Whether a table is one of comma-separated text, by its name."""
    return path.suffix.lower() == ".csv"


def empty_table(columns: Schema) -> pd.DataFrame:
    """Return a table with no rows and the required columns, of the right types."""
    types = {"string": "object"}
    return pd.DataFrame(
        {
            column.name: pd.Series(dtype=types.get(column.dtype, column.dtype))
            for column in columns
            if not column.optional
        }
    )


def check_schema(df: pd.DataFrame, columns: Schema, name: Path | str = "table") -> list[Column]:
    """Return the schema's columns that a table has, in the schema's order.

    Raises
    ------
    ValueError
        When a column is missing, unknown or of another type.
    """
    known = {column.name for column in columns}
    missing = [c.name for c in columns if not c.optional and c.name not in df.columns]
    unknown = [column for column in df.columns if column not in known]
    if missing or unknown:
        raise ValueError(
            f"{name}: missing columns {missing}, unknown columns {unknown}; "
            f"expected {[column.name for column in columns]}"
        )
    present = [column for column in columns if column.name in df.columns]
    for column in present:
        found = df[column.name].dtype
        if not _fits(df[column.name], column.dtype):
            raise ValueError(
                f"{name}: column {column.name} is {found}, expected {column.dtype}; convert it"
            )
    return present


def require_columns(df: pd.DataFrame, columns: Schema, path: Path) -> None:
    """Raise InputError when a table from outside lacks a column that is needed."""
    needed = [column.name for column in columns if not column.optional]
    missing = [name for name in needed if name not in df.columns]
    if missing:
        found = ", ".join(map(str, df.columns))
        separated = len(df.columns) == 1 and any(mark in found for mark in ";\t|")
        raise InputError(
            f"{path}: no column {', '.join(missing)}; found {found}; needed {', '.join(needed)}; "
            + ("separate the columns by commas" if separated else "name the columns so")
        )


def table_digest(df: pd.DataFrame) -> str:
    """Return a digest of a table's column names and values, in row order, whatever the file."""
    return digest_of_arrays((str(name), _canonical(df[name])) for name in df.columns)


def subband_of(df: pd.DataFrame) -> pd.Series:
    """Return the subband of each row, int64; tables without the column are of the whole band."""
    found = df.get("subband", pd.Series(WHOLE_BAND, index=df.index))
    return found.fillna(WHOLE_BAND).astype(np.int64)


def whole_band(df: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the whole band: all of a table without subband images."""
    return df[subband_of(df) == WHOLE_BAND].reset_index(drop=True) if "subband" in df else df


def searched_band(df: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that events are searched in: of the whole band, else all of them."""
    whole = whole_band(df)
    return whole if len(whole) else df


def require_degrees(df: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """Return a table with its columns of angles as numbers.

    Raises
    ------
    InputError
        When one holds what is not a number.
    """
    angles = {}
    for name in names:
        angles[name] = pd.to_numeric(df[name], errors="coerce").astype(float)
        wrong = df[name][angles[name].isna() & df[name].notna()]
        if len(wrong):
            raise InputError(
                f"{path}: {name} {wrong.iloc[0]!r} found in row {wrong.index[0] + 1}, degrees "
                "expected; convert it"
            )
    return df.assign(**angles)


def options_from(kind: type[Options], given: Mapping[str, Any] | None) -> Options:
    """Make an options object of a config block; keys that it does not know are others' keys."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in (given or {}).items() if key in known})


def _read_csv(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read the named columns; a row with more fields than the header is refused."""
    try:
        _require_no_more_fields(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of commas at the ends
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # of columns nobody asked for
            rows = pd.read_csv(path, index_col=False, dtype={"source_id": str}, **_CSV)
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: {str(error).strip()}; {_FIELDS}") from error
    except UnicodeDecodeError as error:
        raise _no_utf8(path, error) from error
    return rows[list(names)]


def _require_no_more_fields(path: Path) -> None:
    """Refuse a first row that is longer than the header: of it pandas would drop the end."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = (fields for fields in csv.reader(stream) if fields)
        header, first = next(lines, []), next(lines, [])
    if any(field.strip() for field in first[len(header) :]):
        raise InputError(
            f"{path}: row 1 has {len(first)} fields, the header {len(header)}; {_FIELDS}"
        )


def _no_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8")


def _fits(series: pd.Series, dtype: str) -> bool:
    """Whether values can be stored as `dtype` without loss."""
    if dtype == "string":
        is_text = pd.api.types.is_string_dtype(series.dtype) or series.dtype == object
        return is_text and all(isinstance(value, str) for value in series)
    return isinstance(series.dtype, np.dtype) and series.dtype.kind in _KINDS[dtype]


def _arrow_field(column: Column) -> pa.Field:
    about = {"unit": column.unit, "description": column.description}
    return pa.field(column.name, _ARROW_TYPES[column.dtype], metadata=about)


def _canonical(series: pd.Series) -> np.ndarray:
    """Return a column as an array whose bytes depend on its values only."""
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind == "O":
        return series.to_numpy(dtype=object)
    values = series.to_numpy()
    if values.dtype.kind == "f":
        values = values.astype(np.float64) + 0.0  # no negative zero
        values = np.where(np.isnan(values), np.nan, values)
    return values


def _no_metadata() -> dict[str, Any]:
    return {"status": "ok", "reason": ""}
