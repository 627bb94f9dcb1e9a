"""Search for extreme scattering events: a lens in front of a source that varies anyway.

The statistic `ese_llr` is the logarithm of a likelihood ratio: the best lens over the best
correlated background, against the best background alone (`contimg.ese_fit`). Both are maxima over
the same backgrounds with the same priors. It is no probability: how often a source without an
event reaches it is found by simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contimg.backgrounds import BackgroundOptions, Floats, Grid, make_grid
from contimg.epochs import Epochs
from contimg.ese_curves import SharedCurves
from contimg.ese_fit import Fits, fit_both
from contimg.ese_templates import Placement, counts, whole_bank, wings_in_words
from contimg.tables import options_from

# Light curves that are searched at once.
_AT_ONCE = 1000
# Statistics are rounded to this, coarser than what the number of threads changes in them.
_DECIMALS = 6


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
    epochs: Epochs, options: Mapping[str, Any] | SearchOptions | None = None
) -> pd.DataFrame:
    """Search each source for the best event.

    Parameters
    ----------
    epochs : light curves.
    options : keys of `SearchOptions`.

    Returns
    -------
    table : one row a source (and frequency), in the order of `epochs.sources`; the columns of the
        search schema. Where nothing could be searched `template` is "" and `ese_llr` 0.
    """
    settings = _settings(options)
    rows = []
    for mjd, flux, error in zip(epochs.mjd, epochs.flux_jy, epochs.error_jy, strict=True):
        there = np.isfinite(flux)
        rows.append(search_batch(mjd[there], flux[None, there], error[None, there], settings))
    found = pd.concat(rows, ignore_index=True) if rows else _nothing(0, 0)
    return pd.concat([epochs.sources.reset_index(drop=True), found], axis=1)


def search_batch(
    mjd: Floats,
    flux: Floats,
    error: Floats,
    options: Mapping[str, Any] | SearchOptions | None = None,
) -> pd.DataFrame:
    """Search light curves that share their times.

    Light curves with the same errors (in Jy) are searched together, which is many times faster;
    their jitter and modulation are then fractions of their common baseline.

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
    table = _nothing(len(flux), len(mjd))
    if len(mjd) < settings.min_epochs:
        return table
    baseline = weighted_medians(flux, error)
    typical = np.median(error, axis=1)
    able = np.flatnonzero(baseline > typical)
    _, kinds = np.unique(error[able], axis=0, return_inverse=True)
    for kind in range(int(kinds.max(initial=-1)) + 1):
        rows = able[kinds.ravel() == kind]
        scale = float(np.median(baseline[rows]))
        grid = make_grid(float(typical[rows[0]]) / scale, settings.backgrounds)
        days = mjd - mjd[0]
        curves = SharedCurves(days, error[rows[0]] / scale, grid, settings.placement)
        if not len(curves.templates.values):
            continue
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            null, event = fit_both(curves, flux[some] / scale, settings.outlier_fraction)
            found = _table_of(curves, null, event, settings)
            found["centre_mjd"] += mjd[0]
            found["baseline_jy"] *= scale
            found["null_baseline_jy"] *= scale
            table.loc[some, found.columns] = found.to_numpy(dtype=object)
    return table.infer_objects()


def weighted_medians(flux: Floats, error: Floats) -> Floats:
    """Return the (S,) medians of light curves, weighted by 1 / error^2."""
    order = np.argsort(flux, axis=1, kind="stable")
    weight = np.cumsum(np.take_along_axis(error**-2.0, order, axis=1), axis=1)
    middle = (weight >= weight[:, -1:] / 2).argmax(axis=1)
    return np.take_along_axis(flux, order, axis=1)[np.arange(len(flux)), middle]


def _settings(options: Mapping[str, Any] | SearchOptions | None) -> SearchOptions:
    if isinstance(options, SearchOptions):
        return options
    return options_from(SearchOptions, options)


def _nothing(count: int, n_epochs: int) -> pd.DataFrame:
    """Return the rows of light curves in which nothing was found."""
    values: dict[str, Any] = {"n_epochs": n_epochs, "ese_llr": 0.0, "template": ""}
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
    return pd.DataFrame(values, index=np.arange(count))


def _table_of(
    curves: SharedCurves, null: Fits, event: Fits, settings: SearchOptions
) -> pd.DataFrame:
    """Return what was found of light curves that have an admissible template."""
    _, baseline, fraction = (
        one[:, 0]
        for one in curves.fit(event.flux, event.point, event.events.take((slice(None), None)))
    )
    in_dip, before, after = counts(curves._days, event.centre_days, event.fwhm_days)
    lenses = [whole_bank()[number] for number in event.shape]
    wings = [
        wings_in_words(one, other, settings.min_wing_epochs)
        for one, other in zip(before, after, strict=True)
    ]
    llr = np.round(event.best - null.best, _DECIMALS)
    columns: dict[str, Any] = {
        "n_epochs": curves.n_epochs,
        "ese_llr": np.maximum(llr, 0.0),
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
        "null_baseline_jy": curves.baselines(null.flux, null.point),
        **_background_of(curves.grid, null, "null_"),
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
