"""The beam's kernel, and the pixels around sources that weigh on their fluxes.

The kernel is evaluated at the subpixel position in pixel coordinates, with the position angle
counted from north at the image's centre: the synthesized beam is constant in the image plane,
whatever the direction of north at its edges (which turns by 3 deg at 2 deg from the centre at dec
+54).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from contimg.fits import FWHM_PER_SIGMA, Image

STAMP_BMAJ = 1.5
"""Half-width of the pixels that weigh on a flux, in BMAJ: the kernel is 0.002 there."""

_CHUNK_PIXELS = 200_000


@dataclass(frozen=True)
class Kernel:
    """The restoring beam in pixels: K(d) = exp(-d Q d / 2) for an offset d = (x, y)."""

    precision: NDArray[np.float64]
    half_width: int
    bmaj_pixels: float
    _tables: dict[tuple[int, ...], NDArray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, image: Image) -> "Kernel":
        """The kernel of an image's restoring beam."""
        covariance = image.beam_covariance_pixels()
        bmaj_pixels = FWHM_PER_SIGMA * float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
        half_width = int(np.ceil(STAMP_BMAJ * bmaj_pixels - 1e-6))
        return cls(np.linalg.inv(covariance).astype(float), half_width, bmaj_pixels)

    @property
    def area_pixels(self) -> float:
        """Sum of K over pixels: the beam's solid angle."""
        return float(2.0 * np.pi / np.sqrt(np.linalg.det(self.precision)))

    def __call__(self, dx: NDArray, dy: NDArray, widened: float = 1.0) -> NDArray[np.float64]:
        """K at offsets in pixels; `widened` by a factor in width."""
        q = self.precision / widened**2
        return np.exp(-0.5 * (q[0, 0] * dx**2 + q[1, 1] * dy**2) - q[0, 1] * dx * dy)

    def stamps(self, x: NDArray, y: NDArray) -> NDArray[np.float64]:
        """K of n sources on the pixels around each, (n, side, side); as `on_box`."""
        half = self.half_width
        offsets = np.arange(-half, half + 1, dtype=float)[None, :]
        of_column, of_row = self._factors(x - np.rint(x), y - np.rint(y), offsets, offsets)
        k = self._on_whole_pixels(half) * of_column[:, None, :]
        k *= of_row[:, :, None]
        return k

    def on_box(self, x: NDArray, y: NDArray, box: tuple[slice, slice]) -> NDArray[np.float64]:
        """K of n sources on the same rows and columns: (n, n_rows, n_columns).

        Notes
        -----
        With f the position within its pixel and c whole numbers, K(c - f) = K(c) exp(c Q f) times
        a constant, and the second factor splits into one of the column and one of the row: so
        exponentials are taken of lines, and K on whole pixels once for all sources.
        """
        rows, columns = (np.arange(span.start, span.stop, dtype=float) for span in box)
        column, row = np.rint(x), np.rint(y)
        c, r = columns - column[:, None], rows - row[:, None]
        of_column, of_row = self._factors(x - column, y - row, c, r)
        farthest = int(max(np.abs(c).max(), np.abs(r).max()))
        reach = -(-farthest // self.half_width) * self.half_width  # few sizes, made once each
        whole = self._on_whole_pixels(reach)
        k = of_row[:, :, None] * of_column[:, None, :]
        for one, left, top in zip(k, c[:, 0], r[:, 0], strict=True):
            i, j = int(left) + reach, int(top) + reach
            one *= whole[j : j + len(rows), i : i + len(columns)]
        return k

    def noise_products(self, maps: NDArray) -> NDArray[np.float64]:
        """Sum of a(p) K(p - q) b(q) over pixels p and q, for each two of n maps.

        Parameters
        ----------
        maps : (n, ny, nx), 0 where there are no pixels.

        Returns
        -------
        (n, n): the covariance of the maps' sums with noise of variance 1 that is correlated as K.
        """
        reach = 2 * self.half_width
        shape = [scipy.fft.next_fast_len(n + reach, real=True) for n in maps.shape[1:]]
        spectra = scipy.fft.rfft2(maps, shape).reshape(len(maps), -1)
        products = (spectra * self._power_spectrum(*shape).ravel()) @ spectra.conj().T
        return products.real / np.prod(shape)

    def _power_spectrum(self, ny: int, nx: int) -> NDArray[np.float64]:
        """Transform of K, with twice the part whose mirror image `rfft2` leaves out."""
        if (ny, nx) not in self._tables:
            dy, dx = scipy.fft.fftfreq(ny, 1 / ny), scipy.fft.fftfreq(nx, 1 / nx)
            power = scipy.fft.rfft2(self(dx[None, :], dy[:, None])).real
            power[:, 1 : (nx + 1) // 2] *= 2.0
            self._tables[ny, nx] = power
        return self._tables[ny, nx]

    def _on_whole_pixels(self, reach: int) -> NDArray[np.float64]:
        """K at whole pixels up to `reach` from the source: (2 reach + 1, 2 reach + 1)."""
        if (reach,) not in self._tables:
            line = np.arange(-reach, reach + 1, dtype=float)
            self._tables[(reach,)] = self(line[None, :], line[:, None])
        return self._tables[(reach,)]

    def _factors(
        self, fx: NDArray, fy: NDArray, columns: NDArray, rows: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What K on whole pixels is multiplied by, (n, n_columns) and (n, n_rows)."""
        q, fx, fy = self.precision, fx[:, None], fy[:, None]
        of_column = np.exp(columns * (q[0, 0] * fx + q[0, 1] * fy) - 0.5 * q[0, 0] * fx**2)
        of_row = np.exp(
            rows * (q[1, 1] * fy + q[0, 1] * fx) - 0.5 * q[1, 1] * fy**2 - q[0, 1] * fx * fy
        )
        return of_column, of_row


@dataclass(frozen=True)
class Stamps:
    """Square pixels around n sources, (n, side, side) each.

    Attributes
    ----------
    dx, dy : (n, 1, side) and (n, side, 1) offsets from the source.
    root_weight : 1 / n, 0 where there are no data.
    data : (image - background) / n, 0 where there are none.
    """

    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    root_weight: NDArray[np.float64]
    data: NDArray[np.float64]


def chunks_of(rows: NDArray[np.intp], kernel: Kernel) -> Iterator[NDArray[np.intp]]:
    """Portions of `rows` whose stamps stay in a processor's cache."""
    size = max(1, _CHUNK_PIXELS // (2 * kernel.half_width + 1) ** 2)
    return (rows[i : i + size] for i in range(0, len(rows), size))


def cut_stamps(x: NDArray, y: NDArray, half_width: int, clean: NDArray, rms: NDArray) -> Stamps:
    """Cut the pixels around positions out of an image without background, and out of its noise."""
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    data, root_weight = scaled(*(_cut(array, column, row, half_width) for array in (clean, rms)))
    offsets = np.arange(-half_width, half_width + 1)
    return Stamps(
        dx=(column - x)[:, None, None] + offsets[None, None, :],
        dy=(row - y)[:, None, None] + offsets[None, :, None],
        root_weight=root_weight,
        data=data,
    )


def scaled(
    data: NDArray[np.float32], rms: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Data in units of their noise n, and 1 / n; 0 where either is unknown. Overwrites both."""
    np.reciprocal(rms, out=rms, where=rms != 0)
    data *= rms
    good = np.isfinite(data) & (rms > 0)
    if not good.all():
        data[~good], rms[~good] = 0.0, 0.0
    return data.astype(float), rms.astype(float)


def _cut(array: NDArray, column: NDArray, row: NDArray, half: int) -> NDArray[np.float32]:
    """(n, side, side) pixels around whole pixels; NaN beyond the array."""
    side = 2 * half + 1
    left, top = column - half, row - half
    inside = (left >= 0) & (top >= 0)
    inside &= (left + side <= array.shape[1]) & (top + side <= array.shape[0])
    cut = np.empty((len(column), side, side), dtype=np.float32)
    for one, x, y, whole in zip(cut, left.tolist(), top.tolist(), inside.tolist(), strict=True):
        if whole:
            one[:] = array[y : y + side, x : x + side]
            continue
        part = array[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
        one[:] = np.nan
        y, x = max(-y, 0), max(-x, 0)
        one[y : y + part.shape[0], x : x + part.shape[1]] = part
    return cut
