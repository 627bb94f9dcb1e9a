"""Names of sources are those an astronomer would write down from the position."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from contimg.source_names import source_name, unique_source_names


def test_name_of_3c196():
    assert source_name(123.400138, 48.217378) == "J081336.0+481302"


def test_names_are_cut_not_rounded():
    assert source_name(15 * (23 + 59 / 60 + 59.99 / 3600), -0.9999) == "J235959.9-005959"


def test_last_digit_of_a_position_survives_binary_floats():
    assert source_name(15 * (12 + 0.1 / 3600), 1 + 1 / 3600) == "J120000.1+010001"


@given(st.floats(0, 359.9999), st.floats(-90, 90))
def test_name_gives_the_position_back(ra_deg, dec_deg):
    name = source_name(ra_deg, dec_deg)
    position = SkyCoord(
        f"{name[1:3]}h{name[3:5]}m{name[5:9]}s {name[9:12]}d{name[12:14]}m{name[14:]}s"
    )
    assert position.separation(SkyCoord(ra_deg, dec_deg, unit="deg")).arcsec < 1.9


def test_one_turn_more_is_the_same_source():
    assert source_name(-0.5, 10.0) == source_name(359.5, 10.0)


def test_sources_that_share_a_name_get_letters_whatever_their_order():
    ra, dec = np.array([10.0, 10.0001, 50.0]), np.array([20.0, 20.0001, 5.0])
    assert unique_source_names(ra, dec) == [
        "J004000.0+200000a",
        "J004000.0+200000g",
        "J032000.0+050000",
    ]
    assert unique_source_names(ra[::-1], dec[::-1]) == unique_source_names(ra, dec)[::-1]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, unique=True))
def test_a_letter_stays_with_its_source_when_others_come_and_go(places):
    ra, dec = np.array(places).T * 1e-5 + [[10.0], [20.0]]
    names = unique_source_names(ra, dec)
    assert len(set(names)) == len(names)
    fewer = unique_source_names(ra[1:], dec[1:])
    for before, after in zip(fewer, names[1:], strict=True):
        assert after.startswith(before)  # a letter may be added, none is changed
    assert names[0] not in fewer


def test_the_same_row_twice_is_refused():
    with pytest.raises(ValueError, match="same position"):
        unique_source_names([10.0, 10.0], [20.0, 20.0])


def test_a_position_off_the_sky_is_refused():
    with pytest.raises(ValueError, match="not a sky position"):
        source_name(10.0, 91.0)
