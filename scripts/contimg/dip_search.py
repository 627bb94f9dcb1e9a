"""Least-squares fits of dips at all places and widths, many light curves at once.

The times are counted in steps of W/30. On such a grid all dips of one shape and width are the
same few numbers shifted by a whole number of steps, so that the sums of all light curves, all
places and all shapes are one product of matrices.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from contimg.epochs import Floats

_STEPS = 30  # steps of time a width
_HOP = 5  # steps from one centre to the next
_REACH = 45  # steps from the centre to where a dip ends; the Gaussian is 0.002 there
_WINDOW = 2 * _REACH + 1 + _HOP  # this dip and the next
_MIN_INSIDE, _MIN_OUTSIDE, _WING = 2, 3, 0.75


def gaussian(x: Floats) -> Floats:
    """Dip of unit depth and full width at half depth."""
    return np.exp(-4 * np.log(2) * x**2)


def flat(x: Floats) -> Floats:
    """Trough with a flat minimum and steep walls."""
    return np.exp(-np.log(2) * (2 * x) ** 8)


def caustic(x: Floats) -> Floats:
    """Flat trough between two spikes of 0.4 of its depth, just outside its walls."""
    spikes = gaussian((x - 0.68) / 0.2) + gaussian((x + 0.68) / 0.2)
    return flat(x) - 0.4 * spikes


SHAPES = (gaussian, flat, caustic)


def values_of(shape: NDArray[np.int64], x: Floats) -> Floats:
    """Return each source's own shape, by its number (Nsources,), at x (Nsources, Nepochs)."""
    return np.select([shape[:, None] == i for i in range(len(SHAPES))], [s(x) for s in SHAPES])


@dataclass(frozen=True)
class Dips:
    """The best dip of each light curve, and how much was searched for it.

    Attributes
    ----------
    gain : (Nsources,) chi-squared of a constant less that with the dip; 0: nothing dips.
    depth, baseline_jy : (Nsources,) d and B of S = B (1 - d T).
    centre_days, fwhm_days : (Nsources,).
    shape : (Nsources,) number in `SHAPES`.
    n_curves, length : (Nsources,) curves that the dips of one shape and width, whitened and of
        unit length, form on the sphere, and their summed length in radians.
    """

    gain: Floats
    depth: Floats
    baseline_jy: Floats
    centre_days: Floats
    fwhm_days: Floats
    shape: NDArray[np.int64]
    n_curves: NDArray[np.int64]
    length: Floats


