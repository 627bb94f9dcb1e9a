"""Masks for CLEAN: discs about the catalogue's sources, as they shine through the beam."""

import gzip
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from contimg.status import written_whole


def image_header(
    ra_deg: float, dec_deg: float, size: int, scale_arcsec: float, freq_hz: float = 0.0
) -> fits.Header:
    """Header of an image as WSClean makes it: SIN, the phase centre on pixel size / 2 + 1.

    Parameters
    ----------
    ra_deg, dec_deg : phase centre, ICRS.
    size : pixels of a side.
    scale_arcsec : of a pixel.
    freq_hz : frequency of the image; none is written for 0.
    """
    header = fits.Header()
    header["NAXIS"] = 2
    for axis, (name, centre, sign) in enumerate(
        (("RA---SIN", ra_deg, -1), ("DEC--SIN", dec_deg, 1)), start=1
    ):
        header[f"NAXIS{axis}"] = size
        header[f"CTYPE{axis}"], header[f"CUNIT{axis}"] = name, "deg"
        header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = centre, size // 2 + 1.0
        header[f"CDELT{axis}"] = sign * scale_arcsec / 3600
    header["RADESYS"] = "ICRS"
    if freq_hz:
        header["RESTFRQ"] = freq_hz
    return header


def catalogue_mask(
    header: fits.Header,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    apparent_jy: ArrayLike,
    min_jy: float,
    radius_deg: float,
) -> NDArray[np.uint8]:
    """Discs about sources, on the pixels of an image.

    Parameters
    ----------
    header : with the image's celestial WCS and its NAXIS1, NAXIS2.
    ra_deg, dec_deg, apparent_jy : (n,) positions, and fluxes times the beam's response.
    min_jy : fainter sources make no disc.
    radius_deg : of a disc.

    Returns
    -------
    (ny, nx) 1 where CLEAN may put components, 0 elsewhere.
    """
    wcs = WCS(header).celestial
    shape = int(header["NAXIS2"]), int(header["NAXIS1"])
    mask = np.zeros(shape, dtype=np.uint8)
    wanted = np.asarray(apparent_jy) >= min_jy
    x, y = wcs.all_world2pix(np.asarray(ra_deg)[wanted], np.asarray(dec_deg)[wanted], 0)
    radius = radius_deg / float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))
    for x0, y0 in zip(x, y, strict=True):
        if not (np.isfinite(x0) and np.isfinite(y0)):
            continue  # behind the sky's horizon
        rows = _span(y0, radius, shape[0])
        columns = _span(x0, radius, shape[1])
        dy, dx = np.ogrid[rows, columns]
        mask[rows, columns] |= (np.hypot(dy - y0, dx - x0) <= radius).astype(np.uint8)
    return mask


def write_mask(path: Path, mask: NDArray[np.uint8], header: fits.Header) -> None:
    """Write a mask as compressed FITS of bytes, whole or not at all; equal masks, equal bytes."""
    hdu = fits.PrimaryHDU(mask, header)
    with (
        written_whole(Path(path)) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as stream,
    ):
        hdu.writeto(stream)


def _span(centre: float, radius: float, length: int) -> slice:
    low, high = int(np.ceil(centre - radius)), int(np.floor(centre + radius)) + 1
    return slice(min(max(low, 0), length), min(max(high, 0), length))
