"""Forced photometry against injected sources and WSClean; see also test_photometry_slow.py."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits as afits
from synthetic_images import BEAM, beam_noise, image_of, inject, sin_header

from contimg import fits, photometry
from contimg.fits import Beam, Image
from contimg.noise import background_and_rms


def forced(image: Image, x, y, rms: float | np.ndarray = 1e-3, **kwargs) -> pd.DataFrame:
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    shape = image.data.shape
    noise = np.broadcast_to(np.float32(rms), shape)
    return photometry.measure_fluxes(image, ra, dec, np.zeros(shape, "f4"), noise, **kwargs)


def test_injected_fluxes_are_recovered_at_any_subpixel_position() -> None:
    header, rng = sin_header(shape=(600, 600)), np.random.default_rng(0)
    grid = np.arange(30, 590, 30.0)
    x, y = (g.ravel() + rng.uniform(-0.5, 0.5, g.size) for g in np.meshgrid(grid, grid))
    flux = rng.uniform(-0.1, 3, x.size)
    data = np.zeros((600, 600))
    inject(data, header, x, y, flux)
    table = forced(image_of(data, header), x, y)
    assert (table["status"] == "ok").all()
    assert not table["blended"].any()
    assert table["flux_jy"].to_numpy() == pytest.approx(flux, rel=1e-4, abs=1e-6)
    assert table["x_pix"].to_numpy() == pytest.approx(x, abs=1e-6)
    assert list(table.columns) == [
        "x_pix", "y_pix", "flux_jy", "flux_err_jy", "rms_jy", "chi2", "blended", "edge", "status"
    ]  # fmt: skip


def test_source_restored_by_wsclean_has_its_flux(tmp_path: Path) -> None:
    """WSClean's own restoring beam, elongated 3:1, off centre: its width, angle and sign."""
    n, header = 512, sin_header(shape=(512, 512), cell_arcsec=18.0, beam=Beam(0.05, 0.0167, 25.0))
    model = np.zeros((1, 1, n, n), "f4")
    positions = [(256, 256), (60, 440), (470, 60), (100, 80)]
    for x, y in positions:
        model[0, 0, y, x] = 1.7
    for name, data in (("model", model), ("residual", np.zeros_like(model))):
        afits.PrimaryHDU(data, header).writeto(tmp_path / f"{name}.fits")
    command = ["wsclean", "-j", "1", "-beam-shape", "180asec", "60asec", "25deg",
               "-restore", "residual.fits", "model.fits", "image.fits"]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    image = fits.read_image(tmp_path / "image.fits")
    x, y = np.array(positions, float).T
    table = forced(image, x, y)
    assert table["flux_jy"].to_numpy() == pytest.approx(1.7, rel=2e-3)
    assert table["chi2"].max() < 30  # residuals below 5 mJy of 1.7 Jy with n = 1 mJy


def test_neighbours_are_told_apart() -> None:
    header, data = sin_header(), np.zeros((256, 256))
    x, y = np.array([100.0, 104.2, 180.0]), np.array([100.0, 102.1, 60.0])
    flux = np.array([1.0, 0.05, 0.3])
    inject(data, header, x, y, flux)
    table = forced(image_of(data, header), x, y)
    assert table["blended"].tolist() == [True, True, False]
    assert table["flux_jy"].to_numpy() == pytest.approx(flux, abs=1e-4)
    alone = forced(image_of(data, header), x[1:], y[1:])
    assert alone["flux_jy"][0] > 0.15  # three times too much without the neighbour


def test_wide_neighbours_are_measured_alone() -> None:
    image = image_of(np.zeros((128, 128)), sin_header(shape=(128, 128)))
    bmaj_pixels = BEAM.bmaj_deg * 1200
    for separation, blended in ((1.45, True), (1.55, False)):
        table = forced(image, [50.0, 50.0 + separation * bmaj_pixels], [60.0, 60.0])
        assert table["blended"].tolist() == [blended] * 2


def test_same_position_twice_shares_the_flux() -> None:
    header, data = sin_header(), np.zeros((256, 256))
    inject(data, header, 80.0, 90.0, 1.0)
    table = forced(image_of(data, header), [80.0, 80.0], [90.0, 90.0])
    assert table["flux_jy"].to_numpy() == pytest.approx([0.5, 0.5], rel=1e-3)
    assert np.isfinite(table["flux_err_jy"]).all()


def test_errors_are_the_scatter_of_noise_correlated_as_the_beam() -> None:
    """1600 empty positions, alone and in close pairs: error bars mean what they say."""
    beam = Beam(15 / 3600, 15 / 3600, 0.0)
    noise = beam_noise((1300, 1300), 1e-3, 5.0, seed=7)
    image = image_of(noise, sin_header(shape=(1300, 1300), beam=beam))
    x, y = (g.ravel() for g in np.meshgrid(np.arange(30, 1270, 31.0), np.arange(30, 1270, 31.0)))
    alone = forced(image, x, y)
    assert (alone["flux_jy"] / alone["flux_err_jy"]).std() == pytest.approx(1.0, abs=0.06)
    assert alone["flux_err_jy"].median() == pytest.approx(np.sqrt(4 / 3) * 1e-3, rel=1e-3)
    assert alone["chi2"].mean() == pytest.approx(1.0, abs=0.1)
    paired = forced(image, np.r_[x, x + 2], np.r_[y, y + 1])
    assert paired["blended"].all()
    assert (paired["flux_jy"] / paired["flux_err_jy"]).std() == pytest.approx(1.0, abs=0.06)
    assert paired["flux_err_jy"].median() > 1.2 * alone["flux_err_jy"].median()


