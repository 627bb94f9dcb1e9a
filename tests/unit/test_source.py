"""Looking at one source: what is read, what is said, and what is drawn."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_images import sin_header
from synthetic_source import DEC, DEEP_JY, MJD, NAME, PEAK_JY, RA, curves, fluxes, made_up_archive

from contimg import Source
from contimg.codedigest import closure
from contimg.cutouts import common_stretch, read_cutout
from contimg.fits import write_image
from contimg.source_events import Event, baseline_jy, events_of, shown_baseline_jy
from contimg.source_figures import marks_of
from contimg.source_names import position_of, source_name
from contimg.status import InputError
from contimg.variability import measure_variability

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    made_up_archive(folder)
    return folder


def test_a_source_is_its_own_rows_of_every_table(archive):
    source = Source(NAME, archive)
    assert (source.ra_deg, source.dec_deg) == (RA, DEC)
    assert len(source.measurements) == 2 * len(MJD) and set(source.measurements.source_id) == {NAME}
    assert source.measurements.mjd.is_monotonic_increasing
    assert (source.n_epochs, source.detections) == (len(MJD) - 1, len(MJD) - 1)
    assert source.verdicts.to_dict("records") == [{"verdict": "ESE", "who": "Ann", "note": ""}]
    (event,) = source.events
    assert (event.depth, event.span_mjd) == (0.3, (MJD[6] - 7, MJD[6] + 7))


def test_metrics_are_the_tables_row_or_the_same_measured_here(archive, tmp_path):
    measured = Source(NAME, archive).metrics()
    table = measure_variability(curves())
    pd.testing.assert_series_equal(measured, table.iloc[0], check_names=False)
    assert measured.n_epochs == len(MJD) - 1


def test_before_the_archive_is_made_the_images_fluxes_are_the_light_curve(archive, tmp_path):
    (tmp_path / "photometry").symlink_to(archive / "photometry")
    source = Source(NAME, tmp_path)
    assert (source.n_epochs, source.detections) == (24, 24)
    assert source.metrics().wmean_jy == pytest.approx(np.mean(fluxes()))
    assert len(source.lightcurve().axes) == 1


def test_the_errors_name_what_is_near_and_what_is_wanted(archive, tmp_path):
    with pytest.raises(InputError, match=rf"no source J133000\.1\+300000; .*{NAME[:6]}"):
        Source("J133000.1+300000", archive)
    with pytest.raises(FileNotFoundError, match=r"none of variability/lightcurves\.parquet"):
        Source(NAME, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"theirs\.csv: no such file"):
        Source(NAME, lightcurves=tmp_path / "theirs.csv")


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_numbers_serve_as_names_of_another_telescopes_sources(tmp_path, kind):
    """Beside an empty cell pandas keeps whole numbers as floats: 17.0 is source 17."""
    table = pd.DataFrame({"source_id": [17, 17, 4], "mjd": MJD[:3], "flux_jy": 1.0})
    table = table.assign(flux_err_jy=0.1).astype({"source_id": kind})
    table.to_parquet(tmp_path / "theirs.parquet")
    for name in (17, "17"):
        source = Source(name, lightcurves=tmp_path / "theirs.parquet")
        assert (source.source_id, source.n_epochs) == ("17", 2)
    with pytest.raises(InputError, match=r"no source 18; names most alike: 17, 4"):
        Source(18, lightcurves=tmp_path / "theirs.parquet")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda folder: Source.at(RA, 99.0, directory=folder), "dec 99.0 deg is no position"),
        (lambda folder: Source.at(RA, DEC, -1, folder), "radius_arcsec -1 found, above 0"),
        (lambda folder: Source(NAME, folder).cutouts(size_arcsec=0), "size_arcsec 0 found"),
        (lambda folder: Source(NAME, folder).cutouts(1e7), r"size_arcsec 1e\+07 found, at most"),
        (lambda folder: Source(NAME, folder).nearby(-1), "radius_deg -1 found"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused(archive, ask, told):
    with pytest.raises(ValueError, match=told):
        ask(archive)


def test_another_telescopes_sentinels_are_not_drawn_and_not_measured(tmp_path):
    """Errors of -99, 0 and 1e30 are as often there as not; they stopped the figure."""
    table = pd.DataFrame({"source_id": "A", "mjd": 60000.0 + np.arange(8), "flux_jy": 1.0})
    table["flux_jy"] += 0.01 * np.arange(8)
    table["flux_err_jy"] = [0.1, -99.0, 0.1, 0.0, 0.1, 0.1, np.nan, 0.1]
    table.loc[4, "flux_jy"], table.loc[5, "flux_jy"] = 1e30, np.inf
    table.to_csv(tmp_path / "c.csv", index=False)
    source = Source("A", lightcurves=tmp_path / "c.csv", sentinels=[-99, 1e30])
    assert (source.n_epochs, len(source.epochs)) == (3, 8)
    assert source.metrics().mean_jy == pytest.approx(np.mean([1.0, 1.02, 1.07]))
    drawn = source.lightcurve().axes[0]
    assert drawn.get_ylim()[1] < 2000  # mJy
    with pytest.raises(ValueError, match="no table tells its position"):
        source.nearby()
    with pytest.raises(ValueError, match=r"c\.csv: no source B; names most alike: A"):
        Source("B", lightcurves=tmp_path / "c.csv")


def test_a_light_curve_shows_baseline_event_and_both_fluxes(archive):
    figure = Source(NAME, archive).lightcurve()
    normalised, raw = figure.axes
    heights = {line.get_label(): line.get_ydata()[0] for line in normalised.lines}
    assert heights["baseline"] == pytest.approx(1e3 * PEAK_JY)
    assert heights["event 1"] == pytest.approx(1e3 * DEEP_JY)
    assert [line.get_ydata()[0] for line in raw.lines if line.get_label() == "baseline"] == [
        pytest.approx(1.1e3 * PEAK_JY)
    ]


def test_limits_are_limits_and_faint_fluxes_have_one(tmp_path):
    path = tmp_path / "curves.csv"
    pd.DataFrame(
        {
            "source_id": "PKS 1", "mjd": [1.0, 2.0, 3.0, 4.0], "flux_jy": [0.1, 0.01, -0.02, 0.05],
            "flux_err_jy": 0.01, "upper_limit": [False, False, False, True],
        }
    ).to_csv(path, index=False)  # fmt: skip
    source = Source("PKS 1", lightcurves=path)
    marks = marks_of(source.epochs, "flux_jy", "flux_err_jy", 5.0)
    assert marks.kind.tolist() == ["detection", "faint", "faint", "limit"]
    np.testing.assert_allclose(marks.limit_jy, [np.nan, 0.04, 0.03, 0.05])
    assert (source.n_epochs, source.detections) == (3, 1)
    assert "upper limit" in [line.get_label() for line in source.lightcurve().axes[0].lines]


def of_frequencies(path, subbands=None, **more):
    """Write another telescope's light curves at 1.3 and 1.4 GHz, of 4 and 6 epochs."""
    rows = pd.DataFrame(
        {
            "source_id": "PKS 1", "mjd": [*range(60000, 60004), *range(60000, 60006)],
            "flux_jy": [0.2] * 4 + [0.1, 0.1, 0.1, 0.11, 0.09, 0.1], "flux_err_jy": 0.01,
            "freq_hz": [1.3e9] * 4 + [1.4e9] * 6, **more,
        }
    )  # fmt: skip
    if subbands:
        rows["subband"] = [subbands[0]] * 4 + [subbands[1]] * 6
    rows.to_csv(path, index=False)
    return Source("PKS 1", lightcurves=path)


