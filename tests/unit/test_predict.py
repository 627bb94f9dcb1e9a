"""Predicted visibilities are those that pyuvdata's convention, and WSClean, give a source."""

import subprocess
from pathlib import Path

import casacore.tables as casatables
import numpy as np
import pytest
import synthetic_ms as synthetic
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import speed_of_light

from contimg.averaging import copy_averaged
from contimg.predict import (
    antenna_positions,
    by_baseline,
    copy_without_autos,
    fill_model,
    phase_centre_deg,
    predict_image,
    predict_visibilities,
)
from contimg.status import Rejected

EAST_OF_CENTRE = (227.5, 46.7, 5.0)


@pytest.fixture(scope="module")
def science(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one source, north-east of the centre, its files read-only."""
    ms = tmp_path_factory.mktemp("science") / "sci.ms"
    synthetic.write(ms, synthetic.Observation(sources=[EAST_OF_CENTRE]))
    for path in ms.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    return ms


@pytest.fixture(scope="module")
def modelled(science: Path) -> Path:
    """The private copy with the source as its model."""
    ms = science.with_name("solve.ms")
    copy_without_autos(science, ms)
    freq_hz = synthetic.Observation().freq_hz
    lmn = synthetic.plain_cosines([EAST_OF_CENTRE])
    fill_model(ms, lmn, freq_hz, lambda mjd: np.full((len(freq_hz), 1), EAST_OF_CENTRE[2]))
    return ms


def test_model_is_what_pyuvdata_wrote_for_the_source(modelled: Path) -> None:
    with casatables.table(str(modelled), ack=False) as table:
        data, model = table.getcol("DATA"), table.getcol("MODEL_DATA")
    assert np.abs(data).max() == pytest.approx(EAST_OF_CENTRE[2], rel=1e-5)
    np.testing.assert_allclose(model, data, atol=1e-5)


def test_wsclean_images_the_model_where_the_source_is(modelled: Path, tmp_path: Path) -> None:
    command = "wsclean -j 1 -no-update-model-required -data-column MODEL_DATA -niter 0"
    command += " -size 600 600 -scale 8asec -name source"
    subprocess.run(
        [*command.split(), str(modelled)], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    with fits.open(tmp_path / "source-image.fits") as hdus:
        image, wcs = hdus[0].data[0, 0], WCS(hdus[0].header).celestial
    row, column = np.unravel_index(image.argmax(), image.shape)
    ra_deg, dec_deg = wcs.all_pix2world(column, row, 0)
    assert ra_deg % 360 == pytest.approx(EAST_OF_CENTRE[0], abs=8 / 3600 / np.cos(0.815))
    assert dec_deg == pytest.approx(EAST_OF_CENTRE[1], abs=8 / 3600)


def test_copy_has_no_autos_all_antennas_and_can_be_written(science: Path, modelled: Path) -> None:
    with casatables.table(str(modelled), ack=False) as table:
        assert not np.any(table.getcol("ANTENNA1") == table.getcol("ANTENNA2"))
        assert table.nrows() == 4 * 11 * 10 // 2
    with casatables.table(f"{modelled}::ANTENNA", ack=False) as antenna:
        assert antenna.nrows() == 12
    assert all(p.stat().st_mode & 0o200 for p in modelled.rglob("*"))
    assert phase_centre_deg(modelled) == pytest.approx(synthetic.CENTRE_DEG)


def test_set_without_cross_correlations_is_refused(science: Path, tmp_path: Path) -> None:
    with (
        casatables.table(str(science), ack=False) as table,
        table.query("ANTENNA1 == ANTENNA2") as autos,
    ):
        autos.copy(str(tmp_path / "autos.ms"), deep=True).close()
    with pytest.raises(Rejected, match=r"autos\.ms.*none of them of two antennas"):
        copy_without_autos(tmp_path / "autos.ms", tmp_path / "copy.ms")
    with pytest.raises(Rejected, match=r"autos\.ms.*none of them of two antennas"):
        copy_averaged(tmp_path / "autos.ms", tmp_path / "copy.ms", 4, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_antenna_positions_give_their_baselines_back(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    antenna1, antenna2 = np.triu_indices(n, 1)
    turned = rng.random(len(antenna1)) < 0.5
    antenna1, antenna2 = np.where(turned, antenna2, antenna1), np.where(turned, antenna1, antenna2)
    truth = rng.normal(scale=1000.0, size=(n, 3))
    position, first, second, residual = antenna_positions(
        truth[antenna1] - truth[antenna2], antenna1, antenna2
    )
    assert residual < 1e-8
    np.testing.assert_allclose(position, truth - truth.mean(axis=0), atol=1e-8)
    np.testing.assert_array_equal(first, antenna1)
    np.testing.assert_array_equal(second, antenna2)


@pytest.mark.parametrize("uvw_error_m", [0.0, 0.5], ids=["of antennas", "of baselines only"])
@pytest.mark.parametrize("bend_hz", [0.0, 1e5], ids=["even channels", "uneven channels"])
def test_visibilities_are_the_fourier_sum(uvw_error_m: float, bend_hz: float) -> None:
    rng = np.random.default_rng(5)
    antenna1, antenna2 = np.triu_indices(9, 1)
    position = rng.normal(scale=500.0, size=(20, 3))
    uvw = position[antenna1 + 5] - position[antenna2 + 5]
    uvw += uvw_error_m * rng.normal(size=uvw.shape)
    freq_hz = 1.3e9 + 0.25e6 * np.arange(40) + bend_hz * np.arange(40) ** 2
    lmn = 0.02 * rng.normal(size=(6, 3))
    flux_jy = rng.uniform(0.1, 3.0, size=(40, 6))
    phase = 2 * np.pi / speed_of_light * (uvw @ lmn.T)[:, None, :] * freq_hz[:, None]
    expected = (flux_jy * np.exp(1j * phase)).sum(axis=-1)
    found = predict_visibilities(uvw, antenna1 + 5, antenna2 + 5, lmn, flux_jy, freq_hz)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(by_baseline(uvw, lmn, flux_jy, freq_hz), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [((100, 640), (30, 900)), ((0, 639), (0, 1023)), ((400, 401), (90, 91))],
    ids=["a part of the image", "to its edges", "two pixels"],
)
def test_image_of_components_is_the_fourier_sum(
    rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    rng = np.random.default_rng(7)
    image, cell_rad = np.zeros((640, 1024), dtype=np.float32), np.radians(12 / 3600)
    y, x = rng.integers(*rows, 50), rng.integers(*columns, 50)
    image[y, x] = rng.uniform(-0.2, 2.0, 50)
    y, x = np.nonzero(image)
    uvw = rng.normal(size=(300, 3)) * [400.0, 400.0, 200.0]
    freq_hz = np.linspace(1.31e9, 1.5e9, 7)
    east, north = (512 - x) * cell_rad, (y - 320) * cell_rad
    lmn = np.column_stack([east, north, np.sqrt(1 - east**2 - north**2) - 1])
    phase = 2 * np.pi / speed_of_light * (uvw @ lmn.T)[:, None, :] * freq_hz[:, None]
    expected = (image[y, x] * np.exp(1j * phase)).sum(axis=-1)
    found = predict_image(uvw, freq_hz, image, cell_rad)
    assert found.dtype == np.complex64
    assert np.abs(found - expected).max() / np.abs(image).sum() < 1e-5


def test_image_without_components_gives_nothing() -> None:
    found = predict_image(np.ones((3, 3)), np.array([1.4e9]), np.zeros((64, 64)), 1e-5)
    np.testing.assert_array_equal(found, np.zeros((3, 1)))


def test_wsclean_predicts_the_same_of_an_image(science: Path, tmp_path: Path) -> None:
    ms = tmp_path / "predicted.ms"
    copy_without_autos(science, ms)
    image = np.zeros((512, 512), dtype=np.float32)
    image[[300, 90, 256], [400, 120, 255]] = [1.0, 2.5, 0.3]
    options = ["-j", "1", "-size", "512", "512", "-scale", "20asec", "-name", "model", str(ms)]
    # At its default WSClean predicts an image of fewer pixels, off by 1 % away from the centre.
    options = ["-use-wgridder", "-no-small-inversion", *options]
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "timeout": 60}
    subprocess.run(["wsclean", "-niter", "0", *options], **run)
    with fits.open(tmp_path / "model-image.fits", mode="update") as hdus:
        hdus[0].data[0, 0] = image
    (tmp_path / "model-image.fits").rename(tmp_path / "model-model.fits")
    subprocess.run(["wsclean", "-predict", *options], **run)
    with casatables.table(str(ms), ack=False) as table:
        uvw, theirs = table.getcol("UVW"), table.getcol("MODEL_DATA")
    freq_hz = synthetic.Observation().freq_hz
    found = predict_image(uvw, freq_hz, image, np.radians(20 / 3600))
    for hand in (0, 1):
        assert np.abs(found - theirs[..., hand]).max() / image.sum() < 1e-4


def test_cross_hands_of_an_unpolarized_sky_are_empty(science: Path, tmp_path: Path) -> None:
    ms = tmp_path / "four.ms"
    copy_without_autos(science, ms)
    with casatables.table(f"{ms}::POLARIZATION", readonly=False, ack=False) as polarization:
        polarization.putcell("CORR_TYPE", 0, np.array([9, 10], dtype=np.int32))
    fill_model(
        ms, np.zeros((1, 3)), synthetic.Observation().freq_hz, lambda mjd: np.full((12, 1), 2.0)
    )
    with casatables.table(str(ms), ack=False) as table:
        model = table.getcol("MODEL_DATA")
    np.testing.assert_allclose(model[..., 0], 2.0)
    np.testing.assert_array_equal(model[..., 1], 0.0)
