"""FITS images as WSClean writes them: read to two dimensions, written whole and without clocks."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from contimg.digests import digest_of_arrays
from contimg.status import REJECTED_NOTE, Rejected, written_whole

FWHM_PER_SIGMA = float(np.sqrt(8.0 * np.log(2.0)))

# HISTORY holds WSClean's command line with its paths; DATE is a clock.
_DROPPED_CARDS = ("HISTORY", "COMMENT", "DATE", "CHECKSUM", "DATASUM", "REASON", "")


class Beam(NamedTuple):
    """Restoring beam: full widths at half power, and position angle from north through east."""

    bmaj_deg: float
    bmin_deg: float
    bpa_deg: float

    def covariance_deg2(self) -> NDArray[np.float64]:
        """(2, 2) covariance of the Gaussian over (east, north), square degrees."""
        angle = np.radians(self.bpa_deg)
        axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
        sigmas = np.array([self.bmaj_deg, self.bmin_deg]) / FWHM_PER_SIGMA
        return axes.T @ np.diag(sigmas**2) @ axes


@dataclass(frozen=True)
class Image:
    """A two-dimensional image.

    Attributes
    ----------
    data : (ny, nx) float32, Jy/beam for images.
    header : the file's header, all axes included.
    wcs : celestial WCS; pixel positions count from 0 in its ``all_world2pix(ra, dec, 0)``.
    beam : restoring beam; NaN where the file has none.
    freq_hz : frequency of the image; NaN where the file has none.
    """

    data: NDArray[np.float32]
    header: fits.Header
    wcs: WCS
    beam: Beam
    freq_hz: float

    @property
    def pixel_scale_deg(self) -> float:
        """Side of a (square) pixel at the reference point, degrees."""
        return pixel_scale_deg(self.wcs)

    def beam_covariance_pixels(self) -> NDArray[np.float64]:
        """(2, 2) covariance of the restoring beam over (x, y), square pixels.

        The beam is constant in the image plane of an interferometer, so north is that of the
        reference point, everywhere in the image.
        """
        to_pixels = np.linalg.inv(self.wcs.pixel_scale_matrix)
        return to_pixels @ self.beam.covariance_deg2() @ to_pixels.T


def pixel_scale_deg(wcs: WCS) -> float:
    """Side of a (square) pixel at the reference point, degrees."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))


def read_image(path: Path, require_beam: bool = True) -> Image:
    """Read the first image of a FITS file, degenerate axes squeezed.

    Parameters
    ----------
    path : a FITS image of two dimensions, or more of length one.
    require_beam : set to False for images without a restoring beam (models, primary beams).

    Raises
    ------
    Rejected
        When the file is a labelled empty product; the message is its reason. When the image has
        no restoring beam and needs one.
    ValueError
        When it is not one image.
    """
    with fits.open(path, memmap=False) as hdus:
        header, data = hdus[0].header.copy(), hdus[0].data
    if header.get("STATUS") == "rejected":
        raise Rejected(header.get("REASON", "") or f"{Path(path).name}: rejected, no reason given")
    if data is None or data.ndim < 2 or any(n != 1 for n in data.shape[:-2]):
        shape = None if data is None else data.shape
        raise ValueError(
            f"{path}: shape {shape} found, one image expected; write channels to separate files"
        )
    names = ("BMAJ", "BMIN", "BPA")
    missing = [name for name in names if name not in header]
    if require_beam and missing:
        raise Rejected(
            f"{path}: no restoring beam found: {', '.join(missing)} not in the header, BMAJ, BMIN "
            "and BPA (degrees) expected; give a restored image, or the residual or PSF of the same "
            "run, or write them to the header"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # it adds MJD-OBS to DATE-OBS
        wcs = WCS(header)
    return Image(
        data=np.ascontiguousarray(data.reshape(data.shape[-2:]), dtype=np.float32),
        header=header,
        wcs=wcs.celestial,
        beam=Beam(*(float(header.get(name, np.nan)) for name in names)),
        freq_hz=float(wcs.wcs.crval[wcs.wcs.spec]) if wcs.wcs.spec >= 0 else np.nan,
    )


def write_image(
    path: Path, data: NDArray, header: fits.Header, status: str = "ok", reason: str = ""
) -> None:
    """Write an image, whole or not at all, with nothing of the clock or the machine in it.

    Parameters
    ----------
    path : written to a temporary name beside it, then renamed.
    data : (ny, nx); stored as float32.
    header : WCS and metadata, as of a file read; degenerate axes in it are kept, HISTORY and DATE
        are not.
    status, reason : written to STATUS and REASON.
    """
    cards = header.copy()
    for name in _DROPPED_CARDS:
        cards.remove(name, ignore_missing=True, remove_all=True)
    cards["STATUS"] = (status, "ok or rejected")
    if reason:
        cards["REASON"] = _printable(reason)
    extra_axes = max(int(header.get("NAXIS", 2)), 2) - 2
    pixels = np.asarray(data, dtype=np.float32).reshape((1,) * extra_axes + np.shape(data))
    with written_whole(Path(path)) as temporary:
        fits.PrimaryHDU(pixels, cards).writeto(temporary)


def write_rejected_image(path: Path, reason: str) -> None:
    """Write the labelled empty product of an image: 2 x 2 pixels of NaN, STATUS and REASON."""
    empty = np.full((2, 2), np.nan, dtype=np.float32)
    write_image(path, empty, fits.Header(), status="rejected", reason=reason)


def write_rejected_set(path: Path, reason: str) -> None:
    """Write the labelled empty set: a note for people, and the image that imaging passes on."""
    with written_whole(path) as temporary:
        temporary.mkdir()
        (temporary / REJECTED_NOTE).write_text(reason + "\n")
        write_rejected_image(temporary / "rejected.fits", reason)


def pixel_digest(data: NDArray) -> str:
    """Digest of an image's values as float32; equal values (0 and -0, any NaN) digest alike."""
    pixels = np.asarray(data, dtype=np.float32) + np.float32(0.0)
    pixels = np.where(np.isnan(pixels), np.float32(np.nan), pixels)
    return digest_of_arrays([("pixels", pixels)])


def _printable(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()
