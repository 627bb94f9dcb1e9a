"""Synthetic sources around a calibrator that no survey at hand covers.

They stand in a table of a survey's layout, so that the simulated sky and the catalogue read the
same file. The one in config/surveys was made by::

    PYTHONPATH=scripts python -m simulator.neighbours > config/surveys/synthetic_0813+482.csv
"""

import sys

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from simulator.seeds import stream

CENTRE_DEG = (123.4002158, 48.2172950)
SEED, NUMBER, RADIUS_DEG = 110, 40, 2.0
MIN_JY, MAX_JY = 0.02, 0.5
NVSS_BEAM_DEG, NVSS_RMS_JY = 0.0125, 0.00045


def synthetic_neighbours() -> NDArray[np.float64]:
    """Return (n, 3): ra_deg, dec_deg, flux_jy, with counts N(>S) ~ 1/S."""
    random = stream(SEED, "neighbours")
    radius = RADIUS_DEG * np.sqrt(random.uniform(size=NUMBER))
    angle = random.uniform(0, 360, size=NUMBER)
    flux_jy = 1 / random.uniform(1 / MAX_JY, 1 / MIN_JY, size=NUMBER)
    place = SkyCoord(*CENTRE_DEG, unit="deg").directional_offset_by(angle * u.deg, radius * u.deg)
    return np.column_stack([place.ra.deg, place.dec.deg, flux_jy])


def as_csv(sources: NDArray[np.float64]) -> str:
    """Return the sources as a table in the layout of the NVSS one."""
    lines = ["ra_deg,dec_deg,peak_jy,major_deg,minor_deg,pa_deg,rms_jy"]
    for ra_deg, dec_deg, flux_jy in sources:
        shape = f"{NVSS_BEAM_DEG},{NVSS_BEAM_DEG},0,{NVSS_RMS_JY}"
        lines.append(f"{ra_deg:.6f},{dec_deg:.6f},{flux_jy:.6f},{shape}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_csv(synthetic_neighbours()))
