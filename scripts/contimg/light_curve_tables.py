"""Reading light curves: this workflow's, or another telescope's with what such tables bring."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.schemas import EXTERNAL_LIGHTCURVES
from contimg.tables import column_names, read_table, require_columns

logger = logging.getLogger(__name__)

_OPTIONAL = ("freq_hz", "ra_deg", "dec_deg", "status", "subband", "upper_limit")
_USUAL_SENTINELS = (-99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0)
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "", "nan", "none", "<na>")


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
        then), source_id as a category, the flux NaN where flux or error is a sentinel,
        upper_limit as bool.
    metadata : as of `contimg.tables.read_table`.

    Raises
    ------
    ValueError
        When a column is missing, holds what is not a number, or a row has no source_id.
    """
    there = column_names(path)
    normalised = {"norm_flux_jy", "norm_err_jy"} <= set(there)
    flux, error = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
    wanted = ["source_id", "mjd", flux, error, *_OPTIONAL]
    curves, metadata = read_table(path, wanted, categories=("source_id", "status"))
    if not normalised:
        require_columns(curves, EXTERNAL_LIGHTCURVES, path)
    nameless = curves.source_id.isna()
    if nameless.any():
        raise ValueError(
            f"{path}: row {int(nameless.argmax()) + 1} and {int(nameless.sum()) - 1} more have no "
            "source_id; name each row's source, or leave the rows out"
        )
    curves["source_id"] = _as_names(curves.source_id)
    for name in ("mjd", flux, error, "freq_hz", "ra_deg", "dec_deg"):
        if name in curves and curves[name].dtype != np.float64:
            curves[name] = _as_numbers(curves[name], path)
    if "upper_limit" in curves:
        curves["upper_limit"] = _as_flags(curves.upper_limit, path)
    if len(sentinels):
        marked = _is_one_of(curves[flux], sentinels) | _is_one_of(curves[error], sentinels)
        curves[flux] = curves[flux].mask(marked)
        logger.info("%d of %d rows hold a sentinel", int(marked.sum()), len(curves))
    elif (suspects := _is_one_of(curves[flux], _USUAL_SENTINELS)).any():
        found = sorted(set(curves[flux][suspects]))
        logger.warning(
            "%s: %s is %s in %d rows: if that stands for no value, "
            "give --options '{\"sentinels\": %s}'",
            *(path, flux, found, int(suspects.sum()), found),
        )
    return curves, metadata


def _is_one_of(column: pd.Series, numbers: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each value is one of a few numbers, without the copies that a hash would need."""
    values = column.to_numpy()
    found = np.zeros(len(values), dtype=bool)
    for number in numbers:
        found |= values == number
    return found


def _as_names(column: pd.Series) -> pd.Series:
    """Return names as categories of text: numbers of another telescope's sources become text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(column.cat.categories.astype(str))
    return column.astype(str).astype("category")


def _as_numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(
            f"{path}: {column.name} of row {row + 1} is {column.iloc[row]!r}, a number is "
            "expected; leave it empty where there is none, mark a limit by upper_limit"
        )
    return numbers.astype(np.float64)


def _as_flags(column: pd.Series, path: Path) -> pd.Series:
    if column.dtype == bool:
        return column
    words = column.astype(str).str.strip().str.lower()
    wrong = ~words.isin([*_TRUE, *_FALSE])
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(
            f"{path}: {column.name} of row {row + 1} is {column.iloc[row]!r}; true, false, 1 or "
            "0 is expected"
        )
    return words.isin(_TRUE)
