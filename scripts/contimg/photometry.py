"""Forced photometry: fluxes of point sources at known positions, and fits that free them.

A point source in an image in Jy/beam is its flux times the beam kernel K of unit peak. The kernel
is evaluated at the subpixel position in pixel coordinates, with the position angle counted from
north at the image's centre: the synthesized beam is constant in the image plane, whatever the
direction of north at its edges (which turns by 3 deg at 2 deg from the centre at dec +54).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from contimg.fits import FWHM_PER_SIGMA, Image

STAMP_BMAJ = 1.5
"""Half-width of the pixels that weigh on a flux, in BMAJ: the kernel is 0.002 there."""

BLEND_BMAJ = 1.5
"""Neighbours closer than this, in BMAJ, are fitted jointly."""

_CHUNK_PIXELS = 2_000_000
_MIN_KERNEL_FRACTION = 0.5
_FREE_FIT_SNR = 5.0
_POSITION_ITERATIONS = 12
_POSITION_TOLERANCE_PIXELS = 1e-4


@dataclass(frozen=True)
class Kernel:
    """The restoring beam in pixels: K(d) = exp(-d Q d / 2) for an offset d = (x, y)."""

    precision: NDArray[np.float64]
    half_width: int
    bmaj_pixels: float

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


@dataclass(frozen=True)
class _Stamps:
    """Pixels around n sources: offsets from the source, data, and weights 1 / rms^2."""

    dx: NDArray
    dy: NDArray
    data: NDArray
    weight: NDArray


def measure_fluxes(
    image: Image,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    background: NDArray[np.float32],
    rms: NDArray[np.float32],
    blend_bmaj: float = BLEND_BMAJ,
) -> pd.DataFrame:
    """Forced fluxes of point sources, S = sum(d K / n^2) / sum(K^2 / n^2).

    Parameters
    ----------
    image : image in Jy/beam with its restoring beam.
    ra_deg, dec_deg : (n,) ICRS positions, degrees.
    background, rms : (ny, nx) local background and noise n, Jy/beam; d is data - background.
    blend_bmaj : sources closer than this, in BMAJ, are fitted jointly.

    Returns
    -------
    A row a source, in the order given: ``x_pix``, ``y_pix`` (from 0), ``flux_jy`` (negative
    values are kept), ``flux_err_jy``, ``rms_jy`` (kernel-weighted local noise), ``chi2`` (mean of
    ((d - model) / n)^2 over the pixels used, 1 for noise), ``blended``, ``edge`` (a part of the
    kernel's pixels is outside or NaN), ``status``: "ok", "edge" (as `edge`, measured), "nan" (the
    centre or half of the kernel is NaN: no flux) or "outside" (of the image: no flux).

    Notes
    -----
    Noise of an interferometer is correlated as the beam itself (autocorrelation K), so that

        cov(S) = N^-1 M N^-1,  N_ij = sum(K_i K_j / n^2),  M_ij = A^2/3 K(d_ij / sqrt 3) / (n_i n_j)

    with A the beam's area in pixels. For a lone source flux_err is sqrt(4/3) rms; the naive
    1 / sqrt(sum(K^2 / n^2)) would be several times too small.
    """
    kernel = Kernel.of(image)
    x, y = _pixel_positions(image, ra_deg, dec_deg)
    table = _empty_table(x, y)
    inside = np.flatnonzero(_is_inside(x, y, image.data.shape))
    clean = image.data - background
    variance = np.where(np.isfinite(clean) & (rms > 0), rms, np.nan) ** 2
    for chunk in _chunks(inside, kernel):
        _measure_alone(table, chunk, kernel, clean, variance)
    for members in _blends(table, kernel, blend_bmaj):
        _measure_blend(table, members, kernel, clean, variance)
    return table


def fit_free_positions(
    image: Image,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    background: NDArray[np.float32],
    rms: NDArray[np.float32],
) -> pd.DataFrame:
    """Least-squares flux and position of bright lone sources, the shape held at the beam's.

    Parameters
    ----------
    As for `measure_fluxes`; the positions are where the fit starts.

    Returns
    -------
    A row a source: ``ra_deg``, ``dec_deg`` (fitted), ``flux_jy``, ``snr`` (flux over local rms),
    ``dra_arcsec`` (on the sky, times cos dec), ``ddec_arcsec`` (fitted - given), ``converged``
    (within half a BMAJ of the start, at S/N 5 or more; the fitted values are NaN where it did not).
    """
    kernel = Kernel.of(image)
    forced = measure_fluxes(image, ra_deg, dec_deg, background, rms)
    clean = image.data - background
    variance = np.where(np.isfinite(clean) & (rms > 0), rms, np.nan) ** 2
    fit = np.full((len(forced), 3), np.nan)
    for chunk in _chunks(np.flatnonzero(forced["status"] == "ok"), kernel):
        start = forced.loc[chunk, ["x_pix", "y_pix"]].to_numpy()
        flux = forced.loc[chunk, "flux_jy"].to_numpy()
        fit[chunk] = _fit_chunk(start, flux, kernel, clean, variance)
    fit[~(fit[:, 2] >= _FREE_FIT_SNR * forced["rms_jy"].to_numpy())] = np.nan
    ra, dec = image.wcs.all_pix2world(fit[:, 0], fit[:, 1], 0)
    ra_given, dec_given = np.broadcast_arrays(np.asarray(ra_deg), np.asarray(dec_deg))
    turn = (ra - ra_given + 180.0) % 360.0 - 180.0
    return pd.DataFrame(
        {
            "ra_deg": ra % 360.0,
            "dec_deg": dec,
            "flux_jy": fit[:, 2],
            "snr": fit[:, 2] / forced["rms_jy"].to_numpy(),
            "dra_arcsec": turn * np.cos(np.radians(dec_given)) * 3600.0,
            "ddec_arcsec": (dec - dec_given) * 3600.0,
            "converged": np.isfinite(fit[:, 2]),
        }
    )


def _pixel_positions(
    image: Image, ra_deg: ArrayLike, dec_deg: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ra = np.atleast_1d(np.asarray(ra_deg, dtype=float))
    dec = np.atleast_1d(np.asarray(dec_deg, dtype=float))
    if not ra.size:
        return ra, dec
    x, y = image.wcs.all_world2pix(ra, dec, 0)
    return x, y


def _empty_table(x: NDArray, y: NDArray) -> pd.DataFrame:
    n = len(x)
    measured = ("flux_jy", "flux_err_jy", "rms_jy", "chi2")
    return pd.DataFrame(
        {"x_pix": x, "y_pix": y}
        | {name: np.full(n, np.nan) for name in measured}
        | {"blended": np.zeros(n, bool), "edge": np.zeros(n, bool)}
        | {"status": np.full(n, "outside", dtype=object)}
    )


def _is_inside(x: NDArray, y: NDArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    ny, nx = shape
    return (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)


def _chunks(rows: NDArray[np.intp], kernel: Kernel) -> list[NDArray[np.intp]]:
    size = max(1, _CHUNK_PIXELS // (2 * kernel.half_width + 1) ** 2)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _cut_stamps(
    x: NDArray, y: NDArray, half_width: int, clean: NDArray, variance: NDArray
) -> _Stamps:
    """Gather (n, side, side) pixels around positions; weight 0 where there is no data."""
    offsets = np.arange(-half_width, half_width + 1)
    columns = np.rint(x).astype(int)[:, None, None] + offsets[None, None, :]
    rows = np.rint(y).astype(int)[:, None, None] + offsets[None, :, None]
    ny, nx = clean.shape
    exists = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    at = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    weight = np.where(exists, 1.0 / variance[at], np.nan)
    good = np.isfinite(weight)
    return _Stamps(
        dx=columns - x[:, None, None],
        dy=rows - y[:, None, None],
        data=np.where(good, clean[at], 0.0).astype(float),
        weight=np.where(good, weight, 0.0).astype(float),
    )


def _measure_alone(
    table: pd.DataFrame, rows: NDArray, kernel: Kernel, clean: NDArray, variance: NDArray
) -> None:
    """Fill `rows` of the table with fluxes of sources taken one by one."""
    x, y = table["x_pix"].to_numpy()[rows], table["y_pix"].to_numpy()[rows]
    stamps = _cut_stamps(x, y, kernel.half_width, clean, variance)
    k = kernel(stamps.dx, stamps.dy)
    used = stamps.weight > 0
    kernel_power = np.sum(k**2 * used, axis=(1, 2))
    fraction = kernel_power / np.sum(k**2, axis=(1, 2))
    half = kernel.half_width
    seen = used[:, half, half] & (fraction >= _MIN_KERNEL_FRACTION)
    cut = ~used.all(axis=(1, 2))

    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.sum(k**2 * stamps.weight, axis=(1, 2))
        flux = np.sum(stamps.data * k * stamps.weight, axis=(1, 2)) / norm
        rms = np.sqrt(kernel_power / norm)
        flux_err = kernel.area_pixels * np.sqrt(fraction / 3.0) / rms / norm
        residual = stamps.data - flux[:, None, None] * k
        chi2 = np.sum(residual**2 * stamps.weight, axis=(1, 2)) / used.sum(axis=(1, 2))
    values = np.column_stack([flux, flux_err, rms, chi2])
    table.loc[rows, ["flux_jy", "flux_err_jy", "rms_jy", "chi2"]] = np.where(
        seen[:, None], values, np.nan
    )
    table.loc[rows, "edge"] = cut
    table.loc[rows, "status"] = np.where(~seen, "nan", np.where(cut, "edge", "ok"))


def _blends(table: pd.DataFrame, kernel: Kernel, blend_bmaj: float) -> list[NDArray[np.intp]]:
    """Rows of each group of measured sources whose neighbours are closer than `blend_bmaj`."""
    rows = np.flatnonzero(np.isfinite(table["flux_jy"]))
    if len(rows) < 2:
        return []
    positions = table[["x_pix", "y_pix"]].to_numpy()[rows]
    pairs = cKDTree(positions).query_pairs(blend_bmaj * kernel.bmaj_pixels, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(rows), len(rows)))
    _, label = connected_components(links, directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [rows[group] for group in groups if len(group) > 1]


def _measure_blend(
    table: pd.DataFrame, members: NDArray, kernel: Kernel, clean: NDArray, variance: NDArray
) -> None:
    """Fill the rows of one group of neighbours with fluxes fitted jointly.

    Sources too close to be told apart share their flux (least norm).
    """
    x, y = table["x_pix"].to_numpy()[members], table["y_pix"].to_numpy()[members]
    near, at = _pixels_near(x, y, kernel.half_width, clean.shape)
    weight = 1.0 / variance[at]
    good = np.isfinite(weight)
    at, near, weight = (at[0][good], at[1][good]), near[:, good], weight[good]
    k = kernel(at[1] - x[:, None], at[0] - y[:, None])

    inverse = np.linalg.pinv((k * weight) @ k.T, rcond=1e-6, hermitian=True)
    flux = inverse @ (k @ (clean[at] * weight))
    rms = table["rms_jy"].to_numpy()[members]
    correlated = kernel(x[:, None] - x, y[:, None] - y, widened=np.sqrt(3.0))
    middle = kernel.area_pixels**2 / 3.0 * correlated / np.outer(rms, rms)
    covariance = inverse @ middle @ inverse
    squares = (clean[at] - flux @ k) ** 2 * weight
    table.loc[members, "flux_jy"] = flux
    table.loc[members, "flux_err_jy"] = np.sqrt(np.diag(covariance))
    table.loc[members, "chi2"] = (near @ squares) / near.sum(axis=1)
    table.loc[members, "blended"] = True


def _pixels_near(
    x: NDArray, y: NDArray, half_width: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], tuple[NDArray, NDArray]]:
    """Pixels in any source's stamp: (n_source, n_pixel) which are whose, and (rows, columns)."""
    corner = [np.rint(v).astype(int) for v in (y, x)]
    spans = [
        np.arange(max(0, c.min() - half_width), min(n, c.max() + half_width + 1))
        for c, n in zip(corner, shape, strict=True)
    ]
    rows, columns = (grid.ravel() for grid in np.meshgrid(*spans, indexing="ij"))
    near = np.abs(rows - corner[0][:, None]) <= half_width
    near &= np.abs(columns - corner[1][:, None]) <= half_width
    wanted = near.any(axis=0)
    return near[:, wanted], (rows[wanted], columns[wanted])


