"""Which tables are applied to a group, and whether they are those that were chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import require_same_antennas, table_digest
from contimg.status import Rejected

SAME_DECLINATION_DEG = 1e-3
"""Declinations of a choice are rounded to this."""


def nearest_tables(tables: Sequence[Mapping[str, Any]], mid_mjd: float) -> Mapping[str, Any]:
    """Return the tables nearest in time to a group; of two equally near, the earlier.

    Parameters
    ----------
    tables : entries of calibration.json.
    mid_mjd : middle of the group.
    """
    return min(tables, key=lambda one: (abs(one["mid_mjd"] - mid_mjd), one["mid_mjd"]))


def strip_of(choice: Mapping[str, Any], declination_deg: float | None) -> Mapping[str, Any]:
    """Return what was chosen for a group's declination: an entry of `strips`.

    Parameters
    ----------
    choice : figures of calibration.json.
    declination_deg : apparent declination of the group; None of a telescope that tracks.

    Raises
    ------
    Rejected
        When no tables serve its declination.
    """
    own = [one for one in choice["strips"] if one["declination_deg"] == declination_deg]
    if declination_deg is not None:
        known = [one for one in choice["strips"] if one["declination_deg"] is not None]
        distance = [abs(one["declination_deg"] - declination_deg) for one in known]
        own = [one for one, off in zip(known, distance, strict=True) if off <= SAME_DECLINATION_DEG]
    place = "a telescope that tracks"
    if declination_deg is not None:
        place = f"declination {declination_deg:.3f} deg"
    if not own:
        raise Rejected(f"calibration.json has nothing for {place}")
    if not own[0]["groups"]:
        raise Rejected(f"no calibration for {place}: {own[0]['reason']}")
    return own[0]


def paths_of(tables: Mapping[str, Any]) -> dict[str, Path]:
    """Paths of an entry's tables, in the order in which they are applied to data."""
    return {kind: Path(tables[kind]) for kind in ("kcal", "bcal", "gcal") if tables[kind]}


def check_tables(tables: Mapping[str, Any], ms: Path) -> None:
    """Check that tables are those that were chosen, and fit a set's antennas.

    Raises
    ------
    ValueError
        When a table's values changed since the choice, or its antennas are others.
    """
    for kind, path in paths_of(tables).items():
        found, chosen = table_digest(path), tables["digests"][kind]
        if found != chosen:
            raise ValueError(
                f"{path}: values have changed since they were chosen (digest {found}, {chosen} "
                f"expected): run choose_calibration of the date again"
            )
        require_same_antennas(path, ms)


def spread_over(
    integration_mjd: NDArray[np.float64],
    averaged_mjd: NDArray[np.float64],
    weight: NDArray[np.float64],
    length_s: float,
) -> NDArray[np.float64]:
    """Share the weights of averaged integrations out to the integrations they were made of.

    Parameters
    ----------
    integration_mjd : (n,) before averaging.
    averaged_mjd, weight : (m,) after it.
    length_s : time that one averaged integration covers.

    Returns
    -------
    (n,) with the sum of `weight`; 0 for an integration that is in none.
    """
    offset_s = np.abs(integration_mjd[:, None] - averaged_mjd) * 86400.0
    nearest = offset_s.argmin(axis=1)
    inside = offset_s.min(axis=1) <= length_s / 2
    count = np.bincount(nearest[inside], minlength=len(averaged_mjd))
    return np.where(inside, weight[nearest] / np.maximum(count[nearest], 1), 0.0)
