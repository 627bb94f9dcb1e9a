"""Where a transit telescope points: the meridian on the ICRS sky, to a fraction of an arcsec.

Apparent directions are topocentric, of date, without refraction: hour angle and declination as
the dish's mount knows them. They become ICRS through astropy (precession, nutation, aberration).
For planning, `contimg.transits` does with less.
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from numpy.typing import ArrayLike, NDArray

from contimg.site import OVRO_MMA_HEIGHT_M, OVRO_MMA_LATITUDE_DEG, OVRO_MMA_LONGITUDE_DEG

iers.conf.auto_download = False


def lst_deg(mjd: ArrayLike, longitude_deg: float = OVRO_MMA_LONGITUDE_DEG) -> NDArray[np.float64]:
    """Local apparent sidereal time.

    Parameters
    ----------
    mjd : (n,) UTC as MJD.
    longitude_deg : east longitude, degrees.

    Returns
    -------
    (n,) degrees in [0, 360).
    """
    time = Time(np.asarray(mjd, dtype=float), format="mjd", scale="utc")
    return np.asarray(time.sidereal_time("apparent", longitude=longitude_deg * u.deg).deg)


def apparent_to_icrs(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    mjd: ArrayLike,
    longitude_deg: float = OVRO_MMA_LONGITUDE_DEG,
    latitude_deg: float = OVRO_MMA_LATITUDE_DEG,
    height_m: float = OVRO_MMA_HEIGHT_M,
) -> NDArray[np.float64]:
    """ICRS directions of apparent (topocentric, of date) directions.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) or scalar, apparent right ascension (LST - hour angle) and declination.
    mjd : (n,) or scalar, UTC as MJD.
    longitude_deg, latitude_deg, height_m : geodetic position (WGS84).

    Returns
    -------
    (n, 2) ICRS right ascension in [0, 360) and declination, degrees.
    """
    ra, dec, mjd = _broadcast(ra_deg, dec_deg, mjd)
    frame = _frame(mjd, longitude_deg, latitude_deg, height_m)
    hour_angle = lst_deg(mjd, longitude_deg) - ra
    apparent = SkyCoord(ha=hour_angle * u.deg, dec=dec * u.deg, frame=frame)
    icrs = apparent.transform_to(ICRS())
    return np.column_stack([icrs.ra.deg, icrs.dec.deg])


def meridian_icrs(
    mjd: ArrayLike,
    apparent_dec_deg: float,
    longitude_deg: float = OVRO_MMA_LONGITUDE_DEG,
    latitude_deg: float = OVRO_MMA_LATITUDE_DEG,
    height_m: float = OVRO_MMA_HEIGHT_M,
) -> NDArray[np.float64]:
    """ICRS track of a dish that stands still at hour angle 0 and one apparent declination.

    Parameters
    ----------
    mjd : (n,) UTC as MJD, one for each integration's centre.
    apparent_dec_deg : apparent declination of the pointing, degrees.
    longitude_deg, latitude_deg, height_m : geodetic position (WGS84).

    Returns
    -------
    (n, 2) ICRS right ascension and declination, degrees.
    """
    mjd = np.atleast_1d(np.asarray(mjd, dtype=float))
    lst = lst_deg(mjd, longitude_deg)
    return apparent_to_icrs(lst, apparent_dec_deg, mjd, longitude_deg, latitude_deg, height_m)


def _frame(mjd: NDArray, longitude_deg: float, latitude_deg: float, height_m: float) -> HADec:
    location = EarthLocation.from_geodetic(longitude_deg, latitude_deg, height_m)
    time = Time(mjd, format="mjd", scale="utc")
    return HADec(obstime=time, location=location, pressure=0 * u.hPa)


def _broadcast(*values: ArrayLike) -> list[NDArray[np.float64]]:
    arrays = [np.atleast_1d(np.asarray(value, dtype=float)) for value in values]
    return [np.array(array) for array in np.broadcast_arrays(*arrays)]
