"""Small pictures of large images."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contourpy
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray
from PIL import Image as Pixels

from contimg.noise import SIGMA_PER_MAD
from contimg.status import Rejected

HALF_POWER = 0.5
BEAM_PIXELS = 5
CORNERS = 48


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an image, and where the primary beam falls to half.

    Attributes
    ----------
    data : bytes of a JPEG file, grey, dark sources on white.
    width, height : pixels.
    contour : path (SVG's `d`) in the picture's pixels; empty without a beam.
    """

    data: bytes
    width: int
    height: int
    contour: str = ""


def open_pixels(path: Path) -> tuple[Any, fits.Header]:
    """Map the pixels of a FITS image into memory without reading them.

    Returns
    -------
    pixels : (ny, nx) memory map.
    header : the file's header.

    Raises
    ------
    Rejected
        When the file is a labelled empty product; the message is its reason.
    """
    with fits.open(path, memmap=True) as hdus:
        header = hdus[0].header
        if header.get("STATUS") == "rejected":
            raise Rejected(header.get("REASON", "") or f"{path.name}: rejected, no reason given")
        data = hdus[0].data
    return data.reshape(data.shape[-2:]), header


def thumbnail(pbcor: Path, beam: Path, size: int = 160, quality: int = 72) -> Thumbnail:
    """Return a small picture of a corrected image, weighted by its beam so that noise is even.

    Parameters
    ----------
    pbcor, beam : FITS images of the same grid: corrected image and primary-beam response.
    size : pixels of the picture's longer side, at most.
    quality : of the JPEG file, 1 to 95.
    """
    pixels, _ = open_pixels(pbcor)
    response, _ = open_pixels(beam)
    block = block_of(pixels.shape, size)
    small_response = sampled(response, block)
    small = brightest(pixels, block) * small_response
    height, width = small.shape
    return Thumbnail(
        data=encoded(grey(small), "JPEG", quality=quality, optimize=True),
        width=width,
        height=height,
        contour=contour_path(small_response),
    )


def block_of(shape: tuple[int, ...], size: int) -> int:
    """Return the side of the blocks that shrink an image to `size` pixels or fewer.

    Blocks of more than a beam are whole numbers of `BEAM_PIXELS`.
    """
    block = -(-max(shape) // size)
    return block if block <= BEAM_PIXELS else -(-block // BEAM_PIXELS) * BEAM_PIXELS


def brightest(pixels: NDArray[Any], block: int) -> NDArray[np.float32]:
    """Shrink an image: each block becomes the largest mean over a beam's width in it.

    A plain mean over a block much larger than the beam would hide all but the brightest sources.
    What does not fill a block at the upper edges is left out. Reads one row of blocks at a time.

    Parameters
    ----------
    pixels : (ny, nx); a block with a NaN in it becomes NaN.
    block : side of a block, pixels, as `block_of` gives it.
    """
    rows, columns = (n // block for n in pixels.shape)
    side = BEAM_PIXELS if block % BEAM_PIXELS == 0 else block
    inside = block // side
    small = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        strip = pixels[row * block : (row + 1) * block, : columns * block]
        strip = np.asarray(strip, dtype=np.float32).reshape(inside, side, columns, inside, side)
        small[row] = strip.mean(axis=(1, 4)).max(axis=(0, 2))
    return small


def sampled(pixels: NDArray[Any], block: int) -> NDArray[np.float32]:
    """Shrink a smooth image: the pixel at the middle of each block."""
    rows, columns = (n // block for n in pixels.shape)
    half = block // 2
    return np.array(pixels[half::block, half::block][:rows, :columns], dtype=np.float32)


def grey(image: NDArray[np.float32], bright: float = 99.8) -> NDArray[np.uint8]:
    """Return an image as grey levels, north up, dark where it is bright, NaN white.

    The stretch is the inverse hyperbolic sine, from the median to the percentile `bright`, or to
    15 standard deviations (from the median absolute deviation) where that is more, so that noise
    alone stays pale.
    """
    finite = image[np.isfinite(image)]
    if not finite.size:
        return np.full(image.shape, 255, dtype=np.uint8)
    middle, high = np.percentile(finite, [50, bright])
    sigma = SIGMA_PER_MAD * float(np.median(np.abs(finite - middle)))
    low, high = middle, max(high, middle + 15 * sigma)
    unit = np.clip((image - low) / max(high - low, 1e-30), 0, 1)
    stretched = np.arcsinh(6 * unit) / np.arcsinh(6)
    levels = np.where(np.isfinite(image), 245 * (1 - stretched), 255)
    return np.flipud(np.round(levels)).astype(np.uint8)


def contour_path(response: NDArray[np.float32], level: float = HALF_POWER) -> str:
    """Return the contour of a beam as the path of an SVG, in pixels of the picture, y down."""
    height = response.shape[0]
    filled = np.nan_to_num(response)
    parts = []
    for line in contourpy.contour_generator(z=filled).lines(level):
        points = np.array(line, dtype=float)
        corners = points[:: max(1, len(points) // CORNERS)]
        words = [f"{x + 0.5:.1f} {height - 0.5 - y:.1f}" for x, y in corners]
        closed = np.array_equal(points[0], points[-1])
        parts.append("M" + "L".join(words) + ("Z" if closed else ""))
    return "".join(parts)


def encoded(levels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    """Return a picture's file; the same pixels give the same bytes."""
    stream = io.BytesIO()
    Pixels.fromarray(levels).save(stream, kind, **options)
    return stream.getvalue()


@dataclass(frozen=True)
class SmallMosaic:
    """A mosaic made small.

    Attributes
    ----------
    levels : (ny, nx) grey levels, north up.
    wcs : celestial WCS of the small image, counted from the south.
    shape : of the mosaic itself, pixels.
    refused : which tiles it leaves out, and why; its header says so.
    """

    levels: NDArray[np.uint8]
    wcs: WCS
    shape: tuple[int, ...]
    refused: str


def shrunk_mosaic(path: Path, size: int) -> SmallMosaic:
    """Shrink a mosaic to grey levels.

    Parameters
    ----------
    path : a FITS image.
    size : pixels of the picture's longer side, at most.

    Raises
    ------
    Rejected
        When the file is a labelled empty product.
    """
    pixels, header = open_pixels(path)
    block = block_of(pixels.shape, size)
    small = brightest(pixels, block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(header).celestial
    small_wcs = shrunk_wcs(wcs, block, small.shape)
    return SmallMosaic(grey(small), small_wcs, pixels.shape, header.get("REFUSED", ""))


def shrunk_wcs(wcs: WCS, block: int, shape: tuple[int, ...]) -> WCS:
    """Return the WCS of an image of which each pixel is a block of pixels."""
    small = wcs.deepcopy()
    small.wcs.crpix = (wcs.wcs.crpix - 0.5) / block + 0.5
    small.wcs.cd = wcs.pixel_scale_matrix * block
    small.pixel_shape = shape[::-1]
    return small
