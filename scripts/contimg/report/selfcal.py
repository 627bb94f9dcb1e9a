"""The content of the page that compares strategies of self-calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

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
from contimg.report.pages import Picture, Plot
from contimg.report.text import listed, plural
from contimg.selfcal_compare import NONE, Run, summed_up

COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, INK)
MARKS = "osD^v"


def selfcal_content(
    table: pd.DataFrame,
    rounds: Mapping[Run, Sequence[Mapping[str, Any]]],
    times_s: Mapping[Run, float],
    other_times_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return what the template `selfcal.html.j2` needs, but for provenance.

    Parameters
    ----------
    table : selfcal/comparison.parquet.
    rounds : figures of each round, from round 0, of each strategy and group.
    times_s : what the rounds of each took, where it is known.
    other_times_s : what all other steps of each group took, where it is known.
    """
    more = {
        run: seconds / other_times_s[run.group]
        for run, seconds in times_s.items()
        if other_times_s.get(run.group)
    }
    strategies = [one | times_of(one["strategy"], times_s, more) for one in summed_up(table)]
    rows = [
        row
        | {"time_s": times_s.get(run := Run(row["strategy"], row["group"])), "more": more.get(run)}
        for row in table.to_dict("records")
    ]
    names = [one["strategy"] for one in strategies if one["strategy"] != NONE]
    plots = [
        Plot(
            "",
            Picture(by_round(rounds, names, figure, label), f"{label} of each round"),
            f"A line a strategy and group. {caption} Filled: the round that is used.",
        )
        for figure, label, caption in (
            ("snr", "S/N", "Peak of the brightest source over the rms of the residual image."),
            ("dynamic_range", "dynamic range", "The same peak over the rms around it."),
        )
        if rounds
    ]
    return {
        "strategies": strategies,
        "rows": rows,
        "plots": plots,
        "lead": f"Strategies on {plural(table['group'].nunique(), 'group')}: {listed(names)}.",
        "data": {"strategies": strategies, "rows": rows},
    }


def times_of(
    strategy: str, times_s: Mapping[Run, float], more: Mapping[Run, float]
) -> dict[str, float | None]:
    """Return the median time of a strategy's groups, and its share of all else."""
    return {
        name: float(np.median(found)) if found else None
        for name, known in (("time_s", times_s), ("more", more))
        for found in [[value for run, value in known.items() if run.strategy == strategy]]
    }


@matplotlib.rc_context(STYLE)
def by_round(
    rounds: Mapping[Run, Sequence[Mapping[str, Any]]],
    strategies: Sequence[str],
    figure: str,
    label: str,
) -> bytes:
    """Draw a figure of the rounds against their number, a line a strategy and group."""
    drawn = canvas(560, 300)
    axes = drawn.subplots()
    for number, strategy in enumerate(strategies):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        first = True
        for run in sorted(run for run in rounds if run.strategy == strategy):
            found = [one for one in rounds[run] if one.get(figure)]
            at = [one["round"] + 0.06 * (number - (len(strategies) - 1) / 2) for one in found]
            values = [one[figure] for one in found]
            label_once = strategy if first else None
            axes.plot(at, values, mark + "-", color=colour, mfc="white", ms=4, label=label_once)
            used = [i for i, one in enumerate(found) if one.get("used")]
            axes.plot([at[i] for i in used], [values[i] for i in used], mark, color=colour, ms=4)
            first = False
    axes.grid(axis="y", color=PALE, lw=0.5)
    axes.set(xlabel="round (0: calibrated, not self-calibrated)", ylabel=label, yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain_numbers(axes.yaxis)
    axes.tick_params(axis="y", which="minor", color=MUTED)
    axes.legend(loc="lower right")
    return encoded(drawn)
