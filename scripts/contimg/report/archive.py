"""The content of the archive's page, from tables that are already read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from contimg.ese_candidates import PERSON
from contimg.report import archive_figures as figures
from contimg.report.candidates import candidate_table
from contimg.report.image_quality import ImageQuality
from contimg.report.pages import Picture, Plot
from contimg.report.text import number
from contimg.schemas import WHOLE_BAND
from contimg.source_events import events_of, shown_baseline_jy
from contimg.tables import subband_of, whole_band


@dataclass(frozen=True)
class DateRow:
    """What a date's photometry holds."""

    date: str
    link: str
    status: str
    reason: str
    n_groups: int
    n_good: int
    n_sources: int
    n_rows: int


@dataclass(frozen=True)
class Curve:
    """A source's light curve and what is known of it."""

    source_id: str
    rank: int | None
    by_person: bool
    figures: Mapping[str, Any]
    picture: Picture


def date_row(date: str, link: str, rows: pd.DataFrame, about: Mapping[str, Any]) -> DateRow:
    """Sum up a date's photometry: its rows (source_id) and its metadata."""
    groups = about.get("groups", {})
    return DateRow(
        date=date,
        link=link,
        status=about["status"],
        reason=about["reason"],
        n_groups=len(groups),
        n_good=sum(group["status"] == "ok" for group in groups.values()),
        n_sources=int(rows["source_id"].nunique()),
        n_rows=len(rows),
    )


def curve_of(
    source_id: str, every_band: pd.DataFrame, variability: pd.DataFrame, candidates: pd.DataFrame
) -> Curve:
    """Draw a source's light curve, its baseline, and the dips that make it a candidate.

    A candidate's light curves of subband images are drawn too, where there are any.
    """
    own = candidates[candidates["source_id"] == source_id]
    events = events_of(own)
    curve = whole_band(every_band)
    bands = every_band.groupby(subband_of(every_band)) if events else ()
    subbands = {
        float(rows["freq_hz"].iloc[0]): rows for subband, rows in bands if subband != WHOLE_BAND
    }
    baseline = shown_baseline_jy(curve, events, "norm_flux_jy")
    known = variability[variability["source_id"] == source_id].to_dict("records")
    return Curve(
        source_id=source_id,
        rank=int(own["rank"].min()) if len(own) else None,
        by_person="found_by" in own and bool((own["found_by"] == PERSON).any()),
        figures=known[0] if known else {},
        picture=Picture(
            figures.lightcurve_plot(curve, baseline, events, subbands),
            f"Light curve of {source_id}",
        ),
    )


def archive_content(
    dates: Sequence[DateRow],
    lightcurves: pd.DataFrame,
    variability: pd.DataFrame,
    candidates: pd.DataFrame,
    shown: Sequence[str],
    quality: ImageQuality | None = None,
    page_of_source: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return what the template `archive.html.j2` needs, but for provenance.

    Parameters
    ----------
    dates : in order.
    lightcurves : of the sources that are shown, at least.
    variability, candidates : the archive's tables; any may be empty.
    shown : sources whose light curves are shown, as `contimg.report.shown.most_variable` says.
    quality : of the images, where there is a table of them.
    page_of_source : the link to a source's page.
    """
    variability = whole_band(variability)
    by_source = dict(iter(lightcurves.groupby("source_id")))
    plane = None
    if len(variability):
        plane = Plot(
            "",
            Picture(
                figures.variability_plane(variability, candidates, shown),
                "Eta against V of every source",
            ),
            "Constant sources lie around η = 1. Diamonds: candidates, with their rank.",
        )
    ranked = candidates.sort_values("rank").to_dict("records")
    return {
        "dates": dates,
        "key_figures": key_figures(dates, variability, candidates),
        "candidates": candidate_table(ranked),
        "chromatic": any(one.get("n_subbands") for one in ranked),
        "plane": plane,
        "quality": quality,
        "pages": {name: page_of_source(name) for name in shown},
        "curves": [
            curve_of(name, by_source[name], variability, candidates)
            for name in shown
            if name in by_source
        ],
        "data": {
            "dates": [vars(row) for row in dates],
            "candidates": ranked,
            "most_variable": [name for name in shown if name not in set(candidates["source_id"])],
        },
    }


def candidate_counts(candidates: pd.DataFrame) -> tuple[str, str]:
    """Return how many sources the search found, and words on those that people add."""
    n_sources = candidates["source_id"].nunique()
    if "found_by" not in candidates:
        return f"{n_sources:,}", ""
    n_found = candidates.loc[candidates["found_by"] != PERSON, "source_id"].nunique()
    added = n_sources - n_found
    return f"{n_found:,}", f"and {added:,} flagged by people" if added else ""


def key_figures(
    dates: Sequence[DateRow], variability: pd.DataFrame, candidates: pd.DataFrame
) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    epochs = variability["n_epochs"].median() if len(variability) else None
    return [
        ("dates", f"{len(dates):,}", ""),
        ("images measured", f"{sum(row.n_good for row in dates):,}", ""),
        ("sources", f"{variability['source_id'].nunique():,}", ""),
        ("usable fluxes", f"{int(variability['n_epochs'].sum()):,}", "transits"),
        ("median epochs", number(epochs, 3), "a source"),
        ("candidates", *candidate_counts(candidates)),
    ]
