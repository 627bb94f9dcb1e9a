"""Forced fluxes at positions of one's own, on any FITS image."""

import logging
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from contimg.fits import Image, read_image
from contimg.photometry import CrowdedFieldError
from contimg.photometry_tables import fluxes_of, local_noise_of, response_at
from contimg.schemas import FORCED_FLUXES
from contimg.script import run
from contimg.status import Rejected, written_whole
from contimg.tables import check_schema, read_table, require_degrees, write_table
from contimg.units import factor_to

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".parquet")


def main(
    *,
    image: Path,
    positions: Path,
    output: Path,
    rms: Path | None = None,
    pb: Path | None = None,
    blend_beams: float = 1.5,
    background_box_beams: float = 30.0,
) -> None:
    """Measure the flux of a point source at each position of a table, on one FITS image.

    A row a position, in the order given, non-detections and negative fluxes too; status says
    which have no flux: outside (of the image), nan (blank there), no position (NaN), no response
    (the beam image is 0 or NaN there).

    image: FITS image with BMAJ, BMIN and BPA, of this workflow or another telescope; in Jy/beam,
        or in what BUNIT says
    positions: CSV or parquet with ra_deg, dec_deg (ICRS) and, optionally, source_id; without
        it the rows are numbered from 1
    output: parquet, or CSV when it is so named
    rms: FITS image of the local noise; without it the noise is measured in the image
    pb: FITS image of the primary beam, to correct for it
    blend_beams: neighbours closer than so many BMAJ are fitted jointly
    background_box_beams: side of the boxes for background and noise, in BMAJ
    """
    if output.suffix not in SUFFIXES:
        raise Rejected(f"{output}: unknown form; expected a name in {' or '.join(SUFFIXES)}")
    if not (blend_beams >= 0 and background_box_beams > 0):
        raise Rejected(
            f"blend_beams {blend_beams:g} and background_box_beams {background_box_beams:g} found, "
            "0 or more and above 0 expected"
        )
    try:
        sources = read_positions(positions)
        restored = read_sky_image(image)
        noise = None if rms is None else in_jy(rms, like(rms, restored))
        response = None if pb is None else like(pb, restored)
    except FileNotFoundError as error:
        missing = next(path for path in (positions, image, rms, pb) if path and not path.exists())
        raise Rejected(f"{missing}: no such file; correct the path") from error
    except (ValueError, OSError) as error:
        raise Rejected(str(error)) from error
    tell_of_twins(positions, sources, restored.beam.bmin_deg)
    background, measured_noise = local_noise_of(restored, background_box_beams)
    sources["pb"] = 1.0 if response is None else response_at(response, sources)
    sources.loc[~(sources["pb"] > 0), "pb"] = np.nan
    used_noise = measured_noise if noise is None else noise.data
    try:
        table = fluxes_of(restored, used_noise, background, sources, blend_beams)
    except CrowdedFieldError as error:
        raise Rejected(f"{positions}: {error}") from error
    blind = table["pb"].isna() & table["status"].isin(["ok", "edge"])
    table.loc[blind, "status"] = "no response"
    if output.suffix == ".csv":
        with written_whole(output) as temporary:
            columns = [column.name for column in check_schema(table, FORCED_FLUXES, output)]
            table[columns].to_csv(temporary, index=False)
    else:
        write_table(output, table, FORCED_FLUXES, {"options": {"blend_beams": blend_beams}})
    counts = ", ".join(f"{n} {name}" for name, n in table["status"].value_counts().items())
    logger.info("%d positions: %s", len(table), counts or "the table has no rows")


def read_positions(path: Path) -> pd.DataFrame:
    """Return source_id, ra_deg and dec_deg of a table.

    Raises
    ------
    ValueError
        When a column is missing or holds no numbers, or when an id stands twice.
    """
    table, _ = read_table(path)
    for name in ("ra_deg", "dec_deg"):
        if name not in table:
            raise ValueError(
                f"{path}: columns {', '.join(map(str, table.columns))} found, ra_deg and dec_deg "
                "expected; rename those that hold the positions"
            )
    table = require_degrees(table, ["ra_deg", "dec_deg"], path)
    if "source_id" not in table:
        table["source_id"] = np.arange(1, len(table) + 1)
    table["source_id"] = table["source_id"].astype(str)
    twice = table["source_id"][table["source_id"].duplicated(keep=False)]
    if len(twice):
        rows = ", ".join(str(row + 1) for row in twice.index[twice == twice.iloc[0]])
        raise ValueError(
            f"{path}: source_id {twice.iloc[0]} found in rows {rows}, each once expected; "
            "rename or remove the others"
        )
    return table[["source_id", "ra_deg", "dec_deg"]]