def best_dips(
    days: Floats,
    weight: Floats,
    residual: Floats,
    mean: Floats,
    min_fwhm: float,
    max_fwhm: float,
) -> Dips:
    """Return the dip of largest chi-squared gain of each light curve.

    Parameters
    ----------
    days : (Nsources, Nepochs) times from the first epoch.
    weight : (Nsources, Nepochs) 1 / sigma^2; 0 where there is no epoch.
    residual : (Nsources, Nepochs) flux less the weighted mean, Jy.
    mean : (Nsources,) weighted mean, Jy, above 0.
    min_fwhm, max_fwhm : days.
    """
    n = len(days)
    gain, centre, fwhm = np.zeros(n), np.zeros(n), np.ones(n)
    shape = np.zeros(n, dtype=np.int64)
    n_curves, length = np.zeros(n, dtype=np.int64), np.zeros(n)
    n_widths = max(2, int(np.ceil(np.log(max_fwhm / min_fwhm) / np.log(1.25))) + 1)
    for width in np.geomspace(min_fwhm, max_fwhm, n_widths):
        if n == 0:
            break
        gains, curves, lengths = _gains(days, weight, residual, mean, width)
        n_curves += curves
        length += lengths
        best = gains.reshape(n, -1).argmax(axis=1)
        highest = gains.reshape(n, -1)[np.arange(n), best]
        better = highest > gain
        gain[better] = highest[better]
        fwhm[better] = width
        centre[better] = (best[better] // len(SHAPES)) * (_HOP * width / _STEPS)
        shape[better] = best[better] % len(SHAPES)
    gain, depth, base = _exact_fit(days, weight, residual, mean, gain, centre, fwhm, shape)
    return Dips(gain, depth, base, centre, fwhm, shape, n_curves, length)


def _gains(
    days: Floats, weight: Floats, residual: Floats, mean: Floats, width: float
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return the gain of each dip of one width, (Nsources, Ncentres, Nshapes), 0 if refused.

    And the number of curves and their summed length, (Nsources,).
    """
    n = len(days)
    step = np.rint(days * (_STEPS / width)).astype(np.int64)
    last = np.where(weight > 0, step, 0).max(axis=1)
    n_centres = int(last.max()) // _HOP + 2
    n_steps = n_centres * _HOP + _WINDOW
    cell = (step + _REACH + n_steps * np.arange(n)[:, None]).ravel()

    def windows(values: Floats) -> Floats:
        summed = np.asarray(np.bincount(cell, values.ravel(), n * n_steps), dtype=np.float64)
        every = sliding_window_view(summed.reshape(n, n_steps), _WINDOW, axis=1)
        return every[:, : n_centres * _HOP : _HOP]

    x = (np.arange(_WINDOW) - _REACH) / _STEPS
    dips = np.stack([np.where(np.abs(x) <= 1.5, shape(x), 0.0) for shape in SHAPES], axis=1)
    following = np.concatenate([np.zeros((_HOP, len(SHAPES))), dips[:-_HOP]])
    near = np.stack([np.abs(x) <= 0.5, np.abs(x) <= _WING], axis=1).astype(float)

    counts = windows((weight > 0).astype(float)) @ near
    outside = (weight > 0).sum(axis=1)[:, None] - counts[..., 1]
    allowed = (counts[..., 0] >= _MIN_INSIDE) & (outside >= _MIN_OUTSIDE)
    allowed &= _HOP * np.arange(n_centres) <= last[:, None] + _HOP / 2
    sums = windows(weight) @ np.concatenate([dips, dips**2, dips * following], axis=1)
    first, second, product = np.split(sums, 3, axis=2)
    cross = windows(weight * residual) @ dips
    total = weight.sum(axis=1)[:, None, None]
    norm = second - first**2 / total
    allowed = allowed[..., None] & (norm > 1e-9 * second)
    norm = np.where(allowed, norm, 1.0)
    slope = cross / norm
    base = mean[:, None, None] - slope * first / total
    is_dip = allowed & (base > 0) & (slope < 0) & (-slope <= base)
    gain = np.where(is_dip, slope**2 * norm, 0.0)

    both = allowed[:, 1:] & allowed[:, :-1]
    inner = product[:, :-1] - first[:, :-1] * first[:, 1:] / total
    cosine = np.where(both, inner / np.sqrt(norm[:, :-1] * norm[:, 1:]), 1.0)
    lengths = np.arccos(np.clip(cosine, -1, 1)).sum(axis=(1, 2))
    return gain, allowed.sum(axis=(1, 2)) - both.sum(axis=(1, 2)), lengths


def _exact_fit(
    days: Floats,
    weight: Floats,
    residual: Floats,
    mean: Floats,
    gain: Floats,
    centre: Floats,
    fwhm: Floats,
    shape: NDArray[np.int64],
) -> tuple[Floats, Floats, Floats]:
    """Return gain, depth and baseline of the chosen dips at the exact times."""
    x = (days - centre[:, None]) / fwhm[:, None]
    values = values_of(shape, x)
    first = (weight * values).sum(axis=1)
    total = weight.sum(axis=1)
    norm = (weight * values**2).sum(axis=1) - first**2 / total
    norm = np.where(gain > 0, norm, 1.0)
    slope = np.minimum((weight * residual * values).sum(axis=1) / norm, 0.0)
    base = mean - slope * first / total
    return np.where(gain > 0, slope**2 * norm, 0.0), np.minimum(-slope / base, 1.0), base
