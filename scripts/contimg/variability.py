"""Variability metrics of light curves.

With w = 1 / sigma^2 and N epochs (formulas as in VAST, Murphy et al. 2021, and Swinbank et al.
2015 for eta and V; Mooley et al. 2016 for Vs and m):

- wmean = sum(w S) / sum(w); chi2_nu = sum(w (S - wmean)^2) / (N - 1). This is eta identically:
  eta = N/(N-1) (mean(w S^2) - mean(w S)^2 / mean(w)); it is computed once, in the first form,
  which loses no digits.
- V = std(S, ddof=1) / mean(S).
- For a pair of epochs a, b: Vs = (S_a - S_b) / hypot(sigma_a, sigma_b),
  m = 2 (S_a - S_b) / (S_a + S_b). Among the pairs with |Vs| >= 4.3 the pair of the largest
  |m| gives vs_max = |Vs| and m_max = |m|; both are 0 when there is no such pair.

`asymmetry`, `timescale_days`, `amplitude` and the ESE columns are those of the best dip, see
`contimg.ese`. What is not defined (one epoch, no dip) is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contimg.epochs import Epochs, Floats, usable_epochs
from contimg.ese import fit_dips
from contimg.schemas import VARIABILITY
from contimg.tables import options_from, subband_of

# Pairs of epochs held in memory at once.
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class VariabilityOptions:
    """Thresholds of the metrics.

    Attributes
    ----------
    detection_snr : an epoch at or above it is a detection.
    min_vs : a pair of epochs counts from this |Vs| on.
    """

    detection_snr: float = 5.0
    min_vs: float = 4.3


def measure_variability(
    curves: pd.DataFrame, options: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Return the variability table of light curves.

    Parameters
    ----------
    curves : columns as `contimg.epochs.usable_epochs` takes them.
    options : keys of `VariabilityOptions`; under `ese` those of `contimg.ese.DipOptions`.

    Returns
    -------
    table : one row a source (and frequency), columns of the variability schema. Subbands are
        measured each for itself: what they add changes nothing for the whole band.
    """
    if "subband" not in curves:
        return _of_one_band(curves, options)
    tables = [
        _of_one_band(rows, options).assign(subband=subband)
        for subband, rows in curves.groupby(subband_of(curves))
    ]
    joined = pd.concat(tables).sort_values(["source_id", "subband"], ignore_index=True)
    return joined[[column.name for column in VARIABILITY if column.name in joined]]


def _of_one_band(curves: pd.DataFrame, options: Mapping[str, Any] | None) -> pd.DataFrame:
    own = options_from(VariabilityOptions, options)
    epochs = usable_epochs(curves)
    columns = {
        **epochs.sources.to_dict("series"),
        **flux_statistics(epochs, own.detection_snr),
        **largest_pair(epochs, own.min_vs),
        **fit_dips(epochs, (options or {}).get("ese")).to_dict("series"),
    }
    names = [column.name for column in VARIABILITY if column.name in columns]
    return pd.DataFrame({name: columns[name] for name in names})


def flux_statistics(epochs: Epochs, detection_snr: float) -> dict[str, Floats]:
    """Return counts, means, std, chi2_nu = eta, V and the time span, (Nsources,) each."""
    flux, error = epochs.flux_jy, epochs.error_jy
    there = np.isfinite(flux)
    count = there.sum(axis=1)
    weight = np.where(there, error, np.inf) ** -2.0
    value = np.where(there, flux, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = value.sum(axis=1) / count
        wmean = (weight * value).sum(axis=1) / weight.sum(axis=1)
        squares = np.where(there, value - mean[:, None], 0.0) ** 2
        scatter = weight * np.where(there, value - wmean[:, None], 0.0) ** 2
        degrees = np.where(count > 1, count - 1, np.nan)
        std = np.sqrt(squares.sum(axis=1) / degrees)
        chi2_nu = scatter.sum(axis=1) / degrees
        v = std / mean
    first = np.where(there, epochs.mjd, np.inf).min(axis=1, initial=np.inf)
    last = np.where(there, epochs.mjd, -np.inf).max(axis=1, initial=-np.inf)
    return {
        "n_epochs": count.astype(np.int64),
        "n_detections": (there & (value >= detection_snr * error)).sum(axis=1).astype(np.int64),
        "mean_jy": mean,
        "wmean_jy": wmean,
        "std_jy": std,
        "chi2_nu": chi2_nu,
        "v": v,
        "eta": chi2_nu,
        "first_mjd": np.where(count > 0, first, np.nan),
        "last_mjd": np.where(count > 0, last, np.nan),
    }


def largest_pair(epochs: Epochs, min_vs: float) -> dict[str, Floats]:
    """Return vs_max, m_max and the two epochs behind them, (Nsources,) each."""
    n_sources, n_epochs = epochs.flux_jy.shape
    first, second = np.triu_indices(n_epochs, k=1)
    result = {
        "vs_max": np.zeros(n_sources),
        "m_max": np.zeros(n_sources),
        "epoch_a_mjd": np.full(n_sources, np.nan),
        "epoch_b_mjd": np.full(n_sources, np.nan),
    }
    if len(first) == 0:
        return result
    step = max(1, _PAIRS_AT_ONCE // len(first))
    for start in range(0, n_sources, step):
        rows = slice(start, min(start + step, n_sources))
        flux, error = epochs.flux_jy[rows], epochs.error_jy[rows]
        difference = flux[:, first] - flux[:, second]
        with np.errstate(divide="ignore", invalid="ignore"):
            vs = np.abs(difference) / np.hypot(error[:, first], error[:, second])
            m = np.abs(2 * difference / (flux[:, first] + flux[:, second]))
        m = np.where((vs >= min_vs) & np.isfinite(m), m, -1.0)
        best = m.argmax(axis=1)
        line = np.arange(len(best))
        found = m[line, best] >= 0
        mjd = epochs.mjd[rows]
        result["vs_max"][rows] = np.where(found, vs[line, best], 0.0)
        result["m_max"][rows] = np.where(found, m[line, best], 0.0)
        result["epoch_a_mjd"][rows] = np.where(found, mjd[line, first[best]], np.nan)
        result["epoch_b_mjd"][rows] = np.where(found, mjd[line, second[best]], np.nan)
    return result