def read_sky_image(path: Path) -> Image:
    """Return an image that point sources can be measured in.

    Raises
    ------
    ValueError
        When it has no restoring beam, no sky coordinates, or no unit of brightness.
    """
    found = opened(path)
    if not min(found.beam.bmaj_deg, found.beam.bmin_deg) > 0:
        raise ValueError(
            f"{path}: restoring beam of {found.beam.bmaj_deg:g} x {found.beam.bmin_deg:g} deg "
            "found, positive BMAJ and BMIN expected; write them to the header"
        )
    axes = [str(found.header.get(f"CTYPE{number}", "nothing")) for number in (1, 2)]
    if not (found.wcs.has_celestial and found.wcs.wcs.lngtyp == "RA"):
        raise ValueError(
            f"{path}: axes {' and '.join(axes)} found, right ascension and declination expected; "
            "give an image with these coordinates"
        )
    if found.wcs.wcs.equinox == 1950 or found.wcs.wcs.radesys.startswith("FK4"):
        raise ValueError(
            f"{path}: coordinates of B1950 found, J2000 or ICRS expected; regrid the image"
        )
    return in_jy(path, found)


def in_jy(path: Path, found: Image) -> Image:
    """Return an image in Jy/beam, by its BUNIT; without one it is taken to be so.

    Raises
    ------
    ValueError
        When BUNIT is no flux density a beam.
    """
    unit = str(found.header.get("BUNIT", "")).strip() or "Jy/beam"
    try:
        factor = factor_to(u.Jy, unit)
    except ValueError as error:
        raise ValueError(
            f"{path}: BUNIT {unit!r} found, Jy/beam or what converts to it expected; convert the "
            "image, or correct the header"
        ) from error
    return found if factor == 1 else replace(found, data=found.data * np.float32(factor))


def tell_of_twins(path: Path, sources: pd.DataFrame, bmin_deg: float) -> None:
    """Warn of positions within a tenth of the beam of another: one flux is split among them."""
    known = sources[np.isfinite(sources["ra_deg"]) & (sources["dec_deg"].abs() <= 90)]
    if len(known) < 2:
        return
    sky = SkyCoord(known["ra_deg"], known["dec_deg"], unit="deg")
    twins = known["source_id"][sky.match_to_catalog_sky(sky, 2)[1].deg < 0.1 * bmin_deg]
    if len(twins):
        logger.warning(
            "%s: %d positions lie within a tenth of the beam of another (%s, ...); the data cannot "
            "tell them apart, and the flux there is split among them; keep one",
            *(path, len(twins), ", ".join(twins.iloc[:2])),
        )


def like(path: Path, restored: Image) -> Image:
    """Return an image of the same pixels as another.

    Raises
    ------
    ValueError
        When it is of another shape, or its pixels lie elsewhere on the sky.
    """
    found = opened(path, require_beam=False)
    if found.data.shape != restored.data.shape:
        raise ValueError(
            f"{path}: {found.data.shape} pixels found, {restored.data.shape} expected as in the "
            "image; make it from this image"
        )
    if found.wcs.has_celestial:
        middle = (np.array(found.data.shape[::-1]) - 1) / 2
        pixels = np.array([middle, middle / 2])
        there = restored.wcs.all_world2pix(found.wcs.all_pix2world(pixels, 0), 0)
        away = float(np.hypot(*(there - pixels).T).max())
        if not away < 0.5:
            raise ValueError(
                f"{path}: pixels that lie {away:.1f} pixels from those of the image found, the "
                "same expected; give that of this image"
            )
    return found


def opened(path: Path, require_beam: bool = True) -> Image:
    """Read an image; what is none is told by its name.

    Raises
    ------
    ValueError
        When the file is not FITS.
    """
    try:
        return read_image(path, require_beam)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = str(error).split(", ")[0]
        raise ValueError(f"{path}: not a readable FITS image ({reason}); fetch it again") from error


if __name__ == "__main__":
    run(main)
