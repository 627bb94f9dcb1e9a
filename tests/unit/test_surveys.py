"""Whatever form a survey's table comes in, the same sources come out."""

import gzip

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from survey_tables import (
    BEAM,
    NVSS,
    SURVEYS,
    cirada,
    first_fits,
    nrao,
    racs,
    tgss,
    vizier_nvss,
    write_nrao,
    write_vizier_tsv,
)

from build_catalog import main
from contimg.catalog import read_sources
from contimg.source_names import unique_source_names
from contimg.surveys import read_survey

NUMBERS = ["ra_deg", "dec_deg", "flux_jy", "rms_jy", "major_arcsec", "minor_arcsec", "size_arcsec"]


def as_configured(name, **columns):
    file = SURVEYS / f"{name}_ra225-230_dec45-48.csv"
    return read_survey(file, {"name": name, "columns": {"ra_deg": "ra_deg", **columns}}).rows


@pytest.fixture(scope="module")
def nvss():
    block = {"dec_deg": "dec_deg", "flux": "peak_jy", "rms": "rms_jy", "unit": "Jy"}
    return as_configured("nvss", **block, major="major_deg", minor="minor_deg", size_unit="deg")


def same(found, expected, rtol, columns=NUMBERS):
    for name in columns:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, err_msg=name)


def test_raw_nvss_of_nrao(tmp_path, nvss):
    write_nrao(tmp_path / "CATALOG.FIT", nrao())
    survey = read_survey(tmp_path / "CATALOG.FIT", {"name": "nvss"})
    assert survey.release == "NRAO's CATALOG"
    same(survey.rows, nvss, 1e-6)
    assert set(survey.rows.beam_arcsec) == {BEAM}


@pytest.mark.filterwarnings(
    "ignore:.*W50", "ignore:.*did not parse as fits unit"
)  # not a unit of the standards, but what is there
@pytest.mark.parametrize("form", ["votable", "fits", "tsv"])
def test_nvss_of_vizier(tmp_path, nvss, form):
    table, limited = vizier_nvss()
    path = tmp_path / f"nvss.{form}"
    if form == "tsv":
        write_vizier_tsv(path, table)
    else:
        table.write(path, format=form)
    survey = read_survey(path, {"name": "nvss"})
    assert survey.release == "VizieR VIII/65"
    same(survey.rows, nvss, 2e-7, ["ra_deg", "dec_deg"])
    same(survey.rows[~limited], nvss[~limited], 1e-6, ["flux_jy", "major_arcsec", "minor_arcsec"])
    unresolved = table["l_MajAxis"] == "<"
    assert (survey.rows.major_arcsec[unresolved] == BEAM).all()
    assert set(survey.rows.rms_jy) == {0.00045}


@pytest.mark.filterwarnings("ignore:.*W50", "ignore:.*did not parse as fits unit")
def test_nvss_of_both_forms_is_the_same_catalogue(tmp_path):
    write_nrao(tmp_path / "raw.fits", nrao())
    vizier_nvss()[0].write(tmp_path / "vizier.vot", format="votable")
    raw, vizier = (build(tmp_path, [("nvss", name)]) for name in ("raw.fits", "vizier.vot"))
    assert list(raw.source_id) == list(vizier.source_id)
    assert (raw.resolved_flag == vizier.resolved_flag).mean() > 0.98  # rms differ
    both = (raw.resolved_flag == 1) & (vizier.resolved_flag == 1)
    assert both.sum() > 50
    assert np.allclose(raw.s_nvss[both], vizier.s_nvss[both], rtol=1e-5)


