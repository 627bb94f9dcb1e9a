"""Plots of the archive: light curves, the variability plane."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd

from contimg.report.figures import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PALE,
    STYLE,
    VERMILLION,
    canvas,
    encoded,
    name_dates,
    plain_numbers,
    utc,
)
from contimg.source_events import Event
from contimg.source_figures import draw_subbands


@matplotlib.rc_context(STYLE)
def lightcurve_plot(
    curve: pd.DataFrame,
    baseline_jy: float,
    events: Sequence[Event] = (),
    subbands: Mapping[float, pd.DataFrame] | None = None,
) -> bytes:
    """Draw one source's normalised flux against date.

    Parameters
    ----------
    curve : rows of one source: mjd, norm_flux_jy, norm_err_jy, status.
    baseline_jy : drawn as a line.
    events : dips to mark.
    subbands : rows of each subband image's light curve by its frequency (Hz), drawn below over
        their baselines.
    """
    figure = canvas(570, 340 if subbands else 210)
    axes = figure.subplots(2 if subbands else 1, 1, sharex=True, squeeze=False)[:, 0]
    for panel in axes:
        for event in events:
            edges = utc(np.array(event.span_mjd))
            panel.axvspan(edges[0], edges[1], color=ORANGE, alpha=0.25, lw=0)
        panel.margins(x=0.02)
    good = curve["status"] == "ok"
    for rows, colour in ((curve[~good], PALE), (curve[good], BLUE)):
        rows = rows[np.isfinite(rows["norm_flux_jy"])]
        if len(rows):
            axes[0].errorbar(
                utc(rows["mjd"]), rows["norm_flux_jy"] * 1e3, rows["norm_err_jy"] * 1e3,
                fmt="o", ms=2.6, mew=0, elinewidth=0.6, color=colour,
            )  # fmt: skip
    axes[0].axhline(baseline_jy * 1e3, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    for event in events:
        mjd, model = event.line(curve["mjd"].min(), curve["mjd"].max())
        axes[0].plot(utc(mjd), model * baseline_jy * 1e3, color=VERMILLION, lw=0.9, zorder=4)
    axes[0].set_ylabel("flux (mJy)")
    if subbands:
        draw_subbands(axes[1], subbands, events)
    name_dates(axes[-1])
    return encoded(figure)


@matplotlib.rc_context(STYLE)
def variability_plane(
    variability: pd.DataFrame, candidates: pd.DataFrame, shown: Sequence[str]
) -> bytes:
    """Draw eta against V, with the candidates and the sources whose light curves are shown.

    Parameters
    ----------
    variability : source_id, eta, v; a row a source.
    candidates : source_id, rank.
    shown : source_ids.
    """
    figure = canvas(760, 460)
    axes = figure.subplots()
    rows = variability[(variability["eta"] > 0) & (variability["v"] > 0)]
    axes.plot(rows["v"], rows["eta"], "o", ms=3, mew=0, color=BLUE, alpha=0.5, label="sources")
    named = rows[rows["source_id"].isin(shown)]
    axes.plot(
        named["v"], named["eta"], "o", ms=6, mfc="none", mec=INK, mew=0.8, label="light curve shown"
    )
    events = candidates.merge(rows, on="source_id", suffixes=("", "_of_source"))
    axes.plot(events["v"], events["eta"], "D", ms=6, mew=0, color=VERMILLION, label="candidates")
    for x, y, rank in zip(events["v"], events["eta"], events["rank"], strict=True):
        axes.annotate(
            f"{rank}", (x, y), (6, 4), textcoords="offset points", color=VERMILLION, weight="bold"
        )
    axes.axhline(1, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    axes.set(xlabel="V (modulation)", ylabel="η (reduced χ²)")
    if len(rows):  # an archive of one date has none
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            plain_numbers(axis)
    axes.legend(loc="upper left")
    return encoded(figure)
