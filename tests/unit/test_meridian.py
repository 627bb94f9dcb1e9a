"""The dish's meridian on the sky."""

import numpy as np
import pytest

from contimg import meridian, transits

MJD = 60967.5


def test_meridian_agrees_with_casa() -> None:
    """CASA's HADEC (0, 54 deg) at OVRO_MMA, 2025-10-19T12:00, converted to J2000 by casatools."""
    ra, dec = meridian.meridian_icrs(MJD, 54.0)[0]
    assert (ra - 89.40004696) * np.cos(np.radians(dec)) * 3600 == pytest.approx(0, abs=0.8)
    assert (dec - 53.99906286) * 3600 == pytest.approx(0, abs=0.8)


def test_sidereal_time_agrees_with_casa() -> None:
    """CASA's LAST at OVRO_MMA for the same moment, in days."""
    assert meridian.lst_deg(MJD) / 360 == pytest.approx(67706.24981623358 % 1, abs=3e-6)


def test_sky_drifts_through_at_the_sidereal_rate() -> None:
    mjd = MJD + np.arange(24) * 12.884902 / 86400
    track = meridian.meridian_icrs(mjd, 54.0)
    assert track.shape == (24, 2)
    rate = np.diff(np.unwrap(track[:, 0], period=360)) / np.diff(mjd)
    assert rate == pytest.approx(360.9856, rel=1e-3)


def test_apparent_declination_is_not_icrs() -> None:
    """Taken for ICRS it would lose minutes of arc to precession."""
    ra, dec = meridian.apparent_to_icrs(228.0, 54.0, MJD)[0]
    offset = np.hypot((ra - 228.0) * np.cos(np.radians(54)), dec - 54.0)
    assert 200 < offset * 3600 < 1200


def test_apparent_places_agree_with_erfa() -> None:
    """Both directions over the whole sky; what erfa's geocentric place leaves out is < 1 arcsec."""
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-40, 85, 50)
    apparent = np.degrees(transits.apparent_place(ra, dec, MJD))
    back = meridian.apparent_to_icrs(apparent[0], apparent[1], MJD)
    turn = (back[:, 0] - ra + 180) % 360 - 180
    assert np.abs(turn * np.cos(np.radians(dec))).max() * 3600 < 1.0
    assert np.abs(back[:, 1] - dec).max() * 3600 < 1.0
