"""What is marked in a light curve: a candidate's events, and the baseline outside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

MIN_OUTSIDE = 3


@dataclass(frozen=True)
class Event:
    """A dip that made a source a candidate.

    Attributes
    ----------
    rank : among the candidates.
    centre_mjd, fwhm_days : of the fitted dip.
    depth : as a fraction of the baseline.
    text : why it is a candidate, in words.
    """

    rank: int
    centre_mjd: float
    fwhm_days: float
    depth: float
    text: str

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last moment within half of the width from the centre."""
        return self.centre_mjd - self.fwhm_days / 2, self.centre_mjd + self.fwhm_days / 2


def events_of(candidates: pd.DataFrame) -> list[Event]:
    """Return the events that a source's rows of the candidate table tell of, the best first."""
    return [
        Event(
            rank=int(row["rank"]),
            centre_mjd=float(row["centre_mjd"]),
            fwhm_days=float(row["fwhm_days"]),
            depth=float(row.get("depth", np.nan)),
            text=str(row.get("explanation") or row.get("reason", "")),
        )
        for row in candidates.sort_values("rank").to_dict("records")
    ]


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
    good = np.isfinite(curve[flux])
    if "status" in curve:
        good &= curve["status"].isin(["ok", "unnormalised"])
    for widths in (1.0, 0.5):
        outside = good.copy()
        for event in events:
            outside &= (curve["mjd"] - event.centre_mjd).abs() > widths * event.fwhm_days
        if outside.sum() >= MIN_OUTSIDE:
            return float(curve.loc[outside, flux].median())
    return float(curve.loc[good, flux].median())
