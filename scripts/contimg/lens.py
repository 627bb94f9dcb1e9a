"""Light curves behind a plasma lens of Gaussian column density (Clegg, Fey & Lazio 1998).

A cloud of ionised gas whose column of electrons is N0 exp(-(x / a)^2), at distance D, bends rays
away from its axis. With offsets in units of its radius a, the ray that passes the lens at u
reaches the observer at

    u' = u (1 + alpha exp(-u^2)),
    alpha = 3.6 (lambda / 1 cm)^2 (N0 / 1 pc cm^-3) (D / 1 kpc) (a / 1 AU)^-2    (their eq. 11),

so that alpha goes as frequency^-2. Where alpha > e^(3/2) / 2 = 2.24 rays cross, and caustics bound
the regions of three images. The source has a Gaussian brightness of full width at half maximum
beta_s lens radii (beta_s = theta_s / theta_l, theta_l = a / D), the same at all frequencies.

The lens is a sheet (the column varies along one direction only, as in their paper), or round:
N0 exp(-(r / a)^2), passed at an impact parameter b. Its rays move radially by the same formula.

Magnification by conservation of flux: what lies between two rays before the lens arrives between
them. The flux in an interval of u' is the measure (du, or r dr) of the rays that land in it,
found on each monotone piece of u'(u), and divided by the measure of the interval. This has no
infinities, and what is lost on the axis stands at the sides. Smoothing by the source follows.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import i0e

Floats = NDArray[np.float64]

CAUSTIC_ALPHA = float(np.exp(1.5) / 2)
REFERENCE_HZ = 1.4e9
_SIGMA_OF_FWHM = 1 / np.sqrt(8 * np.log(2))
# Bins to a sigma of the source, reach of its Gaussian in sigma, and what bends no ray any more.
_BINS, _REACH, _FREE = 12, 6, 6.0
_NODES = 12_000
_NEGLIGIBLE_DIP = 1e-3


@dataclass(frozen=True)
class LensShape:
    """A lens and a source, up to scales of time and flux.

    Attributes
    ----------
    name : for people and tables.
    alpha : strength at `REFERENCE_HZ`.
    beta_s : full width at half maximum of the source in lens radii, > 0.
    impact : of the track past a round lens, in lens radii; NaN for a sheet.
    """

    name: str
    alpha: float
    beta_s: float
    impact: float = np.nan


@dataclass(frozen=True, eq=False)
class LensTemplate:
    """The dip of a lens against time in units of its width.

    Attributes
    ----------
    shape : the lens.
    x : (Nx,) (t - t0) / FWHM, evenly spaced. FWHM is the full width at half of the largest dip,
        between the outermost times at which the dip is half of it.
    dip : (Nx,) 1 - magnification of a source that is lensed wholly; less than 0 where it
        brightens, zero outside `x`.
    fwhm_radii : FWHM in lens radii.
    """

    shape: LensShape
    x: Floats
    dip: Floats
    fwhm_radii: float


# alpha, beta_s, impact; how well they stand for others: tests/validation/lens_bank.py.
BANK: tuple[tuple[float, float, float], ...] = (
    (1.0, 0.2, np.nan),
    (4.0, 0.2, np.nan),
    (5.0, 0.15, np.nan),
    (6.0, 0.2, np.nan),
    (8.0, 0.2, np.nan),
    (11.0, 0.4, np.nan),
    (15.0, 0.6, np.nan),
    (20.0, 0.3, np.nan),
    (0.5, 0.5, 0.0),
    (2.5, 0.1, 1.0),
    (3.0, 0.4, 1.0),
    (5.0, 0.6, 1.5),
    (8.0, 0.1, 1.5),
    (15.0, 0.1, 1.0),
    (15.0, 0.8, 1.5),
    (20.0, 0.3, 1.5),
)


def strength(
    wavelength_cm: float, column_pc_cm3: float, distance_kpc: float, radius_au: float
) -> float:
    """Return alpha of a lens (Clegg, Fey & Lazio 1998, eq. 11)."""
    return 3.6 * wavelength_cm**2 * column_pc_cm3 * distance_kpc / radius_au**2


def magnification(u: Floats, shape: LensShape, freq_ratio: float = 1.0) -> Floats:
    """Return observed over unlensed flux.

    Parameters
    ----------
    u : offset along the track from the point nearest to the lens's axis, in lens radii.
    shape : lens and source.
    freq_ratio : frequency over `REFERENCE_HZ`; alpha goes as its power -2.

    Returns
    -------
    magnification : of the shape of u.
    """
    offset = np.abs(np.asarray(u, dtype=float))
    alpha = shape.alpha * freq_ratio**-2.0
    if np.isnan(shape.impact):
        grid, values = _sheet(float(alpha), float(shape.beta_s))
    else:
        grid, values = _round_lens(float(alpha), float(shape.beta_s))
        offset = np.hypot(offset, shape.impact)
    return np.interp(offset, grid, values, right=1.0)


@lru_cache(maxsize=1)
def template_bank() -> tuple[LensTemplate, ...]:
    """Return the templates that stand for the lenses of alpha 0.3 to 50 and beta_s 0.1 to 1.

    All are mainly dips. Tracks past a round lens so far out that they gain more light than they
    lose are left out.
    """
    return tuple(make_template(LensShape(name_of(*one), *one)) for one in BANK)


def name_of(alpha: float, beta_s: float, impact: float = np.nan) -> str:
    """Return what a lens is called in tables, such as "sheet alpha 8 beta 0.3"."""
    kind = "sheet" if np.isnan(impact) else "round"
    track = "" if np.isnan(impact) else f" impact {impact:g}"
    return f"{kind} alpha {alpha:g} beta {beta_s:g}{track}"


def make_template(shape: LensShape, freq_ratio: float = 1.0) -> LensTemplate:
    """Return the dip of a lens on a grid of its own width.

    Raises
    ------
    ValueError
        When the lens makes no dip.
    """
    step = shape.beta_s * _SIGMA_OF_FWHM / 4
    reach = _extent(shape.alpha * freq_ratio**-2.0) + _REACH * shape.beta_s * _SIGMA_OF_FWHM
    u = step * np.arange(int(np.ceil(reach / step)) + 1)
    dip = 1 - magnification(u, shape, freq_ratio)
    if dip.max() <= _NEGLIGIBLE_DIP:
        raise ValueError(f"lens {shape} makes no dip: largest is {dip.max():.2g} of the flux")
    half = dip.max() / 2
    last = np.flatnonzero(dip >= half)[-1]
    crossing = u[last] + step * (dip[last] - half) / (dip[last] - dip[last + 1])
    end = np.flatnonzero(np.abs(dip) > _NEGLIGIBLE_DIP)[-1] + 2
    x, dip = u[:end] / (2 * crossing), dip[:end]
    return LensTemplate(
        shape,
        np.concatenate([-x[:0:-1], x]),
        np.concatenate([dip[:0:-1], dip]),
        float(2 * crossing),
    )


def dips_at(template: LensTemplate, x: Floats) -> Floats:
    """Return the template's dip at (t - t0) / FWHM, of any shape."""
    return np.interp(x, template.x, template.dip, left=0.0, right=0.0)


