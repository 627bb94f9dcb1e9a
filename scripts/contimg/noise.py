"""Background and noise of an image, local and global, robust against sources."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

SIGMA_PER_MAD = 1.4826
CLIP_SIGMA = 3.0
_ITERATIONS = 3
_MIN_VALID_FRACTION = 0.25
_BAND_ROWS = 128


class ImageFigures(TypedDict):
    """Key figures of one image; see `image_figures`."""

    rms_jy: float
    peak_jy: float
    minimum_jy: float
    dynamic_range: float
    negative_bowl: float


def background_and_rms(
    data: NDArray[np.float32], box_pixels: int, step: int = 2
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Local background and noise: clipped median and MAD in boxes, interpolated between them.

    Parameters
    ----------
    data : (ny, nx); NaN is left out.
    box_pixels : side of a box; about 30 beams tells noise from sources.
    step : use every step-th pixel along each axis (neighbours in a beam say the same).

    Returns
    -------
    background, rms : (ny, nx) float32, of the unit of `data`; NaN throughout when no box has
        enough pixels.
    """
    counts = [max(2, round(n / box_pixels)) for n in data.shape]
    boxes = _boxes(data, counts, step)
    centre, sigma = _clipped_median_and_sigma(boxes.reshape(*counts, -1))
    edges = [np.linspace(0, n, count + 1) for n, count in zip(data.shape, counts, strict=True)]
    centres = [(edge[1:] + edge[:-1] - 1) / 2.0 for edge in edges]
    background, rms = (
        _interpolated(_filled(grid), centres, data.shape) for grid in (centre, sigma)
    )
    return background, rms


def robust_rms(data: NDArray) -> float:
    """Noise of a whole image: 1.4826 MAD, clipped at 3 sigma; NaN when nothing is finite."""
    flat = np.array(data[np.isfinite(data)], dtype=np.float32)
    if not flat.size:
        return float("nan")
    return float(_clipped_median_and_sigma(flat[None, None])[1][0, 0])


def image_figures(data: NDArray) -> ImageFigures:
    """Key figures of an image that is not corrected for the primary beam.

    Returns
    -------
    ``rms_jy`` (robust, of the whole image), ``peak_jy`` and ``minimum_jy``; ``dynamic_range``:
    peak over rms; ``negative_bowl``: minimum over rms, about -5 for noise alone.
    """
    rms = robust_rms(data)
    if not np.isfinite(rms):
        nan = float("nan")
        return ImageFigures(
            rms_jy=nan, peak_jy=nan, minimum_jy=nan, dynamic_range=nan, negative_bowl=nan
        )
    peak, minimum = float(np.nanmax(data)), float(np.nanmin(data))
    scale = rms if rms > 0 else float("nan")
    return ImageFigures(
        rms_jy=rms,
        peak_jy=peak,
        minimum_jy=minimum,
        dynamic_range=peak / scale,
        negative_bowl=minimum / scale,
    )


def _boxes(data: NDArray[np.float32], counts: list[int], step: int) -> NDArray[np.float32]:
    """Cut every step-th pixel into (counts[0], counts[1], box) with NaN where there is none."""
    thin = data[step // 2 :: step, step // 2 :: step]
    sides = [-(-n // count) for n, count in zip(thin.shape, counts, strict=True)]
    starts = [
        np.linspace(0, n, count + 1).round().astype(int)
        for n, count in zip(thin.shape, counts, strict=True)
    ]
    boxes = np.full((*counts, sides[0] + 1, sides[1] + 1), np.nan, dtype=np.float32)
    for i in range(counts[0]):
        for j in range(counts[1]):
            part = thin[starts[0][i] : starts[0][i + 1], starts[1][j] : starts[1][j + 1]]
            boxes[i, j, : part.shape[0], : part.shape[1]] = part
    return boxes


def _clipped_median_and_sigma(values: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """Median and 1.4826 MAD along the last axis, clipped; overwrites `values`.

    NaN is left out, and where less than a quarter is finite the result is NaN.
    """
    values[~np.isfinite(values)] = np.nan
    enough = np.isfinite(values).mean(axis=-1) >= _MIN_VALID_FRACTION
    for iteration in range(_ITERATIONS):
        centre = _median(values)
        deviation = np.abs(values - centre[..., None])
        sigma = SIGMA_PER_MAD * _median(deviation)
        if iteration < _ITERATIONS - 1:
            values[deviation > CLIP_SIGMA * sigma[..., None]] = np.nan
    return np.where(enough, centre, np.nan), np.where(enough, sigma, np.nan)


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of what is not NaN along the last axis (a sort puts NaN last)."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, values.shape[-1] - 1)
    middle = [np.take_along_axis(ordered, index, axis=-1) for index in (low, high)]
    return ((middle[0] + middle[1]) / 2.0)[..., 0]


def _filled(grid: NDArray) -> NDArray:
    """Give boxes without enough pixels the value of the nearest box that has them."""
    missing = ~np.isfinite(grid)
    if missing.all() or not missing.any():
        return grid
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return grid[tuple(nearest)]


def _interpolated(
    grid: NDArray, centres: list[NDArray], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Fill an image by linear interpolation between points, and with the nearest beyond them."""
    rows, columns = (np.arange(n) for n in shape)
    lines = np.array([np.interp(rows, centres[0], column) for column in grid.T])
    image = np.empty(shape, dtype=np.float32)
    ends = [0, *np.ceil(centres[1][1:-1]).astype(int), shape[1]]
    for point in range(len(lines) - 1):
        at = slice(ends[point], ends[point + 1])
        left, right = centres[1][point : point + 2]
        part = np.clip((columns[at] - left) / (right - left), 0.0, 1.0)
        for first in range(0, shape[0], _BAND_ROWS):
            band = slice(first, first + _BAND_ROWS)
            start = lines[point, band, None]
            image[band, at] = start + (lines[point + 1, band, None] - start) * part
    return image