@pytest.mark.parametrize("subbands", [None, (0, 1)])
def test_frequencies_without_a_whole_band_are_not_mixed_and_each_is_drawn(tmp_path, subbands):
    source = of_frequencies(tmp_path / "curves.csv", subbands)
    assert (source.n_epochs, source.detections) == (6, 6), "those of one frequency"
    metrics = source.metrics()
    assert (metrics.freq_hz, metrics.n_epochs) == (1.4e9, 6)
    assert metrics.mean_jy == pytest.approx(0.1)
    assert {f: len(rows) for f, rows in source.subbands.items()} == {1.3e9: 4, 1.4e9: 6}
    main, of_each = source.lightcurve().axes
    assert main.get_title(loc="left") == "PKS 1 at 1.400 GHz"
    assert [text.get_text() for text in of_each.get_legend().get_texts()] == ["1.300", "1.400"]


def test_subbands_of_another_telescope_are_drawn_under_its_whole_band(tmp_path):
    source = of_frequencies(tmp_path / "curves.csv", (0, -1))
    assert (source.n_epochs, source.metrics().n_epochs) == (6, 6)
    _, of_each = source.lightcurve().axes
    assert [text.get_text() for text in of_each.get_legend().get_texts()] == ["1.300"]
    whole = pd.read_csv(tmp_path / "curves.csv").drop(columns="freq_hz")
    whole.to_csv(tmp_path / "without.csv", index=False)
    source = Source("PKS 1", lightcurves=tmp_path / "without.csv")
    assert source.n_epochs == 6 and len(source.lightcurve().axes) == 1


