"""Light curves: photometry of images, normalised, then one row a source a transit."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.baseline_method import baseline_gains, snr_of_sources
from contimg.catalog import unit_vectors
from contimg.error_model import ErrorModel, Transits, fit_error_model, not_fitted
from contimg.image_gains import images_table
from contimg.leave_out import STATUSES, RowGains, gains_of_one_solution, gains_without_self
from contimg.measurements import Bools, Floats, Measurements
from contimg.normalise import GainOptions, GainSolution
from contimg.schemas import IMAGES, LIGHTCURVES, WHOLE_BAND
from contimg.status import InputError
from contimg.tables import empty_table, options_from, subband_of
from contimg.transit_means import combine_transits, number_transits

METHODS = ("joint", "baseline")
ERROR_MODELS = ("fit", "fixed")
BLOCK_ROWS = 500_000
_FIT_ROUNDS = 2
_COLUMNS = ("source_id", "ra_deg", "dec_deg", "date", "group", "mjd", "flux_jy", "flux_err_jy")


@dataclass(frozen=True)
class LightCurveOptions:
    """How photometry becomes light curves, beside `GainOptions`.

    Attributes
    ----------
    method : "joint", or "baseline" for the existing pipeline's procedure.
    epoch_gap_hours : measurements of a source closer than this belong to one transit.
    error_model : "fit" fits a and b to the differences of successive transits, where there are
        `fit_min_sources` with `fit_min_transits` each; "fixed", or too few, takes `error_scale`.
    error_scale : a and b of sigma^2 = (a flux_err)^2 + (b S)^2, S the source's median flux.
    """

    method: str = "joint"
    epoch_gap_hours: float = 12.0
    error_model: str = "fit"
    error_scale: Mapping[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 0.0})
    fit_min_transits: int = 4
    fit_min_sources: int = 20

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("error_model", ERROR_MODELS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"normalisation.{name} is {getattr(self, name)!r}, expected one of "
                    f"{', '.join(known)}"
                )


@dataclass(frozen=True)
class Normalised:
    """Light curves, the images that they are made of, and figures for the metadata."""

    curves: pd.DataFrame
    images: pd.DataFrame
    figures: dict[str, Any]


def light_curves(
    photometry: pd.DataFrame,
    compact_ids: set[str],
    options: Mapping[str, Any] | None = None,
    snr_nvss: Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the curves and figures of `normalise`."""
    found = normalise(photometry, compact_ids, options, snr_nvss)
    return found.curves, found.figures


def normalise(
    photometry: pd.DataFrame,
    compact_ids: set[str],
    options: Mapping[str, Any] | None = None,
    snr_nvss: Mapping[str, float] | None = None,
) -> Normalised:
    """Normalise the photometry of any number of dates and combine it by transit.

    Parameters
    ----------
    photometry : rows of the photometry schema, in any order.
    compact_ids : source_id of the sources that may serve as references.
    options : keys of `GainOptions` and `LightCurveOptions`.
    snr_nvss : S/N in the catalogue, which the method "baseline" needs.

    Returns
    -------
    curves : rows of the light curve schema, sorted by source_id, (subband,) mjd. With subband
        images there is a row a source, a transit and a subband, beside that of the whole band;
        freq_hz is the median of the images of the subband.
    images : rows of the schema of images, sorted by group (and subband).
    figures : images, solved images, references and the error model, for the metadata; under
        `subbands` the same of each subband.
    """
    gain_options = options_from(GainOptions, options)
    own_options = options_from(LightCurveOptions, options)
    rows = sorted_rows(photometry)
    del photometry  # the caller may have let it go, and it is large
    if "subband" not in rows:
        return _one_band(rows, compact_ids, snr_nvss, gain_options, own_options)
    parts, figures, of_subbands = [], {}, {}
    for subband, part in rows.groupby("subband", sort=True):
        of_band = _with_names_in_order(part.reset_index(drop=True))
        found = _one_band(of_band, compact_ids, snr_nvss, gain_options, own_options)
        about = {"freq_hz": float(part.freq_hz.median()), "subband": subband}
        parts.append((found.curves.assign(**about), found.images.assign(**about)))
        if subband == WHOLE_BAND:
            figures = found.figures
        else:
            of_subbands[str(subband)] = found.figures
    if not parts:
        return Normalised(empty_table(LIGHTCURVES), empty_table(IMAGES), {})
    curves = pd.concat([part[0] for part in parts])
    images = pd.concat([part[1] for part in parts])
    return Normalised(
        curves.sort_values(["source_id", "subband", "mjd"], ignore_index=True),
        images.sort_values(["group", "subband"], ignore_index=True),
        {**figures, "subbands": of_subbands},
    )


