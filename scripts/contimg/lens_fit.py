"""Which lenses fit a light curve: every shape of a grid with its best centre, width and fraction.

S(t) = B (1 - f dip((t - t0) / W)): B and f (0 <= f <= 1) by weighted least squares at each t0 and
W of a grid, which is refined about its best point. A lens of strength alpha at
`contimg.lens.REFERENCE_HZ` has the strength of the light curve's own frequency.
"""

from dataclasses import dataclass
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
_LEAST_DIP = 0.05
# Widths and centres about the given ones: steps to a side, first half ranges, and by how much
# each of the rounds narrows them.
_STEPS, _LOG_WIDTH, _SHIFT, _ROUNDS, _NARROWER = 4, 0.5, 0.3, 4, 3.0


@dataclass(frozen=True)
class LensFits:
    """The best fit of each shape to one light curve.

    Attributes
    ----------
    shapes : n of them.
    centre_mjd, days_a_radius, fraction, base, chi2 : (n,); base in the unit of the light curve.
    n_epochs : of the light curve.
    """

    shapes: tuple[LensShape, ...]
    centre_mjd: Floats
    days_a_radius: Floats
    fraction: Floats
    base: Floats
    chi2: Floats
    n_epochs: int

    def log_weights(self) -> Floats:
        """Return ln of the probability of each shape, all being as likely beforehand.

        Where even the best fits worse than its errors allow (the source varies for itself, or no
        shape is quite right), the errors are scaled until it fits.
        """
        degrees = max(self.n_epochs - 5, 1)
        scale = max(1.0, float(self.chi2.min()) / degrees)
        log_weight = -0.5 * (self.chi2 - self.chi2.min()) / scale
        return np.asarray(log_weight - np.log(np.exp(log_weight).sum()))

    def dips(self, number: int, mjd: Floats, freq_ratio: Floats | float) -> Floats:
        """Return the dip of the lensed part of a shape at times (Nepochs,) and frequencies (n,)."""
        u = (mjd - self.centre_mjd[number]) / self.days_a_radius[number]
        ratios = np.atleast_1d(freq_ratio)
        return np.stack([1 - magnification(u, self.shapes[number], one) for one in ratios])


def fit_lenses(
    mjd: Floats,
    flux: Floats,
    error: Floats,
    centre_mjd: float,
    fwhm_days: float,
    freq_ratio: float = 1.0,
) -> LensFits:
    """Fit each shape of the grid to a light curve, near a dip that was found.

    Parameters
    ----------
    mjd, flux, error : (Nepochs,).
    centre_mjd, fwhm_days : of the dip.
    freq_ratio : of the light curve's frequency to the reference of alpha.
    """
    templates = _templates(round(freq_ratio, 6))
    weight = error**-2.0
    fits = [_fit_shape(mjd, flux, weight, one, centre_mjd, fwhm_days) for one in templates]
    centre, width, fraction, base, chi2 = np.array(fits).T
    days = width / np.array([one.fwhm_radii for one in templates])
    shapes = tuple(one.shape for one in templates)
    return LensFits(shapes, centre, days, fraction, base, chi2, len(mjd))


@lru_cache(maxsize=2)
def _templates(freq_ratio: float) -> tuple[LensTemplate, ...]:
    """Return the shapes of the grid that dip on the axis, as they are at a frequency."""
    found = []
    for alpha, beta_s, impact in product(ALPHAS.tolist(), BETAS, IMPACTS):
        shape = LensShape(name_of(round(alpha, 2), beta_s, impact), alpha, beta_s, impact)
        if 1 - magnification(np.zeros(1), shape, freq_ratio)[0] >= _LEAST_DIP:
            found.append(make_template(shape, freq_ratio))
    return tuple(found)


def _fit_shape(
    mjd: Floats, flux: Floats, weight: Floats, template: LensTemplate, centre: float, width: float
) -> tuple[float, float, float, float, float]:
    """Return centre, width, lensed fraction, base and chi-squared of the best fit."""
    step = np.arange(-_STEPS, _STEPS + 1) / _STEPS
    for narrowing in _NARROWER ** -np.arange(_ROUNDS):
        centres = np.repeat(centre + _SHIFT * narrowing * width * step, len(step))
        widths = np.tile(width * np.exp(_LOG_WIDTH * narrowing * step), len(step))
        dips = dips_at(template, (mjd - centres[:, None]) / widths[:, None])
        fraction, base, chi2 = _fit_flux(dips, flux, weight)
        best = int(np.argmin(chi2))
        centre, width = float(centres[best]), float(widths[best])
    return centre, width, float(fraction[best]), float(base[best]), float(chi2[best])


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
