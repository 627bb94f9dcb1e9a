"""Predicted visibilities against pyuvsim: same sources, array, times and drifting beam."""

import numpy as np
import pandas as pd
import pytest
import synthetic_ms as synthetic
from astropy.wcs import WCS
from pyuvdata import UVData
from pyuvdata.analytic_beam import AiryBeam, UniformBeam
from pyuvdata.utils.phasing import calc_frame_pos_angle
from pyuvsim_visibilities import pyuvsim_visibilities

from contimg.beam import Dish
from contimg.drift import changing_sky
from contimg.meridian import meridian_icrs
from contimg.predict import predict_image, predict_visibilities
from contimg.sky import aberration_scale, turn_of_uvw_rad, turned

pytestmark = pytest.mark.filterwarnings("ignore")

DEC_DEG = float(synthetic.SITE.lat.deg)  # pyuvsim's beam points at the zenith
FREQ_HZ = np.array([1.32e9, 1.40e9, 1.48e9])
MJD = 60967.1 + np.array([-150.0, 0.0, 150.0]) / 86400
PIXELS, COLUMNS, ROWS = 480, [240, 120, 380, 260], [240, 160, 310, 420]
FLUX_JY = np.array([1.0, 2.5, 0.7, 4.0])


def phased(centre_deg: tuple[float, float]) -> UVData:
    """An empty observation toward a phase centre."""
    rng = np.random.default_rng(2)
    east, north = rng.uniform(-700, 700, (2, 5))
    uv = UVData.new(
        freq_array=FREQ_HZ,
        channel_width=np.full(3, 1e6),
        polarization_array=np.array([-5, -6]),
        telescope=synthetic.telescope(east, north),
        times=MJD + 2400000.5,
        integration_time=np.full(3, 12.884902),
        antpairs=[(a, b) for a in range(5) for b in range(a + 1, 5)],
        do_blt_outer=True,
        empty=True,
        vis_units="Jy",
    )
    ra0, dec0 = np.radians(centre_deg)
    uv.phase(lon=ra0, lat=dec0, cat_type="sidereal", phase_frame="icrs", cat_name="meridian")
    return uv


def measurement_set_uvw_m(uv: UVData) -> np.ndarray:
    """UVW in the sense of a Measurement Set, their north that of ICRS at the centre.

    pyuvdata turns UVW by some arcsec; that is what `turn_of_uvw_rad` is checked by here.
    """
    north = calc_frame_pos_angle(
        time_array=uv.time_array, app_ra=uv.phase_center_app_ra, app_dec=uv.phase_center_app_dec,
        telescope_loc=uv.telescope.location, ref_frame="icrs", offset_pos=1e-5,
    )  # fmt: skip
    exact = north - uv.phase_center_frame_pa
    centre = next(iter(uv.phase_center_catalog.values()))
    ours = turn_of_uvw_rad((np.degrees(centre["cat_lon"]), np.degrees(centre["cat_lat"])), MJD[1])
    assert abs(ours) > 5e-6
    np.testing.assert_allclose(exact, ours, atol=1.5e-6)  # 0.005 arcsec at a degree
    return -turned(uv.uvw_array, exact[0])


def reference(uv: UVData, ra_deg: np.ndarray, dec_deg: np.ndarray, beam: object) -> np.ndarray:
    """Stokes I by pyuvsim, phased by pyuvdata, in the sense of a Measurement Set."""
    centre = next(iter(uv.phase_center_catalog.values()))
    still = uv.copy()
    still.unproject_phase()
    still.data_array = pyuvsim_visibilities(still, ra_deg, dec_deg, FLUX_JY, beam)
    still.phase(
        lon=centre["cat_lon"], lat=centre["cat_lat"], cat_type="sidereal", phase_frame="icrs",
        cat_name="meridian",
    )  # fmt: skip
    np.testing.assert_allclose(still.uvw_array, uv.uvw_array, atol=1e-6)
    return still.data_array[..., 0].conj()


@pytest.fixture(scope="module")
def axis_deg() -> np.ndarray:
    """Where the dish points in each integration."""
    return meridian_icrs(MJD, DEC_DEG)


def on_pixels(
    centre_deg: np.ndarray, cell_deg: float, columns: list[int], rows: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """ICRS positions of pixels of an image about a place."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = centre_deg
    wcs.wcs.crpix = [PIXELS // 2 + 1, PIXELS // 2 + 1]
    wcs.wcs.cdelt = [-cell_deg, cell_deg]
    ra_deg, dec_deg = wcs.all_pix2world(columns, rows, 0)
    return ra_deg, dec_deg


def test_points_in_a_drifting_beam_are_those_of_pyuvsim(axis_deg: np.ndarray) -> None:
    centre = tuple(axis_deg[1])
    sources = on_pixels(axis_deg[1], 0.01, COLUMNS, ROWS)  # up to 1.8 deg from the axis
    uv = phased(centre)
    expected = reference(uv, *sources, AiryBeam(diameter=4.65))
    rows = {"ra_deg": sources[0], "dec_deg": sources[1], "s_nvss": FLUX_JY, "alpha": np.nan}
    sky = changing_sky(
        pd.DataFrame(rows), centre, FREQ_HZ, axis_deg, MJD, np.full(3, 1 / 3),
        np.full(3, 1 / 3), Dish("airy", 4.65),
    )  # fmt: skip
    uvw = measurement_set_uvw_m(uv) * aberration_scale(centre, MJD[1])
    for mjd in MJD:
        now = np.abs(uv.time_array - 2400000.5 - mjd) < 1e-7
        assert now.sum() == 10
        found = predict_visibilities(
            uvw[now], uv.ant_1_array[now], uv.ant_2_array[now], sky.lmn, sky.apparent_jy(mjd),
            FREQ_HZ,
        )  # fmt: skip
        assert np.abs(found - expected[now]).max() / FLUX_JY.sum() < 1e-4


def test_image_of_components_is_that_of_pyuvsim(axis_deg: np.ndarray) -> None:
    """Near the centre: pixels have ICRS offsets, without the second order of aberration."""
    centre = tuple(axis_deg[1])
    sources = on_pixels(axis_deg[1], 0.001, COLUMNS, ROWS)
    uv = phased(centre)
    expected = reference(uv, *sources, UniformBeam())
    image = np.zeros((PIXELS, PIXELS), dtype=np.float32)
    image[ROWS, COLUMNS] = FLUX_JY
    uvw = measurement_set_uvw_m(uv) * aberration_scale(centre, MJD[1])
    found = predict_image(uvw, FREQ_HZ, image, np.radians(0.001))
    assert np.abs(found - expected).max() / FLUX_JY.sum() < 1e-4
