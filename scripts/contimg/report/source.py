"""The content of a source's page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from jinja2.utils import htmlsafe_json_dumps
from numpy.typing import NDArray

from contimg.cutouts import Cutout, common_stretch
from contimg.ese_candidates import PERSON
from contimg.report import figures
from contimg.report.candidates import first_of, has_event, is_told
from contimg.report.interactive import (
    bokeh_script,
    embedded,
    embedding_script,
    interactive_lightcurve,
)
from contimg.report.pages import Picture, link
from contimg.report.text import fixed, number
from contimg.report.thumbnails import encoded
from contimg.schemas import ESE_CANDIDATES, VARIABILITY, Schema
from contimg.source import Source
from contimg.source_figures import EpochImage

NOT_METRICS = ("source_id", "ra_deg", "dec_deg", "subband", "freq_hz")
NOT_OF_EVENT = (
    "source_id", "ra_deg", "dec_deg", "rank", "reason", "explanation",
    "verdict", "verdict_who", "verdict_note",
)  # fmt: skip
JPEG_QUALITY = 78
BLACK = 20
FLAGS = ("resolved", "confusion")


@dataclass(frozen=True)
class Tile:
    """The image of an epoch on the page.

    Attributes
    ----------
    image : what the photometry found.
    link : to the date's page.
    picture : the cutout in grey; None without pixels.
    side : of the cutout, pixels.
    cross : the source's place, pixels from the left and from the top.
    beam : middle, semi-axes and turn (degrees, clockwise) of the ellipse; empty without a beam.
    """

    image: EpochImage
    link: str
    picture: Picture | None
    side: int = 0
    cross: tuple[float, float] = (0.0, 0.0)
    beam: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Candidacy:
    """A row of the source in the table of candidates.

    Attributes
    ----------
    rank : in the table.
    by_person : a person flags it; it is no candidate of the search.
    text : what the search says of it, or why there was none.
    figures : of the event: name, value, unit, meaning; none where the source was not searched.
    """

    rank: int
    by_person: bool
    text: str
    figures: list[Any]


def tile_of(image: EpochImage, limits: tuple[float, float], page: Path, directory: Path) -> Tile:
    """Return an epoch's image as the page shows it, with the stretch of all of them."""
    leads_to = link(directory / "report" / image.date / "index.html", page)
    cutout = image.cutout
    if not cutout.data.size:
        return Tile(image, leads_to, None)
    side = cutout.data.shape[0]
    half = side // 2
    return Tile(
        image,
        leads_to,
        Picture(
            encoded(grey_of(cutout, limits), "JPEG", quality=JPEG_QUALITY, optimize=True),
            f"image of {image.date}",
            density=1.0,
        ),
        side,
        (half + 0.5 + cutout.offset[0], half + 0.5 - cutout.offset[1]),
        beam_of(cutout),
    )