def _one_band(
    rows: pd.DataFrame,
    compact_ids: set[str],
    snr_nvss: Mapping[str, float] | None,
    gain_options: GainOptions,
    options: LightCurveOptions,
) -> Normalised:
    if rows.empty:
        return Normalised(empty_table(LIGHTCURVES), empty_table(IMAGES), {})
    usable = usable_rows(rows)
    band = Band(rows, usable, compact_ids, snr_nvss)
    model = not_fitted(options.error_scale, "not asked for")
    for _ in range(_FIT_ROUNDS if options.error_model == "fit" else 0):
        model = _fitted(band, model, gain_options, options)
        if not model.fitted:
            break
        gain_options = replace(gain_options, reference_scatter=0.0)
    gains, solution = band.solve(model, gain_options, options.method)
    parts = [
        combine_transits(band.normalised(gains, model, solution, block), options.epoch_gap_hours)
        for block in band.blocks()
    ]
    figures = {
        "method": options.method,
        "n_images": len(rows.group.cat.categories),
        "n_images_solved": int(solution.solved.sum()),
        "n_images_refused": int(solution.refused.sum()),
        "n_references": int(solution.used.sum()),
        "solver": {"n_iterations": solution.n_iterations, "change": solution.change},
        "error_scale": {"a": model.a, "b": model.b},
        "error_model": {key: value for key, value in asdict(model).items() if value == value},
    }
    return Normalised(
        pd.concat(parts, ignore_index=True),
        images_table(rows, band.image, usable, solution, gain_options),
        figures,
    )


