"""The table of images: the gain of each, and why one was not used."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.measurements import Bools
from contimg.normalise import GainOptions, GainSolution
from contimg.schemas import IMAGES

_GRADIENT = ("gradient_ra_per_deg", "gradient_dec_per_deg")
_GRADIENT_ERR = ("gradient_ra_err_per_deg", "gradient_dec_err_per_deg")


def images_table(
    rows: pd.DataFrame,
    image: NDArray[np.int64],
    usable: Bools,
    solution: GainSolution,
    options: GainOptions,
) -> pd.DataFrame:
    """Return a row an image: its gain, from all references, or why it has none.

    Parameters
    ----------
    rows : photometry whose group is a category.
    image : (Nrows,) number of each row's group.
    usable : (Nrows,) rows that have a flux.
    """
    firsts = rows.iloc[np.unique(image, return_index=True)[1]]
    errors = np.sqrt(np.diagonal(solution.covariance, axis1=1, axis2=2))
    known = solution.solved
    n_usable = np.bincount(image[usable], minlength=len(firsts))
    why_none = pd.Series(rows.status.astype(object).to_numpy()[~usable]).groupby(image[~usable])
    common = why_none.agg(lambda found: found.mode().iloc[0]).reindex(range(len(firsts)))
    told = [
        _status(number, solution, options, int(n_usable[number]), str(common[number]))
        for number in range(len(firsts))
    ]
    table = pd.DataFrame(
        {
            "date": firsts.date.astype(object).to_numpy(),
            "group": firsts.group.astype(object).to_numpy(),
            "mjd": firsts.mjd.to_numpy(),
            "gain": np.where(known, solution.coefficients[:, 0], np.nan),
            "gain_err": np.where(known, errors[:, 0], np.nan),
            "n_references": solution.n_references,
            "chi2_nu": np.where(known, solution.chi2_nu, np.nan),
            "status": [status for status, _ in told],
            "reason": [reason for _, reason in told],
        }
    )
    for term, (name, error_name) in enumerate(zip(_GRADIENT, _GRADIENT_ERR, strict=True), start=1):
        there = term < solution.coefficients.shape[1]
        table[name] = np.where(known, solution.coefficients[:, term], np.nan) if there else np.nan
        table[error_name] = np.where(known, errors[:, term], np.nan) if there else np.nan
    return table[[column.name for column in IMAGES if column.name in table]]


def with_images_left_out(
    images: pd.DataFrame, left_out: Iterable[Mapping[str, Any]]
) -> pd.DataFrame:
    """Add the images that never came to normalisation, and say why those that failed did.

    Parameters
    ----------
    left_out : date, group, status and reason of each.
    """
    found = pd.DataFrame(left_out)
    if found.empty:
        return images
    told = found.set_index("group")
    reason = images.group.map(told.reason)
    images = images.assign(
        status=images.group.map(told.status).fillna(images.status),
        reason=reason.fillna(images.reason),
    )
    missing = found[~found.group.isin(images.group)].assign(n_references=0)
    if missing.empty:
        return images
    extra = missing.reindex(columns=images.columns)
    if "subband" in images:
        extra["subband"] = -1
    numbers = extra.columns.difference(["date", "group", "status", "reason"])
    extra[numbers] = extra[numbers].astype(float)
    joined = pd.concat([images, extra], ignore_index=True)
    whole = [name for name in ("n_references", "subband") if name in joined]
    joined[whole] = joined[whole].astype(np.int64)
    keys = ["group", "subband"] if "subband" in joined else ["group"]
    return joined.sort_values(keys, ignore_index=True)


def _status(
    number: int, solution: GainSolution, options: GainOptions, n_usable: int, common: str
) -> tuple[str, str]:
    """Return an image's status, and its reason in words."""
    gain = solution.coefficients[number, 0]
    if n_usable == 0:
        status = "no_flux" if common == "ok" else common
        return status, f"no source has a usable flux; most rows say {status}"
    if not solution.solved[number]:
        return "unnormalised", (
            f"{solution.n_references[number]} references, {options.min_references} are needed"
        )
    if not options.min_gain <= gain <= options.max_gain:
        return "bad_gain", f"gain {gain:.3g}, outside {options.min_gain} to {options.max_gain}"
    if solution.refused[number]:
        return "bad_scatter", (
            f"chi2_nu {solution.chi2_nu[number]:.3g} of its references is more than "
            f"{options.max_image_scatter:g} times that of the median image"
        )
    return "ok", ""