def test_all_surveys_as_published_and_compressed(tmp_path):
    write_nrao(tmp_path / "CATALOG.FIT.gz", nrao())
    first_fits(tmp_path / "first_14dec17.fits")
    cirada().to_csv(tmp_path / "CIRADA_VLASS1QL.csv.gz", index=False)
    racs(1.4).write(tmp_path / "racs.vot", format="votable")
    tgss().to_csv(tmp_path / "TGSSADR1_7sigma_catalog.tsv", sep="\t", index=False)
    files = ["CATALOG.FIT.gz", "first_14dec17.fits", "CIRADA_VLASS1QL.csv.gz", "racs.vot"]
    names = ["nvss", "first", "vlass", "racs", "tgss"]
    found = build(
        tmp_path, list(zip(names, [*files, "TGSSADR1_7sigma_catalog.tsv"], strict=True))
    ).set_index("source_id")
    expected = build(tmp_path, CONFIGURED).set_index("source_id")
    assert list(found.index) == list(expected.index)
    for name in ("s_nvss", "s_first", "s_vlass", "alpha"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)
    peak = pd.Series(NVSS.peak_jy.to_numpy(), unique_source_names(NVSS.ra_deg, NVSS.dec_deg))
    np.testing.assert_allclose(found.s_racs, 1.4 * peak.loc[found.index], rtol=1e-6)
    np.testing.assert_allclose(found.s_tgss, 3.0 * peak.loc[found.index], rtol=1e-6)
    compact = found.resolved_flag == 0
    index = np.log(1 / 3.0) / np.log(1400 / 147.5)
    np.testing.assert_allclose(found.alpha_tgss[compact], index, rtol=1e-5)
    for name in ("resolved_flag", "confusion_flag"):
        assert list(found[name]) == list(expected[name]), name


CONFIGURED = [
    (
        "nvss",
        SURVEYS / "nvss_ra225-230_dec45-48.csv",
        {
            **{"ra_deg": "ra_deg", "dec_deg": "dec_deg", "flux": "peak_jy", "rms": "rms_jy"},
            **{"major": "major_deg", "minor": "minor_deg", "unit": "Jy", "size_unit": "deg"},
        },
        {"beam_arcsec": 45},
    ),
    (
        "first",
        SURVEYS / "first_ra225-230_dec45-48.csv",
        {
            **{"ra_deg": "ra_deg", "dec_deg": "dec_deg", "flux": "int_mjy", "rms": "rms_mjy"},
            **{"size": "deconv_major_arcsec", "unit": "mJy"},
        },
        {},
    ),
    (
        "vlass",
        SURVEYS / "vlass_ra225-230_dec45-48.csv",
        {
            **{"ra_deg": "ra_deg", "dec_deg": "dec_deg", "flux": "total_mjy", "unit": "mJy"},
            **{"flux_if_zero": "peak_mjy", "size": "deconv_maj_arcsec"},
        },
        {"keep": {"duplicate_flag": [0, 1], "quality_flag": [0, 4]}},
    ),
]


def build(folder, surveys):
    """Build a catalogue of (name, file[, columns, more of the block])."""
    blocks = [
        {"name": name, "file": str(file), **({"columns": more[0], **more[1]} if more else {})}
        for name, file, *more in surveys
    ]
    paths = [folder / block["file"] for block in blocks]
    path = folder / f"{len(list(folder.iterdir()))}.sqlite3"
    main(surveys=paths, options={"surveys": blocks}, catalog=path)
    return read_sources(path)


def test_config_wins_over_what_is_known(tmp_path):
    table = nrao()
    table["OTHER"] = 2 * table["PEAK INT"]
    write_nrao(tmp_path / "c.fits", table)
    block = {"name": "nvss", "columns": {"flux": "OTHER", "unit": "mJy"}, "beam_arcsec": 40}
    rows = read_survey(tmp_path / "c.fits", block).rows
    np.testing.assert_allclose(rows.flux_jy, 2e-3 * NVSS.peak_jy, rtol=1e-6)
    np.testing.assert_allclose(rows.rms_jy, 1e-3 * NVSS.rms_jy, rtol=1e-6)
    np.testing.assert_allclose(rows.major_arcsec, 3600 * NVSS.major_deg, rtol=1e-6)
    assert set(rows.beam_arcsec) == {40}


