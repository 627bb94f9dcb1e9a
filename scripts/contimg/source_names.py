"""Names of sources: `JHHMMSS.s+DDMMSS`, cut (not rounded) from the position as the IAU asks.

Of sources that share a name each gets a letter, which its own position alone decides: where it
is in the cell of 0.1 s by 1 arcsec that the name stands for. So a name never passes from one
source to another, whatever rows a catalogue has besides, and in whatever order. A source that
had its cell for itself gets its letter when another comes into the cell.
"""

import re
from collections import Counter
from string import ascii_lowercase

import numpy as np
from numpy.typing import ArrayLike

# Positions come as decimal degrees: 15 arcsec x 1e-6 lies far below any catalogue's last digit
# and keeps a value such as 12h00m00.1s from being cut to 12h00m00.0s.
_ROUNDING_GUARD = 1e-6
_PARTS = 5  # of a cell in each coordinate: 25 letters
_MAX_LETTERS = 5  # the parts of parts are then 0.5 mas by 0.3 mas

_NAME = re.compile(r"J(\d\d)([0-5]\d)([0-5]\d\.\d)([+-])(\d\d)([0-5]\d)([0-5]\d)[a-z]*")


def source_name(ra_deg: float, dec_deg: float) -> str:
    """Return the name of the source at an ICRS position.

    Parameters
    ----------
    ra_deg : right ascension in degrees, any turn.
    dec_deg : declination in degrees, -90 to 90.

    Raises
    ------
    ValueError
        When the position is not finite or off the sphere.

    Notes
    -----
    IAU designations are truncated: https://cds.unistra.fr/Dic/iau-spec.html
    """
    if not (np.isfinite(ra_deg) and abs(dec_deg) <= 90):
        raise ValueError(f"no source name for RA {ra_deg}, dec {dec_deg}: not a sky position")
    tenths_of_s, whole_arcsec = _in_cells(ra_deg, dec_deg)
    tenths, arcsec = int(tenths_of_s) % 864000, int(whole_arcsec)
    hours, minutes, seconds = tenths // 36000, tenths // 600 % 60, tenths % 600
    sign = "-" if dec_deg < 0 else "+"
    return (
        f"J{hours:02d}{minutes:02d}{seconds // 10:02d}.{seconds % 10}"
        f"{sign}{arcsec // 3600:02d}{arcsec // 60 % 60:02d}{arcsec % 60:02d}"
    )


def unique_source_names(ra_deg: ArrayLike, dec_deg: ArrayLike) -> list[str]:
    """Return one name a source; those that share a name get letters, each by its own position.

    Parameters
    ----------
    ra_deg, dec_deg : (Nsources,) ICRS positions in degrees.

    Returns
    -------
    names : in the order of the input; the names do not depend on that order.

    Raises
    ------
    ValueError
        When two sources have the same position.
    """
    positions = list(
        zip(
            np.atleast_1d(ra_deg).astype(float).tolist(),
            np.atleast_1d(dec_deg).astype(float).tolist(),
            strict=True,
        )
    )
    if len(set(positions)) != len(positions):
        raise ValueError("two sources have exactly the same position; remove the duplicate row")
    names = [source_name(ra, dec) for ra, dec in positions]
    for depth in range(_MAX_LETTERS):
        count = Counter(names)
        shared = [index for index, name in enumerate(names) if count[name] > 1]
        for index in shared:
            names[index] += _letter(*positions[index], depth)
        if not shared:
            return names
    raise ValueError(
        f"sources {names[shared[0]]} and another are less than a milliarcsecond apart; is one "
        f"catalogue read twice?"
    )


def _in_cells(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Return a position in tenths of a second of RA and in arcsec from the equator."""
    tenths = (ra_deg % 360.0) / 15 * 36000 + _ROUNDING_GUARD
    return tenths, abs(dec_deg) * 3600 + _ROUNDING_GUARD


def _letter(ra_deg: float, dec_deg: float, depth: int) -> str:
    """Return the letter of a position's part of its cell, or (depth 1, ...) of that part's part."""
    x, y = (int(value % 1 * _PARTS ** (depth + 1)) % _PARTS for value in _in_cells(ra_deg, dec_deg))
    return ascii_lowercase[y * _PARTS + x]


def position_of(name: str) -> tuple[float, float] | None:
    """Return the ICRS position, degrees, that a source's name tells: to 1 arcsec; None without.

    Names are cut, so the position is the middle of what was cut off.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    hours, minutes, seconds, sign, degrees, arcmin, arcsec = found.groups()
    ra_deg = 15 * (int(hours) + int(minutes) / 60 + (float(seconds) + 0.05) / 3600)
    dec_deg = int(degrees) + int(arcmin) / 60 + (int(arcsec) + 0.5) / 3600
    if ra_deg >= 360 or dec_deg > 90:
        return None
    return ra_deg, -dec_deg if sign == "-" else dec_deg
