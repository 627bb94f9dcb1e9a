"""The best background with an event, and without, of each of many light curves.

Both are maxima of the log posterior over the same backgrounds (`contimg.backgrounds`): without an
event, and with a template, y = b (1 - f t), 0 < f <= 1.

An epoch is bad with probability `outlier_fraction`, and its flux is then anything, of density 1 in
units of 1 / baseline. It is taken out where that is likelier than its flux given the others: its
value is replaced by what they predict, and the log posterior corrected for that. An outlier costs
7 to 8 in the log posterior, with and without an event, so that one epoch makes no event and hides
none. The search:

1. Without an event, over the whole grid; outliers one by one.
2. Coarse templates under three backgrounds, the best of each kernel without an event. (Without one
   in the model an event is taken for modulation; not so under the white one.) What is found is
   tried under all backgrounds, and the coarse templates once more under the best of them.
3. All shapes of the lens bank around the best template, then finer widths and centres; again all
   backgrounds; outliers one by one.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Integers
from contimg.ese_curves import SharedCurves
from contimg.ese_separate import SeparateCurves
from contimg.ese_templates import Events, coarse_bank, whole_bank

Curves = SharedCurves | SeparateCurves

_LN_2PI = float(np.log(2 * np.pi))
# Epochs that are this far, in log posterior, from being outliers are tried under all backgrounds.
_NEARLY = 2.5
# One epoch in this many may be an outlier, and one at least.
_EPOCHS_AN_OUTLIER = 20
_MAX_OUTLIERS = 10
# Centres (in widths) and widths (factors) that are tried around the best template.
_NEAR_CENTRES = np.array([-1 / 18, 0, 1 / 18])
_FINE_CENTRES = np.array([-1 / 36, 0, 1 / 36])
_FINE_WIDTHS = np.array([0.84, 0.92, 1.0, 1.08, 1.16])


@dataclass
class Fits:
    """The best backgrounds of S light curves, without an event or with one.

    Attributes
    ----------
    flux : (S, N) as fractions of the baseline, outliers replaced by what the others predict.
    correction : (S,) of the log posterior for the outliers.
    n_outliers : (S,).
    best, point : (S,) log posterior and number in the grid.
    shape, centre_days, fwhm_days : (S,) of the event; NaN and -1 without one.
    """

    flux: Floats
    correction: Floats
    n_outliers: Integers
    best: Floats
    point: Integers
    shape: Integers
    centre_days: Floats
    fwhm_days: Floats

    @property
    def events(self) -> Events:
        """The events."""
        return Events(self.shape, self.centre_days, self.fwhm_days)

    def put(self, rows: Any, other: "Fits", others: Any) -> None:
        """Replace some light curves' fits by those of another set."""
        for one in fields(self):
            getattr(self, one.name)[rows] = getattr(other, one.name)[others]

    def take(self, rows: Any) -> "Fits":
        """Return copies of some light curves' fits."""
        return Fits(**{one.name: getattr(self, one.name)[rows].copy() for one in fields(self)})


def fit_both(curves: Curves, outlier_fraction: float) -> tuple[Fits, Fits]:
    """Fit backgrounds to light curves, without an event and with one.

    Parameters
    ----------
    curves : light curves and their covariances.
    outlier_fraction : probability that an epoch is bad.

    Returns
    -------
    null, event : `event.best - null.best` is the log likelihood ratio, each at its best
        background, priors included; not below 0 but for rounding.
    """
    null = _start(curves)
    _keep_best(null, *curves.best())
    event = _start(curves)
    _with_event(curves, event)
    _without_outliers(curves, null, outlier_fraction)
    rows = np.flatnonzero(null.n_outliers > 0)
    if len(rows):
        again = null.take(rows)
        again.best[:] = -np.inf
        _with_event(curves.replaced(rows, again.flux), again)
        better = again.best > event.best[rows]
        event.put(rows[better], again, better)
    _without_outliers(curves, event, outlier_fraction)
    # What is bad if there is an event may be bad without one too.
    rows = np.flatnonzero(event.n_outliers > 0)
    if len(rows):
        again = event.take(rows)
        again.best, again.shape = null.best[rows], null.shape[rows]
        best, point = curves.replaced(rows, again.flux).best()
        better = _keep_best(again, best + again.correction, point)
        null.put(rows[better], again, better)
    return null, event


