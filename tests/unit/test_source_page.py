"""The page of a source: whole, the same each time, and its scripts are the only ones it admits."""

import html
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from synthetic_source import DEC, MJD, NAME, OTHER, RA, curves, made_up_archive

import report_source
from contimg import Source
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.report.interactive import bokeh_script, embedded, interactive_lightcurve
from contimg.schemas import ESE_CANDIDATES, LIGHTCURVES
from contimg.status import InputError
from contimg.tables import read_table, write_table

UNUSABLE = "J133020.0+300000"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    made_up_archive(folder)
    return folder


def page_of(folder, name):
    page = folder / "source" / name / "index.html"
    report_source.main(source_id=name, page=page, directory=folder)
    return page


def visible(page):
    """The text of a page as a reader without scripts sees it."""
    body = page.read_text().split("<body>")[1]
    body = re.sub(r"<script.*?</script>", " ", body, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_the_page_tells_what_the_tables_and_people_know(archive):
    page = page_of(archive, NAME)
    shown = visible(page)
    for text in (NAME, "Rank 1: it dips", "ESE Ann", "RA 202.50000, dec 30.00000 deg", "no light"):
        assert text in shown
    assert "artefact" not in shown, "another source's verdict"
    mean_mjy = 1e3 * Source(NAME, archive).metrics().mean_jy
    assert f"mean flux {mean_mjy:.3g} mJy" in shown, "that of the archive's page and of V"
    content = page.read_text()
    assert content.count('class="tile"') == 12 and content.count("<ellipse") == 3
    assert 'href="../../report/2023-03-01/index.html"' in content


def test_a_source_that_a_person_flags_and_that_was_not_searched_has_no_event(archive, tmp_path):
    shutil.copytree(archive, tmp_path / "copy")
    path = tmp_path / "copy/variability/ese_candidates.parquet"
    rows = read_table(path)[0].assign(
        source_id=OTHER, rank=2, found_by="person", ese_llr=0.0, ese_false_alarm=1.0, depth=np.nan,
        centre_mjd=np.nan, fwhm_days=np.nan, n_epochs_in_dip=0, wings="none", incomplete=True,
        explanation="Not searched: too few epochs (5; 8 are needed).",
    )  # fmt: skip
    write_table(path, rows, ESE_CANDIDATES)
    shown = visible(page_of(tmp_path / "copy", OTHER))
    assert "Rank 2, flagged by a person: Not searched: too few epochs" in shown
    for word in ("candidate 2", "incomplete", "wings", "figures of the event"):
        assert word not in shown


def test_what_other_archives_know_is_shown_where_somebody_asked(archive):
    path = archive / "variability/external.parquet"
    row = {"source_id": NAME, "ra_deg": 202.5, "dec_deg": 30.0, "service": "simbad",
           "status": "matched", "name": "QSO <B>", "separation_arcsec": 1.25,
           "redshift": float("nan")}  # fmt: skip
    pd.DataFrame([row, row | {"source_id": OTHER, "name": "someone else"}]).to_parquet(path)
    shown = visible(page_of(archive, NAME))
    path.unlink()
    assert "simbad matched QSO <B> 1.25 –" in shown and "someone else" not in shown
    assert "In other archives" not in visible(page_of(archive, NAME))


def test_equal_tables_give_an_equal_page(archive):
    page = page_of(archive, NAME)
    first = page.read_bytes()
    report_source.main(source_id=OTHER, page=page, directory=archive)
    assert page.read_bytes() != first
    report_source.main(source_id=NAME, page=page, directory=archive)
    assert page.read_bytes() == first


def test_the_pages_policy_admits_its_two_scripts_and_no_other(archive):
    content = page_of(archive, NAME).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', content)[1]
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    assert len(scripts) == 2 and policy.count("'sha256-") == 2
    assert bokeh_script().permit in policy
    assert not re.search(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)', content)


def test_the_interactive_light_curve_holds_the_fluxes_in_mjy(archive):
    source = Source(NAME, archive)
    item = embedded(interactive_lightcurve(source.epochs, source.events))
    assert item == embedded(interactive_lightcurve(source.epochs, source.events))
    text = json.dumps(item, ensure_ascii=False)
    assert "2023-02-25 12:00 UTC" in text and "1.1000 ± 0.0100" in text
    left_ms = (MJD[6] - 7 - 40587) * 86400e3
    assert text.count(f'"left": {left_ms}') == 2, "the event, in both panels"
    assert text.count('"Span"') == 2, "the baseline, in both panels"


def test_a_source_without_a_usable_epoch_has_an_honest_page(archive, tmp_path):
    rows = curves(UNUSABLE).assign(status="edge", flux_jy=float("nan"), norm_flux_jy=float("nan"))
    write_table(tmp_path / "variability/lightcurves.parquet", rows, LIGHTCURVES)
    page = page_of(tmp_path, UNUSABLE)
    shown = visible(page)
    assert "No usable epoch: 12 transits without a flux" in shown
    assert "It has been measured in no image." in shown
    assert "<script>" not in page.read_text()


def test_a_source_that_was_not_measured_is_not_said_to_lie_outside_of_all_images(tmp_path):
    """Most of the catalogue is fainter than `photometry.min_jy` and in the middle of an image."""
    rows = {"ra_deg": [RA], "dec_deg": [DEC], "flux_jy": 0.003, "rms_jy": 4.5e-4}
    rows |= dict.fromkeys(("major_arcsec", "minor_arcsec", "beam_arcsec"), 45.0)
    nvss = pd.DataFrame({**rows, "size_arcsec": 0.0})
    sources = build_sources({"nvss": nvss}, CatalogOptions())
    write_catalog(tmp_path / "catalogs/master_sources.sqlite3", sources, CatalogOptions(), {})
    shown = visible(page_of(tmp_path, sources["source_id"][0]))
    assert "no image that has been measured covers it, or it is fainter than" in shown
    with pytest.raises(InputError, match="no source J000000"):
        page_of(tmp_path, "J000000.0+000000")


@pytest.mark.parametrize("status", ["ok", "unnormalised"])
def test_subbands_are_drawn_over_their_baselines(status, tmp_path):
    parts = [
        curves().assign(freq_hz=1.4e9 + 5e7 * subband, subband=subband, status=status)
        for subband in (-1, 0, 1)
    ]
    write_table(tmp_path / "variability/lightcurves.parquet", pd.concat(parts), LIGHTCURVES)
    source = Source(NAME, tmp_path)
    assert list(source.subbands) == [1.4e9, 1.45e9] and len(source.epochs) == 12
    assert len(source.lightcurve().axes) == 3
    drawn = json.dumps(embedded(interactive_lightcurve(source.epochs, (), source.subbands)))
    assert "1.450 GHz" in drawn
