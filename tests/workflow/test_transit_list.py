"""`snakemake -- cal/DATE/transits.json`: what could calibrate a date, as the workflow has it."""

import os
import re
from pathlib import Path

import pytest

from conftest import DATES, snakemake
from workflow import status


@pytest.fixture(scope="module")
def listed(observation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lists of two dates, the second without a calibrator, from raw files alone."""
    folder = tmp_path_factory.mktemp("listed")
    (folder / "incoming").mkdir()
    for path in (observation / "incoming").iterdir():
        os.link(path, folder / "incoming" / path.name)
    snakemake(folder, "--quiet", "rules", "--", *(f"cal/{d}/transits.json" for d in DATES[:2]))
    return folder


def test_the_head_of_the_list_is_what_was_solved(observation: Path, listed: Path) -> None:
    found = status(listed / "cal" / DATES[0] / "transits.json")["transits"]
    tables = status(observation / "cal" / DATES[0] / "calibration.json")["figures"]["tables"]
    solved = [(one["group"], one["calibrator"]) for one in tables]
    assert [(one["group"], one["name"]) for one in found if one["chosen"]] == solved
    assert (found[0]["name"], found[0]["flux_model"]) == ("0813+482", "VLA list")
    assert found[0]["chosen"]


def test_the_expected_snr_is_that_of_the_bandpass(observation: Path, listed: Path) -> None:
    best = status(listed / "cal" / DATES[0] / "transits.json")["transits"][0]
    table = status(observation / "cal" / DATES[0] / f"{best['group']}.bcal.json")
    assert table["figures"]["median_snr"] == pytest.approx(best["bandpass_snr"], rel=0.15)
    assert table["figures"]["flux_model"] == best["flux_model"]


def test_a_date_without_calibrator_data_says_what_passed(listed: Path) -> None:
    found = status(listed / "cal" / DATES[1] / "transits.json")
    assert found["declination_deg"] == pytest.approx(46.81)
    strong = {one["name"]: one["why_not"] for one in found["transits"] if one["strong"]}
    assert strong == dict.fromkeys(
        ["0813+482", "1829+487", "0609+480", "0903+468"], "no data at its transit"
    )


def test_the_page_shows_the_list_and_asks_for_nothing_outside_itself(listed: Path) -> None:
    page = (listed / "report" / DATES[0] / "transits.html").read_text()
    text = re.sub(r"<[^>]*>", " ", page.split("<script")[0])
    for words in ("0813+482", "15:26:07", "solved", "no data at its transit", "46.81"):
        assert words in text
    assert "default-src 'none'" in page
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"data:[^\"]*", "", page))
    assert page.count("data:image/png") == 1