def _fit_chunk(
    start: NDArray, flux: NDArray, kernel: Kernel, clean: NDArray, variance: NDArray
) -> NDArray[np.float64]:
    """Gauss-Newton for (x, y, flux) of each source; NaN where it does not converge."""
    stamps = _cut_stamps(start[:, 0], start[:, 1], kernel.half_width, clean, variance)
    q = kernel.precision
    shift, flux = np.zeros_like(start), flux.copy()
    step = np.full_like(start, np.inf)
    for _ in range(_POSITION_ITERATIONS):
        dx = stamps.dx - shift[:, 0, None, None]
        dy = stamps.dy - shift[:, 1, None, None]
        k = kernel(dx, dy)
        slope = flux[:, None, None] * k
        design = np.stack(
            [slope * (q[0, 0] * dx + q[0, 1] * dy), slope * (q[0, 1] * dx + q[1, 1] * dy), k], -1
        )
        residual = stamps.data - slope
        normal = np.einsum("nyxi,nyx,nyxj->nij", design, stamps.weight, design, optimize=True)
        right = np.einsum("nyxi,nyx,nyx->ni", design, stamps.weight, residual, optimize=True)
        update = (np.linalg.pinv(normal, hermitian=True) @ right[..., None])[..., 0]
        # No step beyond a third of a beam: a bad start must not jump to another source.
        limit = kernel.bmaj_pixels / 3.0
        step = np.clip(update[:, :2], -limit, limit)
        shift += step
        flux += update[:, 2]
    good = (np.abs(step).max(axis=1) < _POSITION_TOLERANCE_PIXELS) & (
        np.hypot(*shift.T) < kernel.bmaj_pixels / 2.0
    )
    return np.where(good[:, None], np.column_stack([start + shift, flux]), np.nan)
