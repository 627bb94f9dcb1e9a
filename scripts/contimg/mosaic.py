"""Mosaics: tiles brought to one beam and one grid, and averaged by their weights.

- **Beam.** Every tile is convolved to one circular beam, the largest BMAJ of the tiles. A circle
  is the only beam that means the same all over a mosaic: elliptical beams of tiles turn with
  their local north. The price is resolution along the minor axis.
- **Noise.** Convolution correlates and lowers it, so it is measured again, in each convolved tile.
- **Grid.** Zenithal equal-area about the middle of the tiles: a beam keeps its solid angle all
  over the mosaic (to any width, where the gnomonic projection is 1.2 % off at 5 degrees).
- **Resampling.** Cubic splines lose less than 0.1 % of a point source at 4 pixels a beam;
  linear interpolation loses 4 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.fft
from astropy.io import fits as astropy_fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import binary_dilation, map_coordinates, spline_filter

from contimg.fits import Beam, Image, read_image
from contimg.flux_check import failed_limits
from contimg.noise import background_and_rms
from contimg.status import Rejected

Weighting = Literal["pb", "noise", "mean"]

_FOOTPRINT_STEP = 16
_COORDINATE_STEP = 64
_BAND_ROWS = 512
_SPLINE_REACH = 4


@dataclass(frozen=True)
class Tile:
    """One image of a mosaic: its name, the image **before** correction for the beam, the beam."""

    name: str
    image: Path
    pb: Path


@dataclass(frozen=True)
class TileInfo:
    """What decides whether a tile may go into a mosaic.

    Attributes
    ----------
    name : the tile's group.
    mjd : mid-time, UTC.
    status, reason : of the image.
    pixel_scale_deg, bmaj_deg : of the image.
    figures : figures of merit by name (flux ratio, astrometric offset, noise).
    """

    name: str
    mjd: float
    status: str
    reason: str
    pixel_scale_deg: float
    bmaj_deg: float
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TileLimits:
    """Gates on tiles: total span, largest beam over the median one, and ranges of figures."""

    max_span_minutes: float = 60.0
    max_beam_ratio: float = 1.5
    figures: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Mosaic:
    """A mosaic: data and rms in Jy/beam (NaN where no tile is), weight (0 there), header."""

    data: NDArray[np.float32]
    weight: NDArray[np.float32]
    rms: NDArray[np.float32]
    header: astropy_fits.Header


@dataclass(frozen=True)
class _Outline:
    """What the grid must know of a tile before its pixels are combined."""

    name: str
    header: astropy_fits.Header
    wcs: WCS
    beam: Beam
    freq_hz: float
    pixel_scale_deg: float
    ra_deg: NDArray
    dec_deg: NDArray


def check_tiles(
    tiles: Sequence[TileInfo], limits: TileLimits
) -> tuple[dict[str, list[str]], list[str]]:
    """Say why tiles, and the mosaic as a whole, must not be combined.

    Returns
    -------
    Reasons by tile name (an empty list is a good tile), and reasons against the whole mosaic
    (no good tile, or good tiles that span too long).
    """
    whole = [tile for tile in tiles if tile.status == "ok"]
    scale = float(np.median([tile.pixel_scale_deg for tile in whole])) if whole else np.nan
    bmaj = float(np.median([tile.bmaj_deg for tile in whole])) if whole else np.nan
    reasons: dict[str, list[str]] = {}
    for tile in tiles:
        if tile.status != "ok":
            reasons[tile.name] = [tile.reason or f"status is {tile.status}"]
            continue
        found = failed_limits(tile.figures, limits.figures)
        if not np.isclose(tile.pixel_scale_deg, scale, rtol=1e-6):
            found.append(
                f"pixels of {tile.pixel_scale_deg * 3600:.4g} arcsec, "
                f"{scale * 3600:.4g} arcsec in most tiles"
            )
        if tile.bmaj_deg > limits.max_beam_ratio * bmaj:
            found.append(
                f"beam of {tile.bmaj_deg * 3600:.3g} arcsec, {bmaj * 3600:.3g} arcsec in the median"
            )
        reasons[tile.name] = found
    times = [tile.mjd for tile in tiles if not reasons[tile.name]]
    if not times:
        return reasons, ["no tile is good"]
    span = (max(times) - min(times)) * 1440.0
    if span > limits.max_span_minutes:
        return reasons, [f"tiles span {span:.1f} minutes, {limits.max_span_minutes:g} allowed"]
    return reasons, []


def common_beam(beams: Sequence[Beam]) -> Beam:
    """The smallest circular beam that every one of `beams` can be convolved to."""
    largest = max(beam.bmaj_deg for beam in beams)
    return Beam(largest, largest, 0.0)


def convolve_to_beam(image: Image, beam: Beam) -> NDArray[np.float32]:
    """Convolve an image in Jy/beam to a larger beam, point sources keeping their peaks.

    Parameters
    ----------
    image : image with its restoring beam; NaN stays NaN and counts as 0 for its neighbours.
    beam : the new beam; must enclose the image's.

    Returns
    -------
    (ny, nx) float32, Jy per new beam.

    Raises
    ------
    ValueError
        When the new beam does not enclose the image's.

    Notes
    -----
    The kernel is the Gaussian whose covariance is the difference of the two, taken in Fourier
    space, where it stays well defined when it has no width along one axis.
    """
    to_pixels = np.linalg.inv(image.wcs.pixel_scale_matrix)
    old = image.beam_covariance_pixels()
    new = to_pixels @ beam.covariance_deg2() @ to_pixels.T
    extra = new - old
    width = np.linalg.eigvalsh(extra)
    if width[0] < -1e-4 * np.trace(new):
        raise ValueError(f"beam {tuple(beam)} deg does not enclose the image's {tuple(image.beam)}")
    blank = ~np.isfinite(image.data)
    pad = int(np.ceil(5.0 * np.sqrt(max(width[1], 0.0))))
    shape = [scipy.fft.next_fast_len(n + pad, real=True) for n in image.data.shape]
    spectrum = scipy.fft.rfft2(np.where(blank, np.float32(0), image.data), shape)
    v, u = scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None, :]
    scale = np.sqrt(np.linalg.det(new) / np.linalg.det(old))
    quadratic = extra[0, 0] * u**2 + 2.0 * extra[0, 1] * u * v + extra[1, 1] * v**2
    spectrum *= (scale * np.exp(-2.0 * np.pi**2 * quadratic)).astype(np.float32)
    ny, nx = image.data.shape
    smooth = scipy.fft.irfft2(spectrum, shape)[:ny, :nx]
    return np.where(blank, np.float32(np.nan), smooth)


def build_mosaic(
    tiles: Sequence[Tile],
    weighting: Weighting = "pb",
    pb_limit: float = 0.2,
    noise_box_beams: float = 30.0,
) -> Mosaic:
    """Combine tiles into a mosaic, one tile in memory at a time.

    Parameters
    ----------
    tiles : good tiles (see `check_tiles`), in any order.
    weighting : of the corrected tiles: "pb" PB^2 / sigma^2 (best S/N), "noise" 1 / sigma^2,
        "mean" 1, sigma being the noise of the un-corrected image.
    pb_limit : a tile counts where its primary beam is above this.
    noise_box_beams : side of the boxes that noise is measured in, in BMAJ.

    Returns
    -------
    The mosaic; its rms is sqrt(sum(w^2 sigma^2 / PB^2)) / sum(w), which is 1 / sqrt(sum(w)) for
    the weighting "pb". The header has the common beam, and each tile's name and own beam.

    Raises
    ------
    Rejected
        When there is no tile, a tile is rejected, or none is above `pb_limit` anywhere.
    """
    outlines = [_outline(tile, pb_limit) for tile in tiles]
    if not any(outline.ra_deg.size for outline in outlines):
        raise Rejected(f"none of {len(tiles)} tiles has a primary beam above {pb_limit:g}")
    beam = common_beam([outline.beam for outline in outlines])
    grid, shape = _grid(outlines)
    total, weight, variance = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    for tile, outline in zip(tiles, outlines, strict=True):
        image = read_image(tile.image)
        pb = read_image(tile.pb, require_beam=False).data
        data = convolve_to_beam(image, beam)
        box = round(noise_box_beams * beam.bmaj_deg / image.pixel_scale_deg)
        noise = background_and_rms(data, box)[1]
        for where, flux, attenuation, sigma in _resampled(
            outline, data, pb, noise, grid, shape, pb_limit
        ):
            w = _weight(weighting, attenuation, sigma)
            seen = w > 0
            total[where] += np.where(seen, w * flux / attenuation, 0)
            weight[where] += np.where(seen, w, 0)
            variance[where] += np.where(seen, (w * sigma / attenuation) ** 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total /= weight
        np.sqrt(variance, out=variance)
        variance /= weight
    return Mosaic(total, weight, variance, _header(outlines, grid, beam, weighting, pb_limit))


def _weight(weighting: Weighting, pb: NDArray, sigma: NDArray) -> NDArray[np.float32]:
    """Weight of a corrected tile; 0 where `pb` or `sigma` is NaN or sigma is not positive."""
    good = np.isfinite(pb) & (sigma > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if weighting == "pb":
            values = (pb / sigma) ** 2
        elif weighting == "noise":
            values = 1.0 / sigma**2
        elif weighting == "mean":
            values = np.ones_like(pb)
        else:
            raise ValueError(f"weighting {weighting!r}: expected 'pb', 'noise' or 'mean'")
    return np.where(good, values, 0).astype(np.float32)


def _outline(tile: Tile, pb_limit: float) -> _Outline:
    image = read_image(tile.image)
    pb = read_image(tile.pb, require_beam=False).data
    if pb.shape != image.data.shape:
        raise ValueError(
            f"{tile.pb}: shape {pb.shape} found, {image.data.shape} of {tile.image} expected; "
            "make the primary beam again from this image"
        )
    rows, columns = np.nonzero(pb[::_FOOTPRINT_STEP, ::_FOOTPRINT_STEP] > pb_limit)
    ra, dec = image.wcs.all_pix2world(columns * _FOOTPRINT_STEP, rows * _FOOTPRINT_STEP, 0)
    return _Outline(
        tile.name, image.header, image.wcs, image.beam, image.freq_hz, image.pixel_scale_deg,
        ra, dec,
    )  # fmt: skip


def _grid(outlines: Sequence[_Outline]) -> tuple[WCS, tuple[int, int]]:
    """Zenithal equal-area grid about the tiles' middle, covering all of their outlines."""
    longitude, latitude = np.radians([outline.wcs.wcs.crval for outline in outlines]).T
    x, y, z = (
        np.mean(np.cos(latitude) * np.cos(longitude)),
        np.mean(np.cos(latitude) * np.sin(longitude)),
        np.mean(np.sin(latitude)),
    )
    centre = np.degrees([np.arctan2(y, x) % (2 * np.pi), np.arctan2(z, np.hypot(x, y))])
    scale = min(outline.pixel_scale_deg for outline in outlines)
    grid = WCS(naxis=2)
    grid.wcs.ctype = ["RA---ZEA", "DEC--ZEA"]
    grid.wcs.crval = list(centre)
    grid.wcs.cdelt = [-scale, scale]
    grid.wcs.cunit = ["deg", "deg"]
    grid.wcs.radesys = outlines[0].wcs.wcs.radesys
    grid.wcs.equinox = outlines[0].wcs.wcs.equinox
    grid.wcs.crpix = [1.0, 1.0]
    points = np.concatenate([_pixels(outline, grid) for outline in outlines], axis=1)
    low = np.floor(points.min(axis=1)).astype(int) - _FOOTPRINT_STEP
    high = np.ceil(points.max(axis=1)).astype(int) + _FOOTPRINT_STEP
    grid.wcs.crpix = list(1.0 - low)
    grid.wcs.set()
    width, height = high - low + 1
    return grid, (int(height), int(width))


