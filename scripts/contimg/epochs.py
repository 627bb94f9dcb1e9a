"""Light curves as arrays: the usable epochs of each source, from any telescope's table."""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.status import InputError

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
USABLE = ("ok", "unnormalised")


@dataclass(frozen=True)
class Epochs:
    """The usable epochs of all sources, padded with NaN at the end of each row.

    Attributes
    ----------
    sources : one row a source (and frequency): source_id, ra_deg, dec_deg and, where the
        table has it, freq_hz; a source without any usable epoch is there too.
    mjd, flux_jy, error_jy : (Nsources, Nepochs), in order of time; Nepochs is 1 or more.
    limit_jy, limit_error_jy : (Nsources, Nlimits) upper limits and the noise they were set in;
        they are no epochs. None: the table has no limits.
    """

    sources: pd.DataFrame
    mjd: Floats
    flux_jy: Floats
    error_jy: Floats
    limit_jy: Floats | None = None
    limit_error_jy: Floats | None = None

    def chunks(self, n_values: int) -> Iterator["Epochs"]:
        """Yield the sources in order, about `n_values` epochs at once; one chunk if none."""
        n_sources, n_epochs = self.mjd.shape
        step = max(1, n_values // max(n_epochs, 1))
        for start in range(0, max(n_sources, 1), step):
            yield self._sources(slice(start, start + step))

    def _sources(self, rows: slice) -> "Epochs":
        arrays = {name.name: getattr(self, name.name) for name in fields(self)[1:]}
        taken = {name: None if a is None else a[rows] for name, a in arrays.items()}
        return Epochs(self.sources.iloc[rows], **taken)  # type: ignore[arg-type]


def over_chunks(
    function: Callable[[Epochs], Mapping[str, NDArray]],
    epochs: Epochs,
    n_values: int,
    threads: int = 1,
) -> dict[str, NDArray]:
    """Return the columns that `function` makes of the sources, a chunk of them at once.

    Parameters
    ----------
    function : returns arrays of one number a source.
    epochs : of all sources.
    n_values : epochs in a chunk, about.
    threads : chunks are shared out among them; the result does not depend on it.
    """
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(function, epochs.chunks(n_values)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def usable_epochs(curves: pd.DataFrame, name: object = "light curves") -> Epochs:
    """Sort light curves into arrays.

    Parameters
    ----------
    curves : at least source_id, mjd, flux_jy, flux_err_jy. With norm_flux_jy and norm_err_jy
        these are used instead. With status, epochs other than ok and unnormalised are left
        out; with upper_limit, those where it is true are limits; non-detections and negative
        fluxes count as any other.
    name : of the table, for errors.

    Returns
    -------
    epochs : sources in the order of source_id (and freq_hz).

    Raises
    ------
    ValueError
        When a source (at one frequency) has two measurements at one time.
    """
    table, number, sources = _sorted_by_source(curves)
    normalised = {"norm_flux_jy", "norm_err_jy"} <= set(curves.columns)
    flux, error = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
    values = {column: table[column].to_numpy(dtype=float) for column in ("mjd", flux, error)}
    good = np.logical_and.reduce([np.isfinite(value) for value in values.values()])
    good &= values[error] > 0
    if "status" in table:
        good &= table.status.isin(USABLE).to_numpy(dtype=bool)
    _refuse_twice(number[good], values["mjd"][good], sources, name)
    is_limit = np.zeros(len(table), dtype=bool)
    if "upper_limit" in table:
        is_limit = table.upper_limit.to_numpy(dtype=bool)

    def padded(rows: NDArray[np.bool_], columns: list[str]) -> list[Floats]:
        count = np.bincount(number[rows], minlength=len(sources))
        filled = np.arange(max(1, count.max(initial=1))) < count[:, None]
        arrays = [np.full(filled.shape, np.nan) for _ in columns]
        for array, column in zip(arrays, columns, strict=True):
            array[filled] = values[column][rows]  # both go by source, then time
        return arrays

    limits = padded(good & is_limit, [flux, error]) if "upper_limit" in table else [None, None]
    return Epochs(sources, *padded(good & ~is_limit, ["mjd", flux, error]), *limits)


def of_known_frequency(curves: pd.DataFrame, name: object = "light curves") -> pd.DataFrame:
    """Leave out rows without a frequency, of sources whose other rows have one.

    They would be one more source. A source without any frequency is kept: all its rows are one
    light curve.

    Parameters
    ----------
    curves : rows of one band (the whole band, one subband, or of a table that knows no subbands).
    name : of the table, for the log.
    """
    if "freq_hz" not in curves:
        return curves
    known = curves["freq_hz"].notna()
    if known.all() or not known.any():
        return curves
    left_out = ~known & known.groupby(curves["source_id"], observed=True).transform("any")
    if not left_out.any():
        return curves
    first = curves["source_id"][left_out].iloc[0]
    logger.warning(
        "%s: %d rows without freq_hz are left out (the first of %s): other rows of their sources "
        "have one; give these theirs",
        *(name, int(left_out.sum()), first),
    )
    return curves[~left_out]


def _sorted_by_source(
    curves: pd.DataFrame,
) -> tuple[pd.DataFrame, NDArray[np.int32], pd.DataFrame]:
    """Return the rows by source (and frequency) and time, the source of each, and the sources."""
    named = curves.source_id.astype("category").cat
    there = np.bincount(named.codes, minlength=len(named.categories)) > 0
    names = np.asarray(named.categories, dtype=object)
    by_name = np.argsort(names)
    by_name = by_name[there[by_name]]
    rank = np.zeros(len(names), dtype=np.int32)
    rank[by_name] = np.arange(len(by_name))
    number, names = rank[named.codes], names[by_name]
    frequencies = None
    if "freq_hz" in curves:
        band, frequencies = pd.factorize(curves.freq_hz, sort=True, use_na_sentinel=False)
        both, number = np.unique(number * len(frequencies) + band, return_inverse=True)
        number = number.astype(np.int32)
        names, frequencies = names[both // len(frequencies)], frequencies[both % len(frequencies)]
    mjd = curves.mjd.to_numpy(dtype=float)
    table = curves
    same = number[1:] == number[:-1]
    if not ((number[1:] > number[:-1]) | (same & (mjd[1:] >= mjd[:-1]))).all():
        order = np.lexsort((mjd, number))
        table, number = curves.iloc[order], number[order]
    sources = pd.DataFrame({"source_id": names})
    if frequencies is not None:
        sources["freq_hz"] = np.asarray(frequencies, dtype=float)
    for column in ("ra_deg", "dec_deg"):
        found = np.full(len(sources), np.nan)
        if column in table:
            given = table[column].to_numpy(dtype=float)
            known = np.flatnonzero(np.isfinite(given))[::-1]
            found[number[known]] = given[known]  # the earliest is written last
        sources[column] = found
    return table, number, sources


def _refuse_twice(
    number: NDArray[np.int32], mjd: Floats, sources: pd.DataFrame, name: object
) -> None:
    """Raise when one source has two measurements at one time; rows are sorted."""
    twice = np.flatnonzero((number[1:] == number[:-1]) & (mjd[1:] == mjd[:-1]))
    if len(twice) == 0:
        return
    source = sources.iloc[number[twice[0]]]
    where = f" at {source.freq_hz:.6g} Hz" if "freq_hz" in source else ""
    remedy = "keep one of them" if where else "keep one, or give each frequency its freq_hz"
    raise InputError(
        f"{name}: source {source.source_id} is measured twice at MJD {mjd[twice[0]]:.6f}{where} "
        f"({len(twice)} such rows in all); one row a source and time is expected: {remedy}"
    )
