"""Names of sources: `JHHMMSS.s+DDMMSS`, cut (not rounded) from the position as the IAU asks."""

import re
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
from numpy.typing import ArrayLike

# Positions come as decimal degrees: 15 arcsec x 1e-6 lies far below any catalogue's last digit
# and keeps a value such as 12h00m00.1s from being cut to 12h00m00.0s.
_ROUNDING_GUARD = 1e-6

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
    tenths = int(np.floor((ra_deg % 360.0) / 15 * 36000 + _ROUNDING_GUARD)) % 864000
    arcsec = int(np.floor(abs(dec_deg) * 3600 + _ROUNDING_GUARD))
    hours, minutes, seconds = tenths // 36000, tenths // 600 % 60, tenths % 600
    sign = "-" if dec_deg < 0 else "+"
    return (
        f"J{hours:02d}{minutes:02d}{seconds // 10:02d}.{seconds % 10}"
        f"{sign}{arcsec // 3600:02d}{arcsec // 60 % 60:02d}{arcsec % 60:02d}"
    )


def unique_source_names(ra_deg: ArrayLike, dec_deg: ArrayLike) -> list[str]:
    """Return one name a source; those that share a name get a, b, ... by RA, then dec.

    Parameters
    ----------
    ra_deg, dec_deg : (Nsources,) ICRS positions in degrees.

    Returns
    -------
    names : in the order of the input; the names do not depend on that order.

    Raises
    ------
    ValueError
        When two sources have the same position, or more than 26 share a name.
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
    sharing: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        sharing.setdefault(name, []).append(index)
    for name, indices in sharing.items():
        if len(indices) > 1:
            _add_suffixes(names, name, sorted(indices, key=positions.__getitem__))
    return names


def _add_suffixes(names: list[str], name: str, indices: Sequence[int]) -> None:
    if len(indices) > len(ascii_lowercase):
        raise ValueError(f"{len(indices)} sources are called {name}; is one catalogue read twice?")
    for letter, index in zip(ascii_lowercase, indices, strict=False):
        names[index] = name + letter


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