def _extent(alpha: float) -> float:
    """Return the offset u' beyond which the lens changes nothing.

    u exp(-u^2) is largest at u = 1 / sqrt(2): no bent ray lands further out.
    """
    return max(_FREE, np.sqrt(0.5) * (1 + alpha * np.exp(-0.5)))


def _landed(alpha: float, edges: Floats, power: int) -> Floats:
    """Return the measure of rays with u >= 0 that land between edges, u^power / power.

    Each monotone piece of u'(u) is inverted at the edges; outside its range the inverse is held,
    which adds nothing.
    """
    bent = np.linspace(0.0, _FREE, _NODES)
    u = np.append(bent, max(edges[-1], _FREE) + 1.0)
    observed = u * (1 + alpha * np.exp(-(u**2)))
    rising = np.diff(observed) > 0
    turns = np.flatnonzero(np.diff(rising)) + 1
    total = np.zeros(len(edges) - 1)
    for first, last in zip([0, *turns], [*turns, len(u) - 1], strict=True):
        piece = slice(first, last + 1)
        order = 1 if rising[first] else -1
        at_edges = np.interp(edges, observed[piece][::order], u[piece][::order])
        total += np.abs(np.diff(at_edges**power)) / power
    return total


@lru_cache(maxsize=2048)
def _sheet(alpha: float, beta_s: float) -> tuple[Floats, Floats]:
    """Return offsets (from 0, evenly spaced) and magnifications behind a sheet."""
    edges = _edges(alpha, beta_s)
    point = _landed(alpha, edges, 1) / edges[1]
    smooth = _smoothed(np.concatenate([point[::-1], point]))[len(point) :]
    return np.append(0.0, _middles(edges)), np.append(smooth[0], smooth)


@lru_cache(maxsize=2048)
def _round_lens(alpha: float, beta_s: float) -> tuple[Floats, Floats]:
    """Return distances from the axis and magnifications behind a round lens.

    A ring of rays at r weighs exp(-(R^2 + r^2) / 2 sigma^2) I0(R r / sigma^2) / sigma^2 at R: the
    Gaussian source averaged around the ring. Far from the axis I0(z) is
    exp(z) (1 + 1 / 8z) / sqrt(2 pi z), and the sum over rings is a convolution.
    """
    sigma = beta_s * _SIGMA_OF_FWHM
    edges = _edges(alpha, beta_s)
    radius = _middles(edges)
    rays = _landed(alpha, edges, 2)
    density = rays / edges[1]
    values = _smoothed(density / np.sqrt(radius)) / np.sqrt(radius)
    values += _smoothed(density * radius**-1.5) * radius**-1.5 * sigma**2 / 8
    near, seen = 2 * _REACH * _BINS, 3 * _REACH * _BINS
    ring, at = radius[:seen], radius[:near, None]
    weight = np.exp(-((at - ring) ** 2) / (2 * sigma**2)) * i0e(at * ring / sigma**2) / sigma**2
    values[:near] = np.einsum("rn,n->r", weight, rays[:seen])
    kept = slice(len(radius) - _REACH * _BINS)  # the rest is smoothed with what lies beyond
    return np.append(0.0, radius[kept]), np.append(values[0], values[kept])


def _edges(alpha: float, beta_s: float) -> Floats:
    """Return the bins in which light is gathered: from the axis to beyond all bent rays."""
    sigma = beta_s * _SIGMA_OF_FWHM
    reach = _extent(alpha) + 3 * _REACH * sigma
    return np.asarray(sigma / _BINS * np.arange(int(np.ceil(reach / sigma * _BINS)) + 1))


def _middles(edges: Floats) -> Floats:
    return (edges[1:] + edges[:-1]) / 2


def _smoothed(values: Floats) -> Floats:
    """Smooth by the source, values being in bins of sigma / `_BINS`."""
    return np.asarray(gaussian_filter1d(values, _BINS, mode="nearest", truncate=_REACH))
