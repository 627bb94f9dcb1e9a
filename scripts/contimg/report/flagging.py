"""What is flagged through a date: by frequency and by antenna, and for what."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from contimg.report.figures import INK, MUTED, PALE, STYLE, canvas, encoded
from contimg.report.pages import Picture, Plot
from contimg.report.summary import median_of
from contimg.report.text import percent
from contimg.status import Status

CAUSES = {
    "missing_subbands": "missing subbands",
    "bad_antennas": "bad antennas",
    "other_conversion": "zeros, clipped and flagged in the raw files",
    "interference": "interference",
}
COLOURS = "cividis"
MAX_LABELS = 16


def flagging(statuses: Mapping[str, Status]) -> dict[str, Any]:
    """Return what the template shows of the date's flags.

    Parameters
    ----------
    statuses : of `ms/science/DATE/GROUP.flags.json`, by group.
    """
    figures = {group: statuses[group].figures for group in sorted(statuses) if statuses[group].ok}
    return {
        "plot": flags_plot(figures) if figures else None,
        "causes": [
            (words, median_of([one["causes"][name] for one in figures.values()]),
             max(one["causes"][name] for one in figures.values()))
            for name, words in CAUSES.items()
        ] if figures else [],
        "bad": bad_antennas(figures),
    }  # fmt: skip


def bad_antennas(figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the antennas that conversion found bad, with the groups in which it did."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for group, own in figures.items():
        for one in own["bad_antennas"]:
            key = one["antenna"], one["polarization"]
            found.setdefault(key, []).append((group, one["reason"]))
    return [
        {
            "antenna": antenna,
            "polarization": polarization,
            "reason": of_groups[0][1],
            "groups": [group[11:] for group, _ in of_groups],
        }
        for (antenna, polarization), of_groups in sorted(found.items())
    ]


def flags_plot(figures: Mapping[str, Mapping[str, Any]]) -> Plot:
    """Draw the flagged fraction of each group by frequency and by antenna."""
    groups = list(figures)
    first = figures[groups[0]]
    freq_ghz = np.array(first["channels"]["freq_hz"]) / 1e9
    antennas = sorted({name for one in figures.values() for name in one["antennas"]["name"]})
    by_channel = np.full((len(freq_ghz), len(groups)), np.nan)
    by_antenna = np.full((len(antennas), len(groups)), np.nan)
    for column, own in enumerate(figures.values()):
        values = np.array(own["channels"]["flagged"], dtype=float)
        if len(values) == len(freq_ghz):
            by_channel[:, column] = values
        rows = [antennas.index(name) for name in own["antennas"]["name"]]
        by_antenna[rows, column] = np.array(own["antennas"]["flagged"], dtype=float)
    fraction = median_of([one["flagged_fraction"] for one in figures.values()])
    return Plot(
        "",
        Picture(
            heat_maps(groups, freq_ghz, by_channel, antennas, by_antenna),
            "Flagged fraction of each group by frequency and by antenna",
        ),
        "Flagged part of the cross-correlations before calibration, a column a group "
        f"(median {percent(fraction)}); the scale spreads the small fractions.",
    )


@matplotlib.rc_context(STYLE)
def heat_maps(
    groups: Sequence[str],
    freq_ghz: NDArray[np.float64],
    by_channel: NDArray[np.float64],
    antennas: Sequence[str],
    by_antenna: NDArray[np.float64],
) -> bytes:
    """Draw two pictures side by side, one column a group in each.

    Parameters
    ----------
    groups : names of the n_groups, ascending.
    freq_ghz : (n_bins,) ascending.
    by_channel, by_antenna : (n_bins, n_groups), (n_antennas, n_groups) flagged fractions, NaN
        where there is nothing.
    """
    figure = canvas(1160, 320)
    left, right = figure.subplots(1, 2)
    style: dict[str, Any] = {
        "aspect": "auto",
        "cmap": matplotlib.colormaps[COLOURS].with_extremes(bad=PALE),
        "norm": PowerNorm(0.4, 0, 1),
        "interpolation": "nearest",
    }
    step = (freq_ghz[-1] - freq_ghz[0]) / max(len(freq_ghz) - 1, 1) or 1e-3
    span = (-0.5, len(groups) - 0.5, freq_ghz[0] - step / 2, freq_ghz[-1] + step / 2)
    drawn = left.imshow(by_channel, origin="lower", extent=span, **style)
    right.imshow(by_antenna, **style)
    left.set_ylabel("frequency (GHz)")
    right.set_ylabel("antenna")
    every = 1 + (len(antennas) - 1) // (2 * MAX_LABELS)
    places = range(0, len(antennas), every)
    right.set_yticks(list(places), [antennas[place][:10] for place in places], fontsize=5.5)
    for axes in (left, right):
        label_groups(axes, groups)
    bar = figure.colorbar(drawn, ax=[left, right], pad=0.01, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1", "5", "20", "50", "100"])
    bar.set_label("flagged (%)", color=INK)
    return encoded(figure, colours=64)


def label_groups(axes: Axes, groups: Sequence[str]) -> None:
    """Write some groups' times below a picture."""
    every = 1 + (len(groups) - 1) // MAX_LABELS
    places = range(0, len(groups), every)
    rotation = 0 if len(groups) <= 6 else 90
    axes.set_xticks(
        list(places), [groups[place][11:16] for place in places], rotation=rotation, color=MUTED
    )
    axes.set_xlabel("group (UTC)")
