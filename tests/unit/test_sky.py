"""The model sky has its calibrator once, its beam at the moment, and apparent offsets."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import GCRS, SkyCoord
from astropy.time import Time
from astropy_cosines import direction_cosines

from contimg.beam import Dish
from contimg.sky import (
    aberration_scale,
    apparent_cosines,
    apparent_flux_jy,
    icrs_cosines,
    model_sky,
)

CALIBRATOR = {"name": "0834+555", "ra_deg": 128.7289, "dec_deg": 55.5725, "flux_jy": 8.8}
FREQ_HZ = np.array([1.35e9, 1.4e9, 1.45e9])


def catalogue(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["ra_deg", "dec_deg", "s_nvss", "alpha"])


def test_calibrator_in_the_catalogue_is_in_the_model_once() -> None:
    near = catalogue((128.7289, 55.5725 + 20 / 3600, 8.3, np.nan), (129.5, 55.0, 0.4, 0.0))
    sky = model_sky(CALIBRATOR, near, FREQ_HZ)
    np.testing.assert_allclose(sky.flux_jy, [[8.8, 0.4]] * 3)
    assert (sky.ra_deg[0], sky.dec_deg[0]) == (128.7289, 55.5725)


def test_source_an_arcminute_from_the_calibrator_is_a_neighbour() -> None:
    sky = model_sky(CALIBRATOR, catalogue((128.7289, 55.5725 + 1 / 60, 0.3, 0.0)), FREQ_HZ)
    assert len(sky.ra_deg) == 2


def test_spectra_follow_the_catalogue() -> None:
    near = catalogue((128.7289, 55.5725, 8.3, -0.5), (129.5, 55.0, 0.4, -1.0), (129, 56, 1, np.nan))
    sky = model_sky(CALIBRATOR, near, FREQ_HZ)
    ratio = FREQ_HZ / 1.4e9
    np.testing.assert_allclose(sky.flux_jy[:, 0], 8.8 * ratio**-0.5)
    np.testing.assert_allclose(sky.flux_jy[:, 1], 0.4 / ratio)
    np.testing.assert_allclose(sky.flux_jy[:, 2], ratio**-0.7)


def test_standard_spectrum_is_taken_as_it_is() -> None:
    spectrum = np.array([15.0, 14.8, 14.5])
    pinned = {key: value for key, value in CALIBRATOR.items() if key != "flux_jy"}
    sky = model_sky(pinned, catalogue((128.7289, 55.5725, 8.3, -0.5)), FREQ_HZ, spectrum)
    np.testing.assert_array_equal(sky.flux_jy, spectrum[:, None])


def test_calibrator_at_half_power_is_half_as_bright() -> None:
    dish = Dish("gaussian", 4.65)
    sky = model_sky(CALIBRATOR, catalogue(), FREQ_HZ)
    offset_deg = np.degrees(dish.fwhm_rad(1.4e9)) / 2
    pointing = (CALIBRATOR["ra_deg"], CALIBRATOR["dec_deg"] - offset_deg)
    apparent = apparent_flux_jy(sky, pointing, FREQ_HZ, dish)
    assert apparent[1, 0] == pytest.approx(4.4, rel=1e-6)
    assert apparent[0, 0] > apparent[1, 0] > apparent[2, 0]


@pytest.mark.parametrize("month", range(0, 12, 3))
def test_aberration_scales_offsets_as_apparent_places_say(month: int) -> None:
    mjd, ra_deg, dec_deg = 60949.6 + 30 * month, 123.0, 46.8
    true = SkyCoord([ra_deg] * 2, [dec_deg, dec_deg + 1.4], unit="deg")
    apparent = true.transform_to(GCRS(obstime=Time(mjd, format="mjd")))
    scale = apparent[0].separation(apparent[1]) / true[0].separation(true[1])
    assert abs(float(scale) - 1) > 1e-5
    # Second order: the Earth's velocity over that of light, times the offset.
    assert aberration_scale((ra_deg, dec_deg), mjd) == pytest.approx(float(scale), abs=3e-6)


@pytest.mark.parametrize("month", range(0, 12, 3))
def test_apparent_cosines_are_those_of_apparent_places(month: int) -> None:
    mjd = 60949.6 + 30 * month
    place = SkyCoord([123.0, 120.5, 125.0, 123.3], [46.8, 47.7, 44.9, 46.6], unit="deg")
    apparent = place.transform_to(GCRS(obstime=Time(mjd, format="mjd")))
    l, m, below = apparent_cosines(place.ra.deg, place.dec.deg, (123.0, 46.8), mjd).T  # noqa: E741
    np.testing.assert_allclose(np.hypot(l, m), np.sin(apparent.separation(apparent[0]).rad),
                               atol=2e-9)  # fmt: skip
    np.testing.assert_allclose(below, np.cos(apparent.separation(apparent[0]).rad) - 1, atol=2e-9)


def test_offsets_in_a_calibrated_set_are_icrs_offsets() -> None:
    """Without the correction they would be off by up to 1e-4 of themselves, 4e-6 at 2.4 deg."""
    ra_deg, dec_deg, centre = (
        np.array([123.0, 120.5, 125.0]),
        np.array([46.8, 47.7, 44.9]),
        (123, 46.8),
    )
    for month in range(0, 12, 3):
        found = icrs_cosines(ra_deg, dec_deg, centre, 60949.6 + 30 * month)
        np.testing.assert_allclose(found, direction_cosines(ra_deg, dec_deg, centre), atol=3e-7)