def _pixels(outline: _Outline, grid: WCS) -> NDArray[np.float64]:
    return np.array(grid.all_world2pix(outline.ra_deg, outline.dec_deg, 0))


def _resampled(
    outline: _Outline,
    data: NDArray,
    pb: NDArray,
    noise: NDArray,
    grid: WCS,
    shape: tuple[int, int],
    pb_limit: float,
) -> Iterator[tuple[tuple[slice, slice], NDArray, NDArray, NDArray]]:
    """Give bands of the mosaic: where, and the tile's data, beam and noise there (NaN outside)."""
    if not outline.ra_deg.size:
        return
    blank = ~np.isfinite(data)
    if blank.any():
        blank = binary_dilation(blank, iterations=_SPLINE_REACH)
    spline = spline_filter(np.where(np.isfinite(data), data, 0), order=3, output=np.float32)
    beam = np.where(blank | ~np.isfinite(pb), np.float32(0), pb)
    points = _pixels(outline, grid)
    low = np.maximum(np.floor(points.min(axis=1)).astype(int) - _FOOTPRINT_STEP, 0)
    high = np.minimum(np.ceil(points.max(axis=1)).astype(int) + _FOOTPRINT_STEP, shape[::-1])
    columns = np.arange(low[0], high[0])
    x_of, y_of = _tile_coordinates(outline.wcs, grid, low, high)
    for first in range(low[1], high[1], _BAND_ROWS):
        rows = np.arange(first, min(first + _BAND_ROWS, high[1]))
        at = np.stack([y_of(rows, columns), x_of(rows, columns)]).astype(np.float64)
        attenuation = map_coordinates(beam, at, order=1, cval=0.0)
        attenuation[~(attenuation > pb_limit)] = np.nan
        flux = map_coordinates(spline, at, order=3, prefilter=False, output=np.float32)
        sigma = map_coordinates(noise, at, order=1, cval=np.nan)
        yield (slice(rows[0], rows[-1] + 1), slice(low[0], high[0])), flux, attenuation, sigma


