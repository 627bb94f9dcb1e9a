"""Figures of the page of the proof."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from contimg.report.figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PALE,
    STYLE,
    VERMILLION,
    canvas,
    encoded,
    plain_numbers,
)
from proof.scores import STATISTICS, THRESHOLDS

COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, INK, MUTED)
_LOWEST = 0.06


@matplotlib.rc_context(STYLE)
def rates_figure(rates: pd.DataFrame) -> bytes:
    """Draw observed over nominal rate of each class of one setting.

    Parameters
    ----------
    rates : of `proof.rates.rate_table`, one setting.
    """
    names = list(dict.fromkeys(rates["background"]))
    figure = canvas(1120, 60 + 17 * len(names))
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    for panel, (level, rows) in zip(panels, rates.groupby("level", sort=False), strict=True):
        panel.axvspan(0.5, 2, color=PALE, alpha=0.6, lw=0)
        panel.axvline(1, color=MUTED, lw=0.8, ls=(0, (4, 3)))
        for how, colour, shift in (("inferred", BLUE, -0.15), ("known", ORANGE, 0.18)):
            mine = rows[rows["how"] == how]
            place = np.array([names.index(name) for name in mine["background"]]) + shift
            ratio = np.maximum(mine["ratio"], _LOWEST)
            low = np.maximum(mine["low"], _LOWEST)
            panel.errorbar(
                ratio, place, xerr=(ratio - np.minimum(low, ratio), mine["high"] - ratio),
                fmt="o", ms=3.5, mew=0, elinewidth=0.8, color=colour, label=how,
            )  # fmt: skip
        panel.set(xscale="log", xlim=(_LOWEST * 0.9, 40), title=f"at {level:g}")
        panel.set_xlabel("observed / nominal")
        plain_numbers(panel.xaxis)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="background")
    return encoded(figure)


@matplotlib.rc_context(STYLE)
def depths_figure(depths: pd.DataFrame, widths: list[float]) -> bytes:
    """Draw D90 against total error, a panel a width and a line a lens.

    Parameters
    ----------
    depths : error, fwhm_days, lens, d90.
    """
    figure = canvas(1120, 300)
    panels = figure.subplots(1, len(widths), sharey=True, squeeze=False)[0]
    for panel, width in zip(panels, widths, strict=True):
        rows = depths[depths["fwhm_days"] == width]
        for colour, (lens, one) in zip(COLOURS, rows.groupby("lens", sort=False), strict=False):
            one = one.sort_values("error")
            panel.plot(100 * one["error"], 100 * one["d90"], "o-", ms=3.5, color=colour, label=lens)
        log_axes(panel)
        panel.set(xlabel="total error of a transit (%)", title=f"{width:g} days")
        panel.set_xticks(sorted({100 * error for error in depths["error"]}))
    panels[0].set_ylabel("D90 (%)")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="lens")
    return encoded(figure)


def log_axes(panel: Axes) -> None:
    panel.set(xscale="log", yscale="log")
    for axis in (panel.xaxis, panel.yaxis):
        plain_numbers(axis)


@matplotlib.rc_context(STYLE)
def roc_figure(roc: pd.DataFrame) -> bytes:
    """Draw recovery against false-alarm rate, a panel a depth."""
    depths = sorted(set(roc["depth"]))
    figure = canvas(1120, 330)
    panels = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    lowest = 0.5 * roc.loc[roc["false_alarm_rate"] > 0, "false_alarm_rate"].min()
    for panel, depth in zip(panels, depths, strict=True):
        for colour, (name, label) in zip(COLOURS, STATISTICS.items(), strict=False):
            rows = roc[(roc["depth"] == depth) & (roc["statistic"] == name)]
            rate = np.maximum(rows["false_alarm_rate"], lowest)
            panel.plot(rate, rows["recovery"], color=colour, label=label, drawstyle="steps")
            if name in THRESHOLDS:
                at = rows[rows["threshold"] == THRESHOLDS[name]]
                panel.plot(
                    np.maximum(at["false_alarm_rate"], lowest), at["recovery"], "o", ms=6,
                    color=colour, mfc="none",
                )  # fmt: skip
        panel.set(xscale="log", xlabel="false alarms per source-year", ylim=(-0.02, 1.02))
        panel.set_xticks([1e-3, 1e-2, 1e-1, 1], ["0.001", "0.01", "0.1", "1"])
        panel.set_title(f"{100 * depth:g} % deep, 60 days")
    panels[0].set_ylabel("events found")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    return encoded(figure)


@matplotlib.rc_context(STYLE)
def required_figure(required: pd.DataFrame) -> bytes:
    """Draw the part of the required events that is found, by background.

    Parameters
    ----------
    required : background, known, part, low, high (95 %).
    """
    figure = canvas(760, 60 + 17 * len(required))
    axes = figure.subplots()
    axes.axvline(90, color=VERMILLION, lw=1)
    axes.plot(100 * required["known"], range(len(required)), "D", ms=4, color=ORANGE, label="known")
    part = 100 * required["part"]
    axes.errorbar(
        part, range(len(required)),
        xerr=(part - 100 * required["low"], 100 * required["high"] - part),
        fmt="o", ms=4, mew=0, elinewidth=0.8, color=BLUE, label="inferred",
    )  # fmt: skip
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="background")
    axes.set_yticks(range(len(required)), required["background"])
    axes.invert_yaxis()
    axes.set(xlabel="events found (%)", xlim=(min(80.0, float(part.min()) - 5), 100.5))
    return encoded(figure)
