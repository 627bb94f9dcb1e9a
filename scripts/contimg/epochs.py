"""Light curves as arrays: the usable epochs of each source, from any telescope's table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
USABLE = ("ok", "unnormalised")


@dataclass(frozen=True)
class Epochs:
    """The usable epochs of all sources, padded with NaN at the end of each row.

    Attributes
    ----------
    sources : one row a source (and frequency): source_id, ra_deg, dec_deg and, where the
        table has it, freq_hz; a source without any usable epoch is there too.
    mjd, flux_jy, error_jy : (Nsources, Nepochs), in order of time.
    """

    sources: pd.DataFrame
    mjd: Floats
    flux_jy: Floats
    error_jy: Floats


def usable_epochs(curves: pd.DataFrame) -> Epochs:
    """Sort light curves into arrays.

    Parameters
    ----------
    curves : at least source_id, mjd, flux_jy, flux_err_jy. With norm_flux_jy and norm_err_jy
        these are used instead. With status, epochs other than ok and unnormalised are left
        out; non-detections and negative fluxes count as any other.

    Returns
    -------
    epochs : sources in the order of source_id (and freq_hz).
    """
    keys = ["source_id"] + (["freq_hz"] if "freq_hz" in curves else [])
    normalised = {"norm_flux_jy", "norm_err_jy"} <= set(curves.columns)
    flux, error = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
    table = curves.sort_values([*keys, "mjd"], ignore_index=True)
    number = table.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    firsts = table.drop_duplicates(keys).reset_index(drop=True)
    sources = firsts[keys].assign(
        **{name: firsts.get(name, np.nan) for name in ("ra_deg", "dec_deg")}
    )
    good = np.isfinite(table.mjd) & np.isfinite(table[flux]) & (table[error] > 0)
    good &= np.isfinite(table[error])
    if "status" in table:
        good &= table.status.isin(USABLE)
    keep = good.to_numpy(dtype=bool)
    rows = number[keep]
    columns = pd.Series(rows).groupby(rows).cumcount().to_numpy(dtype=np.int64)
    shape = (len(sources), int(columns.max(initial=-1)) + 1)

    def padded(name: str) -> Floats:
        values = np.full(shape, np.nan)
        values[rows, columns] = table[name].to_numpy(dtype=float)[keep]
        return values

    return Epochs(sources, padded("mjd"), padded(flux), padded(error))
