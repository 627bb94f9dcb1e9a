"""Parts of the pages: numbers, reasons, thumbnails, plots."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits as afits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pixels
from synthetic_images import inject, sin_header

from contimg.fits import write_image, write_rejected_image
from contimg.report import archive, figures, text, thumbnails
from contimg.report.shown import most_variable
from contimg.report.summary import group_rows, rejections
from contimg.status import Rejected, Status

SIZE = 600


def test_a_heading_carries_the_unit_of_the_name():
    assert text.heading("beam_major_arcsec") == "beam major (arcsec)"
    assert text.heading("closure_phase_deg") == "closure phase (deg)"
    assert text.heading("n_model_sources") == "n model sources"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (np.nan, "–"),
        (0.0, "0"),
        (1.2345e-3, "0.00123"),
        (279, "279"),
        (-12.3456, "−12.3"),
    ],
)
def test_numbers_keep_three_digits_and_gaps_are_dashes(value, shown):
    assert text.number(value) == shown


@given(st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-5))
def test_a_shown_number_is_the_number_to_three_digits(value):
    shown = float(text.number(value).replace("−", "-").replace(",", ""))
    assert shown == pytest.approx(value, rel=5.01e-3)


def test_the_first_stage_that_rejected_a_group_gives_the_reason():
    index = {"groups": [{"group": "2025-10-19T02:10:05", "status": "complete", "subbands": [0]}]}
    calibrated = {"2025-10-19T02:10:05": Status("rejected", "95 % flagged, 90 % allowed")}
    imaged = {"2025-10-19T02:10:05": Status("rejected", "95 % flagged, 90 % allowed")}
    (row,) = group_rows(index, calibrated, imaged, pd.DataFrame({"group": []}), {})
    assert (row.state, row.reason) == ("rejected", "95 % flagged, 90 % allowed")
    assert [stage.state for stage in row.stages] == ["ok", "rejected", "rejected", "none"]
    (cause,) = rejections([row])
    assert cause["stage"] == "visibilities"


def test_missing_subbands_make_a_group_partial_and_are_named():
    entry = {"group": "2025-10-19T02:10:05", "status": "partial", "missing": [3, 7]}
    (row,) = group_rows({"groups": [entry]}, {}, {}, pd.DataFrame({"group": []}), {})
    assert row.state == "partial"
    assert row.reason == "subband 3, 7 missing"


def test_an_image_that_fails_a_check_says_which():
    group = "2025-10-19T02:10:05"
    entry = {"group": group, "status": "partial", "missing": [3]}
    check = {"status": "ok", "reason": "", "failed_checks": ["completeness 0.41"]}
    table = pd.DataFrame({"group": [group]})
    (row,) = group_rows({"groups": [entry]}, {}, {}, table, {group: check})
    assert row.state == "partial"
    assert row.reason == "subband 3 missing; check failed: completeness 0.41"


def test_a_subband_image_without_data_is_told():
    group = "2025-10-19T02:10:05"
    subbands = [
        {"subband": 0, "status": "ok", "reason": ""},
        {"subband": 1, "status": "rejected", "reason": "all data are flagged"},
    ]
    check = {"status": "ok", "reason": "", "failed_checks": [], "subbands": subbands}
    table = pd.DataFrame({"group": [group]})
    (row,) = group_rows({"groups": [{"group": group}]}, {}, {}, table, {group: check})
    assert (row.state, row.reason) == ("partial", "subband image 1: all data are flagged")


def test_what_an_image_fails_is_told_once_and_its_figures_stay():
    group, noisy = "2025-10-19T02:10:05", "rms_over_thermal is 7.2, 0.75 to 3 wanted"
    imaged = {group: Status("ok", figures={"rms_jy": 0.01}, failed_checks=[noisy])}
    check = {"status": "ok", "reason": "", "failed_checks": [noisy, "completeness 0.41"]}
    entry = {"group": group, "status": "complete"}
    (row,) = group_rows(
        {"groups": [entry]}, {}, imaged, pd.DataFrame({"group": [group]}), {group: check}
    )
    assert [stage.state for stage in row.stages[2:]] == ["partial", "partial"]
    assert row.reason == f"check failed: {noisy}; check failed: completeness 0.41"
    assert row.figures["rms_jy"] == 0.01


def written(tmp_path, data, response):
    header = sin_header(shape=data.shape)
    for name, pixels in (("a.pbcor.fits", data), ("a.pb.fits", response)):
        write_image(tmp_path / name, pixels, header)
    return tmp_path / "a.pbcor.fits", tmp_path / "a.pb.fits"


def test_a_faint_source_shows_at_its_place_with_north_up_and_east_left(tmp_path):
    rng = np.random.default_rng(3)
    data, header = rng.normal(0, 1e-3, (SIZE, SIZE)), sin_header(shape=(SIZE, SIZE))
    sky = WCS(header).celestial
    x, y = sky.all_world2pix([[89.2, 54.15]], 0)[0]  # north-east of the centre
    inject(data, header, x, y, 10e-3)
    small = thumbnails.thumbnail(*written(tmp_path, data, np.ones_like(data)), size=20)
    picture = np.asarray(Pixels.open(io.BytesIO(small.data)))
    row, column = np.unravel_index(picture.argmin(), picture.shape)
    assert picture.shape == (20, 20)
    assert (column, row) == (int(x // 30), 19 - int(y // 30))
    assert row < 10 and column < 10


def test_the_line_is_where_the_beam_is_one_half(tmp_path):
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    response = np.exp(-np.log(2) * ((x / 150) ** 2 + (y / 120) ** 2))
    small = thumbnails.thumbnail(*written(tmp_path, np.zeros((SIZE, SIZE)), response), size=120)
    corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", small.contour), dtype=float) * 5
    assert small.contour.endswith("Z")
    radius = np.hypot((corners[:, 0] - 300) / 150, (corners[:, 1] - 300) / 120)
    assert radius == pytest.approx(1, abs=0.04)


def test_a_labelled_empty_image_tells_its_reason(tmp_path):
    write_rejected_image(tmp_path / "a.fits", "imaging diverged")
    with pytest.raises(Rejected, match="imaging diverged"):
        thumbnails.open_pixels(tmp_path / "a.fits")


def test_an_image_without_a_finite_pixel_is_white():
    assert (thumbnails.grey(np.full((4, 4), np.nan, dtype=np.float32)) == 255).all()


def test_a_shrunk_image_keeps_its_place_on_the_sky():
    sky = WCS(sin_header(shape=(SIZE, SIZE))).celestial
    small = thumbnails.shrunk_wcs(sky, 30, (20, 20))
    middle_of_block = (7 * 30 + 14.5, 3 * 30 + 14.5)
    found = np.array(small.pixel_to_world_values(7, 3))
    assert found == pytest.approx(np.array(sky.pixel_to_world_values(*middle_of_block)))


def test_a_mosaic_of_two_axes_is_drawn(tmp_path):
    header = afits.Header()
    header.update(WCS(sin_header(shape=(60, 120))).celestial.to_header())
    write_image(tmp_path / "m.fits", np.random.default_rng(1).normal(size=(60, 120)), header)
    small = thumbnails.shrunk_mosaic(tmp_path / "m.fits", 40)
    assert (small.levels.shape, small.shape) == ((20, 40), (60, 120))
    picture = Pixels.open(io.BytesIO(figures.mosaic_picture(small.levels, small.wcs)))
    assert picture.width == 1160 * figures.MOSAIC_DENSITY


@given(st.floats(-20, 20))
def test_phases_lie_from_minus_180_to_below_180(angle):
    phase = figures.wrapped_deg(np.exp(1j * np.array([angle])))[0]
    assert -180 <= phase < 180
    assert np.exp(1j * np.radians(phase)) == pytest.approx(np.exp(1j * angle))


def test_a_phase_of_half_a_turn_is_minus_180():
    assert figures.wrapped_deg(np.array([-1 + 0j]))[0] == -180


def test_names_are_drawn_as_they_are_and_not_as_mathematics():
    names = ["$\\frac{", "a_$b"]
    gain = np.ones((2, 3, 2), dtype=complex)
    assert figures.gains_plot(names, gain).startswith(b"\x89PNG")
    freq_hz = np.array([1.3e9, 1.4e9, 1.5e9])
    assert figures.bandpass_panels(names, freq_hz, gain.real, (0, 2)).startswith(b"\x89PNG")


def test_candidates_come_first_and_then_the_most_variable():
    variability = pd.DataFrame(
        {"source_id": ["a", "b", "c", "d"], "eta": [1.0, 9.0, np.nan, 4.0], "n_epochs": 9}
    )
    candidates = pd.DataFrame({"source_id": ["d", "a"], "rank": [2, 1]})
    assert most_variable(variability, candidates, 3) == ["a", "d", "b"]


def test_a_candidates_subbands_are_drawn_and_counted_nowhere():
    def rows(source_id, subband):
        return pd.DataFrame(
            {
                "source_id": source_id, "mjd": 60000.0 + np.arange(9), "norm_flux_jy": 0.1,
                "norm_err_jy": 0.01, "status": "ok", "gain": 1.0, "gain_err": 0.01,
                "freq_hz": 1.4e9 + 5e7 * subband, "subband": subband,
            }
        )  # fmt: skip

    curves = pd.concat([rows(name, subband) for name in "ab" for subband in (-1, 0, 1)])
    table = pd.DataFrame(
        {"source_id": list("ab"), "eta": [1.0, 2.0], "v": 0.1, "n_epochs": 9, "subband": -1}
    )
    wild = table.assign(eta=99.0, subband=0)
    candidate = {"source_id": "a", "rank": 1, "centre_mjd": 60004.0, "fwhm_days": 2.0}
    content = [
        archive.archive_content(
            [],
            one,
            pd.concat([table, wild]),
            pd.DataFrame([candidate | {"n_subbands": 2}]),
            ["a", "b"],
        )
        for one in (curves, curves[curves.subband == -1])
    ]
    heights = [
        {one.source_id: Pixels.open(io.BytesIO(one.picture.data)).height for one in made["curves"]}
        for made in content
    ]
    assert heights[0]["a"] > heights[1]["a"] and heights[0]["b"] == heights[1]["b"]
    assert content[0]["key_figures"] == content[1]["key_figures"]
    assert content[0]["curves"][0].figures["eta"] == 1.0 and content[0]["chromatic"]
