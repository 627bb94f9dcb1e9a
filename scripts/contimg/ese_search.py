"""Search for extreme scattering events: a lens in front of a source that varies anyway.

The statistic `ese_llr` is the logarithm of a likelihood ratio: the best lens over the best
correlated background, against the best background alone (`contimg.ese_fit`). Both are maxima over
the same backgrounds with the same priors. A flare is no event: where the spike of the lens before
or after its centre (a caustic), of any height, is over a background likelier than the background
alone, the ratio is against that. It is no probability: how often a source without an event reaches
it is found by simulation.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from contimg.backgrounds import BackgroundOptions, Floats, Grid, Integers, make_grid
from contimg.epochs import Epochs
from contimg.ese_curves import Setting, SharedCurves
from contimg.ese_fit import Fits, fit_all
from contimg.ese_separate import SeparateCurves
from contimg.ese_templates import Placement, whole_bank, wings_in_words
from contimg.lens import REFERENCE_HZ
from contimg.tables import options_from

logger = logging.getLogger(__name__)

# Light curves of the same times and errors that are searched at once; so many are worth it.
_AT_ONCE = 1000
_MANY = 20
# Light curves each of its own that go through the filter side by side.
_SIDE_BY_SIDE = 64
# Statistics are rounded to this, coarser than what the number of threads changes in them.
_DECIMALS = 6
_OUTLIER_ERRORS = 4.0


@dataclass(frozen=True)
class SearchOptions:
    """What is searched.

    Attributes
    ----------
    min_epochs : sources with fewer usable epochs are not searched.
    min_fwhm_days, max_fwhm_days : range of widths at half depth.
    min_epochs_in_dip : of a template, within half of its width from the centre.
    min_wing_epochs : within one width from 0.75 widths off the centre; fewer are no wing.
    outlier_fraction : probability that an epoch is bad.
    modulation_scale, jitter_scale : means of the exponential priors of the rms of the background
        and of the excess noise, as fractions of the baseline.
    max_modulation, max_jitter : largest tried.
    drw_days, smooth_days : timescales of the damped random walk and of the smooth kernel.
    """

    min_epochs: int = 8
    min_fwhm_days: float = 14.0
    max_fwhm_days: float = 180.0
    min_epochs_in_dip: int = 2
    min_wing_epochs: int = 2
    outlier_fraction: float = 0.01
    modulation_scale: float = 0.03
    jitter_scale: float = 0.02
    max_modulation: float = 0.5
    max_jitter: float = 0.3
    drw_days: tuple[float, ...] = BackgroundOptions.drw_days
    smooth_days: tuple[float, ...] = BackgroundOptions.smooth_days

    @property
    def placement(self) -> Placement:
        """Where templates may lie."""
        return Placement(
            min_fwhm_days=self.min_fwhm_days,
            max_fwhm_days=self.max_fwhm_days,
            min_epochs_in_dip=self.min_epochs_in_dip,
            min_wing_epochs=self.min_wing_epochs,
        )

    @property
    def backgrounds(self) -> BackgroundOptions:
        """The backgrounds that are tried."""
        return BackgroundOptions(
            modulation_scale=self.modulation_scale,
            jitter_scale=self.jitter_scale,
            max_modulation=self.max_modulation,
            max_jitter=self.max_jitter,
            drw_days=tuple(self.drw_days),
            smooth_days=tuple(self.smooth_days),
        )


def search(
    epochs: Epochs,
    options: Mapping[str, Any] | SearchOptions | None = None,
    threads: int = 1,
) -> pd.DataFrame:
    """Search each source for the best event.

    Parameters
    ----------
    epochs : light curves.
    options : keys of `SearchOptions`.
    threads : processes that share the sources; they change no value.

    Returns
    -------
    table : one row a source (and frequency), in the order of `epochs.sources`; the columns of the
        search schema. Where nothing could be searched `template` is "" and `ese_llr` 0. `alpha` is
        at 1.4 GHz where freq_hz is known, else at the frequency of the light curve.
    """
    settings = _settings(options)
    there = np.isfinite(epochs.flux_jy)
    table = _nothing(there.sum(axis=1))
    flux = np.where(there, epochs.flux_jy, 0.0)
    error = np.where(there, epochs.error_jy, np.inf)
    # Epochs that are not there follow the others; their time is that of the last.
    first = np.where(there, epochs.mjd, np.inf).min(axis=1, initial=np.inf)
    last = np.where(there, epochs.mjd, -np.inf).max(axis=1, initial=-np.inf)
    mjd = np.where(there, epochs.mjd, last[:, None])
    tasks, rows = [], []
    for alike, grid, scales in _alike(flux, error, settings):
        # Those of about as many epochs go side by side.
        order = np.argsort(there[alike].sum(axis=1), kind="stable")
        some, scale = alike[order], scales[order]
        days = np.round(mjd[some] - first[some, None], 3)
        for part in np.array_split(np.arange(len(some)), -(-len(some) // _SIDE_BY_SIDE)):
            most = int(there[some[part]].sum(axis=1).max())
            tasks.append(
                SeparateCurves(
                    days[part, :most],
                    flux[some[part], :most] / scale[part, None],
                    error[some[part], :most] / scale[part, None],
                    grid,
                    settings.placement,
                )
            )
            rows.append((some[part], scale[part]))
    found = _mapped(partial(_found, settings=settings), tasks, threads)
    for (some, scale), one in zip(rows, found, strict=True):
        _put(table, some, one, first[some], scale)
    if "freq_hz" in epochs.sources:
        # Templates have the strength at the light curve's own frequency; it goes as frequency^-2.
        ratio = epochs.sources["freq_hz"].to_numpy(dtype=float) / REFERENCE_HZ
        table["alpha"] *= np.where(np.isfinite(ratio), ratio, 1.0) ** 2
    names = [name for name in ("source_id", "freq_hz") if name in epochs.sources]
    return pd.concat([epochs.sources[names].reset_index(drop=True), table], axis=1)


def why_not_searched(
    epochs: Epochs, options: Mapping[str, Any] | SearchOptions | None = None
) -> list[str]:
    """Say why sources in which nothing was searched were not; true of those only."""
    settings = _settings(options)
    there = np.isfinite(epochs.flux_jy)
    error = np.where(there, epochs.error_jy, np.inf)
    baseline = weighted_medians(np.where(there, epochs.flux_jy, 0.0), error)
    faint = baseline <= typical_errors(error)
    reasons = []
    for n_epochs, is_faint in zip(there.sum(axis=1).tolist(), faint.tolist(), strict=True):
        if n_epochs < settings.min_epochs:
            reasons.append(f"too few epochs ({n_epochs}; {settings.min_epochs} are needed)")
        elif is_faint:
            reasons.append(f"its flux is not above its errors ({n_epochs} epochs)")
        else:
            reasons.append(
                f"its {n_epochs} epochs leave no dip with enough of them in and beside it"
            )
    return reasons


def warn_if_none_was_searched(
    epochs: Epochs, found: pd.DataFrame, options: Mapping[str, Any] | None, name: object
) -> None:
    """Log why nothing was searched in a table `name` of light curves, by its first source."""
    if len(found) and not (found["template"] != "").any():
        logger.warning(
            "%s: none of %d sources could be searched; the first, %s: %s",
            *(name, len(found), found["source_id"].iloc[0], why_not_searched(epochs, options)[0]),
        )


def search_batch(
    mjd: Floats,
    flux: Floats,
    error: Floats,
    options: Mapping[str, Any] | SearchOptions | None = None,
) -> pd.DataFrame:
    """Search light curves that share times and errors, many times faster than one by one.

    Modulation and jitter are fractions of their common baseline. Light curves of other errors than
    the rest are searched one by one.

    Parameters
    ----------
    mjd : (N,) times, in order, without gaps of NaN.
    flux, error : (S, N) in Jy; error may be (N,) for all.
    options : keys of `SearchOptions`.

    Returns
    -------
    table : one row a light curve; the columns of the search schema without those of the source.
    """
    settings = _settings(options)
    error = np.broadcast_to(error, flux.shape)
    table = _nothing(np.full(len(flux), len(mjd)))
    days = np.round(mjd - mjd[0], 3) if len(mjd) else mjd
    _, kinds, sizes = np.unique(error, axis=0, return_inverse=True, return_counts=True)
    for kind in np.flatnonzero(sizes >= _MANY):
        rows = np.flatnonzero(kinds.ravel() == kind)
        alike = _alike(flux[rows], error[rows], settings, shared=True)
        for some, grid, scale in alike:
            setting = Setting(days, error[rows[0]] / scale[0], grid, settings.placement)
            for first in range(0, len(some), _AT_ONCE):
                part = rows[some[first : first + _AT_ONCE]]
                curves = SharedCurves(setting, flux[part] / scale[0])
                start_mjd, scales = np.full(len(part), mjd[0]), np.full(len(part), scale[0])
                _put(table, part, _found(curves, settings), start_mjd, scales)
    rest = np.flatnonzero(sizes[kinds.ravel()] < _MANY)
    if len(rest):
        sources = pd.DataFrame(index=np.arange(len(rest)))
        mjds = np.broadcast_to(mjd, (len(rest), len(mjd)))
        found = search(Epochs(sources, mjds, flux[rest], error[rest]), settings)
        table.loc[rest, found.columns] = found.set_axis(rest)
    return table


def _alike(
    flux: Floats, error: Floats, settings: SearchOptions, shared: bool = False
) -> Iterator[tuple[Integers, Grid, Floats]]:
    """Go through light curves that can be searched, by the backgrounds that are tried.

    Parameters
    ----------
    flux, error : (S, N), error infinite where there is no epoch.
    shared : all have the same errors, and get the same baseline and backgrounds.

    Yields
    ------
    rows, grid, baseline : which light curves, their backgrounds and rough baselines.
    """
    baseline, typical = weighted_medians(flux, error), typical_errors(error)
    enough = np.isfinite(error).sum(axis=1) >= settings.min_epochs
    rows = np.flatnonzero(enough & (baseline > typical))
    if not len(rows):
        return
    if shared:
        baseline = np.full(len(flux), np.median(baseline[rows]))
    relative = typical[rows] / baseline[rows]
    grids = [make_grid(float(one), settings.backgrounds) for one in relative]
    kinds = np.array([id(grid) for grid in grids])
    for first in np.sort(np.unique(kinds, return_index=True)[1]):
        some = rows[kinds == kinds[first]]
        yield some, grids[first], baseline[some]


def _mapped(function: Callable[[Any], Any], tasks: list[Any], threads: int) -> Iterable[Any]:
    if threads <= 1 or len(tasks) <= 1:
        return map(function, tasks)
    with ProcessPoolExecutor(threads, get_context("forkserver")) as pool:
        return list(pool.map(function, tasks))


def _found(curves: SharedCurves | SeparateCurves, settings: SearchOptions) -> pd.DataFrame:
    """Search light curves where a template is admissible; the index says which these are."""
    rows = np.flatnonzero(curves.searchable())
    curves = curves.replaced(rows, curves.flux[rows])
    if not len(rows):
        return _nothing(np.zeros(0, dtype=np.int64))
    null, event, brightening = fit_all(curves, settings.outlier_fraction)
    llr = event.best - np.maximum(null.best, brightening)
    return _table_of(curves, null, event, llr, settings).set_index(rows)


def _put(
    table: pd.DataFrame,
    rows: Integers,
    found: pd.DataFrame,
    start_mjd: Floats,
    scale: Floats,
) -> None:
    """Write what was found into a table, in its times and fluxes."""
    which = found.index.to_numpy(dtype=np.int64)
    found = found.assign(
        centre_mjd=found["centre_mjd"] + start_mjd[which],
        baseline_jy=found["baseline_jy"] * scale[which],
        null_baseline_jy=found["null_baseline_jy"] * scale[which],
    )
    for name in found:
        table.loc[rows[which], name] = found[name].to_numpy()


def weighted_medians(flux: Floats, error: Floats) -> Floats:
    """Return the (S,) medians of light curves, weighted by 1 / error^2.

    No epoch counts for more than four of typical errors: where errors go as the flux, a bad one
    near 0 would outweigh all others.
    """
    order = np.argsort(flux, axis=1, kind="stable")
    least = 0.5 * typical_errors(error)[:, None]
    weight = np.maximum(error, least) ** -2.0
    weight = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    middle = (weight >= weight[:, -1:] * (0.5 - 1e-9)).argmax(axis=1)
    return np.take_along_axis(flux, order, axis=1)[np.arange(len(flux)), middle]


def typical_errors(error: Floats) -> Floats:
    """Return the (S,) medians of the errors, infinite where there is no epoch."""
    there = np.isfinite(error)
    some = there.any(axis=1)
    typical = np.full(len(error), np.inf)
    typical[some] = np.nanmedian(np.where(there[some], error[some], np.nan), axis=1)
    return typical


def reduced_chi2(flux: Floats, error: Floats, n_outliers: Integers) -> Floats:
    """Return the (S,) reduced chi-squared of a constant.

    Parameters
    ----------
    flux, error : (S, N), outliers replaced, error infinite where there is no epoch.
    n_outliers : (S,); each counts as 4 errors, about what it costs in the fit: an event could
        explain it.
    """
    weight = error**-2.0
    mean = (weight * flux).sum(axis=1) / weight.sum(axis=1)
    chi2 = (weight * (flux - mean[:, None]) ** 2).sum(axis=1) + _OUTLIER_ERRORS**2 * n_outliers
    return chi2 / (np.isfinite(error).sum(axis=1) - 1)


def least_squares(flux: Floats, error: Floats, dips: Floats) -> tuple[Floats, Floats]:
    """Fit y = b (1 - f t) to (S, N) light curves against white noise; b and f, (S,) each.

    A background that is correlated would take a part of an event whose lens is not in the bank,
    and leave it too shallow. f is cut to 0..1.
    """
    weight = error**-2.0
    w, wt, wtt = weight.sum(1), (weight * dips).sum(1), (weight * dips**2).sum(1)
    wy, wty = (weight * flux).sum(1), (weight * dips * flux).sum(1)
    determinant = w * wtt - wt**2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (wt * wy - w * wty) / determinant
        baseline = (wtt * wy - wt * wty) / determinant
        return baseline, np.clip(slope / baseline, 0.0, 1.0)


def _settings(options: Mapping[str, Any] | SearchOptions | None) -> SearchOptions:
    if isinstance(options, SearchOptions):
        return options
    return options_from(SearchOptions, options)


def _nothing(n_epochs: Integers) -> pd.DataFrame:
    """Return the rows of light curves in which nothing was found."""
    values: dict[str, Any] = {"n_epochs": n_epochs.astype(np.int64)}
    values |= {"ese_llr": 0.0, "template": ""}
    numbers = ("alpha", "beta_s", "impact", "lensed_fraction", "depth", "centre_mjd", "fwhm_days")
    values |= dict.fromkeys(numbers, np.nan)
    values |= {"n_epochs_in_dip": 0, "wings": "none", "incomplete": True}
    for prefix in ("", "null_"):
        values |= {
            f"{prefix}baseline_jy": np.nan,
            f"{prefix}background": "",
            f"{prefix}modulation": np.nan,
            f"{prefix}timescale_days": np.nan,
            f"{prefix}jitter": np.nan,
            f"{prefix}outliers": 0,
        }
    values["null_chi2_nu"] = np.nan
    return pd.DataFrame(values, index=np.arange(len(n_epochs)))


def _table_of(
    curves: SharedCurves | SeparateCurves,
    null: Fits,
    event: Fits,
    llr: Floats,
    settings: SearchOptions,
) -> pd.DataFrame:
    """Return what was found of light curves that have an admissible template."""
    every = np.arange(len(event.best))
    spread = np.hypot(curves.grid.modulation, curves.grid.jitter)[event.point]
    error = np.hypot(curves.error, spread[:, None])
    baseline, fraction = least_squares(event.flux, error, curves.dips(event.events))
    in_dip, before, after = curves.counts(event.events)
    lenses = [whole_bank()[number] for number in event.shape]
    wings = [
        wings_in_words(one, other, settings.min_wing_epochs)
        for one, other in zip(before, after, strict=True)
    ]
    columns: dict[str, Any] = {
        "n_epochs": curves.n_epochs,
        "ese_llr": np.maximum(np.round(llr, _DECIMALS), 0.0),
        "template": [lens.shape.name for lens in lenses],
        "alpha": [lens.shape.alpha for lens in lenses],
        "beta_s": [lens.shape.beta_s for lens in lenses],
        "impact": [lens.shape.impact for lens in lenses],
        "lensed_fraction": fraction,
        "depth": fraction * np.array([lens.dip.max() for lens in lenses]),
        "centre_mjd": event.centre_days,
        "fwhm_days": event.fwhm_days,
        "n_epochs_in_dip": in_dip,
        "wings": wings,
        "incomplete": [wing != "both" for wing in wings],
        "baseline_jy": baseline,
        **_background_of(curves.grid, event, ""),
        "null_baseline_jy": curves.replaced(every, null.flux).baselines(null.point),
        **_background_of(curves.grid, null, "null_"),
        "null_chi2_nu": reduced_chi2(null.flux, curves.error, null.n_outliers),
    }
    return pd.DataFrame(columns)


def _background_of(grid: Grid, fits: Fits, prefix: str) -> dict[str, Any]:
    kernels = [grid.kernels[number] for number in grid.kernel[fits.point]]
    return {
        f"{prefix}background": [name for name, _ in kernels],
        f"{prefix}modulation": grid.modulation[fits.point],
        f"{prefix}timescale_days": [days for _, days in kernels],
        f"{prefix}jitter": grid.jitter[fits.point],
        f"{prefix}outliers": fits.n_outliers,
    }