def _tile_coordinates(
    tile: WCS, grid: WCS, low: NDArray, high: NDArray
) -> tuple[RectBivariateSpline, RectBivariateSpline]:
    """Tile pixel (x, y) as splines of mosaic (row, column), exact to 1e-6 pixel."""
    columns, rows = (
        np.linspace(a, b, max(4, int((b - a) / _COORDINATE_STEP) + 2))
        for a, b in zip(low, high, strict=True)
    )
    x, y = tile.all_world2pix(*grid.all_pix2world(*np.meshgrid(columns, rows), 0), 0)
    return RectBivariateSpline(rows, columns, x), RectBivariateSpline(rows, columns, y)


def _header(
    outlines: Sequence[_Outline], grid: WCS, beam: Beam, weighting: Weighting, pb_limit: float
) -> astropy_fits.Header:
    header = astropy_fits.Header()
    header["NAXIS"] = 4
    header.update(grid.to_header())
    header["WCSAXES"] = 4
    first = outlines[0].header
    header["CTYPE3"], header["CRPIX3"], header["CUNIT3"] = "FREQ", 1.0, "Hz"
    header["CRVAL3"] = float(np.mean([outline.freq_hz for outline in outlines]))
    header["CDELT3"] = first.get("CDELT3", 1.0)
    header["CTYPE4"], header["CRPIX4"], header["CRVAL4"], header["CDELT4"] = "STOKES", 1.0, 1.0, 1.0
    header["BUNIT"] = "Jy/beam"
    header["BMAJ"], header["BMIN"], header["BPA"] = beam
    header["MOSWT"] = (weighting, "weights of the tiles")
    header["PBLIMIT"] = (pb_limit, "tiles count above this primary beam")
    header["NTILES"] = len(outlines)
    for i, outline in enumerate(outlines, start=1):
        header[f"TILE{i:04d}"] = (outline.name, "tile, and its own beam (deg)")
        names = (f"TMAJ{i:04d}", f"TMIN{i:04d}", f"TPA{i:04d}")
        header.update(dict(zip(names, outline.beam, strict=True)))
    return header
