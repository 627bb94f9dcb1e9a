"""Where the sky stands above the meridian: hour angles and transits, by erfa alone.

Planning asks for these hundreds of times, so nothing heavier is imported. UT1 is taken as UTC
(they differ by less than a second, 15 arcsec), which is far below what choosing a calibrator
needs. Nothing here enters a product's coordinates.
"""

import erfa
import numpy as np
from numpy.typing import NDArray

SIDEREAL_DAY = 0.99726956633
DAYS_PER_RADIAN = SIDEREAL_DAY / (2 * np.pi)
MJD_ZERO = 2400000.5
Floats = NDArray[np.float64]


def apparent_place(ra_deg: Floats, dec_deg: Floats, mjd: float) -> tuple[Floats, Floats]:
    """Return apparent right ascension (of the equinox of date) and declination, radians.

    Parameters
    ----------
    ra_deg, dec_deg : ICRS, any shape.
    mjd : UTC.
    """
    astrometry, origins = erfa.apci13(*erfa.taitt(*erfa.utctai(MJD_ZERO, mjd)))
    ra, dec = erfa.atciq(np.radians(ra_deg), np.radians(dec_deg), 0, 0, 0, 0, astrometry)
    return erfa.anp(ra - origins), dec


def sidereal_time_rad(mjd: float | Floats, longitude_deg: float) -> Floats:
    """Return the apparent local sidereal time, radians in [0, 2 pi)."""
    tt1, tt2 = erfa.taitt(*erfa.utctai(MJD_ZERO, mjd))
    return erfa.anp(erfa.gst06a(MJD_ZERO, mjd, tt1, tt2) + np.radians(longitude_deg))


def hour_angle_rad(ra_deg: Floats, dec_deg: Floats, mjd: float, longitude_deg: float) -> Floats:
    """Return hour angles in [-pi, pi) at one moment; arguments as in `apparent_place`."""
    ra, _ = apparent_place(ra_deg, dec_deg, mjd)
    return erfa.anpm(sidereal_time_rad(mjd, longitude_deg) - ra)


def separation_rad(hour_angle: Floats, dec_rad: Floats, pointing_dec_rad: float) -> Floats:
    """Return the distance of apparent places from the dish's axis (HA 0, `pointing_dec_rad`)."""
    return erfa.seps(hour_angle, dec_rad, 0.0, pointing_dec_rad)


def transit_mjd(ra_deg: float, dec_deg: float, near_mjd: float, longitude_deg: float) -> float:
    """Return the time (MJD, UTC) of the transit nearest to `near_mjd`."""
    mjd = near_mjd
    for _ in range(2):
        angle = hour_angle_rad(np.array(ra_deg), np.array(dec_deg), mjd, longitude_deg)
        mjd -= float(angle) * DAYS_PER_RADIAN
    return mjd


def first_transit_mjd(apparent_ra_rad: Floats, start_mjd: float, longitude_deg: float) -> Floats:
    """Return the first transits at or after a time (MJD, UTC); the next is a sidereal day later.

    Parameters
    ----------
    apparent_ra_rad : apparent right ascensions, good for a day, any shape.
    """
    ahead = erfa.anp(apparent_ra_rad - sidereal_time_rad(start_mjd, longitude_deg))
    return start_mjd + ahead * DAYS_PER_RADIAN


def transits_before(
    ra_deg: float, dec_deg: float, before_mjd: float, count: int, longitude_deg: float
) -> list[float]:
    """Return the times (MJD, UTC) of a source's last transits before a time, the latest first."""
    last = transit_mjd(ra_deg, dec_deg, before_mjd - SIDEREAL_DAY / 2, longitude_deg)
    near = [last - number * SIDEREAL_DAY for number in range(count)]
    return [transit_mjd(ra_deg, dec_deg, mjd, longitude_deg) for mjd in near]
