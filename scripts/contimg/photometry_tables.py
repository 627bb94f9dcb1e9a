"""Rows of the photometry tables: catalogue sources in an image, and their forced fluxes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from contimg.catalog import read_sources
from contimg.fits import Image, pixel_digest
from contimg.flux_check import failed_limits
from contimg.noise import background_and_rms
from contimg.photometry import measure_fluxes, pixel_positions

_FLUXES = ["flux_jy", "flux_err_jy", "rms_jy"]


def background_of(image: Image, box_beams: float) -> NDArray[np.float32]:
    """Local background of an image, from boxes of so many BMAJ."""
    return local_noise_of(image, box_beams)[0]


def local_noise_of(
    image: Image, box_beams: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Local background and noise of an image, from boxes of so many BMAJ."""
    box = round(box_beams * image.beam.bmaj_deg / image.pixel_scale_deg)
    return background_and_rms(image.data, box)


def fluxes_of(
    image: Image,
    noise: NDArray[np.float32],
    background: NDArray[np.float32],
    sources: pd.DataFrame,
    blend_beams: float,
) -> pd.DataFrame:
    """Forced fluxes of sources, corrected for the beam; see `photometry.measure_fluxes`.

    Parameters
    ----------
    image, noise, background : not corrected for the beam, or with `pb` 1.
    sources : source_id, ra_deg, dec_deg and pb, the beam's response at each.
    blend_beams : neighbours closer than so many BMAJ are fitted jointly.

    Returns
    -------
    The columns of `schemas.FORCED_FLUXES`.
    """
    table = measure_fluxes(
        image, sources["ra_deg"], sources["dec_deg"], background, noise, blend_beams
    )
    table[_FLUXES] = table[_FLUXES].div(sources["pb"].to_numpy(), axis=0)
    return table.drop(columns=["x_pix", "y_pix"]).assign(
        source_id=sources["source_id"].to_numpy(),
        ra_deg=sources["ra_deg"].to_numpy(),
        dec_deg=sources["dec_deg"].to_numpy(),
        pb=sources["pb"].to_numpy(),
        snr=table["flux_jy"] / table["flux_err_jy"],
        image_digest=pixel_digest(image.data),
    )


def sources_in_beam(
    image: Image, response: Image, catalog: Path, min_jy: float, min_response: float
) -> pd.DataFrame:
    """The catalogue's sources where the beam is at least `min_response`, with column pb."""
    sources = _sources_near(image, catalog, min_jy)
    sources = sources.assign(pb=response_at(response, sources))
    return sources[sources["pb"] >= min_response].reset_index(drop=True)


def sources_in_mosaic(mosaic: Image, catalog: Path, min_jy: float) -> pd.DataFrame:
    """The catalogue's sources on a mosaic's pixels that have data; pb is 1: it is corrected."""
    sources = _sources_near(mosaic, catalog, min_jy)
    x, y = mosaic.wcs.all_world2pix(sources["ra_deg"], sources["dec_deg"], 0)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    ny, nx = mosaic.data.shape
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    inside[inside] = np.isfinite(mosaic.data[row[inside], column[inside]])
    return sources[inside].assign(pb=1.0).reset_index(drop=True)


def response_at(response: Image, sources: pd.DataFrame) -> NDArray[np.float64]:
    """The beam's response at positions (ra_deg, dec_deg), 0 outside its image."""
    x, y, known = pixel_positions(response, sources["ra_deg"], sources["dec_deg"])
    at = np.where(known, [y, x], -1e6)
    return map_coordinates(response.data, at, order=1, cval=0.0).astype(float)


def failed_flux_checks(
    figures: Mapping[str, float | None], options: Mapping[str, Any]
) -> list[str]:
    """The checks that an image fails; with nothing to check against, none."""
    limits = {}
    if figures["n_flux_references"]:
        limits["flux_ratio_median"] = tuple(options["ratio_range"])
    if figures["n_expected"]:
        limits["completeness"] = (options["min_completeness"], 1.0)
    return failed_limits(figures, limits)


def _sources_near(image: Image, catalog: Path, min_jy: float) -> pd.DataFrame:
    """The catalogue's sources within the circle about an image's middle that holds its corners."""
    middle = [(n - 1) / 2 for n in image.data.shape[::-1]]
    ra_deg, dec_deg = (float(value) for value in image.wcs.all_pix2world(*middle, 0))
    radius_deg = image.pixel_scale_deg * np.hypot(*image.data.shape) / 2
    return read_sources(catalog, ra_deg, dec_deg, radius_deg, min_jy)
