"""Whole pages made from made-up products: what they show, hide and lead to."""

import html
import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from synthetic_report import (
    DIVERGED,
    NASTY,
    OFF_STRIP,
    REJECTION,
    WARNING,
    made_up_archive,
    made_up_date,
)

import report_archive
import report_date
from contimg.fits import write_rejected_image
from contimg.schemas import ESE_CANDIDATES, LIGHTCURVES, PHOTOMETRY, VARIABILITY
from contimg.status import write_json, write_status
from contimg.tables import write_rejected_table


@pytest.fixture(scope="module")
def date(tmp_path_factory):
    arguments = made_up_date(tmp_path_factory.mktemp("date"))
    report_date.main(**arguments)
    return arguments["page"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    arguments = made_up_archive(tmp_path_factory.mktemp("archive"))
    report_archive.main(**arguments)
    return arguments["page"]


def visible(page: Path) -> str:
    """The text of a page as a reader sees it."""
    body = page.read_text().split("<body>")[1].split("<script")[0]
    return html.unescape(re.sub(r"<[^>]*>", " ", body))


def embedded(page: Path) -> dict:
    """The JSON that a page carries."""
    found = re.search(r'<script type="application/json" id="data">(.*)</script>', page.read_text())
    return json.loads(found[1])


def targets(page: Path) -> list[str]:
    return re.findall(r'\b(?:src|href)="([^"]*)"', page.read_text())


@pytest.mark.parametrize("name", ["date", "archive"])
def test_a_page_asks_for_nothing_outside_itself(name, request):
    page = request.getfixturevalue(name)
    content = page.read_text()
    assert "default-src 'none'" in content
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"data:[^\"]*", "", content))
    assert "url(" not in content and "@import" not in content
    sources = re.findall(r'\bsrc="([^"]*)"', content)
    assert sources and all(source.startswith("data:image/") for source in sources)


def test_links_lead_from_the_page_to_files_that_exist(date):
    files = [link for link in targets(date) if not link.startswith(("data:", "#", "../index.html"))]
    assert len(files) == 4  # two images, a mosaic and the page of transits
    for link in files:
        assert (date.parent / unquote(link)).resolve().is_file()


def test_a_name_from_outside_is_text(date):
    content = date.read_text()
    assert NASTY in visible(date)
    assert NASTY not in content
    assert content.count("<script") == 1  # the page's own JSON, which no browser runs


def test_each_rejection_is_told_with_its_reason(date):
    shown = visible(date)
    for reason in (REJECTION, DIVERGED, "no good image in this hour", "truncated: 12 of 139 MB"):
        assert reason in shown
    assert "4 groups: 1 good, 1 with subbands missing or a check failed, 2 rejected." in shown
    assert "subband 0 missing" in shown
    assert "62 % of the present antennas' solutions are flagged" in shown


def test_the_page_tells_which_tables_serve(date):
    shown = visible(date)
    assert "The date's own tables passed" in shown
    assert "0555+398" in shown
    assert "2025-10-18T09:00:00" in shown and "not needed" in shown
    assert "borrowed from 2025-10-17, 09:00:00" in shown
    assert OFF_STRIP in shown and WARNING in shown and "1.118" in shown


def test_solutions_are_drawn_with_their_snr_flags_and_phases_in_time(date):
    content = date.read_text()
    for alt in ("S/N and flags of the solutions", "Phase of each antenna against time"):
        assert content.count(f'alt="{alt}"') == 1
    assert "1.4 min across each panel" in visible(date)


def test_the_page_tells_what_was_flagged_and_why(date):
    shown = visible(date)
    assert "DSA-008" in shown
    assert "dead: 0.001 of the median power" in shown
    assert re.search(r"missing subbands\s+6\.25\s+6\.25", shown)


def test_antennas_without_a_bandpass_are_named(date):
    assert re.search(r"Antennas without a bandpass[^()]*\(1\)\s+2\s", visible(date))


def test_programs_find_the_same_in_the_embedded_json(date):
    data = embedded(date)
    states = [group["state"] for group in data["groups"]]
    assert states == ["ok", "rejected", "rejected", "partial"]
    assert data["declination_deg"] == 54.57
    assert data["groups"][0]["photometry"]["completeness"] == 0.93


@pytest.mark.parametrize(
    ("make", "script"), [(made_up_date, report_date), (made_up_archive, report_archive)]
)
def test_equal_products_elsewhere_give_an_equal_page(make, script, tmp_path):
    pages = []
    for name in ("here", "there"):
        arguments = make(tmp_path / name)
        script.main(**arguments)
        pages.append(arguments["page"].read_bytes())
    assert pages[0] == pages[1]


