"""Hour angles and transits agree with astropy, and with the meridian that products use."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg import transits
from contimg.meridian import meridian_icrs
from contimg.site import OVRO_MMA_LATITUDE_DEG, OVRO_MMA_LONGITUDE_DEG

ARCSEC_RAD = np.radians(1 / 3600)
PLACES = {"ra_deg": st.floats(0, 359.99), "dec_deg": st.floats(-30, 85)}
MJD = st.floats(58849.0, 61500.0)


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iers.conf, "auto_download", False)


def astropy_hour_angle(ra_deg: float, dec_deg: float, mjd: float) -> tuple[float, float]:
    """Hour angle and declination of date, radians, without the atmosphere."""
    place = EarthLocation.from_geodetic(OVRO_MMA_LONGITUDE_DEG, OVRO_MMA_LATITUDE_DEG, 1200.0)
    frame = HADec(obstime=Time(mjd, format="mjd", scale="utc"), location=place)
    seen = SkyCoord(ra_deg * u.deg, dec_deg * u.deg).transform_to(frame)
    return float(seen.ha.wrap_at(180 * u.deg).rad), float(seen.dec.rad)


@settings(max_examples=40, deadline=None)
@given(**PLACES, mjd=MJD)
def test_hour_angles_are_astropys_to_20_arcsec(ra_deg: float, dec_deg: float, mjd: float) -> None:
    expected, expected_dec = astropy_hour_angle(ra_deg, dec_deg, mjd)
    place = np.array(ra_deg), np.array(dec_deg)
    found = transits.hour_angle_rad(*place, mjd, OVRO_MMA_LONGITUDE_DEG)
    difference = np.angle(np.exp(1j * (found - expected)))
    assert abs(difference) * np.cos(expected_dec) < 20 * ARCSEC_RAD
    assert abs(transits.apparent_place(*place, mjd)[1] - expected_dec) < 2 * ARCSEC_RAD


@settings(max_examples=20, deadline=None)
@given(**PLACES, mjd=MJD)
def test_a_transit_is_on_the_meridian_and_near(ra_deg: float, dec_deg: float, mjd: float) -> None:
    transit = transits.transit_mjd(ra_deg, dec_deg, mjd, OVRO_MMA_LONGITUDE_DEG)
    hour_angle, dec = astropy_hour_angle(ra_deg, dec_deg, transit)
    assert abs(hour_angle) * np.cos(dec) < 20 * ARCSEC_RAD
    assert abs(transit - mjd) < 0.5


def test_what_the_products_put_on_the_meridian_transits_there() -> None:
    mjd, apparent_dec_deg = 60967.88, 46.81
    ra_deg, dec_deg = np.ravel(meridian_icrs(np.array([mjd]), apparent_dec_deg))
    place = np.array(ra_deg), np.array(dec_deg)
    angle = transits.hour_angle_rad(*place, mjd, OVRO_MMA_LONGITUDE_DEG)
    apparent = transits.apparent_place(*place, mjd)[1]
    off = transits.separation_rad(angle, apparent, np.radians(apparent_dec_deg))
    assert off < 20 * ARCSEC_RAD
