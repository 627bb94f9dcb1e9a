"""Reading light curves: this workflow's, or another telescope's with what such tables bring."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contimg.epochs import USABLE
from contimg.schemas import EXTERNAL_LIGHTCURVES
from contimg.status import InputError
from contimg.tables import column_names, is_csv, read_table, require_columns

logger = logging.getLogger(__name__)

_OPTIONAL = ("freq_hz", "ra_deg", "dec_deg", "status", "subband", "upper_limit")
_FLUXES = ("flux_jy", "flux_err_jy", "norm_flux_jy", "norm_err_jy")
_USUAL_SENTINELS = (-99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0)
_LARGEST_JY = 1e6  # the quiet Sun at 1.4 GHz
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "", "nan", "none", "<na>")
_JD_OF_MJD_0 = 2400000.5
_TO_MJD = "convert dates to MJD, as astropy.time.Time(dates).mjd does"
_LATEST_MJD = 200000.0
_LOWEST_HZ, _HIGHEST_HZ = 1e6, 1e13


def read_light_curves(
    path: Path, sentinels: Sequence[float] = ()
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read light curves for `contimg.epochs.usable_epochs`.

    Parameters
    ----------
    path : parquet or CSV of this or another telescope; see `EXTERNAL_LIGHTCURVES`.
    sentinels : numbers that stand for "no value" in the fluxes and their errors.

    Returns
    -------
    curves : the columns that are used (norm_flux_jy and norm_err_jy if there, and not flux_jy
        then), source_id as a category, flux and error NaN where one is a sentinel,
        upper_limit as bool.
    metadata : as of `contimg.tables.read_table`.

    Raises
    ------
    InputError
        When a column is missing, holds what is not a number, a time is no MJD, or a row has no
        source_id.
    """
    there = column_names(path)
    normalised = {"norm_flux_jy", "norm_err_jy"} <= set(there)
    if not normalised:
        require_columns(pd.DataFrame(columns=there), EXTERNAL_LIGHTCURVES, path)
    flux, error = _FLUXES[2:] if normalised else _FLUXES[:2]
    wanted = ["source_id", "mjd", flux, error, *_OPTIONAL]
    curves, metadata = read_table(path, wanted, categories=("source_id", "status"))
    curves = _checked(curves, path)
    if len(sentinels):
        marked = _is_one_of(curves[flux], sentinels) | _is_one_of(curves[error], sentinels)
        for column in (flux, error):
            curves[column] = curves[column].mask(marked)
        logger.info("%d of %d rows hold a sentinel", int(marked.sum()), len(curves))
    for column in (flux, error):
        _warn_of_sentinels(curves[column], sentinels, path)
    if metadata["status"] == "ok":
        _warn_of_nothing_usable(curves, flux, error, path)
    return curves, metadata


def read_light_curve(path: Path, source_id: str, sentinels: Sequence[float] = ()) -> pd.DataFrame:
    """Read the rows of one source with all columns, by the rules of `read_light_curves`.

    Parameters
    ----------
    path : parquet or CSV of this or another telescope.
    source_id : its name; numbers serve as names.
    sentinels : numbers that stand for "no value" in the fluxes and their errors.

    Returns
    -------
    rows : every row, with the fluxes NaN of those that do not count: flux or error is not finite
        or a sentinel, or the error is not above 0. A limit keeps its flux without an error.

    Raises
    ------
    InputError
        As `read_light_curves`, of the rows of this source.
    """
    require_columns(pd.DataFrame(columns=column_names(path)), EXTERNAL_LIGHTCURVES, path)
    named = is_csv(path) or not numbered(pq.read_schema(path).field("source_id").type)
    rows = read_table(path, source_ids=[source_id] if named else None)[0]
    rows = rows[_as_names(rows["source_id"]).eq(source_id)].reset_index(drop=True)
    rows = _checked(rows, path).astype({"source_id": str})
    limits = rows.get("upper_limit", pd.Series(False, index=rows.index))
    for flux, error in (_FLUXES[:2], _FLUXES[2:]):
        if flux not in rows or error not in rows:
            continue
        marked = [_is_one_of(rows[name], sentinels) for name in (flux, error)]
        no_error = ~(np.isfinite(rows[error]) & (rows[error] > 0)) | marked[1]
        rows[flux] = rows[flux].mask(~np.isfinite(rows[flux]) | marked[0] | (no_error & ~limits))
        rows[error] = rows[error].mask(no_error)
    return rows


def source_names(path: Path) -> list[str]:
    """Return the names of the sources in a table of light curves, as text, sorted."""
    return sorted(set(_as_names(read_table(path, ["source_id"])[0]["source_id"].dropna())))


