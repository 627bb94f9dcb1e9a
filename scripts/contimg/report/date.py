"""The content of a date's page, from tables and status files that are already read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.groups import mjd_of_group
from contimg.report import figures
from contimg.report.pages import Picture, Plot
from contimg.report.summary import GroupRow, counts, median_of, rejections
from contimg.report.text import fixed, number, plural
from contimg.status import Status

SOURCES = {
    "own": "The date's own tables passed and serve it.",
    "borrowed": "No table of the date passed: those of an earlier date serve it.",
    "pinned": "The tables that the configuration pins serve the date.",
    "own and borrowed": "The dishes moved: each declination has tables of its own strip, those "
    "of the date or of an earlier one.",
}
SOLUTION_FIGURES = (
    "calibrator",
    "flux_jy",
    "beam_response",
    "apparent_jy",
    "n_model_sources",
    "reference_antennas",
    "flagged_antennas",
    "flagged_solutions",
    "bandpass_snr",
    "median_snr",
    "closure_phase_deg",
    "closure_amplitude",
    "residual_phase_deg",
)


@dataclass(frozen=True)
class Solution:
    """What one calibrator transit gave.

    Attributes
    ----------
    group, calibrator : which.
    status : of the gains, the last of the solutions; its figures are the gate's.
    plots : of the bandpass and gains.
    unsolved : names of antennas without any bandpass solution.
    """

    group: str
    calibrator: str
    status: Status
    plots: Sequence[Plot] = ()
    unsolved: Sequence[str] = ()
    reason: str = ""

    @property
    def state(self) -> str:
        return self.status.status


@dataclass(frozen=True)
class Mosaic:
    """A mosaic's picture, or the reason for its lack; `refused`: the tiles left out, and why."""

    name: str
    groups: Sequence[str]
    link: str = ""
    picture: Picture | None = None
    shape: tuple[int, ...] = ()
    refused: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Tile:
    """A group's small picture, or the reason for its lack."""

    group: str
    state: str
    reason: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    uri: str = ""
    link: str = ""
    width: int = 0
    height: int = 0
    contour: str = ""


def bandpass_plots(
    antennas: Sequence[str],
    freq_hz: NDArray[np.float64],
    gain: NDArray[np.complexfloating],
    flag: NDArray[np.bool_],
) -> tuple[list[Plot], list[str]]:
    """Draw amplitude and phase of a bandpass.

    Parameters
    ----------
    antennas : names, of the first axis.
    freq_hz : (n_channels,).
    gain, flag : (n_antennas, n_channels, n_polarizations).

    Returns
    -------
    plots : of the antennas that have a solution.
    unsolved : names of those that have none.
    """
    solved: NDArray[np.bool_] = np.asarray(~flag.all(axis=(1, 2)))
    unsolved = [name for name, good in zip(antennas, solved, strict=True) if not good]
    names = [name for name, good in zip(antennas, solved, strict=True) if good]
    if not names:
        return [], unsolved
    kept = figures.masked(gain, flag)[solved]
    amplitude = np.abs(kept)
    limits = figures.amplitude_limits(amplitude)
    across = f"{freq_hz.min() / 1e9:.3f} to {freq_hz.max() / 1e9:.3f} GHz across each panel"
    drawn = [
        ("amplitude", amplitude, limits, f"0 to {limits[1]:.3g} upwards", False),
        ("phase", figures.wrapped_deg(kept), (-180.0, 180.0), "−180 to 180 deg upwards", True),
    ]
    plots = [
        Plot(
            title="",
            picture=Picture(
                figures.bandpass_panels(names, freq_hz, values, (low, high), points),
                alt=f"Bandpass {what} of each antenna against frequency",
            ),
            caption=f"Bandpass {what} of each antenna: {across}, {upwards}. Gaps are flagged.",
        )
        for what, values, (low, high), upwards, points in drawn
    ]
    return plots, unsolved


def gains_plot(
    antennas: Sequence[str], gain: NDArray[np.complexfloating], flag: NDArray[np.bool_]
) -> Plot:
    """Draw amplitude and phase of gains.

    Parameters
    ----------
    antennas : names, of the first axis.
    gain, flag : (n_antennas, n_solutions, n_polarizations).
    """
    solved = np.flatnonzero(~flag.all(axis=(1, 2)))
    names = [antennas[row] for row in solved]
    picture = figures.gains_plot(names, figures.masked(gain, flag)[solved])
    return Plot(
        "",
        Picture(picture, "Amplitude and phase of the gains of each antenna"),
        "Gains of each antenna that has any, a dot a solution; flagged ones are left out.",
    )


def quality_plot(date: str, rows: Sequence[GroupRow]) -> Plot | None:
    """Draw the images' noise, dynamic range and flux scale, and flags, against the hour."""
    good = [row for row in rows if row.figures]
    if not good:
        return None
    hours = (np.array([row.mid_mjd for row in good]) - mjd_of_group(f"{date}T00:00:00")) * 24
    columns: list[tuple[str, list[float | None], float]] = [
        ("rms (mJy/beam)", [row.figures.get("rms_jy") for row in good], 1e3),
        ("dynamic range", [row.figures.get("dynamic_range") for row in good], 1.0),
        ("measured /\ncatalogue", [row.check.get("flux_ratio_median") for row in good], 1.0),
        ("flagged (%)", [row.flagged_fraction for row in good], 100.0),
    ]
    series = [
        (label, hours, np.array(values, dtype=float) * scale)
        for label, values, scale in columns
        if any(value is not None for value in values)
    ]
    if not series:
        return None
    return Plot(
        "",
        Picture(figures.quality_plot(series), "Quality of the images against the hour"),
        "A dot an image. Noise and dynamic range are those of the image before the primary beam "
        "is divided out.",
    )


