"""The cone search as a command."""

import sys

import pandas as pd
import pytest
from test_catalog import build

import cone_search
from contimg.catalog import read_sources

BRIGHTEST = "J150919.8+472655"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return build(tmp_path_factory.mktemp("catalogs") / "master_sources.sqlite3")


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["cone_search.py", *map(str, words)])
    cone_search.run(cone_search.main)


@pytest.mark.parametrize(
    "centre",
    [
        ["--position", "15:09:19.81 +47:26:55.9"],
        ["--position", "15h09m19.81s, +47d26m55.9s"],
        ["--position", "15 09 19.81 47 26 55.9"],
        ["--position", "227.33255 +47.448872"],
        ["--position", BRIGHTEST],
        ["--ra-deg", "-132.66745", "--dec-deg", "47.448872"],
    ],
)
def test_a_position_in_each_form_finds_the_source(monkeypatch, capsys, catalog, centre):
    command(monkeypatch, "--catalog", catalog, *centre, "--radius-deg", 0.1, "--min-jy", 0.004)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["source_id", "ra_deg", "dec_deg"]
    assert [line.split()[0] for line in lines[1:-1]] == [BRIGHTEST, "J150857.6+472518"]
    assert lines[-1] == "2 sources within 0.1 deg of RA 227.33254, dec +47.44886; fluxes in Jy" or (
        lines[-1] == "2 sources within 0.1 deg of RA 227.33255, dec +47.44887; fluxes in Jy"
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_holds_what_the_library_finds(monkeypatch, tmp_path, catalog, form):
    output = tmp_path / f"near.{form}"
    words = ["--ra-deg", 227.0, "--dec-deg", 46.5, "--radius-deg", 1, "--view", "good_references"]
    command(monkeypatch, "--catalog", catalog, *words, "--output", output)
    found = pd.read_csv(output) if form == "csv" else pd.read_parquet(output)
    expected = read_sources(catalog, 227.0, 46.5, 1.0, view="good_references")
    assert found.separation_deg.is_monotonic_increasing
    assert set(found.source_id) == set(expected.source_id) and len(found) > 5


def test_nothing_there_is_told(monkeypatch, capsys, catalog):
    command(monkeypatch, "--catalog", catalog, "--ra-deg", 10, "--dec-deg", -80)
    assert capsys.readouterr().out.startswith("0 sources within 0.5 deg")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--position", "M 87"], "no position; expected degrees, 'hh:mm:ss.s"),
        (["--position", "12:30:49 +95:00:00"], "no position; expected"),
        (["--position", "J000000.0+000000"], "no source J000000.0.000000; give an id as"),
        (["--ra-deg", "10"], "no centre; give --ra-deg and --dec-deg, or --position"),
        (["--ra-deg", "10", "--position", "10 10"], "two centres; give"),
        (["--position", "10 10", "--view", "all"], "no view all of the catalogue; expected one"),
        (["--position", "10 10", "--output", "x.txt"], "x.txt: unknown form; expected a name in"),
        (["--position", "10 10", "--radius-deg", "-1"], "--radius-deg -1 found, above 0 and"),
    ],
)
def test_what_cannot_be_searched_is_told(monkeypatch, catalog, words, told):
    with pytest.raises(SystemExit, match=told):
        command(monkeypatch, "--catalog", catalog, *words)
