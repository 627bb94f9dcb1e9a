"""Which light curves the search meets: settings of the telescope, backgrounds, lenses."""

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.backgrounds import cadence
from simulator.lenses import Lens

Floats = NDArray[np.float64]

# The library's names of the simulator's processes on which it is calibrated.
CALIBRATED = {"white": "white", "drw": "drw", "matern52": "smooth"}
MAX_FALSE_ALARM = 1e-3
LARGEST_MODULATION = 0.05  # of the fits to the sources of a group


@dataclass(frozen=True)
class Sizes:
    """How many light curves are simulated.

    Attributes
    ----------
    seed : of all of them.
    n_calibration, n_class : n_nulls and n_class of the library.
    n_nulls : light curves without events of each background that the library is calibrated on,
        by cadence.
    n_others : of each other background, at most as many.
    n_required, n_depth, n_roc : events a background; a point of the depth curves; and light
        curves with and without events that the scores are compared on.
    errors : total errors a transit whose depths are found, as fractions.
    widths_days : full widths at half depth of these events.
    """

    seed: int = 27
    n_calibration: int = 3000
    n_class: int = 400
    n_nulls: Mapping[str, int] = field(default_factory=dict)
    n_others: int = 0
    n_required: int = 300
    n_depth: int = 50
    n_roc: int = 1000
    errors: tuple[float, ...] = (0.01, 0.03, 0.05, 0.10)
    widths_days: tuple[float, ...] = (20.0, 60.0, 120.0)


@dataclass(frozen=True)
class Setting:
    """When and how well the telescope measures.

    Attributes
    ----------
    cadence : name in `simulator.backgrounds.cadence`.
    error : typical total error of a transit, a fraction.
    unequal : scatter of the logarithm of the errors.
    """

    cadence: str
    error: float
    unequal: float = 0.0

    @property
    def name(self) -> str:
        more = ", unequal errors" if self.unequal else ""
        return f"{self.cadence}, {100 * self.error:g} %{more}"

    @property
    def mjd(self) -> Floats:
        return cadence(self.cadence)

    @property
    def errors(self) -> Floats:
        random = np.random.default_rng(8)
        scatter = np.exp(self.unequal * random.standard_normal(len(self.mjd)))
        return self.error * scatter / np.median(scatter)


@dataclass(frozen=True)
class Background:
    """A process of the simulator, with what else disturbs; see `simulator.backgrounds`."""

    process: str
    modulation: float = 0.0
    timescale_days: float = 0.0
    outliers: float = 0.0

    @property
    def calibrated(self) -> bool:
        """Whether the library's nulls have this process."""
        return self.process in CALIBRATED and not self.outliers

    @property
    def words(self) -> str:
        text = self.process
        if self.modulation:
            text += f" {100 * self.modulation:g} %"
        if self.timescale_days:
            text += f" {self.timescale_days:g} d"
        return text + (f", {100 * self.outliers:g} % outliers" if self.outliers else "")


SMOOTH_DAYS = (5.0, 15.0, 50.0)
OTHERS = (
    *(Background("smooth", 0.02, t) for t in SMOOTH_DAYS),
    *(Background("matern32", 0.02, t) for t in SMOOTH_DAYS),
    Background("flicker", 0.02, 30.0),
    Background("broken", 0.02, 15.0),
    Background("annual", 0.02, 15.0),
    Background("jumps", 0.02, 30.0),
    Background("flares", 0.02, 30.0),
    Background("lognormal", 0.02, 30.0),
    Background("nightly", 0.01),
    Background("white", outliers=0.01),
    Background("drw", 0.01, 30.0, outliers=0.01),
)
# What the specification names: modulation up to 2 %, 10-300 days, smooth 5-50 days.
REQUIRED = (
    Background("white"),
    *(Background("drw", m, t) for m in (0.01, 0.02) for t in (10.0, 30.0, 100.0, 300.0)),
    *(
        Background(process, 0.02, t)
        for process in ("smooth", "matern52", "matern32")
        for t in SMOOTH_DAYS
    ),
)
# Of these, the classes whose rate is judged on daily epochs, which take longest to search.
DEEP = (
    Background("white"),
    Background("drw", 0.01, 30.0),
    *(Background("drw", 0.02, t) for t in (10.0, 100.0, 300.0)),
    *(Background("matern52", 0.02, t) for t in SMOOTH_DAYS),
)
DEPTH_BACKGROUND = Background("drw", 0.01, 30.0)


def backgrounds_of(cadence_name: str) -> list[Background]:
    """Return the backgrounds without events that a cadence meets."""
    if cadence_name == "daily":
        return [*DEEP, *OTHERS]
    few = [("drw", 0.005, 30.0), ("drw", 0.01, 30.0), ("drw", 0.02, 10.0), ("drw", 0.02, 100.0)]
    few += [("matern52", 0.01, 15.0), ("matern52", 0.02, 15.0), ("matern52", 0.02, 50.0)]
    few += [(name, 0.02, 15.0) for name in ("smooth", "matern32")]
    few += [(name, 0.02, 30.0) for name in ("flicker", "jumps")]
    return [Background("white"), *(Background(*one) for one in few)]


LENSES = {
    "weak": Lens(1.5, 0.5),
    "sharp": Lens(5.0, 0.3),
    "strong": Lens(15.0, 0.3),
    "blurred": Lens(30.0, 1.5),
    "round, central": Lens(10.0, 0.5, 0.4),
    "round, grazing": Lens(5.0, 1.0, 1.2),
}


def sizes_from(options: Mapping[str, Any]) -> Sizes:
    """Make sizes of the block `validation` of the configuration."""
    known = asdict(Sizes())
    given = {name: value for name, value in options.items() if name in known}
    for name in ("errors", "widths_days"):
        if name in given:
            given[name] = tuple(float(value) for value in given[name])
    if "n_nulls" in given:
        given["n_nulls"] = {name: count for name, count in given["n_nulls"].items() if count}
    return Sizes(**given)


def seed_of(*words: object) -> int:
    """Return a seed that depends on nothing but what is simulated."""
    return zlib.crc32(repr(words).encode())