def test_edges_blanks_and_the_other_side_of_the_sky() -> None:
    header, data = sin_header(), np.zeros((256, 256))
    x, y = np.array([0.2, 128.0, 60.0, 180.0]), np.array([50.0, 128.0, 60.0, 180.0])
    inject(data, header, x, y, 1.0)
    data[59:61, 59:62] = np.nan  # the centre of the third
    data[175:178, 170:190] = np.nan  # beside the fourth
    image = image_of(data, header)
    table = forced(image, np.r_[x, -3.0, 258.0], np.r_[y, 50.0, 50.0])
    assert table["status"].tolist() == ["edge", "ok", "nan", "edge", "outside", "outside"]
    assert table["edge"].tolist() == [True, False, True, True, False, False]
    assert table["flux_jy"].to_numpy()[[0, 1, 3]] == pytest.approx(1.0, rel=1e-4)
    assert table["flux_jy"].isna().tolist() == [False, False, True, False, True, True]
    zeros = np.zeros_like(image.data)
    far = photometry.measure_fluxes(image, [269.0], [-54.0], zeros, zeros + np.float32(1))
    assert far["status"].tolist() == ["outside"]
    none = photometry.measure_fluxes(image, [], [], zeros, zeros + np.float32(1))
    assert len(none) == 0


def test_a_neighbour_whose_centre_is_blank_leaves_no_flux_in_a_source() -> None:
    """Half a BMAJ beyond the data's end: it has no flux itself, but much light within them."""
    header, data = sin_header(), np.zeros((256, 256))
    x, y = np.array([100.0, 104.0]), np.array([100.0, 100.5])
    inject(data, header, x, y, np.array([0.1, 1.0]))
    data[:, 103:] = np.nan
    table = forced(image_of(data, header), x, y)
    assert table["status"].tolist() == ["edge", "nan"]
    assert table["flux_jy"][0] == pytest.approx(0.1, abs=1e-4)  # 0.25 Jy if it were left out
    assert table["blended"].tolist() == [True, False]


def test_a_position_that_is_none_is_a_row_that_says_so() -> None:
    header, data = sin_header(), np.zeros((256, 256))
    inject(data, header, 100.0, 120.0, 1.0)
    image = image_of(data, header)
    ra, dec = image.wcs.all_pix2world([100.0] * 4, [120.0] * 4, 0)
    ra[1], dec[2], dec[3] = np.nan, np.nan, 94.0
    zeros = np.zeros((256, 256), "f4")
    table = photometry.measure_fluxes(image, ra, dec, zeros, zeros + np.float32(1e-3))
    assert table["status"].tolist() == ["ok", *["no position"] * 3]
    assert table["flux_jy"].isna().tolist() == [False, True, True, True]
    assert table["flux_jy"][0] == pytest.approx(1.0, rel=1e-4)


def test_a_faint_source_beside_a_bright_one_keeps_its_flux_and_noise() -> None:
    """A neighbour of 3000 sigma at 2 to 6 BMAJ spoils neither background nor noise nor flux."""
    header, rms = sin_header(shape=(700, 700)), 1e-3
    data = beam_noise((700, 700), rms, 4.4, seed=4)
    step = np.arange(4) * np.pi / 2
    reach = BEAM.bmaj_deg * 1200 * np.array([2.0, 3.0, 4.0, 6.0])
    x, y = 350 + reach * np.cos(step), 350 + reach * np.sin(step)
    inject(data, header, np.r_[350, x], np.r_[350, y], np.r_[3.0, np.full(4, 0.02)])
    image = image_of(data, header)
    background, noise = background_and_rms(image.data, round(30 * BEAM.bmaj_deg * 1200))
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    table = photometry.measure_fluxes(image, ra, dec, background, noise)
    assert not table["blended"].any()
    assert table["rms_jy"].to_numpy() == pytest.approx(rms, rel=0.1)
    assert np.abs(table["flux_jy"] - 0.02).max() < 3.5 * rms


def test_background_is_taken_out() -> None:
    header, data = sin_header(), np.full((256, 256), 0.01)
    inject(data, header, 128.0, 100.0, 0.5)
    image = image_of(data, header)
    ra, dec = image.wcs.all_pix2world([128.0], [100.0], 0)
    background, rms = np.full((2, 256, 256), 0.01, "f4")
    table = photometry.measure_fluxes(image, ra, dec, background, rms)
    assert table["flux_jy"][0] == pytest.approx(0.5, rel=1e-5)


def test_free_positions_find_a_shifted_sky() -> None:
    header, data = sin_header(), np.zeros((256, 256))
    rng = np.random.default_rng(8)
    grid = np.arange(30, 240, 40.0)
    x, y = (g.ravel() + rng.uniform(-0.5, 0.5, g.size) for g in np.meshgrid(grid, grid))
    inject(data, header, x, y, np.full(x.size, 0.8))
    image = image_of(data, header)
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    zeros, rms = np.zeros((256, 256), "f4"), np.full((256, 256), 1e-3, "f4")
    shift_ra = 1.5 / 3600 / np.cos(np.radians(dec))
    table = photometry.fit_free_positions(image, ra - shift_ra, dec + 2.0 / 3600, zeros, rms)
    assert table["converged"].all()
    assert table["dra_arcsec"].to_numpy() == pytest.approx(1.5, abs=0.01)
    assert table["ddec_arcsec"].to_numpy() == pytest.approx(-2.0, abs=0.01)
    assert table["flux_jy"].to_numpy() == pytest.approx(0.8, rel=1e-3)
    assert table["snr"].to_numpy() == pytest.approx(800, rel=1e-2)
    nothing = photometry.fit_free_positions(image, ra[:1] + 0.02, dec[:1], zeros, rms)
    assert not nothing["converged"][0]
    assert np.isnan(nothing["dra_arcsec"][0])