def test_a_date_of_which_all_is_rejected_has_a_page(tmp_path):
    arguments = made_up_date(tmp_path)
    index = json.loads(arguments["index"].read_text())
    write_json(arguments["index"], index | {"calibrators": [], "mosaics": {}})
    reason = "no calibrator passes, and no earlier tables are young enough"
    of_groups = [*arguments["flags"], *arguments["calibrated"], *arguments["statuses"]]
    for path in [arguments["calibration"], *of_groups]:
        write_status(path, status="rejected", reason=reason)
    for path in arguments["images"] + arguments["beams"]:
        write_rejected_image(path, reason)
    empty = "no group of the date has photometry"
    write_rejected_table(arguments["photometry"], PHOTOMETRY, empty, {"groups": {}})
    nothing = {name: [] for name in ("bandpasses", "gains", "solutions", "mosaics")}
    report_date.main(**(arguments | nothing))
    shown = visible(arguments["page"])
    assert "4 groups: 0 good, 4 rejected." in shown
    assert reason in shown and empty in shown
    assert "No calibrator passes through the beam" in shown
    assert "This date gives no mosaic." in shown


def test_the_archive_shows_its_candidate_and_the_most_variable_sources(archive):
    shown = visible(archive)
    data = embedded(archive)
    candidate = data["candidates"][0]["source_id"]
    assert "dip of 40 % <b>over</b> 28 d" in shown
    assert f'alt="Light curve of {candidate}"' in archive.read_text()
    assert len(data["most_variable"]) == 5
    assert archive.read_text().count('alt="Light curve of') == 6


def test_the_archive_leads_to_the_pages_of_its_dates(archive):
    assert {"2025-10-18/index.html", "2025-10-19/index.html"} <= set(targets(archive))
    assert "no group of the date has photometry" in visible(archive)


def test_the_archive_leads_to_the_page_of_each_source_that_it_shows(archive):
    data = embedded(archive)
    shown = [row["source_id"] for row in data["candidates"]] + data["most_variable"]
    pages = {f"../source/{name.replace('+', '%2B')}/index.html" for name in shown}
    assert pages <= set(targets(archive)) and len(pages) == 6


def test_the_archive_tells_which_images_it_does_not_use_and_why(archive):
    shown = visible(archive)
    assert "58 ok" in shown and "1 bad_gain" in shown and "1 unnormalised" in shown
    assert shown.count("gain 4.2, <at most 3> allowed") == 2
    assert "1 of 1" in shown, "images used of the date"


def test_what_a_candidates_table_knows_is_shown_and_no_more(tmp_path):
    arguments = made_up_archive(tmp_path)
    report_archive.main(**arguments)
    assert "Verdict" not in visible(arguments["page"])
    table = pd.read_parquet(arguments["candidates"])
    table = table.assign(
        template="alpha 3", ese_false_alarm_archive=0.02, flipped_false_alarm=0.5,
        background="drw", modulation=0.02, timescale_days=30.0, verdict="ESE",
        verdict_who="Ann & Bob", verdict_note="", explanation="all of <it> in words",
    )  # fmt: skip
    flagged = table.assign(
        source_id="J055004.0+540000", rank=2, found_by="person", template="", depth=np.nan,
        centre_mjd=np.nan, fwhm_days=np.nan, incomplete=True, explanation="too few epochs",
    )  # fmt: skip
    pd.concat([table, flagged]).to_parquet(arguments["candidates"])
    report_archive.main(**arguments)
    shown = visible(arguments["page"])
    for text in ("alpha 3", "drw, 2.0 %, 30 d", "ESE (Ann & Bob)", "all of <it> in words",
                 "flagged by a person", "too few epochs"):  # fmt: skip
        assert text in shown
    assert "candidates 1 and 1 flagged by people" in " ".join(shown.split())
    assert "candidate 2" not in shown, "the search did not find it"
    assert "incomplete" not in shown, "there is no event that could be incomplete"
    cells = shown.split(flagged["source_id"][0])[1].split("flagged by a person")[0]
    told = cells.split()[2:13]  # without the position
    assert told == ["–"] * 4 + ["0.81"] + ["–"] * 6, "it has a score and no event"
    assert "Frequency (MHz)" not in shown
    other = table.assign(rank=2, incomplete=True, freq_hz=8.4e9)
    pd.concat([table.assign(freq_hz=1.4e9), other]).to_parquet(arguments["candidates"])
    report_archive.main(**arguments)
    shown = visible(arguments["page"])
    for text in ("Frequency (MHz)", "1400", "8400", "incomplete"):
        assert text in shown


def test_an_archive_without_light_curves_has_a_page(tmp_path):
    arguments = made_up_archive(tmp_path)
    reason = "none of 2 dates has photometry"
    for name, schema in (
        ("lightcurves", LIGHTCURVES),
        ("variability", VARIABILITY),
        ("candidates", ESE_CANDIDATES),
    ):
        write_rejected_table(arguments[name], schema, reason)
    report_archive.main(**(arguments | {"photometry": []}))
    shown = visible(arguments["page"])
    assert reason in shown
    assert "No candidate." in shown
