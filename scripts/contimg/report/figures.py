"""Plots of a date: calibration solutions, photometry, quality through the day.

All text that comes from outside is drawn as it is (no mathematical markup), and the same data
give the same bytes.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image as Pixels

# Okabe & Ito (2008): told apart with every common colour vision.
BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
INK, MUTED, PALE = "#1b1f24", "#5b6570", "#dfe3e8"
POLARIZATION_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE)
INCH_PX = 100
PANELS_ACROSS = 12
DENSITY, MOSAIC_DENSITY = 2.0, 1.0
MJD_ZERO = np.datetime64("1858-11-17T00:00:00")

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 0.9,
    "lines.markersize": 3,
    "legend.frameon": False,
}


def utc(mjd: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Return MJDs (UTC) as times that matplotlib draws as dates."""
    seconds = np.round(np.atleast_1d(np.asarray(mjd, dtype=float)) * 86400)
    return MJD_ZERO + seconds.astype("timedelta64[s]")


def name_dates(axes: Axes) -> None:
    """Write the times of the horizontal axis so that each tells its month, or its day.

    Call it when something is drawn: the axis has dates from then on.
    """
    formatter = ConciseDateFormatter(
        axes.xaxis.get_major_locator(),
        formats=["%Y", "%b", "%b %d", "%H:%M", "%H:%M", "%S.%f"],
        zero_formats=["", "%Y", "%b %d", "%b %d", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d %H:%M"],
    )
    axes.xaxis.set_major_formatter(formatter)


def canvas(width_px: int, height_px: int, **layout: Any) -> Figure:
    """Return an empty figure of a size in the page's pixels."""
    return Figure(figsize=(width_px / INCH_PX, height_px / INCH_PX), layout="constrained", **layout)


def encoded(figure: Figure, colours: int = 48) -> bytes:
    """Return a figure as PNG, two pixels to each of the page's, few colours, no metadata."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DENSITY * INCH_PX)
    few = Pixels.open(stream).convert("RGB").quantize(colours, dither=Pixels.Dither.NONE)
    small = io.BytesIO()
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def plain_numbers(axis: Any) -> None:
    """Write a logarithmic axis' ticks as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def wrapped_deg(gain: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """Phase of complex gains in degrees, in [-180, 180)."""
    return (np.degrees(np.angle(gain)) + 180.0) % 360.0 - 180.0


def masked(gain: NDArray[np.complexfloating], flag: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Return gains with NaN where they are flagged."""
    return np.where(flag, np.nan + 0j, gain)


@matplotlib.rc_context(STYLE)
def bandpass_panels(
    antennas: Sequence[str],
    freq_hz: NDArray[np.float64],
    values: NDArray[np.float64],
    limits: tuple[float, float],
    points: bool = False,
) -> bytes:
    """Draw a small panel for each antenna: a quantity of its bandpass against frequency.

    Parameters
    ----------
    antennas : names of the n_antennas panels.
    freq_hz : (n_channels,), the panels' horizontal extent.
    values : (n_antennas, n_channels, n_polarizations), NaN where flagged.
    limits : bottom and top of each panel, in the unit of `values`.
    points : dots instead of lines, for phases, which wrap.
    """
    n_rows = max(1, -(-len(antennas) // PANELS_ACROSS))
    figure = Figure(figsize=(11.6, 0.72 * n_rows + 0.02))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PANELS_ACROSS), ylim=(n_rows, 0))
    axes.set_axis_off()
    span = max(float(np.ptp(freq_hz)), 1.0)
    across = 0.04 + 0.92 * (freq_hz - freq_hz.min()) / span
    bottom, top = limits
    inside = np.where((values >= bottom) & (values <= top), values, np.nan)
    down = 0.96 - 0.72 * (inside - bottom) / (top - bottom)
    frames = []
    for number, name in enumerate(antennas):
        row, column = divmod(number, PANELS_ACROSS)
        frames.append(Rectangle((column + 0.04, row + 0.24), 0.92, 0.72))
        axes.text(column + 0.05, row + 0.2, name[:16], fontsize=7, color=INK)
        for polarization, colour in zip(range(values.shape[2]), POLARIZATION_COLOURS, strict=False):
            x, y = column + across, row + down[number, :, polarization]
            if points:
                axes.plot(x, y, "o", color=colour, ms=1.1 if len(x) > 40 else 2.4, mew=0)
            else:
                axes.add_collection(
                    LineCollection([np.c_[x, y]], colors=colour, linewidths=0.7, alpha=0.8)
                )
    axes.add_collection(
        PatchCollection(frames, facecolor="none", edgecolor=PALE, linewidth=0.7, zorder=0)
    )
    return encoded(figure)


def amplitude_limits(amplitude: NDArray[np.float64]) -> tuple[float, float]:
    """Return limits from 0 that hold all but the wildest amplitudes."""
    finite = amplitude[np.isfinite(amplitude)]
    return 0.0, float(np.percentile(finite, 99.5) * 1.25) if finite.size else 1.0


@matplotlib.rc_context(STYLE)
def gains_plot(antennas: Sequence[str], gain: NDArray[np.complexfloating]) -> bytes:
    """Draw amplitude and phase of each antenna's gains, one dot a solution.

    Parameters
    ----------
    antennas : names of the n_antennas.
    gain : (n_antennas, n_solutions, n_polarizations), NaN where flagged.
    """
    figure = canvas(1160, 340)
    upper, lower = figure.subplots(2, 1, sharex=True)
    place = np.repeat(np.arange(len(antennas)), gain.shape[1])
    for polarization in range(gain.shape[2]):
        own = gain[:, :, polarization].ravel()
        colour = POLARIZATION_COLOURS[polarization % len(POLARIZATION_COLOURS)]
        style = {"marker": "o", "linestyle": "none", "color": colour, "alpha": 0.8, "mew": 0}
        shifted = place + 0.2 * (polarization - (gain.shape[2] - 1) / 2)
        upper.plot(shifted, np.abs(own), **style)
        lower.plot(shifted, wrapped_deg(own), **style)
    upper.set(ylabel="amplitude", ylim=amplitude_limits(np.abs(gain)))
    lower.set(ylabel="phase (deg)", ylim=(-180, 180), yticks=(-180, -90, 0, 90, 180))
    lower.set_xlim(-0.8, len(antennas) - 0.2)
    step = 1 + len(antennas) // 120
    ticks = list(range(0, len(antennas), step))
    lower.set_xticks(ticks, [antennas[tick][:10] for tick in ticks], rotation=90, fontsize=6.5)
    lower.set_xlabel("antenna")
    for axes in (upper, lower):
        axes.grid(axis="x", color=PALE, linewidth=0.4)
    return encoded(figure)


@matplotlib.rc_context(STYLE)
def photometry_plot(measured: pd.DataFrame, ratio_range: tuple[float, float]) -> bytes:
    """Draw measured against catalogue flux, and their ratio against the beam's response.

    Parameters
    ----------
    measured : rows with flux_jy, rms_jy, pb and catalog_jy; usable ones only.
    ratio_range : the range of the median ratio that passes.
    """
    figure = canvas(1160, 400)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    rows = measured[(measured["flux_jy"] > 0) & (measured["catalog_jy"] > 0)]
    density = {"marker": "o", "linestyle": "none", "mew": 0, "color": BLUE}
    density["alpha"] = float(np.clip(40 / np.sqrt(len(rows) + 1), 0.05, 0.8))
    left.plot(rows["catalog_jy"] * 1e3, rows["flux_jy"] * 1e3, ms=2.5, **density)
    both = np.array([rows["catalog_jy"].min(), rows["catalog_jy"].max()]) * 1e3
    left.plot(both, both, color=INK, lw=0.8, label="equal")
    left.set(xscale="log", yscale="log", xlabel="catalogue flux (mJy)", ylabel="measured (mJy)")
    for axis in (left.xaxis, left.yaxis):
        plain_numbers(axis)
    left.legend(loc="upper left")
    strong = measured[expected(measured)]
    ratio = strong["flux_jy"] / strong["catalog_jy"]
    right.axhspan(*ratio_range, color=GREEN, alpha=0.1, lw=0, label="range that passes")
    right.axhline(1, color=INK, lw=0.8)
    right.plot(strong["pb"], ratio, ms=2.5, **density)
    draw_running_median(right, strong["pb"].to_numpy(), ratio.to_numpy())
    right.set(xlabel="primary-beam response", ylabel="measured / catalogue", ylim=(0, 2))
    right.set_xlim(0, 1.02)
    right.legend(loc="upper right", ncols=2)
    return encoded(figure)


def expected(measured: pd.DataFrame) -> pd.Series:
    """Whether the catalogue promises 5 local rms; a choice by measured flux would be biased."""
    return measured["catalog_jy"] >= 5 * measured["rms_jy"]


def draw_running_median(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Draw the median of y, with its quartiles, in bins of a tenth in x that hold five points."""
    edges = np.linspace(0, 1, 11)
    bins = np.digitize(x, edges)
    kept = [number for number in range(1, 11) if np.count_nonzero(bins == number) >= 5]
    if not kept:
        return
    quartiles = np.array([np.percentile(y[bins == number], [25, 50, 75]) for number in kept])
    low, middle, high = quartiles.T
    centres = edges[np.array(kept) - 1] + 0.05
    axes.errorbar(
        centres, middle, (middle - low, high - middle),
        fmt="s", color=VERMILLION, ms=5, capsize=2, label="median and quartiles",
    )  # fmt: skip


@matplotlib.rc_context(STYLE)
def quality_plot(series: Sequence[tuple[str, NDArray, NDArray]]) -> bytes:
    """Draw figures of the images against the hour of the date, one above the other.

    Parameters
    ----------
    series : label, hours (UTC) and values of each panel.
    """
    figure = canvas(1160, 40 + 110 * len(series))
    panels = figure.subplots(len(series), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, hours, values) in zip(panels, series, strict=True):
        axes.plot(hours, values, "o", color=BLUE, ms=3, mew=0)
        axes.set_ylabel(label)
        axes.grid(color=PALE, linewidth=0.4)
        finite = values[np.isfinite(values)]
        axes.set_ylim(0, 1.15 * finite.max() if finite.size and finite.max() > 0 else 1)
    panels[-1].set_xlabel("UTC (h)")
    return encoded(figure)


@matplotlib.rc_context(STYLE)
def mosaic_picture(levels: NDArray[np.uint8], wcs: WCS, width_px: int = 1160) -> bytes:
    """Draw a picture of a mosaic with a grid of right ascension and declination.

    Parameters
    ----------
    levels : (ny, nx) grey levels, north up, as `thumbnails.grey` gives them.
    wcs : of the picture's pixels, counted from the south.
    """
    height, width = levels.shape
    height_px = int(np.clip(width_px * height / width, 160, 640)) + 60
    figure = canvas(width_px, height_px)
    axes = figure.add_subplot(projection=wcs)
    axes.imshow(np.flipud(levels), cmap="gray", vmin=0, vmax=255, origin="lower")
    axes.coords.grid(color=BLUE, alpha=0.25, linewidth=0.5)
    axes.coords[0].set_axislabel("right ascension (ICRS)")
    axes.coords[1].set_axislabel("declination (ICRS)")
    axes.coords[0].set_major_formatter("hh:mm")
    axes.coords[0].set_separator(("h", "m"))
    axes.coords[1].set_major_formatter("d.d")
    stream = io.BytesIO()
    figure.savefig(
        stream,
        format="jpeg",
        dpi=MOSAIC_DENSITY * INCH_PX,
        pil_kwargs={"quality": 60, "optimize": True},
    )
    return stream.getvalue()
