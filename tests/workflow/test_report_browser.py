"""The pages in a real browser: headless chromium, opened from the disk."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import synthetic_source
from synthetic_report import DIVERGED, NASTY, REJECTION, made_up_archive, made_up_date

import report_archive
import report_date
import report_source

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
)
LOOK = """<script>
window.addEventListener("load", () => {
  const images = [...document.images];
  const seen = {
    text: document.body.innerText,
    images: images.length,
    broken: images.filter((image) => !(image.complete && image.naturalWidth > 0)).length,
    scripts: document.scripts.length,
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
  document.documentElement.innerHTML = "<body><pre></pre></body>";
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
</script></body>"""
TIME_LIMIT_S = 120


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str, list[str]]:
    """Open a page in a new browser; return its output, its log, and what the page asked for.

    The proxy is a closed port, so that nothing leaves the machine. The browser's own requests (for
    updates, the time) have no origin in its network log; a page's have that of the page.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "chromium is not on the PATH; the pages cannot be tested without it"
    network = folder / "network.json"
    own = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={network}"]
    own += ["--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>"]
    done = subprocess.run(
        [chromium, *FLAGS, *own, *options, page.resolve().as_uri()],
        capture_output=True, text=True, timeout=TIME_LIMIT_S, check=True,
    )  # fmt: skip
    asked = [
        re.search(r'"url":"([^"]*)"', line)[1]
        for line in network.read_text().splitlines()
        if '"initiator":' in line and '"initiator":"not an origin"' not in line
    ]
    return done.stdout, done.stderr, asked


def look(page: Path, folder: Path, width: int = 1280) -> dict:
    """Return what a reader sees of a page, by a copy of it that may run our look-out."""
    copy = page.with_name("looked-at.html")
    content = page.read_text()
    assert content.count("</body>") == 1
    relaxed = content.replace(
        "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
    )
    copy.write_text(relaxed.replace("</body>", LOOK))
    dom, _, _ = browse(copy, folder, f"--window-size={width},900", "--dump-dom")
    return json.loads(html.unescape(re.search(r"<pre>(.*)</pre>", dom, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def date(tmp_path_factory):
    arguments = made_up_date(tmp_path_factory.mktemp("date"), n_antennas=20)
    report_date.main(**arguments)
    return arguments["page"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    arguments = made_up_archive(tmp_path_factory.mktemp("archive"))
    report_archive.main(**arguments)
    return arguments["page"]


def test_the_browser_shows_a_date(date, tmp_path):
    seen = look(date, tmp_path)
    # Bandpass 2, gains, S/N, phases, quality, flags, two groups, mosaic, photometry.
    assert seen["images"] == 11
    assert seen["broken"] == 0
    assert seen["wider"] <= 0, "the page is wider than 1280 pixels"
    for text in (REJECTION, DIVERGED, "no good image in this hour", NASTY):
        assert text in seen["text"]
    assert seen["scripts"] == 2  # the page's JSON and our look-out; none from the file's name


def test_the_browser_shows_the_archive(archive, tmp_path):
    seen = look(archive, tmp_path)
    assert (seen["images"], seen["broken"]) == (8, 0)
    assert seen["wider"] <= 0, "the page is wider than 1280 pixels"
    assert "dip of 40 % <b>over</b> 28 d" in seen["text"]


@pytest.mark.parametrize("name", ["date", "archive"])
def test_on_a_telephone_tables_scroll_and_the_page_does_not(name, request, tmp_path):
    seen = look(request.getfixturevalue(name), tmp_path, width=390)
    assert seen["wider"] <= 0, "the page is wider than 390 pixels"


@pytest.mark.parametrize("name", ["date", "archive"])
def test_a_page_opens_without_requests_and_without_complaints(name, request, tmp_path):
    picture = tmp_path / "page.png"
    page = request.getfixturevalue(name)
    _, log, asked = browse(page, tmp_path, "--window-size=1280,2000", f"--screenshot={picture}")
    assert asked == []
    assert "CONSOLE" not in log
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape == (2000, 1280)
    assert pixels.mean() > 200, "dark text on white is expected"
    assert (pixels < 100).mean() > 0.005, "the page is blank"


def test_the_browser_draws_a_sources_light_curve_by_the_scripts_that_the_page_admits(tmp_path):
    synthetic_source.made_up_archive(tmp_path)
    page = tmp_path / "source" / synthetic_source.NAME / "index.html"
    report_source.main(source_id=synthetic_source.NAME, page=page, directory=tmp_path)
    picture = tmp_path / "page.png"
    options = ("--window-size=1280,1100", f"--screenshot={picture}")
    _, log, asked = browse(page, tmp_path, *options)
    assert asked == []
    said = [line for line in log.splitlines() if "CONSOLE" in line]
    assert len(said) == 1 and "document idle" in said[0], "Bokeh has drawn, and nobody complains"
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0x00, 0x72, 0xB2)).max(axis=2) < 8).sum()
    assert blue > 11 * 2 * 20, "eleven epochs in two panels"
    seen = look(page, tmp_path / "look")
    assert (seen["images"], seen["broken"]) == (4, 0)  # three cutouts, and the figure for print
    assert seen["wider"] <= 0, "the page is wider than 1280 pixels"


@pytest.mark.parametrize("page", ["report/index.html", "report/2025-10-01/index.html"])
def test_the_observations_own_pages_are_whole(page, observation, tmp_path):
    copy = tmp_path / "page.html"
    shutil.copy(observation / page, copy)
    seen = look(copy, tmp_path)
    assert seen["images"] >= 4 and seen["broken"] == 0
    assert seen["wider"] <= 0, "the page is wider than 1280 pixels"
    assert "2025-10-01" in seen["text"]


def test_a_request_would_have_been_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<!DOCTYPE html><body><img src="http://outside.invalid/a.png"></body>')
    _, _, asked = browse(page, tmp_path, "--dump-dom")
    assert asked == ["http://outside.invalid/a.png"]
