"""The VLA calibrator list is read as NRAO prints it."""

import sqlite3
from pathlib import Path

import pytest
from astropy.coordinates import SkyCoord

from contimg.vla_calibrators import (
    calibrators_20cm,
    parse_vla_calibrators,
    write_calibrators,
)

LIST = Path(__file__).parents[2] / "config" / "vla_calibrators.txt"


@pytest.fixture(scope="module")
def calibrators():
    return parse_vla_calibrators(LIST.read_text())


def named(calibrators, name):
    return next(calibrator for calibrator in calibrators if calibrator.name == name)


def test_whole_list(calibrators):
    assert len(calibrators) == 1865
    at_20cm = [flux for c in calibrators for flux in c.fluxes if flux.band == "20cm"]
    assert len(at_20cm) == 1042
    assert sum(len(c.fluxes) for c in calibrators) == LIST.read_text().count("cm ")


def test_3c196_is_where_and_as_bright_as_it_is_known_to_be(calibrators):
    source = named(calibrators, "0813+482")
    known = SkyCoord("08h13m36.0518s +48d13m02.262s")
    assert SkyCoord(source.ra_deg, source.dec_deg, unit="deg").separation(known).arcsec < 0.01
    assert source.alt_name == "3C196"
    assert {flux.band: flux.flux_jy for flux in source.fluxes} == {"90cm": 45.0, "20cm": 13.9}


def test_calibrator_of_the_strip(calibrators):
    flux = next(f for f in named(calibrators, "0834+555").fluxes if f.band == "20cm")
    assert flux.flux_jy == 8.8
    assert flux.band_code == "L"
    assert 1.3e9 < flux.freq_hz < 1.5e9


def test_declination_between_zero_and_minus_one_is_negative(calibrators):
    assert named(calibrators, "0059+001").dec_deg > 0
    south = [c for c in calibrators if c.name.endswith("-002")]
    assert south and all(-1 < c.dec_deg < 0 for c in south)


def test_names_say_where_sources_are(calibrators):
    for calibrator in calibrators:
        hours = int(calibrator.name[:2]) + int(calibrator.name[2:4]) / 60
        tenths = int(calibrator.name[4:]) / 10
        assert abs((calibrator.ra_deg / 15 - hours + 12) % 24 - 12) < 0.05
        assert abs(calibrator.dec_deg - tenths) < 0.5  # 0208-004 is at -0.80


def test_spacing_and_unknown_fluxes_of_band_lines():
    text = (
        "0001+192   J2000  A 00h01m08.621563s  19d14'33.801860\"  Aug01  JVAS   \n"
        " 20cm L  S S X X       0.53            15         visplot\n"
        " 90cm    P  S               33           10\n"
        "  6cm    C  X X X S          ?                       12\n"
        "  2cm    U  S S S S       0.00\n"
    )
    (source,) = parse_vla_calibrators(text)
    assert [flux.flux_jy for flux in source.fluxes] == [0.53, 33.0, None, 0.0]
    assert [flux.quality_codes for flux in source.fluxes] == ["SSXX", "S", "XXXS", "SSSS"]
    assert source.alt_name == "JVAS"


def test_a_file_that_is_not_the_list_is_refused():
    with pytest.raises(ValueError, match="J2000"):
        parse_vla_calibrators("name,ra,dec\n")


def test_only_measured_fluxes_are_offered():
    found = calibrators_20cm(LIST)
    assert all(calibrator.flux_jy > 0 for calibrator in found)
    assert len(found) == 1042 - 13 - 1  # lines of 0.00 and ?


def test_sqlite_keeps_sources_of_the_same_name_apart(tmp_path, calibrators):
    path = tmp_path / "vla_calibrators.sqlite3"
    write_calibrators(path, calibrators, LIST)
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM calibrators").fetchone() == (1865,)
    assert database.execute("SELECT count(*) FROM vla_20cm").fetchone() == (1042,)
    twice = "SELECT ra_deg, flux_jy FROM vla_20cm WHERE name = '1300+142'"
    assert [flux for _, flux in database.execute(twice)] == [0.6]
    assert dict(database.execute("SELECT key, value FROM meta"))["entries"] == "1865"
    database.close()
