"""The page of a date's calibrator transits, from cal/DATE/transits.json."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from contimg.groups import mjd_of_group
from contimg.report.figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PALE,
    STYLE,
    VERMILLION,
    canvas,
    encoded,
    plain_numbers,
)
from contimg.report.pages import Picture, Plot
from contimg.report.text import fixed, plural

SOLVED, USABLE, WITHOUT_DATA, WEAK = "solved", "not needed", "no data", "too weak"
COLOURS = {SOLVED: GREEN, USABLE: BLUE, WITHOUT_DATA: VERMILLION, WEAK: MUTED}
MAX_LABELS = 14


def transits_content(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template `transits.html.j2` needs.

    Parameters
    ----------
    found : the content of cal/DATE/transits.json.
    """
    rows = [{**one, "state": state_of(one)} for one in found["transits"]]
    return {
        "date": found["date"],
        "summary": summary_line(found, rows),
        "key_figures": key_figures(found, rows),
        "limits": found["limits"],
        "sefd_jy": found["sefd_jy"],
        "strong": [row for row in rows if row["strong"]],
        "weak": [row for row in rows if not row["strong"]],
        "plot_of_day": day_plot(found, rows),
        "data": found,
    }


def state_of(one: Mapping[str, Any]) -> str:
    """Say in a word what became of a transit."""
    if one["chosen"]:
        return SOLVED
    if not one["strong"]:
        return WEAK
    return WITHOUT_DATA if one["group"] is None or "is rejected" in one["why_not"] else USABLE


def summary_line(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in one line what could calibrate the date."""
    if not rows:
        if found["declination_deg"] is None:
            return "No raw file of this date says where the dishes stood."
        return "No calibrator passes through the beam on this date."
    solved = [
        f"{row['name']} (group of {row['group'][11:]})" for row in rows if row["state"] == SOLVED
    ]
    strong = sum(row["strong"] for row in rows)
    without = sum(row["state"] == WITHOUT_DATA for row in rows)
    line = f"{plural(strong, 'transit')} strong enough, {without} of them without usable data. "
    return line + (f"Solved on: {', '.join(solved)}." if solved else "None can be solved on.")


def key_figures(
    found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    good = [group for group in found["groups"] if group["status"] != "rejected"]
    hours = sum((group["end_mjd"] - group["start_mjd"]) * 24 for group in good)
    return [
        ("declination of date", fixed(found["declination_deg"], 2), "deg"),
        ("groups with data", f"{len(good)}", f"of {len(found['groups'])}"),
        ("observed", fixed(hours, 2), "h"),
        ("transits listed", f"{len(rows)}", ""),
        ("solved on", f"{sum(row['chosen'] for row in rows)}", ""),
    ]


def day_plot(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Draw the date's hours: what was observed, and which calibrators pass when, how bright."""
    shown = [row for row in rows if row["apparent_jy"] and row["transit_mjd"]]
    if not shown:
        return None
    return Plot(
        "",
        Picture(
            day_figure(found, shown),
            "Apparent flux of each calibrator at its transit, and groups with data, by the hour",
        ),
        "A line a transit, as high as the calibrator's flux through the beam; the dashed line is "
        "what is needed. Below, the groups that have data (rejected ones orange).",
    )


@matplotlib.rc_context(STYLE)
def day_figure(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw transits against the hour, and groups below; see `day_plot`."""
    midnight = mjd_of_group(f"{found['date']}T00:00:00")
    figure = canvas(1160, 330)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(9, 1))
    faintest = min(row["apparent_jy"] for row in rows)
    bottom = min(faintest, found["limits"]["min_apparent_jy"]) * 0.7
    for state, colour in COLOURS.items():
        of_state = [row for row in rows if row["state"] == state]
        if not of_state:
            continue
        hours = [(row["transit_mjd"] - midnight) * 24 for row in of_state]
        fluxes = [row["apparent_jy"] for row in of_state]
        width = 0.8 if state == WEAK else 1.6
        upper.vlines(hours, bottom, fluxes, color=colour, linewidth=width)
        upper.plot(hours, fluxes, "o", color=colour, ms=2.5 + width, label=state)
    upper.axhline(found["limits"]["min_apparent_jy"], color=INK, linewidth=0.7, linestyle="--")
    all_hours = [(row["transit_mjd"] - midnight) * 24 for row in rows]
    limits = min(0.0, *all_hours), max(24.0, *all_hours)  # a group may see one of the next date
    upper.set(yscale="log", ylabel="apparent flux (Jy)", xlim=limits)
    upper.set_ylim(bottom, 1.9 * max(row["apparent_jy"] for row in rows))
    plain_numbers(upper.yaxis)
    upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label_brightest(upper, rows, midnight)
    for group in found["groups"]:
        hours = [(group[name] - midnight) * 24 for name in ("start_mjd", "end_mjd")]
        colour = VERMILLION if group["status"] == "rejected" else BLUE
        lower.axvspan(hours[0], max(hours[1], hours[0] + 0.02), color=colour, linewidth=0)
    lower.set(yticks=[], xlabel="hour (UTC)", xticks=range(0, 25, 2))
    lower.set_ylabel("data", rotation=0, ha="right", va="center")
    lower.grid(axis="x", color=PALE, linewidth=0.4)
    upper.grid(axis="x", color=PALE, linewidth=0.4)
    return encoded(figure)


def label_brightest(axes: Axes, rows: Sequence[Mapping[str, Any]], midnight: float) -> None:
    """Write the names of the strongest transits that leave room for one another."""
    taken: list[tuple[float, float]] = []
    for row in rows:  # in order of worth
        hour, height = (row["transit_mjd"] - midnight) * 24, math.log10(row["apparent_jy"])
        is_free = all(abs(hour - x) > 1.3 or abs(height - y) > 0.2 for x, y in taken)
        if is_free and len(taken) < MAX_LABELS:
            taken.append((hour, height))
            axes.annotate(
                row["name"][:24], (hour, row["apparent_jy"]), (0, 6), textcoords="offset points",
                ha="center", fontsize=7, color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