def photometry_plot(
    rows: pd.DataFrame, sources: pd.DataFrame, ratio_range: tuple[float, float]
) -> Plot | None:
    """Draw measured fluxes against the catalogue's.

    Parameters
    ----------
    rows : the date's photometry.
    sources : the catalogue, with source_id and s_nvss (Jy).
    ratio_range : the range of the median ratio that passes.
    """
    catalog = sources[["source_id", "s_nvss"]].rename(columns={"s_nvss": "catalog_jy"})
    joined = rows.merge(catalog, on="source_id", how="inner")
    usable = joined[(joined["status"] == "ok") & ~joined["edge"] & np.isfinite(joined["flux_jy"])]
    if usable.empty:
        return None
    negative = int((usable["flux_jy"] <= 0).sum())
    strong = int(figures.expected(usable).sum())
    return Plot(
        "",
        Picture(
            figures.photometry_plot(usable, ratio_range),
            "Measured against catalogue flux, and their ratio against the primary beam",
        ),
        f"{plural(len(usable), 'measurement')} of {plural(usable['source_id'].nunique(), 'source')}"
        f" away from the edge; left, {negative:,} at or below zero cannot be drawn. Right: the "
        f"{strong:,} that the catalogue puts above 5 local rms.",
    )


def summary_line(rows: Sequence[GroupRow]) -> str:
    """Say in one line what became of the date's groups."""
    found = counts(rows)
    words = [f"{plural(len(rows), 'group')}: {found['ok']} good"]
    if found["partial"]:
        words.append(f"{found['partial']} with subbands missing or a check failed")
    if found["rejected"]:
        words.append(f"{found['rejected']} rejected")
    causes = rejections(rows)
    line = ", ".join(words) + "."
    if causes:
        most = causes[0]
        line += f" Most frequent reason ({len(most['groups'])}): {most['reason']}."
    return line


def key_figures(
    declination_deg: float | None, rows: Sequence[GroupRow], photometry: pd.DataFrame
) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    images = [row for row in rows if row.figures]
    rms_jy = median_of([row.figures.get("rms_jy") for row in images])
    ratio = median_of([row.check.get("flux_ratio_median") for row in images])
    return [
        ("groups with an image", f"{len(images)}", f"of {len(rows)}"),
        ("declination", fixed(declination_deg, 2), "deg"),
        ("median image rms", number(rms_jy, 3, 1e3), "mJy/beam"),
        ("median flux ratio", fixed(ratio, 3), "to catalogue"),
        ("sources measured", f"{photometry['source_id'].nunique():,}", ""),
        ("measurements", f"{len(photometry):,}", ""),
    ]


def set_aside(index: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the files that no group took, with reason and the group they would belong to."""
    files = [{"group": "", **one} for one in index.get("unrecognised", [])]
    files += [
        {"file": name, "reason": "still being written", "group": ""}
        for name in index.get("incomplete_files", [])
    ]
    for entry in index["groups"]:
        files += [{**one, "group": entry["group"]} for one in entry.get("excluded", [])]
    return files


def date_content(
    date: str,
    index: Mapping[str, Any],
    rows: Sequence[GroupRow],
    calibration: Status,
    solutions: Sequence[Solution],
    photometry: pd.DataFrame,
) -> dict[str, Any]:
    """Return what the template `date.html.j2` needs, but for pictures and provenance."""
    causes = [{**one, "times": [group[11:] for group in one["groups"]]} for one in rejections(rows)]
    return {
        "date": date,
        "summary": summary_line(rows),
        "key_figures": key_figures(index.get("declination_deg"), rows, photometry),
        "rejections": causes,
        "calibrators": index.get("calibrators", []),
        "calibration": {
            "ok": calibration.ok,
            "reason": calibration.reason,
            "source": calibration.figures.get("source", ""),
            "tables": calibration.figures.get("tables", []),
            "considered": calibration.figures.get("considered", []),
            "strips": calibration.figures.get("strips", []),
            "compared": calibration.figures.get("compared", []),
            "warnings": calibration.figures.get("warnings", []),
        },
        "sources": SOURCES,
        "solutions": solutions,
        "solution_figures": [
            (name, [one.status.figures.get(name) for one in solutions])
            for name in SOLUTION_FIGURES
            if any(name in one.status.figures for one in solutions)
        ],
        "rows": rows,
        "quality": quality_plot(date, rows),
        "set_aside": set_aside(index),
        "data": data_of(date, index, rows, calibration),
    }


def data_of(
    date: str, index: Mapping[str, Any], rows: Sequence[GroupRow], calibration: Status
) -> dict[str, Any]:
    """Return the page's figures for programs; they stand in the page as JSON."""
    return {
        "date": date,
        "declination_deg": index.get("declination_deg"),
        "counts": counts(rows),
        "calibration": {"status": calibration.status, "reason": calibration.reason}
        | {name: calibration.figures.get(name) for name in ("source", "strips", "tables")},
        "groups": [
            {
                "group": row.group,
                "state": row.state,
                "reason": row.reason,
                "stages": {stage.name: stage.state for stage in row.stages},
                "flagged_fraction": row.flagged_fraction,
                "calibrated_from": row.tables,
                "image": row.figures,
                "photometry": row.check,
            }
            for row in rows
        ],
    }
