"""Synthetic WSClean images for the tests: made with astropy's models, not with the library."""

import numpy as np
from astropy.io import fits as afits
from astropy.modeling.models import Gaussian2D
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from contimg.fits import Beam, Image

BEAM = Beam(16.0 / 3600, 11.0 / 3600, 35.0)


def sin_header(
    centre: tuple[float, float] = (89.0, 54.0),
    shape: tuple[int, int] = (256, 256),
    cell_arcsec: float = 3.0,
    beam: Beam = BEAM,
) -> afits.Header:
    """Header of a SIN image as WSClean writes it: reference pixel n/2 + 1, frequency axis."""
    header = afits.Header()
    header["NAXIS"] = 4
    header["NAXIS1"], header["NAXIS2"] = shape[1], shape[0]
    header["NAXIS3"] = header["NAXIS4"] = 1
    cell = cell_arcsec / 3600
    axes = [("RA---SIN", centre[0], -cell, shape[1] // 2 + 1, "deg")]
    axes += [("DEC--SIN", centre[1], cell, shape[0] // 2 + 1, "deg")]
    axes += [("FREQ", 1.405e9, 1.875e8, 1, "Hz"), ("STOKES", 1, 1, 1, "")]
    for i, (ctype, crval, cdelt, crpix, unit) in enumerate(axes, start=1):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"] = ctype, float(crval)
        header[f"CDELT{i}"], header[f"CRPIX{i}"] = float(cdelt), float(crpix)
        header[f"CUNIT{i}"] = unit
    header["RADESYS"], header["EQUINOX"], header["BUNIT"] = "FK5", 2000.0, "JY/BEAM"
    header["BMAJ"], header["BMIN"], header["BPA"] = beam
    return header


def image_of(data: np.ndarray, header: afits.Header) -> Image:
    """An `Image` as `read_image` would give it."""
    beam = Beam(*(header[name] for name in ("BMAJ", "BMIN", "BPA")))
    return Image(data.astype(np.float32), header, WCS(header).celestial, beam, 1.405e9)


def inject(
    data: np.ndarray, header: afits.Header, x: np.ndarray, y: np.ndarray, flux_jy: np.ndarray
) -> None:
    """Add point sources at pixel positions, as restored by WSClean (north along y)."""
    cell = abs(header["CDELT2"])
    fwhm_to_sigma = 1 / np.sqrt(8 * np.log(2)) / cell
    half = int(np.ceil(3 * header["BMAJ"] / cell))
    for x0, y0, flux in np.broadcast(x, y, flux_jy):
        xi, yi = round(float(x0)), round(float(y0))
        rows = slice(max(0, yi - half), max(0, yi + half + 1))
        columns = slice(max(0, xi - half), max(0, xi + half + 1))
        yy, xx = np.mgrid[rows, columns]
        part = data[rows, columns]
        model = Gaussian2D(
            flux, x0, y0, header["BMAJ"] * fwhm_to_sigma, header["BMIN"] * fwhm_to_sigma,
            theta=np.radians(90 + header["BPA"]),
        )  # fmt: skip
        part += model(xx, yy)[: part.shape[0], : part.shape[1]]


def beam_noise(shape: tuple[int, int], rms: float, fwhm_pixels: float, seed: int) -> np.ndarray:
    """Noise of given rms whose autocorrelation is a round beam, as an interferometer's is."""
    white = np.random.default_rng(seed).normal(size=shape)
    noise = gaussian_filter(white, fwhm_pixels / np.sqrt(8 * np.log(2)) / np.sqrt(2), mode="wrap")
    return noise * rms / noise.std()
