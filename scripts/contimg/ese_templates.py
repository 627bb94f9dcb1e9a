"""Lens templates laid over the epochs of a light curve."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Integers
from contimg.lens import LensShape, LensTemplate, dips_at, make_template, name_of, template_bank

# Epochs within this of the centre are in the dip; those from WING to WING + 1 are a wing of it.
_DIP, _WING = 0.5, 0.75


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


@dataclass(frozen=True)
class Templates:
    """Dips on a grid of shapes, widths and centres.

    Attributes
    ----------
    values : (Ntemplates, Nepochs).
    events : (Ntemplates,).
    """

    values: Floats
    events: Events


def lay_templates(days: Floats, placement: Placement) -> Templates:
    """Return the admissible coarse templates for epochs at these times.

    A centre lies between the first and last epoch. A template has enough epochs in its dip, and
    a wing on one side at least.

    Parameters
    ----------
    days : (Nepochs,) in order.
    """
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
    return Templates(events.dips(days), events)


def admissible(
    days: Floats, centre_days: Floats, fwhm_days: Floats, placement: Placement
) -> NDArray[np.bool_]:
    """Whether dips have epochs in them, a wing on one side at least, and their centre in between."""
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
        start = np.searchsorted(days, centre_days + first * fwhm_days, side="left")
        return np.searchsorted(days, centre_days + last * fwhm_days, side="right") - start

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
