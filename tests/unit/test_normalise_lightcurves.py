"""The archive's normalisation as its rule runs it: dates come in any order, and touch nothing."""

import random

import numpy as np
import pytest
import yaml
from simulated_photometry import Field

import normalise_lightcurves
from conftest import ROOT
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.schemas import IMAGES, LIGHTCURVES, PHOTOMETRY
from contimg.status import InputError
from contimg.tables import check_schema, empty_table, read_table, write_rejected_table, write_table


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Write a table a date and the catalogue; return their folder and the dates' files."""
    folder = tmp_path_factory.mktemp("archive")
    photometry = Field(n_sources=30, n_epochs=8, images_a_transit=2).photometry()
    paths = []
    for date, rows in photometry.groupby("date"):
        paths.append(folder / "photometry" / date / "photometry.parquet")
        groups = {group: {"status": "ok", "reason": ""} for group in rows.group.unique()}
        write_table(paths[-1], rows, PHOTOMETRY, {"groups": groups})
    nvss = photometry.drop_duplicates("source_id")[["ra_deg", "dec_deg"]].assign(
        flux_jy=0.05, rms_jy=0.0005, major_arcsec=45, minor_arcsec=45, beam_arcsec=45, size_arcsec=0
    )
    sources = build_sources({"nvss": nvss}, CatalogOptions(confusion_radius_arcsec=1))
    write_catalog(folder / "sources.sqlite3", sources, CatalogOptions(), {})
    return folder, paths


def normalise(folder, paths, output, **options):
    output.mkdir()
    normalise_lightcurves.main(
        photometry=paths,
        catalog=folder / "sources.sqlite3",
        lightcurves=output / "lightcurves.parquet",
        images=output / "images.parquet",
        options=options,
    )
    return [read_table(output / f"{name}.parquet") for name in ("lightcurves", "images")]


def test_order_of_the_dates_does_not_matter_and_no_date_is_touched(archive, tmp_path):
    folder, paths = archive
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    digests = set()
    for number in range(3):
        mixed = random.Random(number).sample(paths, len(paths))
        tables = normalise(folder, mixed, tmp_path / str(number))
        digests.add(tuple(about["digest"] for _, about in tables))
    assert len(digests) == 1
    assert before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    check_schema(tables[0][0], LIGHTCURVES)
    check_schema(tables[1][0], IMAGES)
    assert len(tables[1][0]) == 16 and (tables[1][0].status == "ok").all()


def test_a_year_in_one_go_is_the_year_as_it_grew(archive, tmp_path):
    folder, paths = archive
    (grown, _), _ = normalise(folder, paths[:-1], tmp_path / "before")
    tables = normalise(folder, paths, tmp_path / "after")
    again = normalise(folder, paths[-1:] + paths[:-1], tmp_path / "again")
    assert [t[1]["digest"] for t in tables] == [t[1]["digest"] for t in again]
    assert set(grown.mjd) < set(tables[0][0].mjd)


def test_normalising_reads_published_tables_only():
    profile = yaml.safe_load((ROOT / "profiles" / "archive" / "config.yaml").read_text())
    allowed = profile["allowed-rules"]
    assert "normalise_lightcurves" in allowed
    assert not any(rule.startswith(("image", "measure_photometry")) for rule in allowed)


def test_images_left_out_say_why(archive, tmp_path):
    folder, paths = archive
    rows, _ = read_table(paths[0])
    first, second = rows.group.unique()
    groups = {
        first: {"status": "ok", "reason": "", "failed_checks": ["flux_ratio_median"]},
        second: {"status": "ok", "reason": ""},
        "D000.9": {"status": "rejected", "reason": "no calibration"},
    }
    marked = tmp_path / "D000" / "photometry.parquet"
    write_table(marked, rows, PHOTOMETRY, {"groups": groups})
    _, (images, _) = normalise(folder, [marked, *paths[1:]], tmp_path / "out")
    told = images.set_index("group")
    assert told.status[first] == "failed_check" and "flux_ratio_median" in told.reason[first]
    assert told.status["D000.9"] == "rejected" and told.reason["D000.9"] == "no calibration"
    assert np.isnan(told.mjd["D000.9"]) and told.date["D000.9"] == "D000"
    assert told.status[second] == "ok" and len(images) == 17


def test_nothing_but_rejected_dates_gives_labelled_tables(archive, tmp_path):
    folder, _ = archive
    path = tmp_path / "D001" / "photometry.parquet"
    groups = {"D001.0": {"status": "rejected", "reason": "no calibration"}}
    write_rejected_table(
        path, PHOTOMETRY, "no group of the date has photometry", {"groups": groups}
    )
    (curves, about), (images, told) = normalise(folder, [path], tmp_path / "out")
    assert curves.empty and about["status"] == told["status"] == "rejected"
    assert images.reason.tolist() == ["no calibration"]


def test_dates_whose_images_show_no_source_of_the_catalogue_say_so(archive, tmp_path):
    folder, _ = archive
    path = tmp_path / "D001" / "photometry.parquet"
    write_table(path, empty_table(PHOTOMETRY), PHOTOMETRY, {"groups": {"D001.0": {"status": "ok"}}})
    (curves, about), _ = normalise(folder, [path], tmp_path / "out")
    assert curves.empty and about["reason"].startswith("no source of the catalogue lies in")


def test_what_was_fitted_or_why_not_is_in_the_metadata(archive, tmp_path):
    folder, paths = archive
    (_, about), _ = normalise(folder, paths, tmp_path / "eight")
    assert about["figures"]["error_model"]["fitted"]
    assert about["figures"]["error_scale"]["a"] == pytest.approx(1, abs=0.15)
    (_, about), _ = normalise(folder, paths[:2], tmp_path / "two")
    model = about["figures"]["error_model"]
    assert not model["fitted"] and model["reason"].startswith("0 sources have 4 transits")
    assert about["figures"]["error_scale"] == {"a": 1.0, "b": 0.0}


def test_a_date_given_twice_is_refused_in_one_line_that_names_both_files(archive, tmp_path):
    folder, paths = archive
    copy = tmp_path / "D009" / "photometry.parquet"
    copy.parent.mkdir()
    copy.write_bytes(paths[0].read_bytes())
    for twice in ([paths[0], paths[0]], [paths[0], paths[1], copy]):
        with pytest.raises(InputError) as error:
            normalise(folder, twice, tmp_path / str(len(twice)))
        first, second = sorted([twice[0], twice[-1]])
        message = str(error.value)
        assert message.startswith(f"{second}: group D000.0 found, which {first} holds too")
        assert "leave one" in message and "\n" not in message


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": "baseline"}, "options: methods: unknown key; did you mean method?"),
        ({"method": "mean"}, "options: method: 'mean' found, one of joint, baseline expected"),
    ],
)
def test_an_option_that_cannot_be_meant_is_no_silence(archive, tmp_path, options, told):
    folder, paths = archive
    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        normalise(folder, paths, tmp_path / "refused", **options)


@pytest.mark.parametrize("name", ["ra_deg", "dec_deg", "mjd"])
def test_a_row_without_a_place_or_time_is_an_error_that_names_it(archive, tmp_path, name):
    folder, paths = archive
    rows, _ = read_table(paths[0])
    rows.loc[3, name] = np.nan
    broken = tmp_path / "D000" / "photometry.parquet"
    write_table(broken, rows, PHOTOMETRY, {"groups": {}})
    with pytest.raises(ValueError, match=f"{name} nan.*; numbers expected"):
        normalise(folder, [broken, *paths[1:]], tmp_path / "out")