def test_what_is_odd_in_a_light_curve_is_read_as_the_metrics_read_it(tmp_path):
    source = of_frequencies(tmp_path / "curves.csv", upper_limit=["no"] * 9 + ["yes"])
    assert (source.n_epochs, source.metrics().n_epochs) == (5, 5)
    with pytest.raises(ValueError, match=r"curves\.csv: .* subtract 2400000\.5"):
        of_frequencies(tmp_path / "curves.csv", mjd=2460000.5 + np.arange(10))
    numbers = pd.read_csv(tmp_path / "curves.csv").assign(source_id=7, mjd=60000.0 + np.arange(10))
    numbers.to_parquet(tmp_path / "numbers.parquet")
    assert Source("7", lightcurves=tmp_path / "numbers.parquet").n_epochs == 6


def test_the_baseline_is_outside_the_events_where_there_is_enough():
    curve = pd.DataFrame({"mjd": MJD, "norm_flux_jy": fluxes()})
    assert baseline_jy(curve, [Event(1, MJD[6], 12.0, 0.3)]) == PEAK_JY
    assert baseline_jy(curve, [Event(1, MJD[6], 500.0, 0.3)]) == PEAK_JY
    assert np.isnan(baseline_jy(curve.assign(norm_flux_jy=np.nan)))
    deep = curve.assign(
        upper_limit=curve.norm_flux_jy < PEAK_JY, norm_flux_jy=PEAK_JY - 0.001 * MJD
    )
    assert baseline_jy(deep) == deep.norm_flux_jy[~deep.upper_limit].median()


