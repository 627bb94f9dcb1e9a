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
   in the model an event is taken for modulation; not so under the white one.) Under the white one
   also all shapes of the lens bank, and finer ones, around the best. What is found is tried under
   all backgrounds.
3. Coarse templates once more under the best of them, then all shapes around what is best now; again
   all backgrounds; outliers one by one.
4. Where an epoch stands out from its neighbours: 2 and 3 without it, to find the event that it
   hides, which then is fitted to the light curve as it is, outliers one by one.

What brightens before or after the event, a caustic, is also tried alone: a flare is no event.
"""

import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Integers
from contimg.ese_curves import SharedCurves
from contimg.ese_separate import SeparateCurves
from contimg.ese_templates import Events, alike, bank_numbers

Curves = SharedCurves | SeparateCurves

_LN_2PI = float(np.log(2 * np.pi))
# Epochs that are this far, in log posterior, from being outliers are tried under all backgrounds.
_NEARLY = 2.5
# One epoch in this many may be an outlier, and one at least.
_EPOCHS_AN_OUTLIER = 20
_MAX_OUTLIERS = 10
# Brightening is tried up to so many times that of a source that is lensed wholly.
_SPIKES = 10.0
# Centres (in widths) and widths (factors) that are tried around the best template.
_NEAR_CENTRES = np.array([-1 / 18, 0, 1 / 18])
_NEAR_WIDTHS = np.array([0.9, 1.0, 1.1])
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


def fit_all(curves: Curves, outlier_fraction: float) -> tuple[Fits, Fits, Floats]:
    """Fit backgrounds to light curves, without an event and with one.

    Parameters
    ----------
    curves : light curves and their covariances.
    outlier_fraction : probability that an epoch is bad.

    Returns
    -------
    null, event : the best backgrounds, and the best with an event.
    brightening : (S,) best log posterior with one spike of the event alone.
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
    smooth = without_spikes(curves.flux, curves.error)
    rows = np.flatnonzero((smooth != curves.flux).any(axis=1))
    if len(rows):
        some = curves.replaced(rows, curves.flux[rows])
        proposed, again = _start(some), _start(some)
        _with_event(some.replaced(np.arange(len(rows)), smooth[rows]), proposed)
        _try(some, again, proposed.events)
        _without_outliers(some, again, outlier_fraction)
        better = again.best > event.best[rows]
        event.put(rows[better], again, better)
    # What is bad if there is an event may be bad without one too.
    rows = np.flatnonzero(event.n_outliers > 0)
    if len(rows):
        again = event.take(rows)
        again.best, again.shape = null.best[rows], null.shape[rows]
        best, point = curves.replaced(rows, again.flux).best()
        better = _keep_best(again, best + again.correction, point)
        null.put(rows[better], again, better)
    return null, event, _brightening(curves, event)


def _brightening(curves: Curves, event: Fits) -> Floats:
    """Return the best log posterior with the spike before or after the event's centre alone.

    The spike has any height. A flare is as well explained by it as by the whole event. (Spikes on
    both sides are a sign of a lens.)
    """
    some = curves.replaced(np.arange(len(event.best)), event.flux)
    spikes = _SPIKES * np.minimum(some.dips(event.events), 0.0)
    late = curves.days >= event.centre_days[:, None]
    before, _ = some.best(np.where(late, 0.0, spikes))
    after, _ = some.best(np.where(late, spikes, 0.0))
    return np.maximum(before, after) + event.correction


def without_spikes(flux: Floats, error: Floats) -> Floats:
    """Return light curves in which single epochs that stand out are as their neighbours are.

    An epoch stands out by five times its error, and five times what is usual in its light curve,
    from the median of the two before and the two after it.

    Parameters
    ----------
    flux, error : (S, N), error infinite where there is no epoch, all of these at the end.
    """
    there = np.pad(np.where(np.isfinite(error), flux, np.nan), ((0, 0), (2, 2)), "edge")
    there[:, :2] = there[:, -2:] = np.nan
    n_epochs = flux.shape[1]
    around = np.stack([there[:, at : at + n_epochs] for at in (0, 1, 3, 4)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # medians of nothing
        middle = np.nanmedian(around, axis=0)
        off = np.abs(flux - middle)
        usual = 1.4826 * np.nanmedian(np.where(np.isfinite(error), off, np.nan), axis=1)
    spike = off > 5 * np.maximum(error, usual[:, None])
    return np.where(spike, middle, flux)


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
    white, drw, smooth = curves.starts.T
    _try(curves, fits, _nearest(curves, white, curves.scan(white)))
    for points in (drw, smooth):
        _try(curves, fits, curves.scan(points))
    _try(curves, fits, curves.scan(fits.point))
    _try(curves, fits, _nearest(curves, fits.point, fits.events))


def _try(curves: Curves, fits: Fits, events: Events) -> None:
    """Keep events that are better, under some background, than what there is."""
    best, point = curves.best(curves.dips(events))
    better = _keep_best(fits, best + fits.correction, point)
    fits.shape[better] = events.shape[better]
    fits.centre_days[better] = events.centre_days[better]
    fits.fwhm_days[better] = events.fwhm_days[better]


def _nearest(curves: Curves, points: Integers, events: Events) -> Events:
    """Return the best lenses around events, each under one background.

    First all lenses of the bank at about the same time and width, then lenses like the best of
    these, then finer widths and times.
    """
    bank = np.tile(bank_numbers(), (len(points), 1))
    events = _best_around(curves, points, events, bank, _NEAR_CENTRES, np.ones(1))
    like = alike()[events.shape]
    events = _best_around(curves, points, events, like, np.zeros(1), _NEAR_WIDTHS)
    own = events.shape[:, None]
    return _best_around(curves, points, events, own, _FINE_CENTRES, _FINE_WIDTHS)


def _best_around(
    curves: Curves,
    points: Integers,
    events: Events,
    shapes: Integers,
    shifts: Floats,
    factors: Floats,
) -> Events:
    """Return the best of the admissible events of some shapes, centres and widths.

    Parameters
    ----------
    shapes : (S, n) numbers in the bank.
    shifts : of the centre, in widths.
    factors : of the width.
    """
    count = len(points)
    size = (count, shapes.shape[1], len(shifts), len(factors))
    narrowest, widest = curves.placement.min_fwhm_days, curves.placement.max_fwhm_days
    width = np.clip(events.fwhm_days[:, None] * factors, narrowest, widest)
    centre = events.centre_days[:, None] + events.fwhm_days[:, None] * shifts
    around = Events(
        np.broadcast_to(shapes[:, :, None, None], size).reshape(count, -1),
        np.broadcast_to(centre[:, None, :, None], size).reshape(count, -1),
        np.broadcast_to(width[:, None, None, :], size).reshape(count, -1),
    )
    gain = curves.gains_of(points, around)
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
