"""Mosaics: beams, grids, weights, and the fluxes that come out."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as afits
from astropy.wcs import WCS
from reproject import reproject_interp
from synthetic_images import beam_noise, image_of, inject, sin_header

from contimg import fits, mosaic, photometry
from contimg.fits import Beam
from contimg.mosaic import Mosaic, Tile, TileInfo, TileLimits
from contimg.status import Rejected

N, CELL = 400, 15.0  # 1.67 degrees
BEAMS = (Beam(75 / 3600, 60 / 3600, 20.0), Beam(80 / 3600, 55 / 3600, -40.0),
         Beam(70 / 3600, 66 / 3600, 80.0))  # fmt: skip
CENTRES = ((359.0, 54.0), (0.0, 54.2), (1.0, 54.0))
RMS = (1e-3, 2e-3, 1e-3)


def primary_beam(n: int = N) -> np.ndarray:
    y, x = np.mgrid[:n, :n] - n // 2
    return np.exp(-4 * np.log(2) * (x**2 + y**2) * (CELL / 3600 / 1.5) ** 2).astype("f4")


def write_tile(
    folder: Path, name: str, centre, beam: Beam, ra: np.ndarray, dec: np.ndarray,
    flux: np.ndarray, rms: float = 0.0, seed: int = 0,
) -> Tile:  # fmt: skip
    """A tile of the sky as an interferometer sees it: attenuated, with noise like its beam."""
    header = sin_header(centre, (N, N), CELL, beam)
    x, y = WCS(header).celestial.all_world2pix(ra, dec, 0)
    near = (np.abs(x - N / 2) < N) & (np.abs(y - N / 2) < N)
    x, y, flux = x[near], y[near], flux[near]
    pb, scale = primary_beam(), (CELL / 3600 / 1.5) ** 2
    seen = flux * np.exp(-4 * np.log(2) * ((x - N // 2) ** 2 + (y - N // 2) ** 2) * scale)
    data = beam_noise((N, N), rms, 4.5, seed) if rms else np.zeros((N, N))
    inside = (x > 2) & (x < N - 3) & (y > 2) & (y < N - 3)
    inject(data, header, x[inside], y[inside], seen[inside])
    tile = Tile(name, folder / f"{name}.image.fits", folder / f"{name}.pb.fits")
    fits.write_image(tile.image, data, header)
    fits.write_image(tile.pb, pb, header)
    return tile


def three_tiles(folder: Path, rms=(0.0, 0.0, 0.0), flux: float = 1.0):
    ra, dec = (
        g.ravel() for g in np.meshgrid(np.arange(-1.5, 1.6, 0.2), np.arange(53.5, 54.6, 0.12))
    )
    ra, dec = ra % 360 + 0.013, dec + 0.007
    fluxes = np.full(ra.size, flux)
    tiles = [
        write_tile(folder, f"t{i}", CENTRES[i], BEAMS[i], ra, dec, fluxes, rms[i], seed=i)
        for i in range(3)
    ]
    return tiles, ra, dec


def photometry_of(made: Mosaic, ra, dec, rms: float = 1e-3):
    image = image_of(np.nan_to_num(made.data), made.header)
    zeros = np.zeros_like(image.data)
    table = photometry.measure_fluxes(image, ra, dec, zeros, zeros + np.float32(rms))
    x, y = table["x_pix"].round().astype(int), table["y_pix"].round().astype(int)
    ny, nx = made.data.shape
    margin = (x > 12) & (x < nx - 12) & (y > 12) & (y < ny - 12)
    covered = np.zeros(len(table), bool)
    for i in np.flatnonzero(margin):
        part = made.weight[y[i] - 12 : y[i] + 13, x[i] - 12 : x[i] + 13]
        covered[i] = (part > 0).all()
    return table[covered]


@pytest.mark.parametrize("weighting", ["pb", "noise", "mean"])
def test_sources_keep_flux_and_place_across_ra_zero(tmp_path: Path, weighting) -> None:
    """Tiles of different beams on both sides of RA 0: 1 Jy stays 1 Jy to 0.2 %, in place."""
    tiles, ra, dec = three_tiles(tmp_path, rms=(1e-6, 1e-6, 1e-6))
    made = mosaic.build_mosaic(tiles, weighting, pb_limit=0.3)
    assert made.data.shape[1] < 900  # 3 degrees, not 360
    table = photometry_of(made, ra, dec)
    assert len(table) > 60
    assert table["flux_jy"].to_numpy() == pytest.approx(1.0, abs=2e-3)
    image = image_of(np.nan_to_num(made.data), made.header)
    rows = table.index.to_numpy()
    zeros = np.zeros_like(image.data)
    fit = photometry.fit_free_positions(image, ra[rows], dec[rows], zeros, zeros + np.float32(1e-3))
    # 0.5 arcsec of 80: what the beam's slope does to a source of some width (sigma^2 dlnPB/dx).
    assert fit["dra_arcsec"].abs().max() < 0.5
    assert fit["ddec_arcsec"].abs().max() < 0.5


def test_header_has_common_beam_and_each_tile_s_own(tmp_path: Path) -> None:
    tiles, *_ = three_tiles(tmp_path, rms=RMS)
    made = mosaic.build_mosaic(tiles)
    fits.write_image(tmp_path / "m.fits", made.data, made.header)
    image = fits.read_image(tmp_path / "m.fits")
    assert image.beam == pytest.approx((80 / 3600, 80 / 3600, 0.0))
    assert image.freq_hz == pytest.approx(1.405e9)
    assert image.header["NTILES"] == 3
    assert [image.header[k] for k in ("TILE0002", "TMAJ0002", "TMIN0002", "TPA0002")] == [
        "t1", *BEAMS[1]
    ]  # fmt: skip
    assert image.wcs.wcs.ctype[0] == "RA---ZEA"


def test_rms_is_what_noise_does(tmp_path: Path) -> None:
    """The rms map, predicted from weights, against the scatter of a mosaic of noise alone."""
    tiles, *_ = three_tiles(tmp_path, rms=RMS, flux=0.0)
    for weighting in ("pb", "noise", "mean"):
        made = mosaic.build_mosaic(tiles, weighting, pb_limit=0.3)
        pull = made.data / made.rms
        assert np.nanstd(pull) == pytest.approx(1.0, abs=0.06)
        assert np.isnan(made.data[made.weight == 0]).all()
        if weighting == "pb":
            seen = made.weight > 0
            assert made.rms[seen] == pytest.approx(made.weight[seen] ** -0.5, rel=1e-4)


def test_pb_weights_give_the_least_noise(tmp_path: Path) -> None:
    tiles, *_ = three_tiles(tmp_path, rms=RMS, flux=0.0)
    made = {w: mosaic.build_mosaic(tiles, w, pb_limit=0.3) for w in ("pb", "noise", "mean")}
    seen = made["pb"].weight > 0
    for other in ("noise", "mean"):
        assert (made["pb"].rms[seen] <= made[other].rms[seen] * (1 + 1e-5)).all()


def test_resampling_agrees_with_reproject(tmp_path: Path) -> None:
    """One tile with a round beam: the mosaic is the corrected image, moved by `reproject`."""
    beam = Beam(70 / 3600, 70 / 3600, 0.0)
    ra, dec = np.array([0.02, 0.4, 359.7]), np.array([54.1, 54.3, 53.8])
    tile = write_tile(tmp_path, "one", (0.0, 54.0), beam, ra, dec, np.ones(3), rms=1e-3)
    made = mosaic.build_mosaic([tile], pb_limit=0.3)
    image = fits.read_image(tile.image)
    grid = WCS(made.header).celestial
    reference, pb = (
        reproject_interp((data, image.wcs), grid, shape_out=made.data.shape, order=order,
                         return_footprint=False)
        for data, order in ((image.data, "bicubic"), (primary_beam(), "bilinear"))
    )  # fmt: skip
    seen = made.weight > 0
    assert seen.mean() > 0.5
    assert made.data[seen] == pytest.approx((reference / pb)[seen], abs=2e-5)


def test_convolution_keeps_peaks_and_integrals() -> None:
    beam, round_beam = BEAMS[1], mosaic.common_beam(BEAMS)
    header, data = sin_header(shape=(128, 160), cell_arcsec=CELL, beam=beam), np.zeros((128, 160))
    inject(data, header, 60.3, 64.8, 2.0)
    truth_header, truth = sin_header(beam=round_beam, cell_arcsec=CELL), np.zeros((128, 160))
    inject(truth, truth_header, 60.3, 64.8, 2.0)
    assert mosaic.convolve_to_beam(image_of(data, header), round_beam) == pytest.approx(
        truth, abs=2e-4
    )


def test_convolution_does_not_wrap_and_keeps_blanks() -> None:
    header, data = (
        sin_header(shape=(128, 128), cell_arcsec=CELL, beam=BEAMS[1]),
        np.zeros((128, 128)),
    )
    data[0, 64], data[50, 50] = 1.0, np.nan
    smooth = mosaic.convolve_to_beam(image_of(data, header), Beam(0.04, 0.04, 0))
    assert abs(smooth[-5:]).max() < 1e-5
    assert np.isnan(smooth[50, 50])
    assert np.isnan(smooth).sum() == 1


def test_smaller_beam_is_refused() -> None:
    image = image_of(np.zeros((32, 32)), sin_header(shape=(32, 32)))
    with pytest.raises(ValueError, match="does not enclose"):
        mosaic.convolve_to_beam(image, Beam(12 / 3600, 12 / 3600, 0.0))


def test_blank_pixels_of_a_tile_are_left_out(tmp_path: Path) -> None:
    tiles, *_ = three_tiles(tmp_path, rms=(1e-6, 1e-6, 1e-6))
    image = fits.read_image(tiles[1].image)
    image.data[150:250, 150:250] = np.nan
    fits.write_image(tiles[1].image, image.data, image.header)
    made = mosaic.build_mosaic(tiles[1:2], pb_limit=0.3)
    x, y = WCS(made.header).celestial.all_world2pix([0.0], [54.2], 0)
    assert made.weight[round(y[0]), round(x[0])] == 0
    assert np.isnan(made.data[round(y[0]), round(x[0])])


def test_mosaic_near_the_pole(tmp_path: Path) -> None:
    ra, dec = np.array([10.0, 130.0, 250.0]), np.array([89.8, 89.7, 89.75])
    tiles = [
        write_tile(tmp_path, f"p{i}", centre, BEAMS[i], ra, dec, np.ones(3), rms=1e-6)
        for i, centre in enumerate([(20.0, 89.6), (150.0, 89.6)])
    ]
    made = mosaic.build_mosaic(tiles, pb_limit=0.3)
    table = photometry_of(made, ra, dec)
    assert len(table) == 3
    assert table["flux_jy"].to_numpy() == pytest.approx(1.0, abs=3e-3)


def test_nothing_to_combine_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="none of 0 tiles"):
        mosaic.build_mosaic([])
    tiles, *_ = three_tiles(tmp_path)
    with pytest.raises(Rejected, match="none of 3 tiles"):
        mosaic.build_mosaic(tiles, pb_limit=1.5)
    fits.write_rejected_image(tiles[0].image, "no calibrator")
    with pytest.raises(Rejected, match="no calibrator"):
        mosaic.build_mosaic(tiles)


def test_beam_of_another_image_is_refused_by_name(tmp_path: Path) -> None:
    tiles, *_ = three_tiles(tmp_path)
    afits.PrimaryHDU(np.ones((10, 10), "f4")).writeto(tiles[2].pb, overwrite=True)
    with pytest.raises(ValueError, match=r"t2\.pb\.fits: shape \(10, 10\) found"):
        mosaic.build_mosaic(tiles)


def info(name: str, minutes: float, **changes) -> TileInfo:
    values = {
        "mjd": 60967.5 + minutes / 1440,
        "status": "ok",
        "reason": "",
        "pixel_scale_deg": 3 / 3600,
        "bmaj_deg": 16 / 3600,
        "figures": {"flux_ratio_median": 1.0},
    }
    return TileInfo(name, **(values | changes))


def test_bad_tiles_are_named_with_their_reasons() -> None:
    limits = TileLimits(figures={"flux_ratio_median": (0.8, 1.2)})
    tiles = [
        info("a", 0),
        info("b", 5),
        info("c", 10, status="rejected", reason="all flagged"),
        info("d", 15, pixel_scale_deg=6 / 3600),
        info("e", 20, bmaj_deg=60 / 3600),
        info("f", 25, figures={"flux_ratio_median": 0.5}),
        info("g", 30, figures={}),
    ]
    reasons, whole = mosaic.check_tiles(tiles, limits)
    assert whole == []
    assert (reasons["a"], reasons["b"], reasons["c"]) == ([], [], ["all flagged"])
    assert reasons["d"] == ["pixels of 6 arcsec, 3 arcsec in most tiles"]
    assert reasons["e"] == ["beam of 60 arcsec, 16 arcsec in the median"]
    assert reasons["f"] == ["flux_ratio_median is 0.5, 0.8 to 1.2 wanted"]
    assert reasons["g"] == ["flux_ratio_median is unknown, 0.8 to 1.2 wanted"]


def test_tiles_that_span_too_long_make_no_mosaic() -> None:
    tiles = [info(str(i), 5.154 * i) for i in range(12)]
    assert mosaic.check_tiles(tiles, TileLimits())[1] == []
    tiles.append(info("next day", 1440))
    assert mosaic.check_tiles(tiles, TileLimits())[1] == ["tiles span 1440.0 minutes, 60 allowed"]
    assert mosaic.check_tiles([], TileLimits()) == ({}, ["no tile is good"])
