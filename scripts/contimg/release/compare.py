"""Compare a product with the same one made again: identical, equal within tolerance, different.

Identical: all values are the same. Equal: what is measured agrees within the tolerance, all else
is the same. The tolerances:

- pixels: the larger of 1e-5 of the image's largest absolute value and 1e-2 of its rms;
- solutions of calibration tables: 1e-5 of the largest absolute value;
- columns: the larger of 1e-5 of the column's largest absolute value and 1e-2 of the row's own
  standard error, where the table has one (S/N and chi-squared: 1e-2);
- figures in JSON, in headers and in metadata: 1e-2 of their value.

Texts, counts, positions, times and frequencies are given by the observation and have no
tolerance. Digests of values that agree may differ.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from contimg import calibration_table
from contimg.release.members import database_dump
from contimg.status import REJECTED_NOTE
from contimg.tables import read_table

OF_LARGEST = 1e-5
OF_ERROR = 1e-2
OF_FIGURE = 1e-2
# The error of a column in its own row; 1 where it is by definition.
ERROR_OF = {"flux_jy": "flux_err_jy", "norm_flux_jy": "norm_err_jy", "snr": 1.0, "chi2": 1.0}
GIVEN = ("_deg", "mjd", "_hz", "_s", "_m", "weight_time", "weight_freq", "pointing")
# Clocks, and WSClean's command line with its paths.
OF_THE_RUN = {"DATE", "HISTORY", "COMMENT", "CHECKSUM", "DATASUM", ""}
# Of the other cards these are measured; how many iterations CLEAN took is nobody's result.
MEASURED_CARD = re.compile(r"WSC|[BT](MAJ|MIN|PA)")
COURSE_OF_CLEAN = {"WSCMAJOR", "WSCMINOR", "WSCTHRES"}

IDENTICAL, EQUAL, DIFFERENT = "identical", "equal", "different"


@dataclass(frozen=True)
class Verdict:
    """How a product and the one made again agree.

    Attributes
    ----------
    path : of the product.
    state : identical, equal or different.
    detail : how far apart they are, or in what; empty when identical.
    """

    path: str
    state: str
    detail: str = ""


def compare(path: str, published: Path, again: Path) -> Verdict:
    """Compare a product of a release with the one made again.

    Parameters
    ----------
    path : name for the verdict.
    published, again : the two files or directories.
    """
    if not again.exists():
        return Verdict(path, DIFFERENT, "was not made again")
    kind = ".table" if published.is_dir() else published.suffix
    if kind == ".table" and REJECTED_NOTE in {one.name for one in published.iterdir()}:
        published, again, kind = published / REJECTED_NOTE, again / REJECTED_NOTE, ".txt"
    differences = list(COMPARISONS.get(kind, texts)(published, again))
    beyond = [text for within, text in differences if not within]
    if beyond:
        return Verdict(path, DIFFERENT, beyond[0])
    return Verdict(path, EQUAL, differences[0][1]) if differences else Verdict(path, IDENTICAL)


Differences = Iterator[tuple[bool, str]]  # (within tolerance, what differs)


def images(published: Path, again: Path) -> Differences:
    """Yield the differences of two FITS images: pixels, then header."""
    one, two = fits.getdata(published), fits.getdata(again)
    peak = float(np.nanmax(np.abs(one))) if np.isfinite(one).any() else 0.0
    rms = float(np.nanstd(one)) if np.isfinite(one).any() else 0.0
    yield from arrays("pixels", one, two, max(OF_LARGEST * peak, OF_ERROR * rms))
    first, second = cards(published), cards(again)
    for name in first | second:
        if name in COURSE_OF_CLEAN and first.get(name) != second.get(name):
            yield True, f"{name} differs"
        else:
            measured = bool(MEASURED_CARD.match(name))
            yield from figures(name, first.get(name), second.get(name), measured)


def cards(path: Path) -> dict[str, Any]:
    header = fits.getheader(path)
    return {name: header[name] for name in header if name not in OF_THE_RUN}


def calibration_tables(published: Path, again: Path) -> Differences:
    """Yield the differences of two calibration tables; a flagged solution counts as 0."""
    if not (again / "table.dat").is_file():
        yield False, "no table: rejected when made again"
        return
    parameter = calibration_table.parameter_column(published)
    names = [parameter, "FLAG", "ANTENNA1", "ANTENNA2", "SPECTRAL_WINDOW_ID", "TIME"]
    first, second = (calibration_table.read_columns(path, names) for path in (published, again))
    for columns in (first, second):
        columns[parameter] = np.where(columns["FLAG"], 0, columns[parameter])
    for name in names:
        tolerance = OF_LARGEST * np.abs(first[name]).max(initial=0.0) if name == parameter else 0.0
        yield from arrays(name, first[name], second[name], tolerance)
    if calibration_table.antenna_names(published) != calibration_table.antenna_names(again):
        yield False, "antennas"
    one, two = (calibration_table.channel_freq_hz(path) for path in (published, again))
    yield from arrays("CHAN_FREQ", one, two, 0.0)


def parquet_tables(published: Path, again: Path) -> Differences:
    """Yield the differences of two tables: columns, then metadata."""
    (first, about_first), (second, about_second) = read_table(published), read_table(again)
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        yield False, f"{first.shape} rows and columns, {second.shape} when made again"
        return
    for name in first.columns:
        one, two = first[name].to_numpy(), second[name].to_numpy()
        if one.dtype.kind == "f" and two.dtype.kind == "f":
            yield from arrays(name, one, two, tolerance_of(name, first))
        elif one.dtype != two.dtype or not np.array_equal(one, two):
            yield name.endswith("digest"), f"{name} differs"
    yield from mappings("", about_first, about_second)


def tolerance_of(name: str, table: pd.DataFrame) -> NDArray[np.float64] | float:
    """Return the tolerance of a column of numbers, a value or one a row."""
    if given(name):
        return 0.0
    values = table[name].abs().to_numpy()
    largest = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    error = ERROR_OF.get(name, 0.0)
    own = table[error].to_numpy() if isinstance(error, str) and error in table else error
    own = own if not isinstance(own, str) else 0.0
    return np.fmax(OF_LARGEST * largest, OF_ERROR * np.asarray(own, dtype=float))


def given(name: str) -> bool:
    """Whether the observation gives a value; the restoring beam is measured."""
    return name.endswith(GIVEN) and not name.startswith("beam_")


def json_files(published: Path, again: Path) -> Differences:
    yield from values("", json.loads(published.read_text()), json.loads(again.read_text()))


def databases(published: Path, again: Path) -> Differences:
    if database_dump(published) != database_dump(again):
        yield False, "content"


def texts(published: Path, again: Path) -> Differences:
    if not again.is_file() or published.read_bytes() != again.read_bytes():
        yield False, "text"


COMPARISONS = {
    ".fits": images,
    ".parquet": parquet_tables,
    ".json": json_files,
    ".sqlite3": databases,
    ".table": calibration_tables,
}


def arrays(
    name: str, one: NDArray, two: NDArray, tolerance: NDArray[np.float64] | float
) -> Differences:
    """Yield how two arrays differ; what is not finite must be so in both."""
    if one.shape != two.shape:
        yield False, f"{name}: shape {one.shape}, {two.shape} when made again"
        return
    if one.dtype.kind not in "fc":
        if not np.array_equal(one, two):
            yield False, f"{name}: {np.sum(one != two)} of {one.size} values differ"
        return
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(two)):
        yield False, f"{name}: finite in other places"
        return
    apart = np.abs(np.where(finite, one, 0) - np.where(finite, two, 0))
    if apart.any():
        n, beyond = np.count_nonzero(apart), int(np.sum(apart > tolerance))
        text = f"{name}: {n} of {one.size} values differ, by up to {apart.max():.2g}"
        yield not beyond, f"{text}, {beyond} beyond the tolerance" if beyond else text


def values(name: str, one: Any, two: Any) -> Differences:
    """Yield how two JSON values differ."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        yield from mappings(name, one, two)
    elif isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            yield False, f"{name}: {len(one)} entries, {len(two)} when made again"
            return
        for first, second in zip(one, two, strict=True):
            yield from values(name, first, second)
    else:
        yield from figures(name, one, two, not given(name))


def mappings(name: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Differences:
    """Yield how two JSON objects differ; digests may, if nothing else does."""
    for key in sorted({*one, *two}):
        first, second = one.get(key), two.get(key)
        # A digest follows its values, a listing the sizes of files; below `inputs` and `digests`
        # there is nothing else.
        if name in ("inputs", "digests") or key.endswith(("digest", "listing")):
            if first != second:
                yield bool(first) == bool(second), f"{key}: digest differs"
        else:
            yield from values(key, first, second)


def figures(name: str, one: Any, two: Any, measured: bool) -> Differences:
    """Yield how two plain values differ."""
    if one == two:
        return
    numbers = isinstance(one, float) and isinstance(two, float)
    within = numbers and measured and abs(one - two) <= OF_FIGURE * abs(one)
    yield within, f"{name}: {one!r}, {two!r} when made again"
