"""Events injected into light curves: which are found, and from which depth on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proof.truth import (
    DEPTH_BACKGROUND,
    LENSES,
    MAX_FALSE_ALARM,
    REQUIRED,
    Setting,
    Sizes,
)
from proof.work import Draw
from simulator.lenses import depth_and_width

REQUIRED_DEPTH, REQUIRED_FWHM = 0.2, 60.0
# Depths that are tried, in units of what should be found half of the time.
_STEPS = (0.5, 0.8, 1.3, 2.0, 3.2, 5.0, 8.0)
FOUND_PART = 0.9


def required_draws(sizes: Sizes, search: Mapping[str, Any]) -> list[Draw]:
    """Return the events of the specification, before each background."""
    each = max(1, round(sizes.n_required / len(LENSES)))
    return [
        Draw(
            Setting("daily", 0.01), background, each, 0, sizes.seed, lens,
            REQUIRED_DEPTH, REQUIRED_FWHM, search, "required",
        )
        for background in REQUIRED
        for lens in LENSES
    ]  # fmt: skip


def depth_draws(sizes: Sizes, search: Mapping[str, Any]) -> list[Draw]:
    """Return the events of the depth curves."""
    return [
        Draw(
            Setting("daily", error), DEPTH_BACKGROUND, sizes.n_depth, 0, sizes.seed, lens,
            depth, width, search, "depth",
        )
        for error in sizes.errors
        for width in sizes.widths_days
        for lens in LENSES
        for depth in depths_tried(error, width, lens)
    ]  # fmt: skip


def depths_tried(error: float, fwhm_days: float, lens: str) -> list[float]:
    """Return depths from where none to where all should be found, as deep as the lens can be."""
    middle = 5 * np.hypot(error / np.sqrt(fwhm_days), 0.6 * DEPTH_BACKGROUND.modulation)
    deepest = 0.98 * depth_and_width(LENSES[lens])[0]
    wanted = [float(round(step * middle, 4)) for step in _STEPS]
    kept = [depth for depth in wanted if depth < deepest]
    return kept if len(kept) == len(wanted) else [*kept, float(round(deepest, 4))]


def with_verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """Add whether each event was found."""
    return rows.assign(is_found=(rows["p_inferred"] <= MAX_FALSE_ALARM) & is_near(rows))


def is_near(rows: pd.DataFrame) -> pd.Series:
    """Return whether the centre found lies within one width of the truth."""
    return (rows["found_centre_mjd"] - rows["centre_mjd"]).abs() <= rows["fwhm_days"]


def depth_found(depth: NDArray[np.float64], part: NDArray[np.float64]) -> float:
    """Return the depth from which on `FOUND_PART` are found, NaN when no depth reaches it.

    Linear in the logarithm of the depth between the last that misses it and the next.

    Parameters
    ----------
    depth, part : (Ndepths,) in order of depth, and the part of events that was found.
    """
    missed = np.flatnonzero(part < FOUND_PART)
    if not len(missed):
        return float(depth[0])
    last = int(missed[-1])
    if last == len(depth) - 1:
        return float("nan")
    low, high = part[last], part[last + 1]
    step = (FOUND_PART - low) / (high - low)
    return float(depth[last] * (depth[last + 1] / depth[last]) ** step)


def depth_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return D90 of each setting, width and lens: setting, fwhm_days, lens, d90, deepest."""
    curves = rows.groupby(["setting", "fwhm_days", "lens", "depth"])["is_found"].mean()
    found = []
    for (setting, width, lens), part in curves.groupby(level=[0, 1, 2]):
        depths = part.index.get_level_values("depth").to_numpy()
        d90 = depth_found(depths, part.to_numpy())
        found.append((setting, width, lens, d90, float(depths[-1])))
    return pd.DataFrame(found, columns=["setting", "fwhm_days", "lens", "d90", "deepest"])
