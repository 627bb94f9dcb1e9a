"""Which lenses fit a light curve: draws from their probability, centre, width and fraction free.

S(t) = B (1 - f dip((t - t0) / W)): B and f (0 <= f <= 1) by weighted least squares at each t0 and
W of a grid, which is refined about its best point. A coarse grid of shapes comes first, then
shapes drawn from about the best of them. All are as likely beforehand, as are all t0 and ln W.
Here alpha is the strength at the frequency of the light curve.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from contimg.lens import (
    LensShape,
    LensTemplate,
    dips_at,
    magnification,
    make_template,
    name_of,
)

Floats = NDArray[np.float64]

ALPHAS = np.geomspace(0.3, 60.0, 28)
BETAS = (0.1, 0.18, 0.32, 0.56, 1.0)
IMPACTS = (np.nan, 0.0, 0.8, 1.5)
# A shape of the grid stands for those about it: factors of alpha and beta_s, shifts of impact.
_NEAR_ALPHA = ALPHAS[1] / ALPHAS[0]
_NEAR = (
    _NEAR_ALPHA ** np.array([-0.5, -0.25, 0.0, 0.25, 0.5]),
    (0.75, 1.0, 1.33),
    (-0.2, 0.0, 0.2),
)
_N_REFINED = 150
_LEAST_DIP = 0.05
# Widths and centres about the given ones: steps to a side, first half ranges, and by how much
# each of the rounds narrows them.
_STEPS, _LOG_WIDTH, _SHIFT, _ROUNDS, _NARROWER = 4, 0.5, 0.3, 5, 3.0
# Variance over that of independent errors: what the source varies by itself lasts for days, and
# no shape of the grid is quite that of a lens. Without it one of sixty lenses was thought to be
# another, and achromatic.
_DOUBT = 3.0


@dataclass(frozen=True)
class Lens:
    """A lens in front of a source.

    Attributes
    ----------
    shape : lens and source, alpha at the frequency of the light curve.
    centre_mjd, days_a_radius : when it passed, and how fast.
    fraction : of the flux that is lensed.
    base : unlensed flux, in the unit of the light curve.
    """

    shape: LensShape
    centre_mjd: float
    days_a_radius: float
    fraction: float
    base: float

    def change(self, mjd: Floats, freq_ratio: Floats) -> Floats:
        """Return lensed less unlensed flux at times (Nepochs,) and frequencies (n,).

        freq_ratio : of each frequency to that of the light curve which was fitted.
        """
        u = (mjd - self.centre_mjd) / self.days_a_radius
        seen = np.stack([magnification(u, self.shape, one) for one in freq_ratio.tolist()])
        return np.asarray(self.base * self.fraction * (seen - 1))


@dataclass(frozen=True)
class _Grid:
    """Fits of one shape on a grid of centres and widths: (n,) each, and the size of its cells."""

    template: LensTemplate
    cell: float
    centre: Floats
    width: Floats
    fraction: Floats
    base: Floats
    chi2: Floats

    def lens(self, number: int) -> Lens:
        days = float(self.width[number]) / self.template.fwhm_radii
        return Lens(
            self.template.shape,
            float(self.centre[number]),
            days,
            float(self.fraction[number]),
            float(self.base[number]),
        )


@dataclass(frozen=True)
class _Curve:
    mjd: Floats
    flux: Floats
    weight: Floats


def draw_lenses(
    mjd: Floats,
    flux: Floats,
    error: Floats,
    dip: tuple[float, float],
    count: int,
    random: np.random.Generator,
) -> tuple[list[Lens], Floats]:
    """Draw lenses as probable as a light curve makes them.

    Where even the best fits worse than the errors allow (the source varies for itself, or no
    shape is quite right), the errors are scaled until it fits; and then by the root of `_DOUBT`.

    Parameters
    ----------
    mjd, flux, error : (Nepochs,).
    dip : centre (MJD) and width (days) of the dip that was found.
    count : of draws.

    Returns
    -------
    lenses, weights : those drawn, the most probable first, and the part of the draws of each.
    """
    curve = _Curve(mjd, flux, error**-2.0)
    fits = _fits(curve, dip, random)
    chi2 = np.concatenate([one.chi2 for one in fits])
    chance = np.concatenate([np.full(len(one.chi2), one.cell) for one in fits])
    chance *= np.exp(-0.5 * (chi2 - chi2.min()) / _error_scale(chi2, curve))
    drawn, times = np.unique(
        random.choice(len(chance), count, p=chance / chance.sum()), return_counts=True
    )
    order = np.argsort(-chance[drawn], kind="stable")
    starts = np.cumsum([0] + [len(one.chi2) for one in fits])
    lenses = []
    for number in drawn[order].tolist():
        fit = int(np.searchsorted(starts, number, side="right")) - 1
        lenses.append(fits[fit].lens(number - int(starts[fit])))
    return lenses, times[order] / count


def _error_scale(chi2: Floats, curve: _Curve) -> float:
    """Return the factor of the variance with which the best fits, and more."""
    return _DOUBT * max(1.0, float(chi2.min()) / max(len(curve.mjd) - 5, 1))


def _fits(curve: _Curve, dip: tuple[float, float], random: np.random.Generator) -> list[_Grid]:
    """Return grids of centre and width of shapes drawn from about the best of the coarse grid."""
    coarse = [_fit_shape(curve, one, *dip, range(_ROUNDS - 1)) for one in _templates()]
    best = np.array([one.chi2.min() for one in coarse])
    scale = _error_scale(best, curve)
    # Shapes between those of the grid may fit far better than they: the choice is a wide one.
    chance = np.exp(-0.5 * (best - best.min()) / (4 * scale))
    fits = []
    for shape, parent in _refined(coarse, chance / chance.sum(), random).items():
        at = int(np.argmin(coarse[parent].chi2))
        start = (float(coarse[parent].centre[at]), float(coarse[parent].width[at]))
        fit = _fit_shape(curve, _template(shape), *start, range(1, _ROUNDS))
        fits.append(_spread(curve, fit, scale))
    return fits


def _refined(
    coarse: list[_Grid], chance: Floats, random: np.random.Generator
) -> dict[LensShape, int]:
    """Draw shapes from about those of the grid; return them with the number of their parent."""
    found: dict[LensShape, int] = {}
    for parent in random.choice(len(coarse), _N_REFINED, p=chance):
        shape = coarse[parent].template.shape
        alpha, beta_s, shift = (float(random.choice(one)) for one in _NEAR)
        impact = shape.impact if np.isnan(shape.impact) else abs(shape.impact + shift)
        near = replace(
            shape, alpha=shape.alpha * alpha, beta_s=shape.beta_s * beta_s, impact=impact
        )
        if not _dips(near):
            near = shape
        found.setdefault(near, int(parent))
    return found


@lru_cache(maxsize=1)
def _templates() -> tuple[LensTemplate, ...]:
    """Return the shapes of the grid that dip on the axis."""
    found = []
    for alpha, beta_s, impact in product(ALPHAS.tolist(), BETAS, IMPACTS):
        shape = LensShape(name_of(round(alpha, 2), beta_s, impact), alpha, beta_s, impact)
        if _dips(shape):
            found.append(make_template(shape))
    return tuple(found)


def _dips(shape: LensShape) -> bool:
    return bool(1 - magnification(np.zeros(1), shape)[0] >= _LEAST_DIP)


@lru_cache(maxsize=2048)
def _template(shape: LensShape) -> LensTemplate:
    return make_template(shape)


def _fit_shape(
    curve: _Curve, template: LensTemplate, centre: float, width: float, rounds: range
) -> _Grid:
    """Return the last and finest grid of centres and widths, each about the best of the last."""
    for number in rounds:
        grid = _grid(curve, template, centre, width, _NARROWER**-number)
        best = int(np.argmin(grid.chi2))
        centre, width = float(grid.centre[best]), float(grid.width[best])
    return grid


def _spread(curve: _Curve, fit: _Grid, scale: float) -> _Grid:
    """Return a grid as wide as centre and width are uncertain."""
    narrowing = _NARROWER ** (1 - _ROUNDS)
    while narrowing < 1 and np.mean(fit.chi2 - fit.chi2.min() < 4 * scale) > 0.4:
        narrowing *= _NARROWER
        best = int(np.argmin(fit.chi2))
        centre, width = float(fit.centre[best]), float(fit.width[best])
        fit = _grid(curve, fit.template, centre, width, narrowing)
    return fit


def _grid(
    curve: _Curve, template: LensTemplate, centre: float, width: float, narrowing: float
) -> _Grid:
    step = np.arange(-_STEPS, _STEPS + 1) / _STEPS
    centres = np.repeat(centre + _SHIFT * narrowing * width * step, len(step))
    widths = np.tile(width * np.exp(_LOG_WIDTH * narrowing * step), len(step))
    dips = dips_at(template, (curve.mjd - centres[:, None]) / widths[:, None])
    flux = _fit_flux(dips, curve.flux, curve.weight)
    return _Grid(template, narrowing**2, centres, widths, *flux)


def _fit_flux(dips: Floats, flux: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit B (1 - f dip) with 0 <= f <= 1 by weighted least squares, to each of n dips.

    Parameters
    ----------
    dips, flux, weight : (n, Nepochs), (Nepochs,), (Nepochs,).
    """
    w, wy, wyy = weight.sum(), weight @ flux, weight @ flux**2
    wd, wdy = np.einsum("ne,e->n", dips, weight), np.einsum("ne,e->n", dips, weight * flux)
    wdd = np.einsum("ne,ne,e->n", dips, dips, weight)
    spread = w * wdd - wd**2
    told = spread > 1e-9 * w * wdd
    with np.errstate(divide="ignore", invalid="ignore"):
        free = -(w * wdy - wd * wy) / (wdd * wy - wd * wdy)
    fraction = np.clip(np.where(told & np.isfinite(free), free, 0.0), 0.0, 1.0)
    square = w - 2 * fraction * wd + fraction**2 * wdd
    cross = wy - fraction * wdy
    return fraction, cross / square, wyy - cross**2 / square
