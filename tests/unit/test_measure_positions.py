"""Fluxes at one's own positions on any image: the program as its user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits as afits
from synthetic_images import beam_noise, image_of, inject, sin_header

import measure_positions
from contimg.schemas import FORCED_FLUXES
from contimg.status import Rejected
from contimg.tables import check_schema, read_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_positions.py"
RMS = 1e-3
FLUX = np.array([0.5, 0.05, -0.1, 0.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image with a source, a fainter neighbour, a hole, and a table of positions."""
    header = sin_header()
    data = beam_noise((256, 256), RMS, 4.4, seed=6)
    x, y = np.array([100.0, 104.2, 180.0, 60.0]), np.array([100.0, 102.1, 60.0, 200.0])
    inject(data, header, x, y, FLUX)
    ra, dec = image_of(data, header).wcs.all_pix2world(x, y, 0)
    afits.PrimaryHDU(data[None, None].astype("f4"), header).writeto(tmp_path / "image.fits")
    table = pd.DataFrame({"source_id": list("abcd"), "ra_deg": ra, "dec_deg": dec, "note": "mine"})
    table.to_csv(tmp_path / "positions.csv", index=False)
    return tmp_path


def measured(folder: Path, positions: pd.DataFrame | None = None, **options) -> pd.DataFrame:
    if positions is not None:
        positions.to_csv(folder / "positions.csv", index=False)
    measure_positions.main(
        image=folder / "image.fits", positions=folder / "positions.csv",
        output=folder / "fluxes.parquet", **options,
    )  # fmt: skip
    return read_table(folder / "fluxes.parquet")[0]


def refused(folder: Path, positions: pd.DataFrame | None = None) -> str:
    with pytest.raises(Rejected) as error:
        measured(folder, positions)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_command_gives_fluxes_of_all_positions(folder: Path) -> None:
    """Neighbours are told apart, and what is negative or not detected is a row too."""
    command = [sys.executable, SCRIPT, "--image", "image.fits", "--positions", "positions.csv"]
    subprocess.run([*command, "--output", "fluxes.csv"], cwd=folder, check=True, timeout=60)
    table = pd.read_csv(folder / "fluxes.csv")
    check_schema(table, FORCED_FLUXES)
    assert table["source_id"].tolist() == list("abcd")
    assert (table["status"] == "ok").all()
    assert table["blended"].tolist() == [True, True, False, False]
    assert np.abs((table["flux_jy"] - FLUX) / table["flux_err_jy"]).max() < 4
    assert table["flux_err_jy"][2] == pytest.approx(np.sqrt(4 / 3) * RMS, rel=0.15)


def test_an_image_without_beam_is_refused_in_one_line(folder: Path) -> None:
    with afits.open(folder / "image.fits", mode="update") as hdus:
        del hdus[0].header["BMAJ"]
    command = [sys.executable, SCRIPT, "--image", "image.fits", "--positions", "positions.csv"]
    done = subprocess.run(
        [*command, "--output", "fluxes.csv"], cwd=folder, check=False, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("measure_positions.py: image.fits: no restoring beam found: BMAJ")
    assert "expected" in done.stderr and "header" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "fluxes.csv").exists()
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].header["BMAJ"] = 0.0
    assert "positive BMAJ and BMIN expected" in refused(folder)


@pytest.mark.parametrize("axes", [("GLON-SIN", "GLAT-SIN"), ("LINEAR", "LINEAR")])
def test_an_image_of_other_coordinates_is_refused(folder: Path, axes: tuple[str, str]) -> None:
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].header["CTYPE1"], hdus[0].header["CTYPE2"] = axes
    expected = f"image.fits: axes {axes[0]} and {axes[1]} found, right ascension"
    assert expected in refused(folder)


def test_fluxes_are_in_jy_whatever_the_unit_of_the_image(folder: Path) -> None:
    plain = measured(folder)
    noise = np.full((256, 256), 1e3 * RMS, "f4")
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].data *= 1e3
        hdus[0].header["BUNIT"] = "mJy/beam"
        afits.PrimaryHDU(noise, hdus[0].header).writeto(folder / "rms.fits")
    found = measured(folder)
    assert found["flux_jy"].to_numpy() == pytest.approx(plain["flux_jy"].to_numpy(), abs=1e-6)
    assert measured(folder, rms=folder / "rms.fits")["rms_jy"].to_numpy() == pytest.approx(RMS)


@pytest.mark.parametrize("unit", ["K", "Jy/pixel", "COUNTS"])
def test_an_image_of_other_units_is_refused(folder: Path, unit: str) -> None:
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].header["BUNIT"] = unit
    assert f"image.fits: BUNIT '{unit}' found, Jy/beam" in refused(folder)


def test_an_image_of_1950_is_refused(folder: Path) -> None:
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].header["RADESYS"], hdus[0].header["EQUINOX"] = "FK4", 1950.0
    assert "B1950 found, J2000" in refused(folder)


def test_one_source_under_two_names_is_told(folder: Path, caplog) -> None:
    """Each gets a share of the flux; nobody should take that for the source's."""
    table = pd.read_csv(folder / "positions.csv")
    twin = table.iloc[:1].assign(source_id="again", ra_deg=table["ra_deg"][0] - 360)
    found = measured(folder, pd.concat([table, twin]))
    shares = found["flux_jy"][found["source_id"].isin(["a", "again"])]
    assert shares.sum() == pytest.approx(FLUX[0], rel=0.02)
    assert "2 positions lie within a tenth of the beam of another (a, again" in caplog.text
    caplog.clear()
    measured(folder, table)
    assert "positions lie" not in caplog.text