def grey_of(cutout: Cutout, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return a cutout as grey levels, the first row at the top; NaN is white."""
    low, high = limits
    unit = np.clip((cutout.data - low) / (high - low), 0, 1)
    levels = np.where(np.isfinite(unit), 255 - (255 - BLACK) * unit, 255)
    return np.flipud(np.round(levels)).astype(np.uint8)


def beam_of(cutout: Cutout) -> dict[str, float] | None:
    """Return the beam as an ellipse of SVG in the lower left corner."""
    if not np.isfinite(cutout.beam.bmaj_deg):
        return None
    major, minor = (axis / cutout.scale_deg / 2 for axis in cutout.beam[:2])
    side = cutout.data.shape[0]
    return {
        "x": 1.5 * major, "y": side - 1.5 * major, "rx": minor, "ry": major,
        "turn": -cutout.beam.bpa_deg,
    }  # fmt: skip


def described(row: Mapping[str, Any], columns: Schema, leave_out: tuple[str, ...]) -> list[Any]:
    """Return name, value, unit and meaning of what a table tells of a source."""
    return [
        (column.name, row[column.name], column.unit, column.description)
        for column in columns
        if column.name not in leave_out and column.name in row and is_told(row[column.name])
    ]


def position_words(source: Source) -> list[str]:
    """Return the position as people write it."""
    if not np.isfinite(source.ra_deg):
        return ["position unknown"]
    where = SkyCoord(source.ra_deg, source.dec_deg, unit="deg", frame="icrs")
    galactic = where.galactic
    return [
        where.to_string("hmsdms", precision=2, sep=" "),
        f"RA {source.ra_deg:.5f}, dec {fixed(source.dec_deg, 5)} deg (ICRS)",
        f"l {galactic.l.deg:.2f}, b {fixed(float(galactic.b.deg), 2)} deg",
    ]


def look_ups(source: Source) -> list[tuple[str, str]]:
    """Return name and address of the archives that know a position."""
    if not np.isfinite(source.ra_deg):
        return []
    where = f"{source.ra_deg:.5f} {source.dec_deg:+.5f}"
    simbad = urlencode({"Coord": where, "CooFrame": "ICRS", "Radius": 1, "Radius.unit": "arcmin"})
    ned = urlencode(
        {"search_type": "Near Position Search", "in_csys": "Equatorial", "in_equinox": "J2000.0",
         "ra": f"{source.ra_deg:.5f}d", "dec": f"{source.dec_deg:.5f}d", "radius": 1}
    )  # fmt: skip
    return [
        ("SIMBAD", f"https://simbad.cds.unistra.fr/simbad/sim-coo?{simbad}"),
        ("NED", f"https://ned.ipac.caltech.edu/conesearch?{ned}"),
    ]


def candidacies(source: Source) -> list[Candidacy]:
    """Return what makes the source a candidate, the best event first."""
    return [
        Candidacy(
            int(row["rank"]),
            first_of(row, "found_by") == PERSON,
            str(first_of(row, "explanation", "reason") or ""),
            described(row, ESE_CANDIDATES, NOT_OF_EVENT) if has_event(row) else [],
        )
        for row in source.candidates.to_dict("records")
    ]


def catalog_fluxes(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the survey and the flux, Jy, of each survey that has the source."""
    surveys = [(name, row[name]) for name in row if name.startswith("s_") and is_told(row[name])]
    return [(name.removeprefix("s_").upper(), float(flux)) for name, flux in surveys]


def matches(external: pd.DataFrame) -> dict[str, Any]:
    """Return headings and cells of what other archives know."""
    names = [name for name in external if name not in ("source_id", "ra_deg", "dec_deg")]
    rows = external[names].to_dict("records")
    cells = [[row[name] if is_told(row[name]) else None for name in names] for row in rows]
    return {"columns": names, "data": cells}


def epoch_rows(epochs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the light curve for a table of the page."""
    moments = [str(moment)[:16].replace("T", " ") for moment in figures.utc(epochs["mjd"])]
    return epochs.assign(utc=moments).to_dict("records")


def key_figures(source: Source, metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    return [
        ("epochs", f"{source.n_epochs:,}", f"of {len(source.epochs):,} transits"),
        ("detections", f"{source.detections:,}", f"≥ {source.detection_snr:g} σ"),
        ("mean flux", number(metrics["mean_jy"], 3, 1e3), "mJy"),
        ("η = reduced χ²", number(metrics["eta"], 3), ""),
        ("modulation V", number(metrics["v"], 2), ""),
        ("ESE score", fixed(metrics.get("ese_score"), 2), ""),
        ("by chance", number(metrics.get("ese_false_alarm"), 2), ""),
    ]


def source_content(source: Source, page: Path, external: pd.DataFrame) -> dict[str, Any]:
    """Return what the template `source.html.j2` needs, but for provenance.

    Parameters
    ----------
    source : to show.
    page : where the page will be.
    external : what other archives know of it; rows of variability/external.parquet.
    """
    metrics = {str(name): value for name, value in source.metrics().items()}
    images = source.epoch_images()
    limits = common_stretch([image.cutout for image in images])
    shown = [image.cutout for image in images if image.cutout.data.size]
    content: dict[str, Any] = {
        "name": source.source_id,
        "position": position_words(source),
        "look_ups": look_ups(source),
        "fluxes": catalog_fluxes(source.catalog),
        "flags": [name for name in FLAGS if source.catalog.get(f"{name}_flag")],
        "alpha": source.catalog.get("alpha"),
        "in_catalog": bool(source.catalog),
        "key_figures": key_figures(source, metrics),
        "candidacies": candidacies(source),
        "verdicts": source.verdicts.to_dict("records"),
        "metrics": described(metrics, VARIABILITY, NOT_METRICS),
        "tiles": [tile_of(image, limits, page, source.directory) for image in images],
        "limits": limits,
        "side_arcmin": shown[0].data.shape[0] * shown[0].scale_deg * 60 if shown else None,
        "neighbours": source.nearby().to_dict("records") if source.catalog else [],
        "external": matches(external),
        "epochs": epoch_rows(source.epochs),
        "archive": link(source.directory / "report" / "index.html", page),
        "data": {"source_id": source.source_id, "metrics": metrics},
    }
    return content | lightcurve_content(source)


def lightcurve_content(source: Source) -> dict[str, Any]:
    """Return the light curve for the screen and for print; the former wants scripts."""
    still = Picture(figures.encoded(source.lightcurve()), f"Light curve of {source.source_id}")
    if not source.n_epochs:
        return {"still": still, "lightcurve": None, "scripts": []}
    drawn = embedded(
        interactive_lightcurve(source.epochs, source.events, source.subbands, source.detection_snr)
    )
    return {
        "still": still,
        "lightcurve": htmlsafe_json_dumps(drawn, dumps=json.dumps),
        "scripts": [bokeh_script(), embedding_script("lightcurve")],
    }
