"""Tables in files of others: FITS, VOTable and delimited text, also gzipped, by their content.

Only the columns that are asked for are read. Units are what the file says, as text.
"""

import csv
import gzip
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from astropy.io import fits, votable
from numpy.typing import NDArray

from contimg.status import InputError

DELIMITERS = (",", "\t", ";", "|")
_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class TableFile:
    """A table whose columns can be read by name.

    Attributes
    ----------
    names : columns in the file's order.
    units : of those columns whose unit the file tells.
    read : gives the named columns, each (Nrows,); masked floats are NaN.
    """

    names: tuple[str, ...]
    units: dict[str, str]
    read: Callable[[Sequence[str]], dict[str, NDArray[Any]]]


def open_table(path: Path) -> TableFile:
    """Open the first table of a FITS, VOTable or text file (comma, tab, semicolon or bar).

    Raises
    ------
    ValueError
        When the file is empty or holds no table.
    """
    with _opened(path) as stream:
        head = stream.read(4096)
    if not head.strip():
        raise InputError(f"{path}: an empty file; expected a table as FITS, VOTable or CSV")
    if head.startswith("SIMPLE  ="):
        return _fits_table(path)
    if head.lstrip("\ufeff \r\n").startswith("<"):
        return _votable(path)
    if "\0" in head:
        raise InputError(
            f"{path}: neither FITS nor VOTable nor text; expected a table in one of these forms, "
            f"plain or gzipped"
        )
    return _text_table(path)


def _opened(path: Path) -> TextIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    if packed:
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _fits_table(path: Path) -> TableFile:
    def first_table(hdus: fits.HDUList) -> Any:
        kinds = (fits.BinTableHDU, fits.TableHDU)
        return next((hdu for hdu in hdus if isinstance(hdu, kinds)), None)

    try:
        with fits.open(path) as hdus:
            table = first_table(hdus)
            if table is None:
                raise InputError(f"{path}: FITS without a table; give the survey's catalogue")
            columns = [(column.name, column.unit) for column in table.columns]
    except (OSError, TypeError) as error:  # astropy on broken headers
        raise InputError(f"{path}: not a readable FITS file ({error}); fetch it again") from error

    def read(names: Sequence[str]) -> dict[str, NDArray[Any]]:
        try:
            with fits.open(path) as hdus:
                data = first_table(hdus).data
                return {name: np.array(data[name]) for name in names}
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"{path}: cut short ({error}); fetch it again") from error

    return TableFile(tuple(name for name, _ in columns), {n: u for n, u in columns if u}, read)


def _votable(path: Path) -> TableFile:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", votable.exceptions.VOWarning)
            table = votable.parse(path).get_first_table().to_table(use_names_over_ids=True)
    except (IndexError, ValueError, OSError, votable.exceptions.VOWarning) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a VOTable with a table ({reason}); fetch it again"
        ) from error
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit}

    def read(names: Sequence[str]) -> dict[str, NDArray[Any]]:
        return {name: _unmasked(table[name]) for name in names}

    return TableFile(tuple(table.colnames), units, read)


def _unmasked(column: Any) -> NDArray[Any]:
    values = np.ma.asarray(column)
    if values.dtype.kind in "iu" and np.ma.is_masked(values):
        values = values.astype(float)
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    return values.filled("") if values.dtype.kind in "OSU" else values.filled()


def _text_table(path: Path) -> TableFile:
    """Read the head of delimited text, with comments and lines of units as VizieR writes them."""
    with _opened(path) as stream:
        comments, line = 0, stream.readline()
        while line.startswith("#") or (line and not line.strip()):
            comments, line = comments + 1, stream.readline()
        following = [stream.readline(), stream.readline()]
    if not line.strip():
        raise InputError(f"{path}: no table, only comments; expected a header and rows")
    delimiter = max(DELIMITERS, key=line.count)
    names, maybe_units, dashes = (_fields(text, delimiter) for text in (line, *following))
    has_units = len(dashes) == len(names) and all(set(text) <= {"-"} for text in dashes)
    units = {n: u for n, u in zip(names, maybe_units, strict=False) if has_units and u}
    _require_whole_end(path, names, delimiter)
    skipped = [*range(comments), *([comments + 1, comments + 2] if has_units else [])]

    def read(wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        indices = {name: names.index(name) for name in wanted}
        try:
            with _opened(path) as stream:
                rows: Iterable[str] = islice(stream, comments + (3 if has_units else 1), None)
                if comments:
                    rows = (row.partition("#")[0] for row in rows)
                _require_no_more_fields(path, rows, len(names), delimiter)
            table = pd.read_csv(
                path,
                sep=delimiter,
                skiprows=skipped,
                comment="#" if comments else None,
                usecols=sorted(set(indices.values())),
                index_col=False,  # else a delimiter at the end of each row moves all columns by one
                skipinitialspace=True,
                encoding_errors="replace",
            )
        except pd.errors.ParserError as error:
            raise InputError(f"{path}: not a table in text ({error}); correct the file") from error
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: cut short ({error}); fetch it again") from error
        order = sorted(set(indices.values()))
        return {name: table.iloc[:, order.index(at)].to_numpy() for name, at in indices.items()}

    return TableFile(tuple(names), units, read)


def _require_no_more_fields(path: Path, rows: Iterable[str], n_names: int, delimiter: str) -> None:
    """Refuse a row with more fields than the header has names: pandas would drop its end.

    Delimiters alone at the end of a row are no fields.
    """
    for number, row in enumerate(rows, 1):
        fields = _fields(row, delimiter) if row.count(delimiter) >= n_names else []
        if any(fields[n_names:]):
            raise InputError(
                f"{path}: {len(fields)} fields found in row {number}, {n_names} names in the "
                "header; write decimals with a point, and quote a text that holds the delimiter"
            )


def _require_whole_end(path: Path, names: Sequence[str], delimiter: str) -> None:
    """Refuse plain text whose last line has neither its end nor all fields."""
    with path.open("rb") as stream:
        if stream.read(2) == _GZIP:
            return
        stream.seek(max(0, path.stat().st_size - _LONGEST_LINE))
        end = stream.read().decode("utf-8", "replace").replace("\r", "\n")
    last = end.rpartition("\n")[2]
    n_fields = len(_fields(last, delimiter))
    if last.strip() and n_fields < len(names) and not last.startswith("#"):
        raise InputError(
            f"{path}: cut short, {n_fields} of {len(names)} fields in the last row; fetch it again"
        )


def _fields(line: str, delimiter: str) -> list[str]:
    return [
        text.strip().lstrip("\ufeff") for text in next(csv.reader([line], delimiter=delimiter), [])
    ]
