"""Sources about RA 0, seen by an array with dead and inactive antennas in its middle.

Both are silent errors elsewhere: an RA averaged across 0 puts a mosaic on the other side of the
sky, and an antenna table that loses a row gives each later antenna its neighbour's gain.
"""

import json
from pathlib import Path

import judge
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from figures import record
from gains import compare_gains

from conftest import ROOT, snakemake
from contimg.calibration_table import read_gains
from contimg.fits import read_image
from contimg.status import read_status
from contimg.tables import read_table

DATE = "2025-10-08"
CONFIGS = [ROOT / "config" / "demo.yaml", Path(__file__).with_name("ra0.yaml")]
NEAR_ZERO = [(0.0, 46.9), (359.999, 46.6), (0.001, 47.25)]
DEAD, INACTIVE = {11, 26, 38, 70}, {10, 22, 52, 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ra_zero")
    snakemake(made, "--", f"simulated/{DATE}/truth.json", configs=CONFIGS)
    groups = [group for _, group in judge.science_groups(made, "zero")]
    photometry = [f"photometry/{DATE}/{group}.parquet" for group in groups]
    mosaic = f"mosaics/{DATE}/zero_transit.mosaic.fits"
    snakemake(made, "--", mosaic, *photometry, configs=CONFIGS)
    return made


@pytest.fixture(scope="module")
def groups(folder: Path) -> list[str]:
    return [group for _, group in judge.science_groups(folder, "zero")]


def peak_offset_arcsec(path: Path, ra_deg: float, dec_deg: float) -> float:
    """Distance of the brightest pixel within 1.5 arcmin of a place from it."""
    image = read_image(path)
    wcs, data = image.wcs, image.data
    place = SkyCoord(ra_deg, dec_deg, unit="deg")
    x, y = (float(value) for value in wcs.world_to_pixel(place))
    reach = int(0.025 / abs(wcs.wcs.cdelt[1]))
    rows = slice(round(y) - reach, round(y) + reach + 1)
    columns = slice(round(x) - reach, round(x) + reach + 1)
    at = np.unravel_index(np.nanargmax(data[rows, columns]), data[rows, columns].shape)
    found = wcs.pixel_to_world(at[1] + columns.start, at[0] + rows.start)
    return float(found.separation(place).arcsec)


@pytest.mark.parametrize("place", NEAR_ZERO)
def test_source_is_in_its_place_in_images_and_mosaic(
    folder: Path, groups: list[str], place: tuple[float, float]
) -> None:
    images = [folder / f"images/{DATE}/{group}.image.fits" for group in groups]
    for path in [*images, folder / f"mosaics/{DATE}/zero_transit.mosaic.fits"]:
        assert peak_offset_arcsec(path, *place) < 8, path.name


def test_positions_and_fluxes_about_ra_zero(folder: Path, groups: list[str]) -> None:
    offsets = pd.concat(judge.image_positions(folder, DATE, group) for group in groups)
    positions = judge.positions(offsets)
    record("RA 0: positions", positions)
    assert positions.n > 15
    assert positions.median_offset < 0.03
    assert abs(positions.dra) < 0.01
    assert abs(positions.ddec) < 0.01
    rows = pd.concat(judge.image_fluxes(folder, DATE, group) for group in groups)
    found = judge.fluxes(rows)
    record("RA 0: fluxes", found)
    assert (rows["ra_deg"] > 350).any()
    assert (rows["ra_deg"] < 10).any()
    assert found.median == pytest.approx(1, abs=0.01)


def test_mosaic_about_ra_zero(folder: Path, groups: list[str]) -> None:
    rows, scatter = judge.mosaic_figures(folder, DATE, "zero_transit", groups[0])
    found = judge.fluxes(rows)
    record("RA 0: mosaic", {"scatter_over_rms_map": scatter, "median": found.median, "n": found.n})
    assert found.n > 15
    assert found.median == pytest.approx(1, abs=0.02)
    assert scatter == pytest.approx(1, abs=0.2)
    mosaic = read_image(folder / f"mosaics/{DATE}/zero_transit.mosaic.fits")
    assert max(mosaic.data.shape) * mosaic.pixel_scale_deg < 6


def test_rows_of_photometry_about_ra_zero(folder: Path, groups: list[str]) -> None:
    for group in groups:
        rows, about = read_table(folder / f"photometry/{DATE}/{group}.parquet")
        for ra_deg, dec_deg in NEAR_ZERO:
            [row] = rows[
                (np.abs((rows["ra_deg"] - ra_deg + 180) % 360 - 180) < 1e-4)
                & (np.abs(rows["dec_deg"] - dec_deg) < 1e-4)
            ].to_dict("records")
            assert row["status"] == "ok"
            assert row["snr"] > 50
        assert about["figures"]["astrometric_offset_arcsec"] < 2


def test_unused_antennas_leave_the_others_their_gains(folder: Path) -> None:
    [gains] = (folder / "cal" / DATE).glob("*.gcal")
    truth = folder / "simulated" / DATE
    noise_jy = json.loads((truth / "truth.json").read_text())["noise_sigma_jy"]
    apparent_jy = read_status(Path(f"{gains}.json")).figures["apparent_jy"]
    found = compare_gains(
        gains.with_suffix(".bcal"), gains, truth / "truth.h5", gains.stem, apparent_jy, noise_jy
    )
    record("RA 0: gains with dead and inactive antennas", found)
    assert found.n_antennas == 36
    assert found.worst_antenna_amplitude_bias < 0.01
    assert found.worst_antenna_phase_bias_deg < 1.0
    assert not found.dead_unflagged
    assert not found.live_flagged
    table = read_gains(gains)
    flagged = {
        int(name.split("-")[-1])
        for name, flags in zip(table.antennas, table.flag, strict=True)
        if flags.all()
    }
    assert flagged >= DEAD | INACTIVE
