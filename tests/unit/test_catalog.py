"""The master catalogue is the sky that the surveys saw."""

import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

import contimg.catalog as catalog_module
from build_catalog import main
from contimg.catalog import read_sources
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.surveys import read_survey

SURVEYS = Path(__file__).parents[2] / "config" / "surveys"
NVSS = {
    "name": "nvss",
    "file": "nvss_ra225-230_dec45-48.csv",
    "beam_arcsec": 45.0,
    "columns": {
        "ra_deg": "ra_deg",
        "dec_deg": "dec_deg",
        "flux": "peak_jy",
        "rms": "rms_jy",
        "major": "major_deg",
        "minor": "minor_deg",
        "unit": "Jy",
        "size_unit": "deg",
    },
}
NVSS_FIELDS = {
    "name": "nvss",
    "file": "nvss_ngc5921_fields.csv",
    "beam_arcsec": 45.0,
    "default_rms_jy": 0.00045,
    "columns": {"ra_deg": "ra_deg", "dec_deg": "dec_deg", "flux": "nvss_flux_mjy", "unit": "mJy"},
}
FIRST = {
    "name": "first",
    "file": "first_ra225-230_dec45-48.csv",
    "columns": {
        "ra_deg": "ra_deg",
        "dec_deg": "dec_deg",
        "flux": "int_mjy",
        "size": "deconv_major_arcsec",
        "unit": "mJy",
    },
}
VLASS = {
    "name": "vlass",
    "file": "vlass_ra225-230_dec45-48.csv",
    "keep": {"duplicate_flag": [0, 1], "quality_flag": [0, 4]},
    "columns": {
        "ra_deg": "ra_deg",
        "dec_deg": "dec_deg",
        "flux": "total_mjy",
        "flux_if_zero": "peak_mjy",
        "unit": "mJy",
    },
}
OPTIONS = {"surveys": [NVSS, NVSS_FIELDS, FIRST, VLASS]}


def build(path, **changes):
    options = {**OPTIONS, **changes}
    files = [SURVEYS / block["file"] for block in options["surveys"]]
    main(surveys=files, options=options, catalog=path)
    return path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return build(tmp_path_factory.mktemp("catalogs") / "master_sources.sqlite3")


def test_every_nvss_source_is_there_once(catalog):
    sources = read_sources(catalog)
    assert len(sources) == 562 + 160
    assert sources.source_id.is_unique


def test_brightest_source_of_the_strip(catalog):
    brightest = read_sources(catalog).sort_values("s_nvss").iloc[-1]
    assert brightest.source_id == "J150919.8+472655"
    assert brightest.s_nvss == pytest.approx(1.2288, abs=1e-4)
    assert brightest.s_first == pytest.approx(1.2534, abs=1e-4)
    assert brightest.alpha == pytest.approx(np.log(0.6727 / 1.2288) / np.log(3.0 / 1.4), abs=1e-3)


def test_surveys_agree_where_all_see_a_compact_source(catalog):
    good = read_sources(catalog, view="good_references")
    assert len(good) > 30
    assert np.median(good.s_first / good.s_nvss) == pytest.approx(1.0, abs=0.05)
    assert np.median(good.alpha) == pytest.approx(-0.75, abs=0.15)


def test_references_keep_to_their_definition(catalog):
    good = read_sources(catalog, view="good_references")
    final = read_sources(catalog, view="final_references")
    assert good.snr_nvss.min() >= 50 and final.snr_nvss.min() >= 80
    assert good.alpha.between(-1.2, 0.2, inclusive="neither").all()
    assert not good.resolved_flag.any() and not good.confusion_flag.any()
    assert set(final.source_id) < set(good.source_id)


def test_final_references_are_those_of_the_stable_list_where_one_is_given(tmp_path, catalog):
    two = list(read_sources(catalog, view="final_references").source_id[:2])
    path = build(tmp_path / "c.sqlite3", stable_ids=[*two, "J000000.0+000000"], materialise=True)
    assert list(read_sources(path, view="final_references").source_id) == two
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM final_references_table").fetchone() == (2,)
    database.close()


def test_thresholds_inputs_and_rows_are_recorded(catalog):
    with sqlite3.connect(catalog) as database:
        meta = dict(database.execute("SELECT key, value FROM meta"))
    database.close()
    assert float(meta["good_min_snr"]) == 50
    assert meta["input nvss_ngc5921_fields.csv"].startswith("160 rows, sha256 ")
    assert str(SURVEYS) not in " ".join(meta.values())


def test_the_frequency_of_s_racs_is_told(tmp_path):
    with sqlite3.connect(build(tmp_path / "c.sqlite3", racs_freq_hz=1.3675e9)) as database:
        query = "SELECT value FROM meta WHERE key = 'racs_freq_hz'"
        assert float(database.execute(query).fetchone()[0]) == 1.3675e9
    database.close()


