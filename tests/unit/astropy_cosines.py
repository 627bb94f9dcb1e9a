"""Direction cosines by astropy's offset frames."""

import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray


def direction_cosines(
    ra_deg: ArrayLike, dec_deg: ArrayLike, centre_deg: tuple[float, float]
) -> NDArray[np.float64]:
    """Direction cosines l, m, n - 1 of ICRS places about a centre, (n, 3)."""
    frame = SkyCoord(*centre_deg, unit="deg").skyoffset_frame()
    x, y, z = SkyCoord(ra_deg, dec_deg, unit="deg").transform_to(frame).cartesian.xyz.value
    return np.column_stack([y, z, x - 1])
