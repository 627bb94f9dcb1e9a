"""Events behind a Gaussian lens of plasma, by counting rays: the truth of injected events.

A lens of column density N0 exp(-u^2), u in lens radii, sends the ray at u to
u' = u (1 + alpha exp(-u^2)) in the observer's plane, alpha = lambda^2 r_e N0 D / (pi a^2)
(Clegg, Fey & Lazio 1998, eq. 11). For a round lens u is a vector. Rays of equal flux are shot on
a fine grid and counted where they land, weighted with the image of a Gaussian source; no formula
of a magnification is used. Band: eight frequencies of 1.311-1.499 GHz, alpha as at 1.4 GHz.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]

BAND_HZ = tuple(1.311e9 + 188e6 * (step + 0.5) / 8 for step in range(8))
REFERENCE_HZ = 1.4e9
SIGMA_OF_FWHM = 1 / np.sqrt(8 * np.log(2))


@dataclass(frozen=True)
class Lens:
    """A lens and the source behind it.

    Attributes
    ----------
    alpha : refractive strength at 1.4 GHz.
    source_fwhm : full width at half maximum of the source, lens radii.
    impact : smallest distance of the source from the axis of a round lens, lens radii; None:
        a lens that is long across the path (one-dimensional).
    """

    alpha: float
    source_fwhm: float
    impact: float | None = None


@lru_cache(maxsize=32)
def profile(lens: Lens) -> tuple[Floats, Floats]:
    """Return offset from the lens (lens radii) and magnification, averaged over the band."""
    reach = 4 + 0.55 * lens.alpha + 2 * lens.source_fwhm
    step = lens.source_fwhm * SIGMA_OF_FWHM / 8
    edges = np.arange(-reach, reach + step, step)
    total = np.zeros(len(edges) - 1)
    for freq_hz in BAND_HZ:
        alpha = lens.alpha * (REFERENCE_HZ / freq_hz) ** 2
        count = line_of_rays if lens.impact is None else sheet_of_rays
        total += count(lens, alpha, edges)
    offset = (edges[1:] + edges[:-1]) / 2
    smeared = gaussian_filter1d(total / len(BAND_HZ), 8, mode="nearest", truncate=6)
    inside = np.abs(offset) < reach - 3 * lens.source_fwhm
    return offset[inside], smeared[inside]


def line_of_rays(lens: Lens, alpha: float, edges: Floats) -> Floats:
    """Density of rays, relative to no lens, of a one-dimensional lens."""
    step = edges[1] - edges[0]
    spacing = step / (1 + alpha) / 4
    rays = np.arange(edges[0], edges[-1], spacing)
    landed = rays * (1 + alpha * np.exp(-(rays**2)))
    return np.histogram(landed, edges)[0] * spacing / step


def sheet_of_rays(lens: Lens, alpha: float, edges: Floats) -> Floats:
    """The same of a round lens, along a path at its impact parameter."""
    assert lens.impact is not None
    sigma = lens.source_fwhm * SIGMA_OF_FWHM
    step = edges[1] - edges[0]
    spacing = sigma / max(8.0, 1.5 * (1 + alpha))
    reach = abs(lens.impact) + 4 * sigma  # no ray lands nearer to the axis than it started
    count = np.zeros(len(edges) - 1)
    x = np.arange(edges[0], edges[-1], spacing)
    random = np.random.default_rng(5)
    for y in np.arange(-reach, reach, spacing):
        ux = x + spacing * (random.random(len(x)) - 0.5)
        uy = y + spacing * (random.random(len(x)) - 0.5)
        factor = 1 + alpha * np.exp(-(ux**2) - uy**2)
        weight = np.exp(-0.5 * ((uy * factor - lens.impact) / sigma) ** 2)
        count += np.histogram(ux * factor, edges, weights=weight)[0]
    return count * spacing**2 / step / (np.sqrt(2 * np.pi) * sigma)


def depth_and_width(lens: Lens) -> tuple[float, float]:
    """Return the largest loss of flux and the full width at half of it, lens radii.

    The width is between the outermost crossings.
    """
    offset, magnification = profile(lens)
    loss = 1 - magnification
    deep = np.flatnonzero(loss >= loss.max() / 2)
    return float(loss.max()), float(offset[deep[-1]] - offset[deep[0]])


def event_factor(
    mjd: Floats, lens: Lens, *, depth: float, fwhm_days: float, centre_mjd: Floats | float
) -> Floats:
    """Return flux / flux without a lens, of a source of which a part is lensed.

    Parameters
    ----------
    mjd : (Nepochs,).
    depth : largest loss as a fraction; says which part of the flux is lensed.
    fwhm_days : full width at half depth.
    centre_mjd : one, or (n,).

    Returns
    -------
    factor : (Nepochs,) or (n, Nepochs).

    Raises
    ------
    ValueError
        When the lens cannot take that much away.
    """
    deepest, width = depth_and_width(lens)
    if depth > deepest:
        raise ValueError(f"{lens} takes {deepest:.2f} of the flux away at most, not {depth:.2f}")
    offset, magnification = profile(lens)
    path = (mjd - np.asarray(centre_mjd)[..., None]) * width / fwhm_days
    return 1 + depth / deepest * (np.interp(path, offset, magnification, 1.0, 1.0) - 1)
