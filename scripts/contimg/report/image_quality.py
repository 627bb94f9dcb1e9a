"""How good the images of all dates are: gains and scatter through time, and which are not used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from contimg.report.figures import (
    BLUE,
    MUTED,
    STYLE,
    VERMILLION,
    canvas,
    encoded,
    name_dates,
    plain_numbers,
    utc,
)
from contimg.report.pages import Picture, Plot
from contimg.report.text import plural
from contimg.tables import whole_band

STATES = {"ok": "ok", "unnormalised": "partial"}


@dataclass(frozen=True)
class ImageQuality:
    """What the archive's page tells of the images.

    Attributes
    ----------
    plot : gain, and reduced chi-squared of the references, against date; None without a gain.
    counts : images by status.
    states : the page's word for each status: ok, partial or rejected.
    bad : images that are not used, or not normalised, each with the link to its date's page.
    by_date : images that are ok, and all, by date.
    """

    plot: Plot | None
    counts: Mapping[str, int]
    states: Mapping[str, str]
    bad: Sequence[Mapping[str, Any]]
    by_date: Mapping[str, tuple[int, int]]


def image_quality(images: pd.DataFrame, page_of: Callable[[str], str]) -> ImageQuality:
    """Return what variability/images.parquet tells.

    Parameters
    ----------
    images : a row an image: date, group, mjd, gain, gain_err, n_references, chi2_nu, status,
        reason; those of subband images are left out.
    page_of : the link to a date's page.
    """
    images = whole_band(images).sort_values(["date", "group"], ignore_index=True)
    good = images["status"] == "ok"
    counts = images["status"].value_counts(sort=False).to_dict()
    of_date = good.groupby(images["date"]).agg(["sum", "size"]).itertuples()
    bad = images[~good].to_dict("records")
    return ImageQuality(
        plot=quality_plot(images),
        counts=counts,
        states={status: STATES.get(status, "rejected") for status in counts},
        bad=[{**row, "link": page_of(str(row["date"]))} for row in bad],
        by_date={str(date): (int(n_good), int(n_all)) for date, n_good, n_all in of_date},
    )


def quality_plot(images: pd.DataFrame) -> Plot | None:
    """Return the plot of gains and scatter, when any image has a gain."""
    solved = images[np.isfinite(images["gain"])]
    if solved.empty:
        return None
    return Plot(
        "",
        Picture(draw_quality(solved), "Gain and scatter of the images against date"),
        f"{plural(len(solved), 'image')} with a gain. Above: gain at the mean position of its "
        "sources, one standard error; the mean over the good images of a field is 1. Below: "
        "reduced χ² of the references, each against the gain without it. Vermillion: not used.",
    )


@matplotlib.rc_context(STYLE)
def draw_quality(images: pd.DataFrame) -> bytes:
    """Draw gain and reduced chi-squared of images against date."""
    figure = canvas(1160, 320)
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1.5, 1]})
    good = images["status"].isin(["ok", "unnormalised"])
    for rows, colour, marker, size in (
        (images[good], BLUE, "o", 3),
        (images[~good], VERMILLION, "x", 5),
    ):
        if rows.empty:
            continue
        when = utc(rows["mjd"])
        look: dict[str, Any] = {"color": colour, "ls": "", "marker": marker, "ms": size}
        axes[0].errorbar(when, rows["gain"], rows["gain_err"], elinewidth=0.4, **look)
        axes[1].plot(when, rows["chi2_nu"], **look)
    for panel, label in zip(axes, ("gain", "χ²ν"), strict=True):
        panel.axhline(1, color=MUTED, lw=0.8, ls=(0, (4, 3)))
        panel.set_ylabel(label)
        panel.margins(x=0.02)
    if (images["chi2_nu"] > 0).any():
        axes[1].set_yscale("log")
        plain_numbers(axes[1].yaxis)
    name_dates(axes[-1])
    return encoded(figure)
