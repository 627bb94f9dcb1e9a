"""Light curves: photometry of images, normalised, then one row a source a transit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.catalog import unit_vectors
from contimg.normalise import (
    Bools,
    Floats,
    GainOptions,
    GainSolution,
    Measurements,
    fit_error_model,
    gains_without_self,
)
from contimg.schemas import LIGHTCURVES, WHOLE_BAND
from contimg.tables import empty_table, options_from, subband_of

NORMALISED = ("ok", "unnormalised")
_SUMMED = ("norm_flux_jy", "norm_err_jy", "norm_weight", "gain", "gain_err")


@dataclass(frozen=True)
class LightCurveOptions:
    """How photometry becomes light curves, beside `GainOptions`.

    Attributes
    ----------
    epoch_gap_hours : measurements of a source closer than this belong to one transit.
    error_model : "fixed" takes `error_scale`; "fit" fits a and b to the epochs' scatter.
    error_scale : a and b of sigma^2 = (a flux_err)^2 + (b S)^2, S the source's median flux.
    """

    epoch_gap_hours: float = 12.0
    error_model: str = "fixed"
    error_scale: Mapping[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 0.0})


def light_curves(
    photometry: pd.DataFrame, compact_ids: set[str], options: Mapping[str, Any] | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Normalise the photometry of any number of dates and combine it by transit.

    Parameters
    ----------
    photometry : rows of the photometry schema, in any order.
    compact_ids : source_id of the sources that may serve as references.
    options : keys of `GainOptions` and `LightCurveOptions`.

    Returns
    -------
    curves : rows of the light curve schema, sorted by source_id, (subband,) mjd. With subband
        images there is a row a source, a transit and a subband, beside that of the whole band;
        freq_hz is the median of the images of the subband.
    figures : images, solved images, references and the error model, for the metadata; under
        `subbands` the same of each subband.
    """
    gain_options = options_from(GainOptions, options)
    own_options = options_from(LightCurveOptions, options)
    if "subband" not in photometry.columns:
        return _one_band(photometry, compact_ids, gain_options, own_options)
    curves, figures, of_subbands = [], {}, {}
    for subband, rows in photometry.groupby(subband_of(photometry), sort=True):
        found, about = _one_band(rows, compact_ids, gain_options, own_options)
        curves.append(found.assign(freq_hz=float(rows.freq_hz.median()), subband=subband))
        if subband == WHOLE_BAND:
            figures = about
        else:
            of_subbands[str(subband)] = about
    if not curves:
        return empty_table(LIGHTCURVES), {}
    joined = pd.concat(curves).sort_values(["source_id", "subband", "mjd"], ignore_index=True)
    return joined, {**figures, "subbands": of_subbands}


