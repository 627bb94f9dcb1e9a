"""Reading the master catalogue: all of it, cones, and sources by name.

Cones are searched by the index `sources_sky` on declination zone and RA. What the columns are is
told in `contimg.master_catalog`, which makes it.
"""

import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.status import InputError

FLOATS = (
    "ra_deg", "dec_deg", "s_nvss", "snr_nvss", "s_first", "s_vlass", "alpha",
    "s_racs", "s_tgss", "alpha_tgss",
)  # fmt: skip
COLUMN_TYPES = {  # told, because an empty or all-NULL column has no type of its own
    "source_id": object,
    **dict.fromkeys(FLOATS, float),
    "resolved_flag": int,
    "confusion_flag": int,
}
VIEWS = ("sources", "good_references", "final_references")
ZONES_PER_DEG = 2
ZONE = f"CAST((dec_deg + 90) * {ZONES_PER_DEG} AS INTEGER)"
"""SQL of a row's declination zone: with RA the index that cones are searched by."""
WIDEST_BY_ZONES_DEG = 20.0  # a wider cone is a good part of the sky: all of its belt is read


def read_sources(
    path: Path,
    ra_deg: float | None = None,
    dec_deg: float | None = None,
    radius_deg: float = 180.0,
    min_jy: float = 0.0,
    view: str = "sources",
) -> pd.DataFrame:
    """Return the catalogue's sources within a cone, ordered by source_id.

    Parameters
    ----------
    path : master_sources.sqlite3.
    ra_deg, dec_deg : centre, ICRS degrees; the whole catalogue when None.
    radius_deg : radius of the cone.
    min_jy : smallest s_nvss.
    view : sources, good_references or final_references.

    Returns
    -------
    sources : the `sources` table's columns, with `separation_deg` when a centre is given.

    Raises
    ------
    ValueError
        When the file is missing or is not a catalogue.
    """
    if view not in VIEWS:
        raise InputError(f"no view {view} of the catalogue; expected one of {', '.join(VIEWS)}")
    if ra_deg is None or dec_deg is None:
        query = f"SELECT * FROM {view} WHERE s_nvss >= ? ORDER BY source_id"
        return _query(path, query, (min_jy,))
    where, values = _around(ra_deg % 360.0, dec_deg, radius_deg + 1e-6)
    query = f"SELECT * FROM {view} WHERE ({where}) AND s_nvss >= ? ORDER BY source_id"
    sources = _query(path, query, (*values, min_jy))
    separation = separation_deg(ra_deg, dec_deg, sources.ra_deg, sources.dec_deg)
    near = sources.assign(separation_deg=separation)
    return near[near.separation_deg <= radius_deg].reset_index(drop=True)


def read_named_sources(path: Path, source_ids: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some sources, ordered by source_id; ids that are not there give none."""
    wanted = sorted(set(source_ids))
    parts = [
        _query(
            path,
            f"SELECT * FROM sources WHERE source_id IN ({', '.join('?' * len(some))}) "
            f"ORDER BY source_id",
            tuple(some),
        )
        for some in (wanted[start : start + 10_000] for start in range(0, len(wanted), 10_000))
    ]
    return pd.concat(
        parts or [_query(path, "SELECT * FROM sources LIMIT 0", ())], ignore_index=True
    )


def separation_deg(
    ra_deg: float, dec_deg: float, other_ra_deg: pd.Series, other_dec_deg: pd.Series
) -> NDArray[np.float64]:
    """Return great-circle separations in degrees, exact for small and large angles."""
    chord = np.linalg.norm(
        unit_vectors(other_ra_deg, other_dec_deg) - unit_vectors([ra_deg], [dec_deg]), axis=1
    )
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0)))


def unit_vectors(ra_deg: Any, dec_deg: Any) -> NDArray[np.float64]:
    """Return (N, 3) unit vectors of positions in degrees."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _around(ra_deg: float, dec_deg: float, radius_deg: float) -> tuple[str, tuple[float, ...]]:
    """Return an SQL condition that holds for every row in a cone, and for few others.

    The cone reaches asin(sin(radius) / cos(dec)) to either side in RA, and around a pole that it
    contains all the way.
    """
    low, high = dec_deg - radius_deg, dec_deg + radius_deg
    belt, values = "dec_deg BETWEEN ? AND ?", (low, high)
    if radius_deg > WIDEST_BY_ZONES_DEG:
        return belt, values
    first, last = (
        math.floor((min(max(edge, -90.0), 90.0) + 90) * ZONES_PER_DEG) for edge in (low, high)
    )
    zones = ", ".join(str(zone) for zone in range(first, last + 1))
    belt = f"{ZONE} IN ({zones}) AND {belt}"
    if low <= -90 or high >= 90:
        return belt, values
    ratio = math.sin(math.radians(radius_deg)) / math.cos(math.radians(dec_deg))
    half = math.degrees(math.asin(min(ratio, 1.0))) + 1e-6
    west, east = ra_deg - half, ra_deg + half
    ranges = [(west, east)]
    if west < 0:
        ranges = [(0.0, east), (west + 360, 360.0)]
    elif east > 360:
        ranges = [(west, 360.0), (0.0, east - 360)]
    parts = [f"{belt} AND ra_deg BETWEEN ? AND ?" for _ in ranges]
    return " OR ".join(parts), tuple(v for pair in ranges for v in (*values, *pair))


def _query(path: Path, query: str, values: tuple[Any, ...]) -> pd.DataFrame:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such catalogue; make it with the rule build_catalog")
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            cursor = database.execute(query, values)
            names, rows = [column[0] for column in cursor.description], cursor.fetchall()
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path}: not a master catalogue ({error}); remove it and make it again"
            ) from error
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pd.DataFrame(
        {
            name: np.array(column, dtype=COLUMN_TYPES.get(name, object))
            for name, column in zip(names, columns, strict=True)
        }
    )