def test_the_same_input_gives_the_same_catalogue(tmp_path, catalog):
    again = build(tmp_path / "again.sqlite3")
    pd.testing.assert_frame_equal(read_sources(again), read_sources(catalog))


def test_a_source_of_two_overlapping_files_is_one_source(tmp_path):
    path = build(tmp_path / "c.sqlite3", surveys=[NVSS, NVSS])
    assert len(read_sources(path)) == 562


def made_up(positions, fluxes, **columns):
    ra, dec = np.array(positions, dtype=float).T
    table = pd.DataFrame({"ra_deg": ra % 360, "dec_deg": dec, "flux_jy": fluxes})
    defaults = {"rms_jy": 0.00045, "major_arcsec": 45.0, "minor_arcsec": 45.0}
    defaults |= {"size_arcsec": np.nan, "beam_arcsec": 45.0}
    return table.assign(**(defaults | columns))


def test_resolved_source_has_its_integrated_flux_and_a_flag():
    nvss = made_up([(10, 30), (20, 30)], [0.1, 0.1], major_arcsec=[90.0, 46.0])
    sources = build_sources({"nvss": nvss}, CatalogOptions())
    assert list(sources.resolved_flag) == [1, 0]
    assert sources.s_nvss.tolist() == pytest.approx([0.2, 0.1])


def test_a_faint_source_is_not_resolved_by_its_noise():
    nvss = made_up([(10, 30)], [0.003], major_arcsec=60.0)
    assert build_sources({"nvss": nvss}, CatalogOptions()).resolved_flag.tolist() == [0]


def test_a_noticeable_neighbour_confuses_across_ra_zero():
    nvss = made_up([(359.999, 40), (0.011, 40), (5, 40)], [0.1, 0.02, 0.1])
    sources = build_sources({"nvss": nvss}, CatalogOptions()).set_index("ra_deg")
    assert sources.confusion_flag.to_dict() == {359.999: 1, 0.011: 1, 5.0: 0}


def test_a_double_that_only_vlass_resolves_is_confused():
    nvss, pair = made_up([(10, 30)], [0.1]), [(10, 30), (10, 30 + 20 / 3600)]
    sources = build_sources({"nvss": nvss, "vlass": made_up(pair, [0.04, 0.03])}, CatalogOptions())
    assert sources.confusion_flag.tolist() == [1]
    assert sources.s_vlass.tolist() == pytest.approx([0.04])


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 359.99), st.floats(-89, 89), st.floats(0.05, 20), st.integers(0, 2**32 - 1))
def test_cone_search_finds_what_astropy_finds(tmp_path_factory, ra_deg, dec_deg, radius_deg, seed):
    rng = np.random.default_rng(seed)
    around = rng.uniform(-1.5, 1.5, (40, 2)) * radius_deg + [ra_deg, dec_deg]
    around[:, 1] = np.clip(around[:, 1], -90, 90)
    sources = build_sources({"nvss": made_up(around, 0.1)}, CatalogOptions())
    path = tmp_path_factory.mktemp("cone") / "c.sqlite3"
    write_catalog(path, sources, CatalogOptions(), {})
    found = read_sources(path, ra_deg, dec_deg, radius_deg, 0.05)
    positions = SkyCoord(sources.ra_deg, sources.dec_deg, unit="deg")
    separation = positions.separation(SkyCoord(ra_deg, dec_deg, unit="deg")).deg
    clear = np.abs(separation - radius_deg) > 1e-9
    expected = set(sources.source_id[clear & (separation < radius_deg)])
    assert set(found.source_id) & set(sources.source_id[clear]) == expected


@pytest.fixture(scope="module")
def whole_sky(tmp_path_factory):
    """A catalogue with 3000 sources anywhere, and 300 each near RA 0 and at the poles."""
    rng = np.random.default_rng(3)
    ra = [rng.uniform(0, 360, 3000), rng.uniform(-3, 3, 300), *rng.uniform(0, 360, (2, 300))]
    dec = [np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))), rng.uniform(-3, 3, 300)]
    dec += [rng.uniform(86, 90, 300), rng.uniform(-90, -86, 300)]
    nvss = made_up(np.column_stack([np.concatenate(ra), np.concatenate(dec)]), 0.1)
    path = tmp_path_factory.mktemp("sky") / "c.sqlite3"
    write_catalog(path, build_sources({"nvss": nvss}, CatalogOptions()), CatalogOptions())
    return path


