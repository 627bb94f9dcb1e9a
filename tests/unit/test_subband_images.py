"""Images of parts of the band: their names, beams, fluxes, and what a missing part does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_images as synthetic
from astropy.io import fits

import build_mosaic
import correct_subband_beams
import measure_photometry
from contimg.beam import airy_power
from contimg.fits import read_image, write_image, write_rejected_image
from contimg.imaging import products_of_wsclean, subband_paths
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.schemas import PHOTOMETRY
from contimg.status import Rejected, read_status, write_status
from contimg.subband_images import effective_freq_hz, weights_within
from contimg.tables import check_schema, read_table, whole_band

FREQ_HZ = 1.3e9 + 12.5e6 * (np.arange(16) + 0.5)
CENTRES = 1.3e9 + 50e6 * (np.arange(4) + 0.5)
CENTRE, SHAPE, CELL_ARCSEC = (227.5, 46.9), (512, 512), 20.0
BEAM = synthetic.Beam(70 / 3600, 60 / 3600, 35.0)
OFFSETS = np.array([(0.0, 0.0), (150.0, 40.0), (-90.0, 170.0), (60.0, -130.0)])
FLUX_JY, NOISE_JY = np.array([1.0, 0.8, 2.0, 0.5]), 0.002
OPTIONS = {
    "min_jy": 0.01, "blend_beams": 1.5, "background_box_beams": 30, "check_min_jy": 0.05,
    "ratio_range": [0.8, 1.2], "min_completeness": 0.6,
}  # fmt: skip


def header(freq_hz: float, width_hz: float) -> fits.Header:
    made = synthetic.sin_header(CENTRE, SHAPE, CELL_ARCSEC, BEAM)
    made["CRVAL3"], made["CDELT3"] = freq_hz, width_hz
    return made


def test_names_of_subbands_and_what_wsclean_calls_them() -> None:
    assert products_of_wsclean(0) == [
        "image:image", "residual:residual", "model:model", "psf:psf"
    ]  # fmt: skip
    assert products_of_wsclean(2) == [
        "MFS-image:image", "MFS-residual:residual", "MFS-model:model", "MFS-psf:psf",
        "0000-image:s0.image", "0000-residual:s0.residual",
        "0001-image:s1.image", "0001-residual:s1.residual",
    ]  # fmt: skip
    assert subband_paths("pb", 2) == [
        "images/{date}/{group}.s0.pb.fits", "images/{date}/{group}.s1.pb.fits"
    ]  # fmt: skip


def test_a_subband_has_the_channels_of_its_part_with_their_weights() -> None:
    image = synthetic.image_of(np.zeros(SHAPE), header(CENTRES[1], 50e6))
    image = type(image)(image.data, image.header, image.wcs, image.beam, CENTRES[1])
    weight = np.arange(16.0)
    found = weights_within(image, FREQ_HZ, weight)
    np.testing.assert_allclose(found, np.where(np.arange(16) // 4 == 1, weight, 0) / 22)
    mean = (4 * FREQ_HZ[4] + 5 * FREQ_HZ[5] + 6 * FREQ_HZ[6] + 7 * FREQ_HZ[7]) / 22
    assert effective_freq_hz(FREQ_HZ, found) == pytest.approx(mean, rel=1e-12)
    with pytest.raises(Rejected, match=r"all data from 1350.0 to 1400.0 MHz are flagged"):
        weights_within(image, FREQ_HZ, np.where(np.arange(16) // 4 == 1, 0, 1))


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sources in four subbands, the second of which has no data, corrected and measured."""
    folder = tmp_path_factory.mktemp("subbands")
    weight = np.where(np.arange(16) // 4 == 1, 0.0, 1.0)
    weight[[0, 1]] = 0.0
    rng = np.random.default_rng(0)
    whole = header(1.4e9, 200e6)
    world = synthetic.image_of(np.zeros(SHAPE), whole).wcs
    x, y = (OFFSETS + SHAPE[0] // 2).T
    ra, dec = world.all_pix2world(x, y, 0)
    write_survey(folder / "catalog.sqlite3", ra, dec)
    angle = np.radians(np.hypot(*OFFSETS.T) * CELL_ARCSEC / 3600)
    for name, freq_hz, made in [
        ("", FREQ_HZ[weight > 0], whole),
        *((f".s{k}", FREQ_HZ[4 * k : 4 * k + 4][weight[4 * k : 4 * k + 4] > 0],
           header(CENTRES[k], 50e6)) for k in range(4)),
    ]:  # fmt: skip
        seed = int(rng.integers(1000))
        residual = synthetic.beam_noise(SHAPE, NOISE_JY, 65 / CELL_ARCSEC, seed)
        data = residual.copy()
        if len(freq_hz):
            response = airy_power(angle[:, None], freq_hz, 4.65).mean(axis=1)
            synthetic.inject(data, made, x, y, FLUX_JY * response)
            if not name:
                write_image(folder / "g.pb.fits", whole_beam(freq_hz), made)
        else:  # as WSClean leaves it
            data[:], residual[:], made["BMAJ"], made["BMIN"] = np.nan, 0, 0.0, 0.0
        for product, pixels in (("image", data), ("residual", residual)):
            write_image(folder / f"g{name}.{product}.fits", pixels, made)
    write_image(folder / "g.rms.fits", np.full(SHAPE, NOISE_JY), whole)
    about = {"group": "g", "mid_mjd": 60949.5, "freq_hz": 1.4e9}
    write_status(folder / "g.image.json", figures=about)
    calibrated = {
        "group": "g", "pointing": [CENTRE], "weight_time": [1.0], "freq_hz": FREQ_HZ,
        "weight_freq": weight, "dish_diameter_m": 4.65,
    }  # fmt: skip
    write_status(folder / "g.ms.json", figures=calibrated)
    correct_subband_beams.main(**beam_arguments(folder))
    measure_photometry.main(**photometry_arguments(folder))
    return folder


def whole_beam(freq_hz: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(SHAPE) - SHAPE[0] // 2
    angle = np.radians(np.hypot(rows, columns) * CELL_ARCSEC / 3600)
    return np.mean([airy_power(angle, one, 4.65) for one in freq_hz], axis=0)


def write_survey(path: Path, ra: np.ndarray, dec: np.ndarray) -> None:
    table = pd.DataFrame({"ra_deg": ra, "dec_deg": dec, "flux_jy": FLUX_JY, "rms_jy": 5e-4})
    table = table.assign(major_arcsec=45.0, minor_arcsec=45.0, beam_arcsec=45.0, size_arcsec=0.0)
    write_catalog(path, build_sources({"nvss": table}, CatalogOptions()), CatalogOptions(), {})


def of_subbands(folder: Path, product: str) -> list[Path]:
    return [folder / f"g.s{k}.{product}.fits" for k in range(4)]


def beam_arguments(folder: Path) -> dict:
    return {
        f"subband_{name}s": of_subbands(folder, name)
        for name in ("image", "residual", "pb", "pbcor", "rms")
    } | {
        "image_status": folder / "g.image.json",
        "calibrated_status": folder / "g.ms.json",
        "status": folder / "g.subbands.json",
        "beam": {"model": "airy", "table": "", "min_response": 0.1},
        "background_box_beams": 30,
    }


def photometry_arguments(folder: Path) -> dict:
    return {
        f"subband_{name}s": of_subbands(folder, name) for name in ("image", "pb", "rms")
    } | {
        "image": folder / "g.image.fits", "pb": folder / "g.pb.fits", "rms": folder / "g.rms.fits",
        "image_status": folder / "g.image.json", "catalog": folder / "catalog.sqlite3",
        "photometry": folder / "g.parquet", "group": "g", "date": "2025-10-01",
        "options": OPTIONS, "min_response": 0.1,
    }  # fmt: skip


def test_each_subband_has_the_beam_of_its_own_unflagged_channels(group: Path) -> None:
    x, y = np.rint(OFFSETS + SHAPE[0] // 2).astype(int).T
    angle = np.radians(np.hypot(*OFFSETS.T) * CELL_ARCSEC / 3600)
    for subband, used in ((0, FREQ_HZ[2:4]), (2, FREQ_HZ[8:12]), (3, FREQ_HZ[12:])):
        image = read_image(group / f"g.s{subband}.pb.fits", require_beam=False)
        expected = airy_power(angle[:, None], used, 4.65).mean(axis=1)
        np.testing.assert_allclose(image.data[y, x], expected, atol=2e-4)
        assert image.header["FREQEFF"] == pytest.approx(used.mean())


def test_a_subband_without_data_is_rejected_and_the_others_go_on(group: Path) -> None:
    told = read_status(group / "g.subbands.json")
    assert [one["status"] for one in told.figures["subbands"]] == ["ok", "rejected", "ok", "ok"]
    reason = told.figures["subbands"][1]["reason"]
    assert reason == "all data from 1350.0 to 1400.0 MHz are flagged"
    for product in ("pb", "pbcor", "rms"):
        assert fits.getheader(group / f"g.s1.{product}.fits")["STATUS"] == "rejected"
        assert fits.getheader(group / f"g.s2.{product}.fits")["STATUS"] == "ok"


def test_rows_of_the_whole_band_and_of_each_subband_have_the_true_flux(group: Path) -> None:
    table, about = read_table(group / "g.parquet")
    check_schema(table, PHOTOMETRY)
    assert table.groupby("subband").size().to_dict() == {-1: 4, 0: 4, 2: 4, 3: 4}
    assert table.groupby("subband").freq_hz.first().tolist() == pytest.approx(
        [1.4e9, FREQ_HZ[2:4].mean(), CENTRES[2], CENTRES[3]]
    )
    names = dict(zip(sorted(set(table.ra_deg)), FLUX_JY[np.argsort(-OFFSETS[:, 0])], strict=True))
    truth = table.ra_deg.map(names)
    assert np.all(np.abs(table.flux_jy - truth) < 5 * table.flux_err_jy + 0.002 * truth)
    assert about["subbands"][1] == {
        "subband": 1, "status": "rejected", "n_rows": 0,
        "reason": read_status(group / "g.subbands.json").figures["subbands"][1]["reason"],
    }  # fmt: skip
    assert about["subbands"][2]["figures"]["flux_ratio_median"] == pytest.approx(1, abs=0.01)
    assert len(whole_band(table)) == 4 and about["figures"]["n_flux_references"] == 4


def test_without_subbands_the_table_is_as_it_was(group: Path, tmp_path: Path) -> None:
    arguments = photometry_arguments(group) | {"photometry": tmp_path / "alone.parquet"}
    arguments = {name: value for name, value in arguments.items() if "subband" not in name}
    measure_photometry.main(**arguments)
    alone, about = read_table(tmp_path / "alone.parquet")
    assert "subbands" not in about and not {"subband", "freq_hz"} & set(alone.columns)
    both = whole_band(read_table(group / "g.parquet")[0])
    pd.testing.assert_frame_equal(both[alone.columns], alone)


def test_an_image_without_a_beam_rejects_its_group_and_the_mosaic_goes_on(
    group: Path, tmp_path: Path
) -> None:
    for name in ("g.image.fits", "g.s2.image.fits"):
        with fits.open(group / name) as hdus:
            del hdus[0].header["BMAJ"]
            hdus.writeto(tmp_path / name)
    arguments = photometry_arguments(group) | {"photometry": tmp_path / "g.parquet"}
    whole = arguments | {"image": tmp_path / "g.image.fits"}
    with pytest.raises(Rejected, match=r"g\.image\.fits: no restoring beam found: BMAJ not in the"):
        measure_photometry.main(**whole)
    tile = build_mosaic.tile_info(whole["image"], whole["image_status"], whole["photometry"])
    assert tile.status == "rejected" and "no restoring beam" in tile.reason
    arguments["subband_images"][2] = tmp_path / "g.s2.image.fits"
    measure_photometry.main(**arguments)
    table, about = read_table(tmp_path / "g.parquet")
    assert set(table.subband) == {-1, 0, 3} and "no restoring" in about["subbands"][2]["reason"]


def test_a_rejected_image_rejects_its_subbands(tmp_path: Path) -> None:
    for path in of_subbands(tmp_path, "image"):
        write_rejected_image(path, "no calibration")
    wanted = {"subband_pbs": "pb", "subband_pbcors": "pbcor", "subband_rmss": "rms"}
    correct_subband_beams.reject(
        "no calibration",
        **{name: of_subbands(tmp_path, product) for name, product in wanted.items()},
        status=tmp_path / "g.subbands.json",
    )
    assert read_status(tmp_path / "g.subbands.json").reason == "no calibration"
    assert fits.getheader(tmp_path / "g.s3.rms.fits")["REASON"] == "no calibration"
