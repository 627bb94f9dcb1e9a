"""Forced photometry: fluxes of point sources at known positions, and fits that free them.

A point source in an image in Jy/beam is its flux times the beam kernel K of unit peak.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from contimg.fits import Image
from contimg.photometry_stamps import Kernel, chunks_of, cut_stamps, scaled

BLEND_BMAJ = 1.5
"""Neighbours closer than this, in BMAJ, are fitted jointly."""

_MIN_KERNEL_FRACTION = 0.5
_MIN_EIGENVALUE = 1e-6
_MAX_BLEND_VALUES = 20_000_000
_FREE_FIT_SNR = 5.0
_POSITION_ITERATIONS = 12
_POSITION_TOLERANCE_PIXELS = 1e-4


class CrowdedFieldError(ValueError):
    """More neighbours than can be fitted jointly."""


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

    Raises
    ------
    CrowdedFieldError
        When a joint fit would take more than some 500 MB: hundreds of sources in one chain.

    Notes
    -----
    Noise of an interferometer is correlated as the beam itself (autocorrelation K), so that

        cov(S) = N^-1 M N^-1,  N_ij = sum(K_i K_j / n^2),  M_ij = A^2/3 K(d_ij / sqrt 3) / (n_i n_j)

    with A the beam's area in pixels; where pixels are missing M is summed over those that are
    there. For a lone source flux_err is sqrt(4/3) rms; the naive 1 / sqrt(sum(K^2 / n^2)) would be
    several times too small.
    """
    kernel = Kernel.of(image)
    x, y, known = pixel_positions(image, ra_deg, dec_deg)
    columns = _empty_columns(x, y, known)
    clean = image.data - background
    n_used = np.zeros(len(x), dtype=int)
    for chunk in chunks_of(np.flatnonzero(_is_inside(x, y, image.data.shape)), kernel):
        found, n_used[chunk] = _measure_alone(x[chunk], y[chunk], kernel, clean, rms)
        for name, values in found.items():
            columns[name][chunk] = values
    # A source whose centre is NaN has no flux, but its light is in its neighbours' pixels.
    shown, measured = np.flatnonzero(n_used), np.isfinite(columns["flux_jy"])
    for members in _blends(x[shown], y[shown], blend_bmaj * kernel.bmaj_pixels):
        group = shown[members]
        own = measured[group]
        if own.any():
            noise = columns["rms_jy"][group]
            found = _measure_blend(x[group], y[group], noise, kernel, clean, rms)
            for name, values in found.items():
                columns[name][group[own]] = values[own]
    return pd.DataFrame(columns)


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
    fit = np.full((len(forced), 3), np.nan)
    for chunk in chunks_of(np.flatnonzero(forced["status"] == "ok"), kernel):
        start = forced.loc[chunk, ["x_pix", "y_pix"]].to_numpy()
        flux = forced.loc[chunk, "flux_jy"].to_numpy()
        fit[chunk] = _fit_chunk(start, flux, kernel, clean, rms)
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