@pytest.mark.parametrize("radius_deg", [0.7, 2.0, 25.0, 180.0])
@pytest.mark.parametrize(
    ("ra_deg", "dec_deg"),
    [(0, 0), (359.9, 1), (-0.1, 1), (0.1, -2), (30, 90), (200, 88.5), (359, -90), (5, -87.9)],
)
def test_cones_across_ra_zero_and_around_the_poles(whole_sky, ra_deg, dec_deg, radius_deg):
    sources = read_sources(whole_sky)
    positions = SkyCoord(sources.ra_deg, sources.dec_deg, unit="deg")
    separation = positions.separation(SkyCoord(ra_deg, dec_deg, unit="deg")).deg
    found = read_sources(whole_sky, ra_deg, dec_deg, radius_deg)
    assert len(found) > 0
    assert list(found.source_id) == list(sources.source_id[separation <= radius_deg])
    np.testing.assert_allclose(
        found.separation_deg, separation[separation <= radius_deg], atol=1e-9
    )


def test_a_cone_search_reads_its_own_part_of_the_catalogue(whole_sky):
    """SQLite is asked how it would search: by the index, with zone and RA."""
    with sqlite3.connect(whole_sky) as database:
        where, values = catalog_module._around(359.9, 40.0, 2.0)
        query = f"EXPLAIN QUERY PLAN SELECT * FROM good_references WHERE {where}"
        asked = [row[3] for row in database.execute(query, values) if "sources" in row[3]]
    database.close()
    assert asked and all("USING INDEX sources_sky (<expr>=? AND ra_deg>?" in way for way in asked)


def test_cone_search_keeps_to_the_flux_limit(catalog):
    bright = read_sources(catalog, 227.5, 46.5, 1.0, 0.05)
    assert len(bright) and bright.s_nvss.min() >= 0.05
    assert bright.separation_deg.max() <= 1.0


def test_missing_column_says_which_file_and_what_to_do():
    block = {**FIRST, "columns": {**FIRST["columns"], "flux": "flux_mjy"}}
    with pytest.raises(ValueError, match=r"first.*no column flux_mjy.*correct the columns"):
        read_survey(SURVEYS / FIRST["file"], block)


def test_a_view_that_is_not_there_is_told(catalog):
    with pytest.raises(ValueError, match=r"no view references .* expected one of sources, good_"):
        read_sources(catalog, 227, 47, 1, view="references")


def test_extent_by_the_flux_over_the_peak_is_resolved():
    """FIRST's beam is 5.4 arcsec: total over peak of 1 + (12/5.4)^2 is a size of 12 arcsec."""
    ratio = 1 + (np.array([8.0, 12.0]) / 5.4) ** 2
    nvss, places = made_up([(10, 30), (20, 30)], [0.1, 0.1]), [(10, 30), (20, 30)]
    first = made_up(places, 0.1, peak_jy=0.1 / ratio, beam_arcsec=5.4)
    assert build_sources(
        {"nvss": nvss, "first": first}, CatalogOptions()
    ).resolved_flag.tolist() == [0, 1]
    unknown = first.assign(peak_jy=np.nan)
    assert not build_sources({"nvss": nvss, "first": unknown}, CatalogOptions()).resolved_flag.any()


def test_a_double_within_the_match_radius_is_as_large_as_its_parts_are_apart():
    pair = made_up([(10, 30), (10, 30 + 6 / 3600)], 0.05, peak_jy=0.01, beam_arcsec=5.4)
    sources = build_sources({"nvss": made_up([(10, 30)], [0.1]), "first": pair}, CatalogOptions())
    assert sources.resolved_flag.tolist() == [1] and sources.s_first.tolist() == [0.1]


def test_files_of_one_name_are_both_recorded(tmp_path):
    for number, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.csv").write_text(f"ra,dec,s\n{10 + number},20,5\n")
    columns = {"ra_deg": "ra", "dec_deg": "dec", "flux": "s", "unit": "mJy"}
    blocks = [{"name": "nvss", "file": f"{name}/c.csv", "columns": columns} for name in ("a", "b")]
    main(
        surveys=[tmp_path / block["file"] for block in blocks],
        options={"surveys": blocks},
        catalog=tmp_path / "c.sqlite3",
    )
    with sqlite3.connect(tmp_path / "c.sqlite3") as database:
        inputs = dict(database.execute("SELECT * FROM meta WHERE key LIKE 'input%'"))
    database.close()
    assert set(inputs) == {"input c.csv", "input c.csv (2)"}
    for name, key in zip(("a", "b"), sorted(inputs), strict=True):
        checksum = hashlib.sha256((tmp_path / name / "c.csv").read_bytes()).hexdigest()
        assert inputs[key] == f"1 rows, sha256 {checksum}, nvss, columns as configured"


def test_files_in_another_order_than_the_config_are_refused(tmp_path):
    files = [SURVEYS / block["file"] for block in reversed(OPTIONS["surveys"])]
    with pytest.raises(ValueError, match="in that order"):
        main(surveys=files, options=OPTIONS, catalog=tmp_path / "c.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_catalogue_names_the_rule_that_makes_it(tmp_path):
    with pytest.raises(ValueError, match="build_catalog"):
        read_sources(tmp_path / "none.sqlite3", 0, 0, 1, 0)
