"""The sources of the flux scale that `setjy` knows, told by where they are.

Light, so that planning can use it; the fluxes themselves are `contimg.standard_flux`'s.
"""

import erfa
import numpy as np
from numpy.typing import ArrayLike

VLA_LIST, PINNED = "VLA list", "pinned"
"""Flux models of calibrators that no standard gives: the list's flux, or the user's."""

SAME_PLACE_ARCSEC = 10.0
"""The positions in use differ by up to 1.5 arcsec (3C295's two lobes are 4.6 arcsec apart)."""

# J2000 (deg), to the arcsec. The VLA list names them 0137+331, 0521+166, 0542+498, 0813+482,
# 1331+305 and 1411+522.
POSITION_DEG = {
    "3C48": (24.42208, 33.15976),
    "3C138": (80.29119, 16.63946),
    "3C147": (85.65057, 49.85201),
    "3C196": (123.40022, 48.21730),
    "3C286": (202.78453, 30.50916),
    "3C295": (212.83603, 52.20254),
}


def standard_sources(ra_deg: ArrayLike, dec_deg: ArrayLike) -> list[str]:
    """Return for each place the standard source that lies there, by its 3C name, or "".

    Parameters
    ----------
    ra_deg, dec_deg : (n,) or scalar, J2000 or ICRS, degrees.
    """
    ra, dec = np.atleast_1d(np.radians(ra_deg)), np.atleast_1d(np.radians(dec_deg))
    names = [""] * len(ra)
    for name, place in POSITION_DEG.items():
        distance = np.degrees(erfa.seps(ra, dec, *np.radians(place)))
        for index in np.flatnonzero(distance * 3600 <= SAME_PLACE_ARCSEC):
            names[index] = name
    return names
