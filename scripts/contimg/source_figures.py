"""Figures of one source, for print: its light curve and the images of its epochs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from contimg.cutouts import Cutout, common_stretch
from contimg.report.figures import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PALE,
    STYLE,
    VERMILLION,
    name_dates,
    utc,
)
from contimg.report.text import fixed
from contimg.source_events import Event, baseline_jy, shown_baseline_jy, usable_rows

LIMIT_SIGMA = 3.0
PANEL_INCHES = 1.3
PANELS_ACROSS = 6
MJD_OF_1970 = 40587.0
MARKER, CROWDED = 3.2, 120


@dataclass(frozen=True)
class EpochImage:
    """The image of an epoch, and what the forced photometry found in it.

    Attributes
    ----------
    mjd, flux_jy, flux_err_jy, status : of the photometry.
    date, group : of the image.
    cutout : its pixels around the source.
    """

    mjd: float
    date: str
    group: str
    flux_jy: float
    flux_err_jy: float
    status: str
    cutout: Cutout


def mjd_of_days(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the MJD of matplotlib's dates, which are days since 1970."""
    return days + MJD_OF_1970


def days_of_mjd(mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the days since 1970 of MJDs."""
    return mjd - MJD_OF_1970


def marks_of(rows: pd.DataFrame, flux: str, error: str, detection_snr: float) -> pd.DataFrame:
    """Return what to draw for each row of a light curve that has a flux.

    Parameters
    ----------
    rows : mjd, the columns `flux` and `error`, and where there are any status and upper_limit.
    detection_snr : S/N from which an epoch is a detection.

    Returns
    -------
    marks : mjd, flux_jy, error_jy and `kind`: "detection"; "faint", a flux below the detection
        S/N; "unsure", one that is not normalised or of a refused image; "limit". `limit_jy` is
        where the limit's arrow stands, NaN for detections: the limit as it was given, or for a
        faint flux max(flux, 0) + 3 standard errors.
    """
    marks = pd.DataFrame(
        {
            "mjd": rows["mjd"].to_numpy(dtype=float),
            "flux_jy": rows[flux].to_numpy(dtype=float),
            "error_jy": rows[error].to_numpy(dtype=float),
            "status": rows["status"].to_numpy() if "status" in rows else "ok",
        }
    )
    given = rows["upper_limit"].fillna(False).to_numpy(bool) if "upper_limit" in rows else False
    faint = marks["flux_jy"] < detection_snr * marks["error_jy"]
    kind = np.where(marks["status"] != "ok", "unsure", np.where(faint, "faint", "detection"))
    marks["kind"] = np.where(given, "limit", kind)
    above = np.maximum(marks["flux_jy"], 0.0) + LIMIT_SIGMA * marks["error_jy"]
    marks["limit_jy"] = np.select(
        [marks["kind"] == "limit", marks["kind"] == "faint"], [marks["flux_jy"], above], np.nan
    )
    return marks[np.isfinite(marks["flux_jy"])].reset_index(drop=True)


@matplotlib.rc_context(STYLE)
def lightcurve_figure(
    name: str,
    epochs: pd.DataFrame,
    events: Sequence[Event] = (),
    subbands: Mapping[float, pd.DataFrame] | None = None,
    detection_snr: float = 5.0,
    raw: bool = True,
) -> Figure:
    """Draw a light curve; see `contimg.source.Source.lightcurve`.

    Parameters
    ----------
    name : title.
    epochs : mjd, flux_jy, flux_err_jy and, where there are any, norm_flux_jy, norm_err_jy,
        status and upper_limit.
    events : dips to mark.
    subbands : light curves of subband images by frequency in Hz, drawn over their baselines.
    detection_snr : fluxes below it have a limit's arrow.
    raw : draw the fluxes before normalisation too.
    """
    normalised = "norm_flux_jy" in epochs
    panels = ([("norm_flux_jy", "norm_err_jy", "flux (mJy)")] if normalised else []) + (
        [("flux_jy", "flux_err_jy", "raw flux (mJy)" if normalised else "flux (mJy)")]
        if raw or not normalised
        else []
    )
    if not np.isfinite(epochs[[flux for flux, _, _ in panels]]).to_numpy().any():
        return words_figure(name, "no usable epoch")
    heights = [1.5 if number == 0 else 1.0 for number in range(len(panels) + bool(subbands))]
    figure = Figure(figsize=(7.0, 0.7 + 1.45 * sum(heights)), layout="constrained")
    axes = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    axes[0].set_title(name, loc="left", weight="bold")
    for panel, (flux, error, label) in zip(axes, panels, strict=False):
        draw_curve(panel, epochs, flux, error, events, detection_snr)
        panel.set_ylabel(label)
    if subbands:
        draw_subbands(axes[-1], subbands, events)
    name_dates(axes[-1])
    above = axes[0].secondary_xaxis("top", functions=(mjd_of_days, days_of_mjd))
    above.set_xlabel("MJD")
    above.ticklabel_format(useOffset=False)
    labels = {
        label: line
        for panel in axes[: len(panels)]
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        labels.values(), labels.keys(), loc="outside lower left", ncols=len(labels), fontsize=7
    )
    return figure


def words_figure(name: str, words: str) -> Figure:
    """Return the figure that stands where there is nothing to draw."""
    figure = Figure(figsize=(7.0, 1.0), layout="constrained")
    figure.text(0.02, 0.7, name, weight="bold", size=9)
    figure.text(0.02, 0.3, words, size=8, color=MUTED)
    return figure


def draw_curve(
    axes: Axes,
    epochs: pd.DataFrame,
    flux: str,
    error: str,
    events: Sequence[Event],
    detection_snr: float,
) -> None:
    """Draw one light curve with its baseline and events."""
    marks = marks_of(epochs, flux, error, detection_snr)
    looks: dict[str, tuple[str, dict[str, Any], str]] = {
        "detection": (BLUE, {"mfc": BLUE}, "detection"),
        "faint": (BLUE, {"mfc": "white", "mew": 0.7}, f"below {detection_snr:g} σ"),
        "unsure": (MUTED, {"mfc": PALE, "mew": 0.7, "marker": "s"}, "not normalised, or refused"),
    }
    size = MARKER if len(marks) < CROWDED else MARKER / 2
    for kind, (colour, look, label) in looks.items():
        rows = marks[marks["kind"] == kind]
        if len(rows):
            axes.errorbar(
                utc(rows["mjd"]), rows["flux_jy"] * 1e3, rows["error_jy"] * 1e3,
                ls="", ms=size, mec=colour, ecolor=colour, elinewidth=0.6,
                label=label, **{"marker": "o", **look},
            )  # fmt: skip
    limits = marks[np.isfinite(marks["limit_jy"])]
    if len(limits):
        axes.plot(
            utc(limits["mjd"]), limits["limit_jy"] * 1e3, "v",
            ms=4, mfc="none", mec=VERMILLION, mew=0.7, label="upper limit",
        )  # fmt: skip
    base = shown_baseline_jy(epochs, events, flux)
    if np.isfinite(base):
        axes.axhline(base * 1e3, color=MUTED, lw=0.8, ls=(0, (4, 3)), label="baseline")
    for event in events:
        edges = utc(np.array(event.span_mjd))
        axes.axvspan(edges[0], edges[1], color=ORANGE, alpha=0.2, lw=0)
        mjd, model = event.line(epochs["mjd"].min(), epochs["mjd"].max())
        label = f"event {event.rank}"
        axes.plot(utc(mjd), base * model * 1e3, color=VERMILLION, lw=1.0, zorder=4, label=label)
    axes.margins(x=0.03)


def draw_subbands(
    axes: Axes, subbands: Mapping[float, pd.DataFrame], events: Sequence[Event]
) -> None:
    """Draw the light curves of subband images over their baselines."""
    colours = matplotlib.colormaps["viridis"](np.linspace(0.7, 0.0, len(subbands)))
    for (freq_hz, rows), colour in zip(sorted(subbands.items()), colours, strict=True):
        normalised = "norm_flux_jy" in rows
        flux, error = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
        rows = rows[usable_rows(rows, flux)]
        if len(rows):
            base = baseline_jy(rows, events, flux)
            axes.errorbar(
                utc(rows["mjd"]), rows[flux] / base, rows[error] / base,
                fmt="o-", ms=2, mew=0, lw=0.5, elinewidth=0.4, color=colour, alpha=0.8,
                label=f"{freq_hz / 1e9:.3f}",
            )  # fmt: skip
    axes.axhline(1, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    axes.set_ylabel("flux / baseline")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            title="GHz", loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6.5, handlelength=0.8
        )


@matplotlib.rc_context({**STYLE, "axes.spines.top": True, "axes.spines.right": True})
def cutouts_figure(name: str, images: Sequence[EpochImage]) -> Figure:
    """Draw the image of each epoch with one stretch; see `contimg.source.Source.cutouts`."""
    if not images:
        return words_figure(name, "no epoch")
    across = min(PANELS_ACROSS, max(len(images), 3))
    down = max(1, math.ceil(len(images) / across))
    inches = (PANEL_INCHES * across, (PANEL_INCHES + 0.22) * down + 0.5)
    figure = Figure(figsize=inches, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    low, high = common_stretch([image.cutout for image in images])
    for axes in panels:
        axes.set_axis_off()
    for axes, image in zip(panels, images, strict=False):
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        flux = f"{image.flux_jy * 1e3:.1f} ± {image.flux_err_jy * 1e3:.1f}"
        axes.set_title(f"{image.date}\n{flux} mJy", fontsize=6)
        draw_cutout(axes, image.cutout, low, high)
    shown = [image for image in images if image.cutout.data.size]
    words = "none of the images is there"
    if shown:
        side = shown[0].cutout.data.shape[0] * shown[0].cutout.scale_deg * 60
        greys = f"white {fixed(low, 2, 1e3)}, black {fixed(high, 2, 1e3)} mJy/beam"
        words = f"{side:.1f} arcmin, {greys}"
    figure.suptitle(f"{name} · {words}", fontsize=8, weight="bold")
    return figure


def draw_cutout(axes: Axes, cutout: Cutout, low: float, high: float) -> None:
    """Draw an image in grey, the source's place and the beam; or why there is none."""
    if not cutout.data.size:
        axes.set_facecolor("#f5f7f9")
        axes.text(
            0.5, 0.5, cutout.reason, transform=axes.transAxes, ha="center", va="center",
            fontsize=5.5, color=MUTED, wrap=True,
        )  # fmt: skip
        return
    half = cutout.data.shape[0] // 2
    extent = (-half - 0.5, half + 0.5, -half - 0.5, half + 0.5)
    axes.imshow(
        cutout.data, origin="lower", cmap="gray_r", vmin=low, vmax=high, extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    x, y = cutout.offset
    gap, arm = 0.14 * half, 0.32 * half
    axes.plot([x + gap, x + arm], [y, y], color=VERMILLION, lw=0.8)
    axes.plot([x, x], [y + gap, y + arm], color=VERMILLION, lw=0.8)
    beam = cutout.beam
    if np.isfinite(beam.bmaj_deg):
        corner = -half + 0.75 * beam.bmaj_deg / cutout.scale_deg
        width, height = beam.bmin_deg / cutout.scale_deg, beam.bmaj_deg / cutout.scale_deg
        axes.add_patch(
            Ellipse((corner, corner), width, height, angle=beam.bpa_deg, fc="none", ec=INK, lw=0.7)
        )
