"""A light curve to zoom and point into, by Bokeh: for pages and notebooks.

A page carries BokehJS in itself (1.3 MB), so that it opens from a disk, a mail and a server alike:
from a disk a browser does not let a page's security policy admit a script beside it.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.model import Model
from bokeh.models.annotations import BoxAnnotation, Legend, Span
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure
from bokeh.resources import Resources

from contimg.epochs import USABLE
from contimg.report.figures import BLUE, INK, MUTED, ORANGE, PALE, VERMILLION, utc
from contimg.report.text import MISSING
from contimg.source_events import Event, baseline_jy, shown_baseline_jy
from contimg.source_figures import CROWDED, MJD_OF_1970, marks_of

MS_PER_DAY = 86400e3
TOOLS = "pan,box_zoom,xzoom_in,xzoom_out,reset,save"
LOOKS = {
    "detection": ("detection", BLUE, BLUE, "circle"),
    "faint": ("below the detection S/N", BLUE, "white", "circle"),
    "unsure": ("not normalised, or refused", MUTED, PALE, "square"),
}
TOOLTIPS = [
    ("", "@date"),
    ("MJD", "@mjd{0.0000}"),
    ("flux", "@flux{0.00} ± @error{0.00} mJy"),
    ("S/N", "@snr{0.0}"),
    ("status", "@status"),
    ("gain", "@gain"),
]


@dataclass(frozen=True)
class Script:
    """A script that a page carries, and the word by which its security policy admits it."""

    text: str

    @property
    def permit(self) -> str:
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def bokeh_script() -> Script:
    """Return BokehJS without widgets, tables and mathematics."""
    return Script(Resources(mode="inline", components=["bokeh"]).js_raw[0])


def embedding_script(name: str) -> Script:
    """Return the line that draws what the element `NAME-data` holds in the element NAME."""
    return Script(
        f'Bokeh.embed.embed_item(JSON.parse(document.getElementById("{name}-data").textContent),'
        f' "{name}");'
    )


def embedded(model: Model) -> dict[str, Any]:
    """Return a figure as plain data for a page: equal figures give equal data.

    Bokeh counts its models through the life of the process; here they are numbered anew.
    """
    item: dict[str, Any] = json.loads(json.dumps(json_item(model)))
    numbers: dict[str, str] = {}

    def renumbered(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: renumbered(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [renumbered(each) for each in value]
        if key in ("id", "root_id") and isinstance(value, str):
            return numbers.setdefault(value, f"p{len(numbers) + 1}")
        return value

    return renumbered(item)


def interactive_lightcurve(
    epochs: pd.DataFrame,
    events: Sequence[Event] = (),
    subbands: Mapping[float, pd.DataFrame] | None = None,
    detection_snr: float = 5.0,
) -> Model:
    """Draw a light curve: normalised, before normalisation, subbands over their baselines.

    Parameters
    ----------
    epochs, events, subbands, detection_snr : as `contimg.source_figures.lightcurve_figure`.

    Returns
    -------
    layout : panels that zoom in time together; a click on the legend hides what it names.
    """
    panels = [("flux_jy", "flux_err_jy", "flux (mJy)", 300)]
    if "norm_flux_jy" in epochs:
        raw = ("flux_jy", "flux_err_jy", "raw flux (mJy)", 220)
        panels = [("norm_flux_jy", "norm_err_jy", "flux (mJy)", 300), raw]
    made: list[Any] = []
    for flux, error, label, height in panels:
        shared = {"x_range": made[0].x_range} if made else {}
        panel = empty_panel(label, height, **shared)
        draw_curve(panel, epochs, flux, error, detection_snr)
        baseline = shown_baseline_jy(epochs, events, flux)
        mark(panel, baseline, events)
        draw_events(panel, epochs, baseline, events)
        made.append(panel)
    if subbands:
        panel = empty_panel("flux / baseline", 240, x_range=made[0].x_range)
        draw_subbands(panel, subbands, events)
        mark(panel, 1e-3, events)
        made.append(panel)
    rows = [[panel] for panel in made]
    return gridplot(rows, sizing_mode="stretch_width", toolbar_options={"logo": None})


def empty_panel(label: str, height: int, **shared: Any) -> Any:
    """Return a panel of a light curve."""
    panel = figure(
        x_axis_type="datetime", height=height, sizing_mode="stretch_width", tools=TOOLS,
        background_fill_color=None, border_fill_color=None,
        outline_line_color=None, **shared,
    )  # fmt: skip
    panel.yaxis.axis_label = label
    panel.add_layout(Legend(), "above")
    panel.legend.orientation = "horizontal"
    panel.legend.location = "left"
    panel.legend.click_policy = "hide"
    panel.legend.border_line_color = None
    panel.legend.label_text_font_size = "12px"
    panel.grid.grid_line_color = PALE
    panel.grid.grid_line_alpha = 0.6
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.axis_label_text_color = INK
    panel.axis.axis_line_color = MUTED
    panel.axis.minor_tick_line_color = None
    return panel


def ms_of(mjd: Any) -> Any:
    """Return MJDs as milliseconds since 1970, as Bokeh counts dates."""
    return (np.asarray(mjd, dtype=float) - MJD_OF_1970) * MS_PER_DAY


def draw_curve(
    panel: Any, epochs: pd.DataFrame, flux: str, error: str, detection_snr: float
) -> None:
    """Draw one light curve with what there is to say about each point."""
    gain = epochs["gain"] if "gain" in epochs else pd.Series(np.nan, epochs.index)
    errors = epochs["gain_err"] if "gain_err" in epochs else pd.Series(np.nan, epochs.index)
    marks = marks_of(epochs, flux, error, detection_snr)
    there = np.isfinite(epochs[flux].to_numpy(dtype=float))
    marks["gain"] = [
        f"{one:.4f} ± {its:.4f}" if np.isfinite(one) else MISSING
        for one, its in zip(gain[there], errors[there], strict=True)
    ]
    for kind, (label, line, fill, marker) in LOOKS.items():
        rows = marks[marks["kind"] == kind]
        if rows.empty:
            continue
        data = ColumnDataSource(columns_of(rows))
        panel.segment(
            "x", "low", "x", "high", source=data, line_color=line, line_width=1, legend_label=label
        )
        points = panel.scatter(
            "x", "flux", source=data, size=7 if len(marks) < CROWDED else 5, marker=marker,
            line_color=line, fill_color=fill, legend_label=label,
        )  # fmt: skip
        panel.add_tools(HoverTool(renderers=[points], tooltips=TOOLTIPS, visible=False))
    limits = marks[np.isfinite(marks["limit_jy"])]
    if len(limits):
        panel.scatter(
            ms_of(limits["mjd"]), limits["limit_jy"].to_numpy() * 1e3, size=8, fill_color=None,
            marker="inverted_triangle", line_color=VERMILLION, legend_label="upper limit",
        )  # fmt: skip


def columns_of(marks: pd.DataFrame) -> dict[str, Any]:
    """Return what a panel draws and tells of each point; fluxes in mJy."""
    flux, error = marks["flux_jy"].to_numpy() * 1e3, marks["error_jy"].to_numpy() * 1e3
    return {
        "x": ms_of(marks["mjd"]),
        "mjd": marks["mjd"].to_numpy(),
        "date": [str(moment)[:16].replace("T", " ") + " UTC" for moment in utc(marks["mjd"])],
        "flux": flux,
        "error": error,
        "low": flux - error,
        "high": flux + error,
        "snr": flux / error,
        "status": list(marks["status"]),
        "gain": list(marks["gain"]),
    }


def draw_subbands(
    panel: Any, subbands: Mapping[float, pd.DataFrame], events: Sequence[Event]
) -> None:
    """Draw the light curves of subband images over their baselines."""
    colours = ("#35b779", "#26828e", "#3e4989", "#440154", "#6b7280", "#a16207")
    for number, (freq_hz, rows) in enumerate(sorted(subbands.items())):
        rows = rows[rows["status"].isin(USABLE) & np.isfinite(rows["norm_flux_jy"])]
        base = baseline_jy(rows, events)
        look = {"color": colours[number % len(colours)], "legend_label": f"{freq_hz / 1e9:.3f} GHz"}
        x, y = ms_of(rows["mjd"]), rows["norm_flux_jy"].to_numpy() / base
        error = rows["norm_err_jy"].to_numpy() / base
        panel.segment(x, y - error, x, y + error, line_alpha=0.7, **look)
        panel.line(x, y, line_alpha=0.5, **look)
        panel.scatter(x, y, size=4, **look)


def mark(panel: Any, baseline: float, events: Sequence[Event]) -> None:
    """Mark the baseline, a thousandth of the panel's unit, and the width of the events."""
    look: dict[str, Any] = {"line_color": MUTED, "line_dash": "dashed"}
    if np.isfinite(baseline):
        panel.add_layout(Span(location=baseline * 1e3, dimension="width", **look))
    for event in events:
        left, right = ms_of(event.span_mjd)
        look = {"fill_color": ORANGE, "fill_alpha": 0.18, "line_width": 0}
        panel.add_layout(BoxAnnotation(left=left, right=right, level="underlay", **look))


def draw_events(panel: Any, epochs: pd.DataFrame, baseline: float, events: Sequence[Event]) -> None:
    """Draw what was fitted of each event."""
    for event in events:
        mjd, model = event.line(epochs["mjd"].min(), epochs["mjd"].max())
        if np.isfinite(model * baseline).all():
            panel.line(
                ms_of(mjd), model * baseline * 1e3, line_color=VERMILLION, line_width=1.5,
                legend_label=f"event {event.rank}",
            )  # fmt: skip
