"""Predicted visibilities against pyuvsim: same sources, array, times and drifting beam."""

import numpy as np
import pytest
import synthetic_ms as synthetic
from astropy.wcs import WCS
from pyuvdata import UVData
from pyuvdata.analytic_beam import AiryBeam, UniformBeam
from pyuvsim_visibilities import pyuvsim_visibilities
from test_drift import catalogue

from contimg.beam import Dish
from contimg.drift import changing_sky
from contimg.meridian import meridian_icrs
from contimg.predict import predict_image, predict_visibilities
from contimg.sky import aberration_scale, direction_cosines

pytestmark = pytest.mark.filterwarnings("ignore")

DEC_DEG = float(synthetic.SITE.lat.deg)  # pyuvsim's beam points at the zenith
FREQ_HZ = np.array([1.32e9, 1.40e9, 1.48e9])
MJD = 60967.1 + np.array([-150.0, 0.0, 150.0]) / 86400
PIXELS, CELL_DEG = 480, 0.01
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


@pytest.fixture(scope="module")
def sources(axis_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources on pixels of an image, at the middle of the beam and at its edge."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = axis_deg[1]
    wcs.wcs.crpix = [PIXELS // 2 + 1, PIXELS // 2 + 1]
    wcs.wcs.cdelt = [-CELL_DEG, CELL_DEG]
    ra_deg, dec_deg = wcs.all_pix2world([240, 120, 380, 260], [240, 160, 310, 420], 0)
    return ra_deg, dec_deg


def test_points_in_a_drifting_beam_are_those_of_pyuvsim(
    axis_deg: np.ndarray, sources: tuple[np.ndarray, np.ndarray]
) -> None:
    centre = tuple(axis_deg[1])
    uv = phased(centre)
    expected = reference(uv, *sources, AiryBeam(diameter=4.65))
    sky = changing_sky(
        catalogue(*sources, FLUX_JY), centre, FREQ_HZ, axis_deg, MJD, np.full(3, 1 / 3),
        np.full(3, 1 / 3), Dish("airy", 4.65),
    )  # fmt: skip
    uvw = -uv.uvw_array * aberration_scale(centre, MJD[1])
    for mjd in MJD:
        rows = np.abs(uv.time_array - 2400000.5 - mjd) < 1e-7
        assert rows.sum() == 10
        found = predict_visibilities(
            uvw[rows], uv.ant_1_array[rows], uv.ant_2_array[rows], sky.lmn, sky.apparent_jy(mjd),
            FREQ_HZ,
        )  # fmt: skip
        assert np.abs(found - expected[rows]).max() / FLUX_JY.sum() < 1e-4


def test_image_of_components_is_that_of_pyuvsim(
    axis_deg: np.ndarray, sources: tuple[np.ndarray, np.ndarray]
) -> None:
    centre = tuple(axis_deg[1])
    uv = phased(centre)
    expected = reference(uv, *sources, UniformBeam())
    image = np.zeros((PIXELS, PIXELS), dtype=np.float32)
    image[[240, 160, 310, 420], [240, 120, 380, 260]] = FLUX_JY
    uvw = -uv.uvw_array * aberration_scale(centre, MJD[1])
    found = predict_image(uvw, FREQ_HZ, image, np.radians(CELL_DEG))
    assert np.abs(found - expected).max() / FLUX_JY.sum() < 1e-4
    lmn = direction_cosines(*sources, centre)
    exact = predict_visibilities(
        uvw[:10], uv.ant_1_array[:10], uv.ant_2_array[:10], lmn, np.tile(FLUX_JY, (3, 1)), FREQ_HZ
    )
    assert np.abs(found[:10] - exact).max() / FLUX_JY.sum() < 1e-5