def sorted_rows(photometry: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by source, time and image; names as categories, in the order of names.

    Raises
    ------
    InputError
        When a source is twice in a group, or a row has no time or no position.
    """
    rows = photometry[[*_COLUMNS, "blended", "status"]]
    if "subband" in photometry:
        rows = rows.assign(subband=subband_of(photometry), freq_hz=photometry.freq_hz)
    rows = _with_names_in_order(rows)
    group = rows.group.cat.codes.to_numpy()
    rows = rows.take(np.lexsort((group, rows.mjd, rows.source_id.cat.codes)))
    rows = rows.reset_index(drop=True)
    bands = rows.subband.to_numpy() + 1 if "subband" in rows else 0
    key = rows.source_id.cat.codes.to_numpy(dtype=np.int64) * len(rows.group.cat.categories)
    key = (key + rows.group.cat.codes.to_numpy()) * (np.max(bands, initial=0) + 1) + bands
    twice = np.flatnonzero(pd.Series(key).duplicated())
    if len(twice):
        row = rows.iloc[twice[0]]
        raise InputError(
            f"photometry: {row.source_id} occurs twice in group {row.group}; give each date's "
            "table once"
        )
    nowhere = ~(np.isfinite(rows.ra_deg) & np.isfinite(rows.dec_deg) & np.isfinite(rows.mjd))
    if nowhere.any():
        row = rows[nowhere].iloc[0]
        raise InputError(
            f"photometry of {row.date}: {row.source_id} in group {row.group} has ra_deg "
            f"{row.ra_deg}, dec_deg {row.dec_deg}, mjd {row.mjd}; numbers expected; make the "
            "date's photometry again"
        )
    return rows


def _with_names_in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with names as categories, those that occur and sorted."""
    names = {}
    for name in ("source_id", "date", "group", "status"):
        column = rows[name].astype("category").cat.remove_unused_categories()
        names[name] = column.cat.reorder_categories(sorted(column.cat.categories))
    return rows.assign(**names)


def usable_rows(rows: pd.DataFrame) -> Bools:
    """Whether a row has a flux that counts; non-detections and negative fluxes do."""
    finite = np.isfinite(rows.flux_jy) & np.isfinite(rows.flux_err_jy) & (rows.flux_err_jy > 0)
    return ((rows.status == "ok") & finite).to_numpy(dtype=bool)


class Band:
    """The photometry of one band as arrays, and what is solved from it.

    Attributes
    ----------
    rows : photometry as `sorted_rows` gives it.
    usable : (Nrows,) rows that have a flux.
    mjd, flux_jy, map_err_jy : (Nrows,) of the photometry.
    source, image : (Nrows,) numbers of source and group, in the order of their names.
    typical_jy : (Nrows,) median flux of the row's source, at least 0.
    candidate : (Nsources,) sources that may serve as references: compact and never blended.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        usable: Bools,
        compact_ids: set[str],
        snr_nvss: Mapping[str, float] | None,
    ) -> None:
        self.rows, self.usable, self.snr_nvss = rows, usable, snr_nvss
        self.mjd, self.flux_jy, self.map_err_jy = (
            rows[name].to_numpy(dtype=float) for name in ("mjd", "flux_jy", "flux_err_jy")
        )
        self.source = rows.source_id.cat.codes.to_numpy(dtype=np.int64)
        self.image = rows.group.cat.codes.to_numpy(dtype=np.int64)
        self.names = rows.source_id.cat.categories.to_numpy()
        offsets = direction_cosines(rows, self.image)
        flux = np.where(usable, self.flux_jy, np.nan)
        median = pd.Series(flux).groupby(self.source).median().clip(lower=0).to_numpy()
        self.typical_jy = median[self.source]
        blended = np.bincount(self.source, rows.blended, len(self.names)) > 0
        self.candidate = np.isin(self.names.astype(str), sorted(compact_ids)) & ~blended
        self._measurements = Measurements(
            image=self.image,
            source=self.source,
            flux_jy=flux,
            error_jy=self.map_err_jy,
            l_deg=offsets[0],
            m_deg=offsets[1],
            n_images=len(rows.group.cat.categories),
            n_sources=len(self.names),
        ).rows(usable)

    def error_jy(self, model: ErrorModel, block: slice = slice(None)) -> Floats:
        """Return the errors of the rows' fluxes by an error model."""
        return np.hypot(model.a * self.map_err_jy[block], model.b * self.typical_jy[block])

    def measurements(self, model: ErrorModel | None = None) -> Measurements:
        """Return the usable rows, with the map's errors or those of an error model."""
        if model is None:
            return self._measurements
        return replace(self._measurements, error_jy=self.error_jy(model)[self.usable])

    def solve(
        self, model: ErrorModel, options: GainOptions, method: str, alone: bool = False
    ) -> tuple[RowGains, GainSolution]:
        """Return the gains at the usable rows, and the images'.

        alone: one solution for all sources, as an error model is fitted to
        """
        measurements = self.measurements(model)
        if method == "baseline":
            mjd = self.mjd[self.usable]
            snr = snr_of_sources(self.names, self.snr_nvss)
            return baseline_gains(measurements, mjd, self.candidate, snr, options)
        solve = gains_of_one_solution if alone else gains_without_self
        return solve(measurements, self.candidate, options)

    def blocks(self) -> Iterator[slice]:
        """Cut the rows where a new source begins, into blocks that need little memory."""
        starts = np.append(np.flatnonzero(np.diff(self.source, prepend=-1)), len(self.source))
        cuts = starts[np.searchsorted(starts, np.arange(0, len(self.source), BLOCK_ROWS))]
        for start, stop in pairwise(np.unique([*cuts, len(self.source)])):
            yield slice(int(start), int(stop))

    def normalised(
        self, gains: RowGains, model: ErrorModel, solution: GainSolution, block: slice
    ) -> pd.DataFrame:
        """Return a block of the rows as `combine_transits` takes them.

        `norm_weight` is the weight of a row in its transit. It knows the source's typical flux
        only: with the measured one in it, low fluxes would weigh more and pull the mean down.
        """
        rows, usable = self.rows.iloc[block], self.usable[block]
        first = int(np.count_nonzero(self.usable[: block.start]))
        own = slice(first, first + int(np.count_nonzero(usable)))
        gain, gain_err = gains.gain[own], gains.gain_err[own]
        error, typical = self.error_jy(model, block), self.typical_jy[block]
        flux = np.where(
            gains.status[own] > STATUSES.index("unnormalised"),
            np.nan,
            self.flux_jy[block][usable] / gain,
        )
        variance = error[usable] ** 2 + (typical[usable] * gain_err) ** 2
        names = rows.status.cat.rename_categories({"ok": "no_flux"}).cat
        codes = names.codes.to_numpy(dtype=np.int16) + len(STATUSES)
        codes[usable] = gains.status[own]

        def everywhere(values: Floats, fill: float = np.nan) -> Floats:
            full = np.full(len(rows), fill)
            full[usable] = values
            return full

        return rows[["source_id", "ra_deg", "dec_deg", "mjd", "flux_jy"]].assign(
            flux_err_jy=error,
            gain=everywhere(gain),
            gain_err=everywhere(gain_err),
            shared_err=everywhere(gains.shared_err[own]),
            n_references=everywhere(gains.n_references[own].astype(float), 0).astype(np.int64),
            image_status=pd.Categorical.from_codes(codes, [*STATUSES, *names.categories]),
            norm_flux_jy=everywhere(flux),
            norm_weight=everywhere(np.where(np.isfinite(flux), gain**2 / variance, np.nan)),
            is_reference=solution.used[self.source[block]],
        )


def _fitted(
    band: Band, model: ErrorModel, gain_options: GainOptions, options: LightCurveOptions
) -> ErrorModel:
    """Fit the error model to the transits of the compact sources, with gains by an earlier one."""
    gains, _ = band.solve(model, gain_options, options.method, alone=True)
    wanted = (gains.status == 0) & band.candidate[band.source[band.usable]]
    rows = np.flatnonzero(band.usable)[wanted]
    gain, gain_err, shared_err = (
        values[wanted] for values in (gains.gain, gains.gain_err, gains.shared_err)
    )
    source, typical = band.source[rows], band.typical_jy[rows]
    transit = number_transits(source, band.mjd[rows], options.epoch_gap_hours)
    weight = gain**2 / (band.error_jy(model)[rows] ** 2 + (typical * gain_err) ** 2)
    total = np.bincount(transit, weight)

    def mean(values: Floats) -> Floats:
        return np.bincount(transit, weight * values) / total

    def variance(values: Floats) -> Floats:
        return np.bincount(transit, (weight * values / gain) ** 2) / total**2

    own_gain_err = np.sqrt(np.maximum(gain_err**2 - shared_err**2, 0.0))
    firsts = np.flatnonzero(np.diff(transit, prepend=-1))
    transits = Transits(
        source=source[firsts],
        flux_jy=mean(band.flux_jy[rows] / gain),
        noise_variance=variance(band.map_err_jy[rows]),
        scatter_variance=variance(typical),
        other_variance=variance(typical * own_gain_err) + mean(typical * shared_err / gain) ** 2,
    )
    return fit_error_model(
        transits, options.fit_min_transits, options.fit_min_sources, options.error_scale
    )


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

    def along(axes: Floats) -> Floats:
        return np.degrees(sum(vectors[:, axis] * axes[image, axis] for axis in range(3)))

    return along(east), along(north)