def test_the_line_of_an_event_is_the_lens_that_was_fitted():
    row = {
        "rank": 1, "centre_mjd": 60000.0, "fwhm_days": 20.0, "depth": 0.3, "reason": "it dips",
        "template": "sheet", "alpha": 8.0, "beta_s": 0.2, "impact": np.nan,
        "lensed_fraction": 0.4, "baseline_jy": 0.2,
    }  # fmt: skip
    (event,) = events_of(pd.DataFrame([row]))
    mjd, relative = event.line(59900.0, 60100.0)
    assert relative[0] == pytest.approx(1, abs=2e-3) and relative.max() > 1.05, "caustics"
    deep = mjd[relative < 1 - 0.4 * 0.5]
    assert 0.6 <= relative.min() < 0.8, "no more than what is lensed is lost"
    assert abs(deep.mean() - 60000.0) < 0.5 and np.ptp(deep) < 21
    curve = pd.DataFrame({"mjd": MJD, "flux_jy": 0.11, "norm_flux_jy": 0.1})
    assert shown_baseline_jy(curve, [event], "norm_flux_jy") == 0.2
    assert shown_baseline_jy(curve, [event], "flux_jy") == pytest.approx(0.22)
    flagged = pd.DataFrame([row | {"centre_mjd": np.nan, "fwhm_days": np.nan}])
    assert events_of(flagged) == [], "a person flags it; the search found nothing"
    (without,) = events_of(pd.DataFrame([row]).drop(columns=["alpha", "baseline_jy"]))
    mjd, relative = without.line(59900.0, 59900.0)
    assert mjd.tolist() == [59900.0] * 2, "nothing is drawn beyond the epochs"
    assert relative.tolist() == pytest.approx([0.7, 0.7])
    assert shown_baseline_jy(curve, [without], "flux_jy") == pytest.approx(0.11)


def test_cutouts_are_of_each_epochs_best_image_and_say_why_one_is_missing(archive):
    images = Source(NAME, archive).epoch_images()
    assert [image.group[11:16] for image in images] == ["12:05"] * len(MJD)
    reasons = [image.cutout.reason for image in images]
    assert reasons[:4] == ["", "", "", "no light"]
    assert set(reasons[4:]) == {"the image is not there"}
    first = images[0].cutout
    middle = first.data.shape[0] // 2
    assert first.data[middle, middle] == pytest.approx(PEAK_JY)
    figure = Source(NAME, archive).cutouts()
    limits = {panel.images[0].get_clim() for panel in figure.axes if panel.images}
    assert len(limits) == 1
    assert sum(len(panel.patches) for panel in figure.axes) == 3, "one beam for each image"


def test_a_cutout_reads_its_own_pixels_only_and_pads_at_the_edge(tmp_path):
    size = 1501
    header = sin_header((RA, DEC), shape=(size, size))
    image = np.arange(size * size, dtype=np.float32).reshape(size, size)
    write_image(tmp_path / "image.fits", image, header)
    scale = abs(header["CDELT2"])
    before = read_so_far()
    inner = read_cutout(tmp_path / "image.fits", RA, DEC, 20 * scale)
    assert read_so_far() - before < (tmp_path / "image.fits").stat().st_size / 10
    np.testing.assert_array_equal(inner.data, image[740:761, 740:761])
    corner = read_cutout(tmp_path / "image.fits", RA, DEC + 748 * scale, 20 * scale)
    assert np.isnan(corner.data[13:]).all() and np.isfinite(corner.data[:12]).all()
    outside = read_cutout(tmp_path / "image.fits", RA, DEC + 900 * scale, 20 * scale)
    assert outside.reason == "outside the image" and common_stretch([outside]) == (0.0, 1.0)


def read_so_far() -> int:
    """Bytes that this process has read from files, as the kernel counts them."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


def test_a_name_tells_its_position():
    for ra_deg, dec_deg in ((227.37043, 46.424639), (0.0, -0.0001), (359.9999, 89.9)):
        ra, dec = position_of(source_name(ra_deg, dec_deg))
        assert abs(dec - dec_deg) < 1 / 3600 and abs(ra - ra_deg) < 1.5 / 3600
    assert position_of("PKS 1") is None and position_of("J256000.0+000000") is None


def test_the_library_itself_is_imported_without_what_a_source_needs():
    check = "import sys, contimg; sys.exit(bool({'pandas', 'contimg.source'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=SCRIPTS)


def test_rules_that_look_at_no_source_do_not_depend_on_how_that_is_done():
    modules = {path.name for path in closure(SCRIPTS / "measure_photometry.py", SCRIPTS)}
    assert "photometry.py" in modules and "source.py" not in modules