def _start(curves: Curves) -> Fits:
    count = len(curves.flux)
    return Fits(
        flux=curves.flux.copy(),
        correction=np.zeros(count),
        n_outliers=np.zeros(count, dtype=np.int64),
        best=np.full(count, -np.inf),
        point=np.zeros(count, dtype=np.int64),
        shape=np.full(count, -1),
        centre_days=np.full(count, np.nan),
        fwhm_days=np.full(count, np.nan),
    )


def _keep_best(fits: Fits, best: Floats, point: Integers) -> NDArray[np.bool_]:
    """Keep backgrounds that are better than what there is; tell where."""
    better = best > fits.best
    fits.best[better], fits.point[better] = best[better], point[better]
    return better


def _with_event(curves: Curves, fits: Fits) -> None:
    """Find the best events of light curves that are those of `fits`."""
    for points in curves.starts.T:
        _try(curves, fits, curves.scan(points))
    _try(curves, fits, curves.scan(fits.point))
    lenses = np.arange(len(coarse_bank()), len(whole_bank()))
    near = _nearest(curves, fits.point, fits.events, lenses, _NEAR_CENTRES, np.ones(1))
    near = _nearest(curves, fits.point, near, None, _FINE_CENTRES, _FINE_WIDTHS)
    _try(curves, fits, near)


def _try(curves: Curves, fits: Fits, events: Events) -> None:
    """Keep events that are better, under some background, than what there is."""
    best, point = curves.best(curves.dips(events))
    better = _keep_best(fits, best + fits.correction, point)
    fits.shape[better] = events.shape[better]
    fits.centre_days[better] = events.centre_days[better]
    fits.fwhm_days[better] = events.fwhm_days[better]


def _nearest(
    curves: Curves,
    points: Integers,
    events: Events,
    shapes: Integers | None,
    shifts: Floats,
    factors: Floats,
) -> Events:
    """Return the best of the events around others, each under its background.

    Parameters
    ----------
    shapes : numbers in the bank; None: the event's own.
    shifts : of the centre, in widths.
    factors : of the width.
    """
    count = len(points)
    shape = events.shape[:, None] if shapes is None else np.tile(shapes, (count, 1))
    size = (count, shape.shape[1], len(shifts), len(factors))
    widest = curves.placement.max_fwhm_days
    width = events.fwhm_days[:, None]
    factor = np.clip(width * factors, curves.placement.min_fwhm_days, widest)
    centre = events.centre_days[:, None] + width * shifts
    around = Events(
        np.broadcast_to(shape[:, :, None, None], size).reshape(count, -1),
        np.broadcast_to(centre[:, None, :, None], size).reshape(count, -1),
        np.broadcast_to(factor[:, None, None, :], size).reshape(count, -1),
    )
    gain = curves.fit(points, around)[0]
    gain = np.where(curves.admissible(around), gain, -1.0)
    return around.take((np.arange(count), gain.argmax(axis=1)))


def _without_outliers(curves: Curves, fits: Fits, outlier_fraction: float) -> None:
    """Take outliers out, the worst first, as long as that makes the log posterior larger."""
    rows = np.arange(len(fits.best))
    with_event = bool((fits.shape >= 0).any())
    most = np.clip(curves.n_epochs // _EPOCHS_AN_OUTLIER, 1, _MAX_OUTLIERS)
    while len(rows):
        now = fits.take(rows)
        some = curves.replaced(rows, now.flux)
        dips = some.dips(now.events) if with_event else None
        residual, variance = some.left_out(now.point, dips)
        there = variance > 0
        variance = np.where(there, variance, 1.0)
        # Log density as an outlier, over that at what the others predict.
        cost = 0.5 * np.log(variance) + 0.5 * _LN_2PI + np.log(outlier_fraction)
        worth = np.where(there, 0.5 * residual**2 / variance + cost, -np.inf)
        epoch = worth.argmax(axis=1)
        line = np.flatnonzero((worth.max(axis=1) > -_NEARLY) & (now.n_outliers < most[rows]))
        rows, now, epoch = rows[line], now.take(line), epoch[line]
        if not len(rows):
            return
        now.flux[np.arange(len(rows)), epoch] -= residual[line, epoch]
        now.correction += cost[line, epoch]
        now.n_outliers += 1
        some = some.replaced(line, now.flux)
        best, point = some.best(None if dips is None else dips[line])
        better = _keep_best(now, best + now.correction, point)
        fits.put(rows[better], now, better)
        rows = rows[better]
