"""Lens templates laid over the epochs of a light curve."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Integers
from contimg.lens import LensShape, LensTemplate, dips_at, make_template, name_of, template_bank

# Epochs within this of the centre are in the dip; those from WING to WING + 1 are a wing of it.
_DIP, _WING = 0.5, 0.75
_SLACK_DAYS = 1e-6
# Templates times epochs held in memory at once.
_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Placement:
    """What is laid where.

    Attributes
    ----------
    min_fwhm_days, max_fwhm_days, width_ratio : widths, in steps of a factor.
    centre_step : distance of centres in widths.
    min_epochs_in_dip : fewer, and a template is not tried there.
    min_wing_epochs : fewer, and a wing does not count.
    """

    min_fwhm_days: float = 14.0
    max_fwhm_days: float = 180.0
    width_ratio: float = 1.25
    centre_step: float = 1 / 6
    min_epochs_in_dip: int = 2
    min_wing_epochs: int = 2


@dataclass(frozen=True)
class Events:
    """Lenses at times: arrays of one shape.

    Attributes
    ----------
    shape : number in `whole_bank()`.
    centre_days, fwhm_days : in the time of the light curve.
    """

    shape: Integers
    centre_days: Floats
    fwhm_days: Floats

    def take(self, which: Any) -> "Events":
        """Return some of them."""
        return Events(self.shape[which], self.centre_days[which], self.fwhm_days[which])

    def dips(self, days: Floats) -> Floats:
        """Return the templates at epochs, (..., N) for events (...) and days (..., N) or (N,)."""
        x = (days - self.centre_days[..., None]) / self.fwhm_days[..., None]
        values = np.zeros(x.shape)
        for number in np.unique(self.shape):
            here = self.shape == number
            values[here] = dips_at(whole_bank()[number], x[here])
        return values


def joined(events: list[Events]) -> Events:
    """Return events one after the other."""
    return Events(
        np.concatenate([one.shape for one in events]),
        np.concatenate([one.centre_days for one in events]),
        np.concatenate([one.fwhm_days for one in events]),
    )


def millidays(days: Floats) -> tuple[int, ...]:
    """Return times in units of 0.001 days: light curves that are observed together share them."""
    return tuple(np.round(days * 1000).astype(int).tolist())


@dataclass(frozen=True)
class Layout:
    """Where coarse templates are tried in a light curve.

    Attributes
    ----------
    days : (N,) times of its epochs.
    events : (T,).
    """

    days: Floats
    events: Events

    def dips(self) -> Iterator[tuple[slice, Floats]]:
        """Go through the templates, as many as fit into memory at once: which, and (n, N)."""
        step = max(1, _AT_ONCE // len(self.days))
        if len(self.events.shape) <= step:
            yield slice(None), self.all_dips
            return
        for first in range(0, len(self.events.shape), step):
            some = slice(first, first + step)
            yield some, self.events.take(some).dips(self.days)

    @cached_property
    def all_dips(self) -> Floats:
        """All templates, (T, N)."""
        return self.events.dips(self.days)


@lru_cache(maxsize=8)
def lay_templates(millidays: tuple[int, ...], placement: Placement) -> Layout:
    """Lay coarse templates over epochs.

    A centre lies between the first and last epoch. A template has enough epochs in its dip, and
    a wing on one side at least.

    Parameters
    ----------
    millidays : times of the epochs, in order, in units of 0.001 days.
    """
    days = np.array(millidays) / 1000
    ratio = placement.max_fwhm_days / placement.min_fwhm_days
    n_steps = max(1, int(np.ceil(np.log(ratio) / np.log(placement.width_ratio) - 1e-9)))
    centres: list[Floats] = []
    widths: list[Floats] = []
    for width in np.geomspace(placement.min_fwhm_days, placement.max_fwhm_days, n_steps + 1):
        step = placement.centre_step * width
        centre = days[0] + step * np.arange(int((days[-1] - days[0]) / step + 1e-9) + 1)
        centres.append(centre)
        widths.append(np.full(len(centre), width))
    centre, fwhm = np.concatenate(centres), np.concatenate(widths)
    good = admissible(days, centre, fwhm, placement)
    centre, fwhm = centre[good], fwhm[good]
    n_shapes = len(coarse_bank())
    events = Events(
        np.repeat(np.arange(n_shapes), len(centre)),
        np.tile(centre, n_shapes),
        np.tile(fwhm, n_shapes),
    )
    return Layout(days, events)


def admissible(
    days: Floats, centre_days: Floats, fwhm_days: Floats, placement: Placement
) -> NDArray[np.bool_]:
    """Whether dips have epochs in them and a wing, and their centre within the light curve."""
    in_dip, before, after = counts(days, centre_days, fwhm_days)
    wing = np.maximum(before, after) >= placement.min_wing_epochs
    between = (centre_days >= days[0]) & (centre_days <= days[-1])
    return (in_dip >= placement.min_epochs_in_dip) & wing & between


def counts(
    days: Floats, centre_days: Floats, fwhm_days: Floats
) -> tuple[Integers, Integers, Integers]:
    """Return how many epochs are in the dip, and in its wings before and after.

    Parameters
    ----------
    days : (Nepochs,) in order.
    centre_days, fwhm_days : of the dips, of any shape.
    """

    def between(first: float, last: float) -> Integers:
        start = np.searchsorted(days, centre_days + first * fwhm_days - _SLACK_DAYS)
        return np.searchsorted(days, centre_days + last * fwhm_days + _SLACK_DAYS) - start

    return between(-_DIP, _DIP), between(-_WING - 1, -_WING), between(_WING, _WING + 1)


def wings_in_words(before: int, after: int, least: int) -> str:
    """Return which wings a dip has: both, before, after or none."""
    names = {(True, True): "both", (True, False): "before", (False, True): "after"}
    return names.get((before >= least, after >= least), "none")


# Lenses that stand for the others in the first search: alpha, beta_s, impact. Their sources are so
# wide that no caustic falls between two centres.
_COARSE = (
    (8.0, 0.4, 1.5),
    (1.0, 0.4, np.nan),
    (2.0, 0.6, np.nan),
    (12.0, 0.6, 1.0),
    (3.0, 1.0, 1.5),
)


@lru_cache(maxsize=1)
def coarse_bank() -> tuple[LensTemplate, ...]:
    """Return the shapes of the first search."""
    return tuple(make_template(LensShape(name_of(*one), *one)) for one in _COARSE)


@lru_cache(maxsize=1)
def whole_bank() -> tuple[LensTemplate, ...]:
    """Return the shapes that an event can have: the coarse ones, then the lens bank."""
    return coarse_bank() + template_bank()
