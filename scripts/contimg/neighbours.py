"""What is near a position: in words, and in which direction."""

import numpy as np
import pandas as pd

ARCSEC_DEG = 1 / 3600
NEAREST_DEG = 2.0
N_NEAREST = 5


def nearest_words(near: pd.DataFrame) -> str:
    """Name the nearest sources, given rows by rising separation_deg."""
    if near.empty:
        return f"none within {NEAREST_DEG:g} deg"
    names = [
        f"{row.source_id} ({row.separation_deg / ARCSEC_DEG:.1f} arcsec)"
        for row in near[:N_NEAREST].itertuples()
    ]
    return f"nearest: {', '.join(names)}"


def position_angle_deg(ra_deg: float, dec_deg: float, others: pd.DataFrame) -> np.ndarray:
    """Return the position angles of other positions, from north through east, 0 to 360."""
    east = np.radians(others["ra_deg"].to_numpy(dtype=float) - ra_deg)
    dec, other = np.radians(dec_deg), np.radians(others["dec_deg"].to_numpy(dtype=float))
    along = np.cos(dec) * np.sin(other) - np.sin(dec) * np.cos(other) * np.cos(east)
    return np.degrees(np.arctan2(np.sin(east) * np.cos(other), along)) % 360
