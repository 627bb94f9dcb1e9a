"""A release holds what it says, names no machine, and can be made again from its raw files."""

import getpass
import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import casacore.tables as casatables
import pytest
from astropy.io import fits

from conftest import CONFIGS, DATES, ROOT, SOURCE
from contimg.locks import Locks, Run
from contimg.release.compare import DIFFERENT, IDENTICAL, compare
from contimg.release.members import wrong_sums
from workflow import copy_for_dry_runs, status

RELEASE = "test-1"
DATE = DATES[1]  # it has no calibrator, and borrows the first date's tables
TEXTS = {".json", ".jsonl", ".yaml", ""}


def publish(
    directory: Path, *options: str, release: str = RELEASE, configs: list[Path] = CONFIGS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "publish.py", "--directory", directory, "--release",
         release, "--dates", DATE, "--configfile", *configs, *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def directory(observation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The observation's products (links: publishing changes none) with a release."""
    folder = copy_for_dry_runs(observation, tmp_path_factory.mktemp("publish") / "archive")
    shutil.copytree(observation / "benchmarks", folder / "benchmarks")
    done = publish(folder, "--creator", "A. Nonymous <https://orcid.org/0000-0000-0000-0000>")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def release(directory: Path) -> Path:
    return directory / "publish" / RELEASE


def fresh_clone(folder: Path) -> None:
    """Clone the repository; what is not committed yet is laid over it."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    changed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--modified", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, changed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def verified(release: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The date made again by a fresh clone: where, and what was said."""
    home = tmp_path_factory.mktemp("verify")
    clone, scratch = home / "clone", home / "again"
    fresh_clone(clone)
    dirty = status(release / "release.json")["git"]["dirty"]
    done = subprocess.run(
        [sys.executable, clone / "scripts" / "verify.py", "--release", release, "--date", DATE,
         "--incoming", release.parents[1] / "incoming", "--directory", scratch,
         *(["--anyway"] if dirty else []), "--", "--cores", "2"],
        capture_output=True, text=True, check=False, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert ("Mind: " in done.stdout) == dirty
    return scratch, done.stdout


def products(release: Path) -> dict[str, dict[str, Any]]:
    return {one["path"]: one for one in status(release / "products.json")["products"]}


def test_sha256sum_agrees(release: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], check=True, cwd=release)
    assert wrong_sums(release) == []


def test_it_holds_the_date_and_the_tables_that_it_borrowed(release: Path) -> None:
    found = products(release)
    index = status(release / "index" / f"{DATE}.json")
    for group in index["groups"]:
        for kind in ("image", "residual", "model", "psf", "pb", "pbcor", "rms"):
            assert f"images/{DATE}/{group['group']}.{kind}.fits" in found
    for name in index["mosaics"]:
        assert f"mosaics/{DATE}/{name}.mosaic.fits" in found
    assert {f"report/{DATE}/index.html", f"photometry/{DATE}/photometry.parquet",
            "variability/ese_candidates.parquet", "report/index.html",
            f"source/{SOURCE}/index.html"} <= set(found)  # fmt: skip
    chosen = status(release / "cal" / DATE / "calibration.json")["figures"]["tables"]
    for tables in chosen:
        assert tables["date"] == DATES[0]
        assert found[tables["gcal"]]["digest"] == tables["digests"]["gcal"]
        assert (release / f"{tables['gcal']}.json").is_file()
        assert (release / tables["gcal"] / "table.dat").is_file()
    assert {one["date"] for one in found.values()} == {None, *DATES[:2]}
    assert not [path for path in found if path.startswith(f"images/{DATES[0]}")]
    assert not list(release.rglob("*.ms"))


def test_raw_files_are_named_by_digest_and_not_copied(release: Path) -> None:
    raw = status(release / "raw.json")["files"]
    assert len([one for one in raw if one["group"]]) == 31  # of 32: one subband is missing
    assert not (release / "incoming").exists()


def test_it_tells_what_made_it(release: Path) -> None:
    about = status(release / "release.json")
    head = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert about["git"]["commit"] == head.stdout.strip()
    assert about["unfinished"] == []
    software = about["software"]
    assert software["packages"]["snakemake"]
    assert software["programs"]["wsclean"] in about["stated_by_products"]["wsclean"][0]
    assert software["programs"]["aoflagger"]
    assert software["measures"]["casa"]["tables"]["IERSeop97"]
    assert software["measures"]["python-casacore"]["tables"]["TAI_UTC"]
    assert (release / "requirements.txt").read_text() == (
        ROOT / "envs" / "requirements.txt"
    ).read_text()
    assert list((release / "benchmarks" / DATE / "image_group").glob("*.jsonl"))


def test_runcrate_tells_the_truth_about_it(release: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("runcrate"), "report", release],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    actions = {
        text.partition("\n")[0]: text.replace("%3A", ":")
        for text in done.stdout.split("action: ")[1:]
    }
    assert "instrument: workflow/Snakefile" in actions["#run"]
    group = status(release / "index" / f"{DATE}.json")["groups"][0]
    quoted = group["group"].replace(":", "%3A")
    convert = actions[f"#job/{DATE}/convert_group/{quoted}"]
    assert set(re.findall(r"#raw/(\S+)", convert)) == set(group["files"])
    imaged = actions[f"#job/{DATE}/image_group/{quoted}"]
    assert f"images/{DATE}/{group['group']}.image.fits" in imaged.partition("outputs:")[2]
    applied = actions[f"#job/{DATE}/apply_calibration/{quoted}"]
    assert f"cal/{DATES[0]}/" in applied.partition("outputs:")[0]


def test_nothing_in_it_tells_of_the_machine(release: Path, directory: Path) -> None:
    places = [str(directory).encode(), str(Path.home()).encode() + b"/"]
    # Names of people and hosts may be words that a source, a lock or a picture holds by chance.
    user = [] if getpass.getuser() == "root" else [getpass.getuser()]
    words = [rb"\b" + re.escape(name).encode() + rb"\b" for name in [*user, socket.gethostname()]]
    files = [path for path in release.rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        content, name = path.read_bytes(), path.relative_to(release)
        assert [place for place in places if place in content] == [], name
        if path.suffix in TEXTS and name.parts[0] != "workflow":
            assert [word for word in words if re.search(word, content)] == [], name


def test_a_release_is_never_changed(directory: Path, release: Path) -> None:
    before = (release / "SHA256SUMS").read_bytes()
    done = publish(directory)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "exists; a release is never changed" in done.stderr
    assert (release / "SHA256SUMS").read_bytes() == before


def test_a_stale_date_is_refused_and_leaves_nothing(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("photometry: {min_jy: 0.02}\n")
    done = publish(directory, "--without-archive", release="stale", configs=[*CONFIGS, other])
    assert done.returncode != 0
    assert re.search(r"not up to date \(.*measure_photometry has work to do", done.stderr)
    assert [path.name for path in (directory / "publish").iterdir()] == [RELEASE]


def test_a_date_that_a_run_writes_is_refused(directory: Path) -> None:
    locks = Locks(directory, {DATE})
    locks.enter(Run("beside", "here", 7, cluster=False))
    try:
        done = publish(directory, release="beside")
    finally:
        locks.forget()
        locks.release()
    assert f"publish: {DATE}: a living run writes it (process 7 on here)" in done.stderr
    assert not (directory / "publish" / "beside").exists()


def test_an_option_that_the_release_would_not_have_is_refused(directory: Path) -> None:
    done = publish(directory, "--", "--config", "reproducible=false", release="other")
    assert done.returncode != 0
    assert "--config: the release would not have it" in done.stderr


def test_a_date_without_its_page_is_refused(directory: Path) -> None:
    done = publish(directory, "--dates", "2025-10-30", release="other")
    assert done.stderr == "publish: report/2025-10-30/index.html: missing; make it first\n"


def test_a_fresh_clone_makes_every_product_again(release: Path, verified: tuple[Path, str]) -> None:
    scratch, told = verified
    expected = {path for path, one in products(release).items()
                if one["date"] == DATE or path.startswith("catalogs/")}  # fmt: skip
    verdicts = status(scratch / "verify.json")["products"]
    assert {one["path"] for one in verdicts} == expected
    assert {one["state"] for one in verdicts} == {IDENTICAL}
    assert f"{len(expected)} products: {len(expected)} identical, 0 equal, 0 different" in told
    # What it borrowed was the release's, and the choice was made anew.
    assert status(scratch / "cal" / DATE / "calibration.json")["figures"]["source"] == "borrowed"


def test_one_pixel_is_told(release: Path, tmp_path: Path) -> None:
    image = min((release / "images" / DATE).glob("*.pbcor.fits"))
    again = Path(shutil.copy(image, tmp_path))
    with fits.open(again, mode="update") as hdus:
        shape = hdus[0].data.shape
        hdus[0].data[..., shape[-2] // 2, shape[-1] // 2] += 0.1
    verdict = compare("image", image, again)
    assert verdict.state == DIFFERENT
    assert "1 of" in verdict.detail


def test_one_solution_is_told(release: Path, tmp_path: Path) -> None:
    table = min((release / "cal" / DATES[0]).glob("*.bcal"))
    again = Path(shutil.copytree(table, tmp_path / "again"))
    for path in again.rglob("*"):
        path.chmod(0o755)
    assert compare("table", table, again).state == IDENTICAL
    with casatables.table(str(again), readonly=False, ack=False) as opened:
        gains, flags = opened.getcol("CPARAM"), opened.getcol("FLAG")
        row = tuple(index[0] for index in (~flags).nonzero())
        gains[row] *= 1.01
        opened.putcol("CPARAM", gains)
    verdict = compare("table", table, again)
    assert verdict.state == DIFFERENT
    assert verdict.detail.startswith("CPARAM: 1 of")


def test_a_changed_release_is_not_verified(release: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(release, tmp_path / "copy", copy_function=shutil.copy))
    config = copy / "config.yaml"
    config.write_text(config.read_text() + "\n")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "verify.py", "--release", copy, "--date", DATE,
         "--incoming", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "config.yaml: not the file that was published" in done.stderr
    assert json.loads((copy / "release.json").read_text())["release"] == RELEASE