def test_units_of_the_file_are_converted(tmp_path):
    table = Table({"ra": np.radians(NVSS.ra_deg), "dec": np.radians(NVSS.dec_deg)})
    table["s"], table["fwhm"] = NVSS.peak_jy * 1e-26, NVSS.major_deg * 60
    units = {"ra": "rad", "dec": "rad", "s": "W / (m2 Hz)", "fwhm": "arcmin"}
    for name, unit in units.items():
        table[name].unit = unit
    table.write(tmp_path / "c.vot", format="votable")
    columns = {"ra_deg": "ra", "dec_deg": "dec", "flux": "s", "major": "fwhm"}
    rows = read_survey(tmp_path / "c.vot", {"name": "nvss", "columns": columns}).rows
    np.testing.assert_allclose(rows.ra_deg, NVSS.ra_deg, rtol=1e-12)
    np.testing.assert_allclose(rows.flux_jy, NVSS.peak_jy, rtol=1e-12)
    np.testing.assert_allclose(rows.major_arcsec, 3600 * NVSS.major_deg, rtol=1e-12)


def test_a_masked_number_is_not_known(tmp_path):
    racs(1.0).write(tmp_path / "racs.vot", format="votable")
    rms = read_survey(tmp_path / "racs.vot", {"name": "racs"}).rows.rms_jy
    assert np.isnan(rms[3]) and rms.notna().sum() == len(NVSS) - 1


def test_noise_that_is_not_above_zero_is_the_default(tmp_path):
    (tmp_path / "t.csv").write_text(
        "ra,dec,flux,noise\n10,20,5,0\n11,20,5,-1\n12,20,5,\n13,20,5,0.4\n"
    )
    block = {
        "name": "nvss",
        "columns": {
            "ra_deg": "ra",
            "dec_deg": "dec",
            "flux": "flux",
            "rms": "noise",
            "unit": "mJy",
        },
    }
    given = read_survey(tmp_path / "t.csv", {**block, "default_rms_jy": 5e-4}).rows.rms_jy
    np.testing.assert_allclose(given, [5e-4, 5e-4, 5e-4, 4e-4])
    without = read_survey(tmp_path / "t.csv", block).rows.rms_jy
    np.testing.assert_allclose(without, [np.nan, np.nan, np.nan, 4e-4])


CSV = "ra,dec,flux\n10.0,20.0,5\n11.0,-21.5,6\n"
COLUMNS = {"ra_deg": "ra", "dec_deg": "dec", "flux": "flux", "unit": "mJy"}
HALF = {"ra_deg": "ra", "dec_deg": "dec", "flux": "flux"}


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        ("", COLUMNS, r"an empty file; expected a table"),
        ("# nothing\n#\n", COLUMNS, r"no table, only comments; expected a header"),
        ("ra,dec,flux\n", COLUMNS, r"a table without rows; give the survey's whole catalogue"),
        (CSV, {}, r"no known release of nvss; found ra, dec, flux; expected .*RA\(2000\)"),
        (CSV, {**COLUMNS, "rms": "noise"}, r"no column noise; found ra, dec, flux; correct"),
        (CSV, HALF, r"column flux has no unit; expected a flux density.*; give unit in"),
        (CSV, {**COLUMNS, "unit": "mJanskys"}, r"flux is in 'mJanskys'; expected a flux density"),
        (CSV, {**COLUMNS, "unit": "deg"}, r"flux is in 'deg'; expected a flux density.*give unit"),
        (CSV.replace("10.0,", "nan,"), COLUMNS, r"1 rows without a sky position.*data row 1; rem"),
        (CSV.replace("10.0,", "400,"), COLUMNS, r"1 rows without a sky position.*data row 1; rem"),
        (CSV.replace(".", ","), COLUMNS, r"5 fields found in row 1, 3 names in the header"),
        (CSV + "12.5,30.0,7,1\n", COLUMNS, r"4 fields found in row 3, 3 names in the header"),
        (CSV[:-3], COLUMNS, r"cut short, 2 of 3 fields in the last row; fetch it again"),
        (CSV.replace("-21.5", "-91"), COLUMNS, r"1 rows without a sky position.*data row 2; rem"),
        (CSV.replace(",6", ","), COLUMNS, r"1 rows without a sky position or a flux.*data row 2"),
        (CSV.replace(",6", ",six"), COLUMNS, r"column flux has what is not a number.*six.*corr"),
        (CSV + "10.0,20.0,7\n", COLUMNS, r"two sources at one position, data rows 1 and 3; remo"),
        ("SIMPLE  =" + 80 * "x", COLUMNS, r"not a readable FITS file.*fetch it again"),
        ("<html><body>404</body></html>", COLUMNS, r"not a VOTable with a table.*fetch it again"),
        ("PK\x03\x04\0\0\0", COLUMNS, r"neither FITS nor VOTable nor text; expected"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path, text, columns, told):
    path = tmp_path / "survey.dat"
    path.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        read_survey(path, {"name": "nvss", "columns": columns})
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_delimiters_at_the_ends_of_rows_move_no_column(tmp_path):
    """They had right ascensions become declinations; and a note may be in any encoding."""
    block = {"name": "first", "columns": COLUMNS}
    (tmp_path / "t.csv").write_text(CSV)
    plain = read_survey(tmp_path / "t.csv", block).rows
    for text in (CSV.replace("5\n", "5,\n").replace("6\n", "6,\n"),
                 CSV.replace("flux", "flux,note").replace("5\n", "5,é\n")):  # fmt: skip
        (tmp_path / "t.csv").write_text(text, encoding="latin-1")
        pd.testing.assert_frame_equal(read_survey(tmp_path / "t.csv", block).rows, plain)


