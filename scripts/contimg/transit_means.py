"""The images of a transit become one measurement of a source."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ORDER = {"ok": 0, "unnormalised": 1, "bad_gain": 2, "bad_scatter": 2}
_REFUSED, _UNUSABLE = 2, 3


def number_transits(source: Ints, mjd: Floats, epoch_gap_hours: float) -> Ints:
    """Number the transits, from 0 and rising, of measurements sorted by source and time."""
    new = (np.diff(source) != 0) | (np.diff(mjd) > epoch_gap_hours / 24)
    return np.concatenate([np.zeros(min(len(source), 1)), np.cumsum(new)]).astype(np.int64)


def combine_transits(rows: pd.DataFrame, epoch_gap_hours: float) -> pd.DataFrame:
    """Combine the images of each transit by inverse variance.

    Normalised images go first: an unnormalised one counts only where the transit has no
    other, and a refused image never. A transit without any usable flux is a row of NaN that
    says why.

    Parameters
    ----------
    rows : source_id, ra_deg, dec_deg, mjd, flux_jy, flux_err_jy, gain, gain_err, shared_err,
        n_references, is_reference, image_status, norm_flux_jy, norm_weight; sorted by
        source_id, mjd.
    epoch_gap_hours : gap in a source's measurements that starts a new transit.

    Notes
    -----
    The noise of the images, and what it does to their gains, is independent. What the
    references' own scatter does to the gains, `shared_err`, is the same in all images of a
    transit: the errors of that part add, instead of their squares.
    """
    source = pd.factorize(rows.source_id)[0]
    transit = number_transits(source, rows.mjd.to_numpy(), epoch_gap_hours)
    quality = rows.image_status.map(_ORDER).astype(float).fillna(_UNUSABLE).to_numpy(dtype=np.int8)
    best = np.full(int(transit.max(initial=-1)) + 1, _UNUSABLE, dtype=np.int8)
    np.minimum.at(best, transit, quality)
    chosen = quality == best[transit]
    if chosen.all():
        return _means(rows, transit, best)
    return _means(rows[chosen], transit[chosen], best)


def _means(rows: pd.DataFrame, transit: Ints, best: NDArray[np.int8]) -> pd.DataFrame:
    """Return a row a transit; `best` is the quality of its images, as in `_ORDER`."""
    size = len(best)
    first = rows.iloc[np.flatnonzero(np.r_[True, np.diff(transit) > 0])] if size else rows
    has_flux, has_norm = best < _UNUSABLE, best < _REFUSED
    error, gain = rows.flux_err_jy.to_numpy(), rows.gain.to_numpy()
    raw_weight = np.where(has_flux[transit], error**-2.0, np.nan)
    weight = np.where(has_norm[transit], rows.norm_weight.to_numpy(), raw_weight)
    raw_total, total = (np.bincount(transit, w, size) for w in (raw_weight, weight))
    norm, shared = rows.norm_flux_jy.to_numpy(), rows.shared_err.to_numpy()
    own_variance = np.maximum(rows.gain_err.to_numpy() ** 2 - shared**2, 0.0)
    count = np.bincount(transit, minlength=size)

    def mean(values: Floats) -> Floats:
        return np.bincount(transit, weight * values, size) / total

    def error_of_mean(variance: Floats, common: Floats) -> Floats:
        independent = np.bincount(transit, weight**2 * variance, size) / total**2
        return np.sqrt(independent + mean(common) ** 2)

    norm_variance = (error**2 + norm**2 * own_variance) / gain**2
    references = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(references, transit, rows.n_references.to_numpy(dtype=np.int64))
    return pd.DataFrame(
        {
            "source_id": first.source_id.astype(object).to_numpy(),
            "mjd": np.bincount(transit, rows.mjd, size) / count,
            "n_images": np.where(has_norm, count, 0).astype(np.int64),
            "flux_jy": np.bincount(transit, raw_weight * rows.flux_jy, size) / raw_total,
            "flux_err_jy": raw_total**-0.5,
            "norm_flux_jy": mean(norm),
            "norm_err_jy": error_of_mean(norm_variance, norm * shared / np.abs(gain)),
            "gain": mean(gain),
            "gain_err": error_of_mean(own_variance, shared),
            "n_references": references,
            "is_reference": first.is_reference.to_numpy(dtype=bool),
            "status": first.image_status.astype(object).to_numpy(),
            "ra_deg": first.ra_deg.to_numpy(),
            "dec_deg": first.dec_deg.to_numpy(),
        }
    )