def _one_band(
    photometry: pd.DataFrame,
    compact_ids: set[str],
    gain_options: GainOptions,
    options: LightCurveOptions,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    rows = photometry.sort_values(["source_id", "mjd", "group"], ignore_index=True)
    _refuse_duplicates(rows)
    if rows.empty:
        return empty_table(LIGHTCURVES), {}
    usable = usable_rows(rows)
    scale = dict(options.error_scale)
    normalised, solution = normalised_rows(rows, usable, compact_ids, scale, gain_options)
    if options.error_model == "fit":
        good = usable & (normalised.image_status == "ok").to_numpy()
        constant = good & normalised.source_id.isin(compact_ids).to_numpy()
        chosen = normalised[constant]
        scale["a"], scale["b"] = fit_error_model(
            chosen.norm_flux_jy.to_numpy(),
            chosen.norm_err_jy.to_numpy(),
            pd.factorize(chosen.source_id)[0].astype(np.int64),
        )
        normalised, solution = normalised_rows(rows, usable, compact_ids, scale, gain_options)
    figures = {
        "n_images": int(rows.group.nunique()),
        "n_images_solved": int(solution.solved.sum()),
        "n_references": int(solution.used.sum()),
        "error_scale": scale,
    }
    return combine_transits(normalised, options.epoch_gap_hours), figures


def usable_rows(rows: pd.DataFrame) -> Bools:
    """Whether a row has a flux that counts; non-detections and negative fluxes do."""
    finite = np.isfinite(rows.flux_jy) & np.isfinite(rows.flux_err_jy) & (rows.flux_err_jy > 0)
    return ((rows.status == "ok") & finite).to_numpy(dtype=bool)


def normalised_rows(
    rows: pd.DataFrame,
    usable: Bools,
    compact_ids: set[str],
    error_scale: Mapping[str, float],
    options: GainOptions,
) -> tuple[pd.DataFrame, GainSolution]:
    """Add gain, gain_err, n_references, image_status, norm_*, is_reference to the rows.

    Parameters
    ----------
    rows : photometry sorted by source_id.
    usable : (Nrows,) rows that have a flux.
    """
    source, names = pd.factorize(rows.source_id)
    image, groups = pd.factorize(rows.group, sort=True)
    offsets = direction_cosines(rows, image.astype(np.int64))
    flux = np.where(usable, rows.flux_jy, np.nan)
    typical = pd.Series(flux).groupby(source).transform("median").clip(lower=0).to_numpy()
    error = np.hypot(error_scale["a"] * rows.flux_err_jy, error_scale["b"] * typical).to_numpy()
    measurements = Measurements(
        image=image.astype(np.int64),
        source=source.astype(np.int64),
        flux_jy=flux,
        error_jy=error,
        l_deg=offsets[0],
        m_deg=offsets[1],
        n_images=len(groups),
        n_sources=len(names),
    ).rows(usable)
    blended = rows.blended.groupby(source).any().to_numpy(dtype=bool)
    candidate = np.isin(names, sorted(compact_ids)) & ~blended
    gains, solution = gains_without_self(measurements, candidate, options)
    used = rows.assign(flux_err_jy=error)[usable].assign(
        gain=gains.gain,
        gain_err=gains.gain_err,
        n_references=gains.n_references,
        image_status=gains.status,
    )
    refused = used.image_status == "bad_gain"
    normalised = (used.flux_jy / used.gain).mask(refused)
    used["norm_flux_jy"] = normalised
    used["norm_err_jy"] = np.hypot(used.flux_err_jy, normalised * used.gain_err) / used.gain.abs()
    # The weights know the source's typical flux only: with the measured one in them, low
    # fluxes would weigh more and pull the mean down.
    expected = np.hypot(used.flux_err_jy, typical[usable] * used.gain_err) / used.gain.abs()
    used["norm_weight"] = (expected**-2).mask(refused)
    why = rows.status[~usable].replace("ok", "no_flux")
    rest = rows[~usable].assign(n_references=0, image_status=why)
    joined = pd.concat([used, rest]).sort_index() if len(rest) else used
    return joined.assign(is_reference=solution.used[source]), solution


def direction_cosines(rows: pd.DataFrame, image: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return l and m (x 180/pi) of each row from the mean position of its image's rows."""
    vectors = unit_vectors(rows.ra_deg, rows.dec_deg)
    length = int(image.max(initial=-1)) + 1
    centre = np.stack([np.bincount(image, vectors[:, axis], length) for axis in range(3)], axis=1)
    centre = centre / np.linalg.norm(centre, axis=1, keepdims=True)
    horizontal = np.hypot(centre[:, 0], centre[:, 1])
    zero = np.zeros(length)
    east = np.stack([-centre[:, 1], centre[:, 0], zero], axis=1) / horizontal[:, None]
    north = np.cross(centre, east)
    return (
        np.degrees(np.einsum("rx,rx->r", vectors, east[image])),
        np.degrees(np.einsum("rx,rx->r", vectors, north[image])),
    )


def combine_transits(rows: pd.DataFrame, epoch_gap_hours: float) -> pd.DataFrame:
    """Combine the images of each transit by inverse variance.

    Normalised images go first: an unnormalised one counts only where the transit has no
    other, and a refused image never. A transit without any usable flux is a row of NaN that
    says why.

    Parameters
    ----------
    rows : as `normalised_rows` gives them, sorted by source_id, mjd.
    epoch_gap_hours : gap in a source's measurements that starts a new transit.
    """
    new_source = rows.source_id != rows.source_id.shift()
    late = rows.mjd.diff() > epoch_gap_hours / 24
    transit = (new_source | late).cumsum().to_numpy() - 1
    order = {"ok": 0, "unnormalised": 1, "bad_gain": 2}
    quality = rows.image_status.map(order).fillna(3).to_numpy(dtype=int)
    best = pd.Series(quality).groupby(transit).transform("min").to_numpy()
    chosen = rows[quality == best]
    which = transit[quality == best]
    first = chosen.groupby(which).first()
    sums = _weighted_sums(chosen).groupby(which).sum(min_count=1)
    counted = best[quality == best] < 2
    n_images = np.bincount(which[counted], minlength=len(first))
    return pd.DataFrame(
        {
            "source_id": first.source_id.to_numpy(),
            "mjd": chosen.mjd.groupby(which).mean().to_numpy(),
            "n_images": n_images.astype(np.int64),
            "flux_jy": (sums.raw / sums.raw_weight).to_numpy(),
            "flux_err_jy": (sums.raw_weight**-0.5).to_numpy(),
            "norm_flux_jy": (sums.norm / sums.norm_weight).to_numpy(),
            "norm_err_jy": (np.sqrt(sums.norm_variance) / sums.norm_weight).to_numpy(),
            "gain": (sums.gain / sums.gain_weight).to_numpy(),
            "gain_err": (np.sqrt(sums.gain_variance) / sums.gain_weight).to_numpy(),
            "n_references": chosen.n_references.groupby(which).min().to_numpy(dtype=np.int64),
            "is_reference": first.is_reference.to_numpy(dtype=bool),
            "status": first.image_status.to_numpy(),
            "ra_deg": first.ra_deg.to_numpy(),
            "dec_deg": first.dec_deg.to_numpy(),
        }
    )


def _weighted_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a transit's weighted means are made of; NaN rows add nothing."""
    nan = pd.Series(math.nan, index=rows.index)
    column = {name: rows.get(name, nan) for name in _SUMMED}
    usable = rows.image_status.isin([*NORMALISED, "bad_gain"])
    weight = (rows.flux_err_jy**-2).where(usable)
    norm_weight = column["norm_weight"]
    gain_weight = norm_weight.fillna(weight)
    return pd.DataFrame(
        {
            "raw": weight * rows.flux_jy,
            "raw_weight": weight,
            "norm": norm_weight * column["norm_flux_jy"],
            "norm_variance": (norm_weight * column["norm_err_jy"]) ** 2,
            "norm_weight": norm_weight,
            "gain": gain_weight * column["gain"],
            "gain_variance": (gain_weight * column["gain_err"]) ** 2,
            "gain_weight": gain_weight,
        }
    )


def _refuse_duplicates(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated(["source_id", "group"])]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"photometry: {row.source_id} occurs twice in group {row.group}; give each date's "
            "table once"
        )
