"""What is marked in a light curve: a candidate's events, and the baseline outside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contimg.epochs import USABLE
from contimg.lens import Floats, LensShape, dips_at, make_template

MIN_OUTSIDE = 3
LINE_POINTS = 400


@dataclass(frozen=True)
class Event:
    """A dip that made a source a candidate.

    Attributes
    ----------
    rank : among the candidates.
    centre_mjd, fwhm_days : of the fitted dip.
    depth : as a fraction of the baseline.
    lens : the lens that was fitted; None where the table does not tell.
    lensed_fraction : of the flux.
    baseline_jy : normalised flux without the event, as fitted; NaN where the table does not tell.
    """

    rank: int
    centre_mjd: float
    fwhm_days: float
    depth: float
    lens: LensShape | None = None
    lensed_fraction: float = np.nan
    baseline_jy: float = np.nan

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last moment within half of the width from the centre."""
        return self.centre_mjd - self.fwhm_days / 2, self.centre_mjd + self.fwhm_days / 2

    def line(self, first_mjd: float, last_mjd: float) -> tuple[Floats, Floats]:
        """Return times (MJD) and flux over the baseline of what was fitted.

        That is the lens, or where none is told the depth across the full width.

        Parameters
        ----------
        first_mjd, last_mjd : nothing is drawn before and after them.
        """
        if self.lens is None:
            mjd = np.clip(self.span_mjd, first_mjd, last_mjd)
            return mjd, np.full(2, 1 - self.depth)
        template = make_template(self.lens)
        start, end = (
            float(np.clip(self.centre_mjd + self.fwhm_days * x, first_mjd, last_mjd))
            for x in template.x[[0, -1]]
        )
        mjd = np.linspace(start, end, LINE_POINTS)
        x = (mjd - self.centre_mjd) / self.fwhm_days
        return mjd, 1 - self.lensed_fraction * dips_at(template, x)


def events_of(candidates: pd.DataFrame) -> list[Event]:
    """Return the events that a source's rows of the candidate table tell of, the best first.

    A source that a person flags, and in which no event was found, has none.
    """
    rows = candidates[np.isfinite(candidates["centre_mjd"]) & (candidates["fwhm_days"] > 0)]
    return [
        Event(
            rank=int(row["rank"]),
            centre_mjd=float(row["centre_mjd"]),
            fwhm_days=float(row["fwhm_days"]),
            depth=float(row.get("depth", np.nan)),
            lens=lens_of(row),
            lensed_fraction=float(row.get("lensed_fraction", np.nan)),
            baseline_jy=float(row.get("baseline_jy", np.nan)),
        )
        for row in rows.sort_values("rank").to_dict("records")
    ]


def lens_of(row: Mapping[Any, Any]) -> LensShape | None:
    """Return the lens that a row of the candidate table tells of, None where it does not."""
    alpha, beta_s, fraction = (
        float(row.get(name, np.nan)) for name in ("alpha", "beta_s", "lensed_fraction")
    )
    if not (np.isfinite(alpha) and beta_s > 0 and np.isfinite(fraction)):
        return None
    name = str(row.get("template", ""))
    return LensShape(name, alpha, beta_s, float(row.get("impact", np.nan)))


def usable_rows(curve: pd.DataFrame, flux: str) -> pd.Series:
    """Return which rows of a light curve have a time and a usable flux, and no limit."""
    good = np.isfinite(curve[flux]) & np.isfinite(curve["mjd"])
    if "status" in curve:
        good &= curve["status"].isin(USABLE)
    if "upper_limit" in curve:
        good &= ~curve["upper_limit"].fillna(False).astype(bool)
    return good


def baseline_jy(
    curve: pd.DataFrame, events: Sequence[Event] = (), flux: str = "norm_flux_jy"
) -> float:
    """Return the median of the good fluxes outside the events.

    Outside means more than a full width from the centre; where fewer than three are, more than
    half of it; where again fewer are, anywhere.

    Parameters
    ----------
    curve : rows of one source: mjd, a column of fluxes and, where there is one, status.
    events : dips.
    flux : name of the column.

    Returns
    -------
    The median, Jy; NaN without a good flux.
    """
    good = usable_rows(curve, flux)
    for widths in (1.0, 0.5):
        outside = good.copy()
        for event in events:
            outside &= (curve["mjd"] - event.centre_mjd).abs() > widths * event.fwhm_days
        if outside.sum() >= MIN_OUTSIDE:
            return float(curve.loc[outside, flux].median())
    return float(curve.loc[good, flux].median())


def shown_baseline_jy(curve: pd.DataFrame, events: Sequence[Event], flux: str) -> float:
    """Return the baseline of a light curve of the whole band, as figures show it.

    It is that of the fit of the best event, brought to other fluxes than the normalised ones by
    the median of their ratio; where no fit is told, that of `baseline_jy`.
    """
    fitted = next((event.baseline_jy for event in events if np.isfinite(event.baseline_jy)), np.nan)
    if not (np.isfinite(fitted) and "norm_flux_jy" in curve):
        return baseline_jy(curve, events, flux)
    return fitted * float((curve[flux] / curve["norm_flux_jy"]).median())
