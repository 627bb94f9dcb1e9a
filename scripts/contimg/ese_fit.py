"""The best background with an event, and without, of each of many light curves.

Both are maxima of the log posterior over the same backgrounds (`contimg.backgrounds`): without an
event, and with a template, y = b (1 - f t), 0 < f <= 1.

An epoch is bad with probability `outlier_fraction`, and its flux is then anything, of density 1 in
units of 1 / baseline. It is taken out where that is likelier than its flux given the others: its
value is replaced by what they predict, and the log posterior corrected for that. An outlier costs
7 to 8 in the log posterior, with and without an event, so that one epoch makes no event and hides
none. The search:

1. Without an event, over the whole grid; outliers one by one.
2. Coarse templates under two backgrounds: the best without an event, and the best white one (an
   event is taken for modulation where there is none in the model). What is found is tried under
   all backgrounds, and the coarse templates once more under the best of them.
3. All shapes of the lens bank around the best template, then finer widths and centres; again all
   backgrounds; outliers one by one.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Integers
from contimg.ese_curves import SharedCurves
from contimg.ese_templates import Events, whole_bank

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


def fit_both(curves: SharedCurves, flux: Floats, outlier_fraction: float) -> tuple[Fits, Fits]:
    """Fit backgrounds to light curves, without an event and with one.

    Parameters
    ----------
    curves : what their covariances are.
    flux : (S, N) light curves as fractions of the baseline.
    outlier_fraction : probability that an epoch is bad.

    Returns
    -------
    null, event : `event.best - null.best` is the log likelihood ratio, each at its best
        background, priors included; not below 0 but for rounding.
    """
    null = _start(flux, np.zeros(len(flux)), np.zeros(len(flux), dtype=np.int64))
    evidence = curves.evidence(flux)
    _keep_best(null, evidence)
    _without_outliers(curves, null, outlier_fraction)
    event = _start(flux, null.correction * 0, null.n_outliers * 0)
    _with_event(curves, event, evidence)
    cleaned = np.flatnonzero(null.n_outliers > 0)
    if len(cleaned):
        some = curves.take(cleaned)
        again = _start(null.flux[cleaned], null.correction[cleaned], null.n_outliers[cleaned])
        _with_event(some, again, some.evidence(again.flux) + again.correction[:, None])
        better = again.best > event.best[cleaned]
        event.put(cleaned[better], again, better)
    _without_outliers(curves, event, outlier_fraction)
    # What is bad if there is an event may be bad without one too.
    cleaned = np.flatnonzero(event.n_outliers > 0)
    if len(cleaned):
        again = event.take(cleaned)
        again.shape[:] = -1
        again.best[:] = -np.inf
        _keep_best(again, curves.take(cleaned).evidence(again.flux) + again.correction[:, None])
        better = again.best > null.best[cleaned]
        null.put(cleaned[better], again, better)
    return null, event


def _start(flux: Floats, correction: Floats, n_outliers: Integers) -> Fits:
    count = len(flux)
    return Fits(
        flux=flux.copy(),
        correction=correction.copy(),
        n_outliers=n_outliers.copy(),
        best=np.full(count, -np.inf),
        point=np.zeros(count, dtype=np.int64),
        shape=np.full(count, -1),
        centre_days=np.full(count, np.nan),
        fwhm_days=np.full(count, np.nan),
    )


def _keep_best(fits: Fits, total: Floats) -> NDArray[np.bool_]:
    """Keep the best background where it is better than what there is; tell where."""
    best, point = total.max(axis=1), total.argmax(axis=1)
    better = best > fits.best
    fits.best[better], fits.point[better] = best[better], point[better]
    return better


def _with_event(curves: SharedCurves, fits: Fits, evidence: Floats) -> None:
    """Find the best event of light curves as `fits` has them, outliers taken out or not.

    Parameters
    ----------
    evidence : (S, Ngrid) without an event.
    """
    white = np.where(curves.grid.modulation == 0, evidence, -np.inf)
    for points in (evidence.argmax(axis=1), white.argmax(axis=1), None):
        if points is None:
            points = fits.point
        _try(curves, fits, evidence, curves.scan(fits.flux, points))
    every = np.arange(len(whole_bank()))
    _try(curves, fits, evidence, _nearest(curves, fits, every, _NEAR_CENTRES, np.ones(1)))
    _try(curves, fits, evidence, _nearest(curves, fits, None, _FINE_CENTRES, _FINE_WIDTHS))


def _try(curves: SharedCurves, fits: Fits, evidence: Floats, events: Events) -> None:
    """Keep events that are better, under some background, than what there is."""
    gains = curves.gains(fits.flux, curves.dips(events))
    better = _keep_best(fits, evidence + gains)
    fits.shape[better] = events.shape[better]
    fits.centre_days[better] = events.centre_days[better]
    fits.fwhm_days[better] = events.fwhm_days[better]


def _nearest(
    curves: SharedCurves, fits: Fits, shapes: Integers | None, shifts: Floats, factors: Floats
) -> Events:
    """Return the best of the events around those of `fits`, under the same background.

    Parameters
    ----------
    shapes : numbers in the bank; None: the event's own.
    shifts : of the centre, in widths.
    factors : of the width.
    """
    count = len(fits.flux)
    shape = fits.shape[:, None] if shapes is None else np.tile(shapes, (count, 1))
    size = (count, shape.shape[1], len(shifts), len(factors))
    width = np.clip(
        fits.fwhm_days[:, None] * factors,
        curves.placement.min_fwhm_days,
        curves.placement.max_fwhm_days,
    )
    centre = fits.centre_days[:, None] + fits.fwhm_days[:, None] * shifts
    events = Events(
        np.broadcast_to(shape[:, :, None, None], size).reshape(count, -1),
        np.broadcast_to(centre[:, None, :, None], size).reshape(count, -1),
        np.broadcast_to(width[:, None, None, :], size).reshape(count, -1),
    )
    gain = curves.fit(fits.flux, fits.point, events)[0]
    gain = np.where(curves.admissible(events), gain, -1.0)
    return events.take((np.arange(count), gain.argmax(axis=1)))


def _without_outliers(curves: SharedCurves, fits: Fits, outlier_fraction: float) -> None:
    """Take outliers out, the worst first, as long as that makes the log posterior larger."""
    rows = np.arange(len(fits.flux))
    with_event = bool((fits.shape >= 0).any())
    while len(rows):
        some, now = curves.take(rows), fits.take(rows)
        dips = some.dips(now.events) if with_event else None
        residual, variance = some.left_out(now.flux, now.point, dips)
        # Log density as an outlier, over that at what the others predict.
        cost = 0.5 * np.log(variance) + 0.5 * _LN_2PI + np.log(outlier_fraction)
        worth = 0.5 * residual**2 / variance + cost
        epoch = worth.argmax(axis=1)
        line = np.arange(len(rows))
        most = np.clip(some.n_epochs // _EPOCHS_AN_OUTLIER, 1, _MAX_OUTLIERS)
        tried = (worth[line, epoch] > -_NEARLY) & (now.n_outliers < most)
        line, rows = line[tried], rows[tried]
        if not len(rows):
            return
        epoch = epoch[tried]
        some, now = some.take(line), now.take(line)
        every = np.arange(len(rows))
        now.flux[every, epoch] -= residual[line, epoch]
        now.correction += cost[line, epoch]
        now.n_outliers += 1
        total = some.evidence(now.flux) + now.correction[:, None]
        if dips is not None:
            total += some.gains(now.flux, dips[line])
        better = _keep_best(now, total)
        fits.put(rows[better], now, better)
        rows = rows[better]
