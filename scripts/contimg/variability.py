"""Variability metrics of light curves.

With w = 1 / sigma^2 and N epochs (formulas as in VAST, Murphy et al. 2021, and Swinbank et al.
2015 for eta and V; Mooley et al. 2016 for Vs and m; Vaughan et al. 2003 for the excess variance):

- wmean = sum(w S) / sum(w); chi2_nu = sum(w (S - wmean)^2) / (N - 1). This is eta identically:
  eta = N/(N-1) (mean(w S^2) - mean(w S)^2 / mean(w)); it is computed once, in the first form,
  which loses no digits.
- V = std(S, ddof=1) / mean(S).
- excess_variance = (std^2 - mean(sigma^2)) / mean(S)^2, signed, of standard error
  sqrt(2/N (mean(sigma^2)/mean^2)^2 + 4/N mean(sigma^2)/mean^2 max(excess_variance, 0)).
- Vs, m and the probability of such a pair: see `contimg.pairs`. Among the pairs with
  |Vs| >= 4.3 the pair of the largest |m| gives vs_max = |Vs| and m_max = |m|; both are 0 when
  there is no such pair. vs_largest is the largest |Vs| of all pairs and pair_p its probability.

`asymmetry`, `timescale_days`, `amplitude` and `ese_score` are those of the best dip, see
`contimg.ese`. What is not defined (one epoch, no dip) is NaN. Upper limits are no epochs; the
mean and scatter with them are in columns of their own, see `contimg.censored`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.censored import censored_statistics
from contimg.epochs import Epochs, Floats, of_known_frequency, over_chunks, usable_epochs
from contimg.ese import DOCUMENTED_THRESHOLD, fit_dips
from contimg.pairs import largest_pairs, pair_probability
from contimg.schemas import VARIABILITY, WHOLE_BAND
from contimg.status import InputError
from contimg.tables import options_from, subband_of

# Epochs that are worked on at once: the arrays of a few such chunks stay in the cache.
_EPOCHS_AT_ONCE = 200_000


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
    curves: pd.DataFrame,
    options: Mapping[str, Any] | None = None,
    name: object = "light curves",
    threads: int = 1,
) -> pd.DataFrame:
    """Return the variability table of light curves.

    Parameters
    ----------
    curves : columns as `contimg.epochs.usable_epochs` takes them.
    options : keys of `VariabilityOptions`; under `ese` those of `contimg.ese.DipOptions`.
    name : of the table, for errors.
    threads : sources are shared out among them; the result does not depend on it.

    Returns
    -------
    table : one row a source (and frequency), columns of the variability schema. Subbands are
        measured each for itself: what they add changes nothing for the whole band. ese_llr and
        ese_false_alarm are NaN, see `with_ese_search`.
    """
    if "subband" not in curves:
        return _of_one_band(curves, options, name, threads)
    tables = [
        _of_one_band(rows, options, name, threads).assign(subband=subband)
        for subband, rows in curves.groupby(subband_of(curves))
    ]
    joined = pd.concat(tables).sort_values(["source_id", "subband"], ignore_index=True)
    return joined[[column.name for column in VARIABILITY if column.name in joined]]


def _of_one_band(
    curves: pd.DataFrame, options: Mapping[str, Any] | None, name: object, threads: int
) -> pd.DataFrame:
    own = options_from(VariabilityOptions, options)
    epochs = usable_epochs(of_known_frequency(curves, name), name)
    dips = fit_dips(epochs, (options or {}).get("ese"), threads)
    columns = {
        **epochs.sources.to_dict("series"),
        **epoch_metrics(epochs, own, threads),
        **dips.to_dict("series"),
        "ese_flag": dips.ese_score > DOCUMENTED_THRESHOLD,
        "ese_llr": np.nan,
        "ese_false_alarm": np.nan,
    }
    if epochs.limit_jy is not None and epochs.limit_error_jy is not None:
        columns |= censored_statistics(
            epochs.flux_jy, epochs.error_jy, epochs.limit_jy, epochs.limit_error_jy
        )
    names = [column.name for column in VARIABILITY if column.name in columns]
    return pd.DataFrame({name: columns[name] for name in names}, index=epochs.sources.index)


def epoch_metrics(
    epochs: Epochs, options: VariabilityOptions, threads: int = 1
) -> dict[str, NDArray]:
    """Return the metrics of the epochs, and of all pairs of them, (Nsources,) each."""

    def of_some(some: Epochs) -> dict[str, NDArray]:
        return {
            **flux_statistics(some, options.detection_snr),
            **largest_pair(some, options.min_vs),
        }

    return over_chunks(of_some, epochs, _EPOCHS_AT_ONCE, threads)


def flux_statistics(epochs: Epochs, detection_snr: float) -> dict[str, NDArray]:
    """Return counts, means, scatter, chi2_nu = eta, V, excess variance and the time span.

    Each is (Nsources,); the names are columns of the variability schema.
    """
    flux, error = epochs.flux_jy, epochs.error_jy
    there = np.isfinite(flux)
    count = there.sum(axis=1)
    weight = np.where(there, error, np.inf) ** -2.0
    value = np.where(there, flux, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a mean near 0
        mean = value.sum(axis=1) / count
        wmean = (weight * value).sum(axis=1) / weight.sum(axis=1)
        squares = np.where(there, value - mean[:, None], 0.0) ** 2
        scatter = weight * np.where(there, value - wmean[:, None], 0.0) ** 2
        degrees = np.where(count > 1, count - 1, np.nan)
        std = np.sqrt(squares.sum(axis=1) / degrees)
        chi2_nu = scatter.sum(axis=1) / degrees
        v = std / mean
        noise = (np.where(there, error, 0.0) ** 2).sum(axis=1) / count / mean**2
        excess = v**2 - noise
        excess_err = np.sqrt((2 * noise**2 + 4 * noise * np.maximum(excess, 0)) / count)
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
        "excess_variance": excess,
        "excess_variance_err": excess_err,
        "first_mjd": np.where(count > 0, first, np.nan),
        "last_mjd": np.where(count > 0, last, np.nan),
    }


def largest_pair(epochs: Epochs, min_vs: float) -> dict[str, NDArray]:
    """Return vs_max, m_max, their two epochs, vs_largest and pair_p, (Nsources,) each."""
    pairs = largest_pairs(epochs.flux_jy, epochs.error_jy, min_vs)
    count = np.isfinite(epochs.flux_jy).sum(axis=1)
    found = pairs["first"] >= 0
    rows = np.flatnonzero(found)
    times = {}
    for name, column in (("epoch_a_mjd", "first"), ("epoch_b_mjd", "second")):
        times[name] = np.full(len(found), np.nan)
        times[name][rows] = epochs.mjd[rows, pairs[column][rows]]
    return {
        "vs_max": pairs["vs_max"],
        "m_max": pairs["m_max"],
        **times,
        "vs_largest": np.where(count > 1, pairs["vs_largest"], np.nan),
        "pair_p": pair_probability(pairs["vs_largest"], count),
    }


def max_deviation(epochs: Epochs) -> Floats:
    """Return max |S - mean| / std of each source, (Nsources,): the classic "N sigma" outlier.

    It can never exceed (N - 1) / sqrt(N), so that "5 sigma" needs 27 epochs, and a long dip
    raises its own std. It is here to be compared with.
    """
    flux = epochs.flux_jy
    there = np.isfinite(flux)
    count = there.sum(axis=1)
    value = np.where(there, flux, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.where(there, np.abs(value - (value.sum(axis=1) / count)[:, None]), 0.0)
        std = np.sqrt((deviation**2).sum(axis=1) / np.where(count > 1, count - 1, np.nan))
        return deviation.max(axis=1, initial=0.0) / std


def with_ese_search(
    table: pd.DataFrame, search: pd.DataFrame | None, false_alarms: pd.DataFrame | None
) -> pd.DataFrame:
    """Copy ese_llr of the search and ese_false_alarm of its calibration into the table.

    Parameters
    ----------
    table : rows of the variability schema.
    search, false_alarms : a row a source, and a frequency where they have freq_hz; None: NaN.
        Without a column subband they are of the whole band, if the table has one.

    Raises
    ------
    ValueError
        When one of them has two rows for a source.
    """
    for name, given in (("ese_llr", search), ("ese_false_alarm", false_alarms)):
        if given is None:
            continue
        both = set(table) & set(given)
        keys = ["source_id", *(["subband"] if "subband" in both else {"freq_hz"} & both)]
        twice = given.duplicated(keys)
        if twice.any():
            raise InputError(
                f"the table of {name}: source {given.source_id[twice].iloc[0]} has several rows, "
                "one a source is expected; make the table again"
            )
        found = table[keys].merge(given[[*keys, name]], "left", keys)[name]
        whole = subband_of(table).to_numpy() == WHOLE_BAND
        if "subband" not in keys and whole.any():
            found = found.where(whole)
        table = table.assign(**{name: found.to_numpy(dtype=float)})
    return table
