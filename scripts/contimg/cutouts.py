"""Cutouts: the few pixels of an image around a position, and one stretch for all of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from contimg.fits import Beam, pixel_scale_deg

NOT_THERE = "the image is not there"
OUTSIDE = "outside the image"
MOST_PIXELS = 50_000_000  # of all images of a source: 200 MB
NO_BEAM = Beam(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Cutout:
    """A part of an image.

    Attributes
    ----------
    data : (n, n) Jy/beam, north up, NaN outside the image; empty, (0, 0), without one.
    offset : of the position from the middle of the cutout, pixels to the right and up.
    scale_deg : side of a pixel.
    beam : restoring beam of the image.
    reason : why there are no pixels; empty when there are.
    """

    data: NDArray[np.float32]
    offset: tuple[float, float] = (0.0, 0.0)
    scale_deg: float = np.nan
    beam: Beam = NO_BEAM
    reason: str = ""


def empty_cutout(reason: str) -> Cutout:
    """Return the cutout of an image that cannot be shown."""
    return Cutout(np.empty((0, 0), dtype=np.float32), reason=reason)


def read_cutout(path: Path, ra_deg: float, dec_deg: float, size_deg: float) -> Cutout:
    """Read the pixels of an image around a position, and no others.

    Parameters
    ----------
    path : a FITS image of two dimensions, or more of length one.
    ra_deg, dec_deg : ICRS position of the middle.
    size_deg : side of the cutout.

    Returns
    -------
    cutout : without pixels, and with the reason, when the file is not there or is a labelled
        empty product, or when the position lies outside.
    """
    if not path.is_file():
        return empty_cutout(NOT_THERE)
    with fits.open(path, memmap=True) as hdus:
        hdu = hdus[0]
        header = hdu.header
        if header.get("STATUS") == "rejected":
            return empty_cutout(str(header.get("REASON", "rejected")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(header).celestial
        x, y = (float(value) for value in wcs.all_world2pix(ra_deg, dec_deg, 0))
        height, width = hdu.shape[-2:]
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            return empty_cutout(OUTSIDE)
        scale_deg = pixel_scale_deg(wcs)
        half = max(1, round(size_deg / scale_deg / 2))
        column, row = round(x), round(y)
        rows = slice(max(row - half, 0), min(row + half + 1, height))
        columns = slice(max(column - half, 0), min(column + half + 1, width))
        part = hdu.section[(0,) * (len(hdu.shape) - 2) + (rows, columns)]
        beam = Beam(*(float(header.get(name, np.nan)) for name in ("BMAJ", "BMIN", "BPA")))
    data = np.full((2 * half + 1, 2 * half + 1), np.nan, dtype=np.float32)
    bottom, left = rows.start - (row - half), columns.start - (column - half)
    data[bottom : bottom + part.shape[0], left : left + part.shape[1]] = part
    return Cutout(data, (x - column, y - row), scale_deg, beam)


def require_in_memory(size_arcsec: float, cutout: Cutout, n_images: int) -> None:
    """Raise ValueError when cutouts of so large a side hold more than `MOST_PIXELS`.

    Parameters
    ----------
    size_arcsec : side.
    cutout : one of the images; nothing is asked of one without pixels.
    n_images : how many there are.
    """
    largest = np.floor(cutout.scale_deg * 3600 * np.sqrt(MOST_PIXELS / n_images))
    if size_arcsec > largest:
        raise ValueError(
            f"size_arcsec {size_arcsec:g} found, at most {largest:g} expected for {n_images} "
            "images; to see more, open the image itself"
        )


def common_stretch(cutouts: Sequence[Cutout]) -> tuple[float, float]:
    """Return the lowest and highest brightness to show, Jy/beam, of all cutouts together.

    ZScale, the rule of IRAF's display, on the pixels of all cutouts.
    """
    pixels = [one.data[np.isfinite(one.data)] for one in cutouts]
    joined = np.concatenate([*pixels, np.empty(0, dtype=np.float32)])
    if not joined.size:
        return 0.0, 1.0
    low, high = ZScaleInterval().get_limits(joined)
    return float(low), float(high if high > low else low + 1e-9)