def pixel_positions(
    image: Image, ra_deg: ArrayLike, dec_deg: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Pixels of positions, counted from 0, and which of them are positions on the sky at all.

    NaN where a position is not finite or off the sphere, or where the projection does not show it.
    """
    ra = np.atleast_1d(np.asarray(ra_deg, dtype=float))
    dec = np.atleast_1d(np.asarray(dec_deg, dtype=float))
    known = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    x, y = np.full((2, ra.size), np.nan)
    if known.any():
        x[known], y[known] = image.wcs.all_world2pix(ra[known], dec[known], 0, quiet=True)
    return x, y, known


def _empty_columns(x: NDArray, y: NDArray, known: NDArray[np.bool_]) -> dict[str, NDArray]:
    n = len(x)
    return {
        "x_pix": x,
        "y_pix": y,
        **{name: np.full(n, np.nan) for name in ("flux_jy", "flux_err_jy", "rms_jy", "chi2")},
        **{name: np.zeros(n, dtype=bool) for name in ("blended", "edge")},
        "status": np.where(known, "outside", "no position").astype(object),
    }


def _is_inside(x: NDArray, y: NDArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    ny, nx = shape
    return (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)


def _measure_alone(
    x: NDArray, y: NDArray, kernel: Kernel, clean: NDArray, rms: NDArray
) -> tuple[dict[str, NDArray], NDArray[np.intp]]:
    """Columns of sources taken one by one, and how many pixels each has."""
    half = kernel.half_width
    stamps = cut_stamps(x, y, half, clean, rms)
    k = kernel.stamps(x, y)
    used = stamps.root_weight > 0
    n_used = np.count_nonzero(used.reshape(len(x), -1), axis=1)
    cut = n_used < used[0].size
    whole_power = np.einsum("nyx,nyx->n", k, k)
    power, middle = whole_power.copy(), np.empty(len(x))
    power[cut] = np.sum(k[cut] ** 2 * used[cut], axis=(1, 2))
    seen = used[:, half, half] & (power >= _MIN_KERNEL_FRACTION * whole_power)
    k *= stamps.root_weight
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.einsum("nyx,nyx->n", k, k)
        flux = np.einsum("nyx,nyx->n", k, stamps.data) / norm
        noise = np.sqrt(power / norm)
        middle[~cut] = (kernel.area_pixels / noise[~cut]) ** 2 / 3.0
        for i in np.flatnonzero(cut & seen):
            middle[i] = kernel.noise_products(k[i, None])[0, 0]
        flux_err = np.sqrt(middle) / norm
        k *= flux[:, None, None]
        k -= stamps.data
        chi2 = np.einsum("nyx,nyx->n", k, k) / n_used
    values = {"flux_jy": flux, "flux_err_jy": flux_err, "rms_jy": noise, "chi2": chi2}
    columns = {
        **{name: np.where(seen, value, np.nan) for name, value in values.items()},
        "edge": cut,
        "status": np.where(~seen, "nan", np.where(cut, "edge", "ok")),
    }
    return columns, n_used


def _blends(x: NDArray, y: NDArray, reach_pixels: float) -> list[NDArray[np.intp]]:
    """Numbers of the sources of each group whose neighbours are closer than `reach_pixels`."""
    if len(x) < 2:
        return []
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(reach_pixels, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(x), len(x)))
    _, label = connected_components(links, directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _measure_blend(
    x: NDArray, y: NDArray, noise: NDArray, kernel: Kernel, clean: NDArray, rms: NDArray
) -> dict[str, NDArray]:
    """Columns of one group of neighbours, fitted jointly to the pixels of all of their stamps.

    Sources too close to be told apart share their flux (least norm).
    """
    box, own = _box_of(x, y, kernel.half_width, clean.shape)
    data, root_weight = scaled(*(array[box].astype(np.float32) for array in (clean, rms)))
    seen = np.zeros(data.shape, dtype=bool)
    for stamp in own:
        seen[stamp] = True
    root_weight *= seen
    data *= seen
    used = root_weight > 0
    n_used = np.array([np.count_nonzero(used[stamp]) for stamp in own])

    k = kernel.on_box(x, y, box)
    k *= root_weight
    design = k.reshape(len(x), -1)
    inverse = _inverse(design @ design.T)
    flux = inverse @ (design @ data.ravel())
    if n_used.min() == (2 * kernel.half_width + 1) ** 2:
        correlated = kernel(x[:, None] - x, y[:, None] - y, widened=np.sqrt(3.0))
        middle = kernel.area_pixels**2 / 3.0 * correlated / np.outer(noise, noise)
    else:
        middle = kernel.noise_products(k)
    covariance = inverse @ middle @ inverse
    squares = (data - (flux @ design).reshape(data.shape)) ** 2
    return {
        "flux_jy": flux,
        "flux_err_jy": np.sqrt(np.diag(covariance)),
        "chi2": np.array([squares[stamp].sum() for stamp in own]) / n_used,
        "blended": np.ones(len(x), dtype=bool),
    }


def _inverse(normal: NDArray) -> NDArray[np.float64]:
    """Inverse of a normal matrix, without the combinations that it does not determine."""
    values, vectors = np.linalg.eigh(normal)
    known = values > _MIN_EIGENVALUE * values[-1]
    return (vectors[:, known] / values[known]) @ vectors[:, known].T


def _box_of(
    x: NDArray, y: NDArray, half: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], list[tuple[slice, slice]]]:
    """The (rows, columns) that hold the stamps of all sources, and each one's stamp in there."""
    spans, stamps = [], []
    for position, n in zip((y, x), shape, strict=True):
        nearest = np.rint(position).astype(int)
        first, last = max(0, nearest.min() - half), min(n, nearest.max() + half + 1)
        spans.append(slice(first, last))
        stamps.append([slice(max(0, i - half - first), i + half + 1 - first) for i in nearest])
    values = len(x) * np.prod([span.stop - span.start for span in spans])
    if values > _MAX_BLEND_VALUES:
        raise CrowdedFieldError(
            f"{len(x)} positions found of which each is near the next, fewer expected in one joint "
            "fit; measure fewer, or lower the distance within which they are fitted (blend_beams)"
        )
    return (spans[0], spans[1]), list(zip(*stamps, strict=True))


def _fit_chunk(
    start: NDArray, flux: NDArray, kernel: Kernel, clean: NDArray, rms: NDArray
) -> NDArray[np.float64]:
    """Gauss-Newton for (x, y, flux) of each source; NaN where it does not converge."""
    stamps = cut_stamps(start[:, 0], start[:, 1], kernel.half_width, clean, rms)
    q = kernel.precision
    shift, flux = np.zeros_like(start), flux.copy()
    step = np.full_like(start, np.inf)
    for _ in range(_POSITION_ITERATIONS):
        dx = stamps.dx - shift[:, 0, None, None]
        dy = stamps.dy - shift[:, 1, None, None]
        k = kernel(dx, dy)
        k *= stamps.root_weight
        slope = flux[:, None, None] * k
        design = np.stack(
            [slope * (q[0, 0] * dx + q[0, 1] * dy), slope * (q[0, 1] * dx + q[1, 1] * dy), k], 1
        ).reshape(len(start), 3, -1)
        residual = (stamps.data - slope).reshape(len(start), -1, 1)
        normal = design @ design.transpose(0, 2, 1)
        update = (np.linalg.pinv(normal, hermitian=True) @ (design @ residual))[..., 0]
        # No step beyond a third of a beam: a bad start must not jump to another source.
        limit = kernel.bmaj_pixels / 3.0
        step = np.clip(update[:, :2], -limit, limit)
        shift += step
        flux += update[:, 2]
        if np.abs(step).max() < _POSITION_TOLERANCE_PIXELS / 100:
            break
    good = (np.abs(step).max(axis=1) < _POSITION_TOLERANCE_PIXELS) & (
        np.hypot(*shift.T) < kernel.bmaj_pixels / 2.0
    )
    return np.where(good[:, None], np.column_stack([start + shift, flux]), np.nan)