def test_text_that_was_packed_and_cut_short_is_told(tmp_path):
    packed = gzip.compress(("ra,dec,flux\n" + "10.0,20.0,5\n" * 5000).encode())
    (tmp_path / "t.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"t\.csv\.gz: cut short .*fetch it again"):
        read_survey(tmp_path / "t.csv.gz", {"name": "first", "columns": COLUMNS})


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_a_fits_file_cut_short_is_told(tmp_path):
    path = tmp_path / "c.fits"
    write_nrao(path, nrao())
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match=r"c\.fits: .*fetch it again"):
        read_survey(path, {"name": "nvss"})


@pytest.mark.parametrize("name", ["nvss", "first"])
def test_a_row_that_stands_there_twice_is_used_once_and_told(tmp_path, caplog, name):
    (tmp_path / "c.csv").write_text(CSV + "10.0,20.0,5\n")
    survey = read_survey(tmp_path / "c.csv", {"name": name, "columns": COLUMNS})
    assert len(survey.rows) == 2 and survey.n_rows == 3
    assert "c.csv: 1 rows stand there twice; once is used" in caplog.text


def test_keep_that_leaves_nothing_is_told(tmp_path):
    (tmp_path / "c.csv").write_text(CSV)
    block = {"name": "nvss", "columns": COLUMNS, "keep": {"flux": [1]}}
    with pytest.raises(ValueError, match=r"none of 2 rows has flux as accepted.*correct keep"):
        read_survey(tmp_path / "c.csv", block)


def test_ids_are_those_of_the_sources_whatever_else_is_there(tmp_path):
    """Rows in another order, fewer rows, further surveys: an id stays with its source."""
    write_nrao(tmp_path / "all.fits", nrao())
    write_nrao(tmp_path / "shuffled.fits", nrao(NVSS.sample(frac=1, random_state=1)))
    write_nrao(tmp_path / "half.fits", nrao(NVSS[::2]))
    first_fits(tmp_path / "first.fits")
    one = build(tmp_path, [("nvss", "all.fits")])
    pd.testing.assert_frame_equal(one, build(tmp_path, [("nvss", "shuffled.fits")]))
    more = build(tmp_path, [("nvss", "shuffled.fits"), ("first", "first.fits")])
    parts = build(tmp_path, [("nvss", "half.fits"), ("nvss", "all.fits")])
    half = build(tmp_path, [("nvss", "half.fits")])
    where = ["source_id", "ra_deg", "dec_deg"]
    for other in (more, parts, half):
        assert set(map(tuple, other[where].to_numpy())) <= set(map(tuple, one[where].to_numpy()))
    assert len(parts) == len(one) and len(half) == (len(NVSS) + 1) // 2