def test_positions_that_cannot_be_measured_say_why(folder: Path) -> None:
    table = pd.read_csv(folder / "positions.csv")
    ra, dec = table["ra_deg"][0], table["dec_deg"][0]
    places = [(ra, dec), (np.nan, dec), (ra, 95.0), (ra + 20, dec), (ra + 180, -dec)]
    positions = pd.DataFrame(places, columns=["ra_deg", "dec_deg"])
    found = measured(folder, positions)
    assert found["status"].tolist() == ["ok", "no position", "no position", "outside", "outside"]
    assert found["flux_jy"].notna().tolist() == [True, False, False, False, False]
    assert found["source_id"].tolist() == ["1", "2", "3", "4", "5"]
    assert len(measured(folder, positions[:0])) == 0


def test_the_schema_tells_every_word_of_status(folder: Path) -> None:
    with afits.open(folder / "image.fits", mode="update") as hdus:
        hdus[0].data[..., 170:190, 20:40] = np.nan
        header = hdus[0].header
    image = image_of(np.zeros((256, 256)), header)
    x, y = [100, 30, 42, 1, 200, 300], [100, 180, 180, 100, 200, 100]
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    positions = pd.DataFrame({"ra_deg": [*ra, np.nan], "dec_deg": [*dec, 30.0]})
    response = np.ones((256, 256), "f4")
    response[190:210, 190:210] = 0
    afits.PrimaryHDU(response, header).writeto(folder / "pb.fits")
    found = measured(folder, positions, pb=folder / "pb.fits")["status"].tolist()
    assert found == ["ok", "nan", "edge", "edge", "no response", "outside", "no position"]
    (told,) = (column.description for column in FORCED_FLUXES if column.name == "status")
    assert all(re.search(rf"\b{word}\b", told) for word in found)


def test_the_beam_and_the_noise_can_be_given(folder: Path) -> None:
    plain = measured(folder)
    header = afits.getheader(folder / "image.fits")
    for name, value in (("pb", 0.5), ("rms", 0.002)):
        pixels = np.full((256, 256), value, "f4")
        afits.PrimaryHDU(pixels, header).writeto(folder / f"{name}.fits")
    found = measured(folder, pb=folder / "pb.fits", rms=folder / "rms.fits")
    assert found["flux_jy"].to_numpy() == pytest.approx(2 * plain["flux_jy"].to_numpy(), abs=1e-3)
    assert found["rms_jy"].to_numpy() == pytest.approx(0.004)
    assert (found["pb"] == 0.5).all()
    afits.PrimaryHDU(pixels[:200], header).writeto(folder / "small.fits")
    with pytest.raises(Rejected, match=r"small\.fits: .*\(256, 256\) expected"):
        measured(folder, rms=folder / "small.fits")
    header["CRVAL2"] += 1.0
    afits.PrimaryHDU(pixels, header).writeto(folder / "other.fits")
    for name in ("rms", "pb"):
        with pytest.raises(Rejected, match=r"other\.fits: pixels that lie [\d.]+ pixels from"):
            measured(folder, **{name: folder / "other.fits"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"output": "fluxes.txt"}, r"fluxes\.txt: unknown form; expected a name in \.csv"),
        ({"background_box_beams": 0.0}, "background_box_beams 0 found"),
        ({"blend_beams": -1.0}, "blend_beams -1 and"),
        ({"image": "positions.csv"}, r"positions\.csv: not a readable FITS image"),
        ({"rms": "positions.csv"}, r"positions\.csv: not a readable FITS image"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(folder: Path, options, told) -> None:
    given = {"image": "image.fits", "positions": "positions.csv", "output": "fluxes.csv"} | options
    paths = {k: folder / v if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(Rejected, match=told) as error:
        measure_positions.main(**paths)
    assert "\n" not in str(error.value)


def test_where_the_beam_has_no_response_there_is_no_flux_and_the_status_says_so(
    folder: Path,
) -> None:
    response = np.full((256, 256), 0.5, "f4")
    response[40:80, 160:200], response[180:220, 40:80] = 0.0, np.nan  # at sources c and d
    afits.PrimaryHDU(response, afits.getheader(folder / "image.fits")).writeto(folder / "pb.fits")
    found = measured(folder, pb=folder / "pb.fits")
    assert found["status"].tolist() == ["ok", "ok", "no response", "no response"]
    assert found[["flux_jy", "pb", "snr"]].isna().all(axis=1).tolist() == [False] * 2 + [True] * 2


def test_tables_that_cannot_be_meant_are_refused_with_what_is_wrong(folder: Path) -> None:
    table = pd.read_csv(folder / "positions.csv")
    twice = table.assign(source_id=["a", "b", "a", "d"])
    assert "source_id a found in rows 1, 3, each once expected" in refused(folder, twice)
    assert "ra_deg and dec_deg expected" in refused(folder, table.rename(columns={"ra_deg": "ra"}))
    words = table.assign(dec_deg=["54.0", "54d", "54.0", "54.0"])
    assert "dec_deg '54d' found in row 2, degrees expected" in refused(folder, words)
    (folder / "positions.csv").unlink()
    assert refused(folder).endswith("positions.csv: no such file; correct the path")
    (folder / "image.fits").unlink()
    table.to_csv(folder / "positions.csv", index=False)
    assert refused(folder).endswith("image.fits: no such file; correct the path")


def test_a_field_too_crowded_to_fit_is_refused(folder: Path) -> None:
    table = pd.read_csv(folder / "positions.csv")
    rng = np.random.default_rng(0)
    ra, dec = (table[name][0] + rng.uniform(-0.04, 0.04, 4000) for name in ("ra_deg", "dec_deg"))
    crowd = pd.DataFrame({"ra_deg": ra, "dec_deg": dec})
    assert "positions found of which each is near the next" in refused(folder, crowd)
