"""Reading light curves: this workflow's, or another telescope's with what such tables bring."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contimg.schemas import EXTERNAL_LIGHTCURVES
from contimg.tables import read_table, require_columns

logger = logging.getLogger(__name__)

_NUMBERS = ("mjd", "flux_jy", "flux_err_jy", "norm_flux_jy", "norm_err_jy", "freq_hz")
_POSITION = ("ra_deg", "dec_deg")
_WANTED = ("source_id", *_NUMBERS, *_POSITION, "status", "subband", "upper_limit")
_USUAL_SENTINELS = (-99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0)
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "", "nan", "none", "<na>")


def read_light_curves(
    path: Path, sentinels: Sequence[float] = ()
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read light curves for `contimg.epochs.usable_epochs`.

    Parameters
    ----------
    path : parquet or CSV of this or another telescope; see `EXTERNAL_LIGHTCURVES`.
    sentinels : numbers that stand for "no value" in flux_jy and flux_err_jy.

    Returns
    -------
    curves : the columns that are used, source_id as a category, flux_jy NaN where flux or error
        is a sentinel, upper_limit as bool.
    metadata : as of `contimg.tables.read_table`.

    Raises
    ------
    ValueError
        When a column is missing, holds what is not a number, or a row has no source_id.
    """
    curves, metadata = read_table(path, _WANTED, categories=("source_id", "status"))
    require_columns(curves, EXTERNAL_LIGHTCURVES, path)
    nameless = curves.source_id.isna()
    if nameless.any():
        raise ValueError(
            f"{path}: row {int(nameless.argmax()) + 1} and {int(nameless.sum()) - 1} more have no "
            "source_id; name each row's source, or leave the rows out"
        )
    clean = {"source_id": _as_names(curves.source_id)}
    for name in (*_NUMBERS, *_POSITION):
        if name in curves:
            clean[name] = _as_numbers(curves[name], path)
    if "upper_limit" in curves:
        clean["upper_limit"] = _as_flags(curves.upper_limit, path)
    curves = curves.assign(**clean)
    if len(sentinels):
        marked = curves.flux_jy.isin(sentinels) | curves.flux_err_jy.isin(sentinels)
        curves["flux_jy"] = curves.flux_jy.mask(marked)
        logger.info("%d of %d rows hold a sentinel", int(marked.sum()), len(curves))
    elif (suspects := curves.flux_jy.isin(_USUAL_SENTINELS)).any():
        found = sorted(set(curves.flux_jy[suspects]))
        logger.warning(
            "%s: flux_jy is %s in %d rows: if that stands for no value, "
            "give --options '{\"sentinels\": %s}'",
            *(path, found, int(suspects.sum()), found),
        )
    return curves, metadata


def _as_names(column: pd.Series) -> pd.Series:
    """Return names as categories of text: numbers of another telescope's sources become text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(column.cat.categories.astype(str))
    return column.astype(str).astype("category")


def _as_numbers(column: pd.Series, path: Path) -> pd.Series:
    if column.dtype == np.float64:
        return column
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