def _checked(curves: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return light curves with names, numbers and flags as such; refuse what is none."""
    nameless = curves.source_id.isna()
    if nameless.any():
        raise InputError(
            f"{path}: row {int(nameless.argmax()) + 1} and {int(nameless.sum()) - 1} more have no "
            "source_id; name each row's source, or leave the rows out"
        )
    curves["source_id"] = _as_names(curves.source_id)
    for name in ("mjd", *_FLUXES, "freq_hz", "ra_deg", "dec_deg"):
        if name in curves and curves[name].dtype != np.float64:
            curves[name] = _as_numbers(curves[name], path)
    if "upper_limit" in curves:
        curves["upper_limit"] = _as_flags(curves.upper_limit, path)
    _refuse_other_days(curves.mjd, path)
    if "freq_hz" in curves:
        _refuse_other_frequencies(curves.freq_hz, path)
    return curves


def _refuse_other_days(mjd: pd.Series, path: Path) -> None:
    """Refuse days that are no MJD: Julian dates, days before 1858."""
    days = mjd.to_numpy()
    wrong = np.isfinite(days) & ((days < 0) | (days > _LATEST_MJD))
    if wrong.any():
        found = float(days[wrong][0])
        remedy = f"subtract {_JD_OF_MJD_0}" if found > _JD_OF_MJD_0 else "convert them"
        raise InputError(
            f"{path}: mjd {found} found ({int(wrong.sum())} such rows), MJD from 0 to "
            f"{_LATEST_MJD:.0f} expected; {remedy}"
        )


def _refuse_other_frequencies(freq_hz: pd.Series, path: Path) -> None:
    """Refuse frequencies that no radio telescope has in Hz: those of MHz or GHz."""
    found = freq_hz.to_numpy()
    wrong = np.isfinite(found) & ((found < _LOWEST_HZ) | (found > _HIGHEST_HZ))
    if wrong.any():
        raise InputError(
            f"{path}: freq_hz {float(found[wrong][0])} found ({int(wrong.sum())} such rows), "
            f"{_LOWEST_HZ:.0e} to {_HIGHEST_HZ:.0e} expected; convert to Hz, or leave it empty"
        )


def _warn_of_sentinels(column: pd.Series, sentinels: Sequence[float], path: Path) -> None:
    """Tell of values that may stand for no value and are used."""
    suspects = _is_one_of(column, _USUAL_SENTINELS)
    size = np.abs(column.to_numpy())
    suspects |= (size > _LARGEST_JY) & (size < np.inf)
    if suspects.any():
        found = sorted(set(column[suspects]))[:6]
        logger.warning(
            "%s: %s is %s in %d rows: if that stands for no value, "
            "give --options '{\"sentinels\": %s}'",
            *(path, column.name, found, int(suspects.sum()), sorted({*sentinels, *found})),
        )


def _warn_of_nothing_usable(curves: pd.DataFrame, flux: str, error: str, path: Path) -> None:
    """Tell of a table without rows, and of one in which no row counts."""
    if curves.empty:
        logger.warning("%s: no rows found, one a source and time expected", path)
    elif "status" in curves and not curves.status.isin(USABLE).any():
        words = sorted(curves.status.dropna().astype(str).unique())
        logger.warning(
            "%s: no row is usable: status is %s, used are %s; rename them, or leave the column out",
            *(path, ", ".join(words[:5]) or "empty", " and ".join(USABLE)),
        )
    elif not (np.isfinite(curves[["mjd", flux, error]]).all(axis=1) & (curves[error] > 0)).any():
        logger.warning(
            "%s: no row is usable: %d found, none with a time, a flux and an error above 0; "
            "fill mjd, %s and %s",
            *(path, len(curves), flux, error),
        )


def _is_one_of(column: pd.Series, numbers: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each value is one of a few numbers, without the copies that a hash would need."""
    values = column.to_numpy()
    found = np.zeros(len(values), dtype=bool)
    for number in numbers:
        found |= values == number
    return found


def numbered(kind: pa.DataType) -> bool:
    """Whether a parquet column holds numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _as_names(column: pd.Series) -> pd.Series:
    """Return names as categories of text: numbers of another telescope's sources become text.

    Whole numbers that were stored as floats, as pandas does beside empty cells, lose their ".0".
    """
    if pd.api.types.is_float_dtype(column.dtype) and (column % 1 == 0).all():
        column = column.astype(np.int64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(column.cat.categories.astype(str))
    return column.astype(str).astype("category")


def _as_numbers(column: pd.Series, path: Path) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise InputError(f"{path}: {column.name} holds dates, a number is expected; {_TO_MJD}")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        remedy = "leave it empty where there is none, mark a limit by upper_limit"
        raise InputError(
            f"{path}: {column.name} of row {row + 1} is {column.iloc[row]!r}, a number is "
            f"expected; {_TO_MJD if column.name == 'mjd' else remedy}"
        )
    return numbers.astype(np.float64)


def _as_flags(column: pd.Series, path: Path) -> pd.Series:
    if column.dtype == bool:
        return column
    words = column.astype(str).str.strip().str.lower()
    wrong = ~words.isin([*_TRUE, *_FALSE])
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: {column.name} of row {row + 1} is {column.iloc[row]!r}; true, false, 1 or "
            "0 is expected"
        )
    return words.isin(_TRUE)
