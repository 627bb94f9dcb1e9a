"""One date with bad input of every kind: told of, passed over, and harmless to the rest."""

import html
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from bad_input import LONE_TEXT, STRANGE_NAME, RawGroup, make_files, raw_groups, spoil

from conftest import ROOT, snakemake
from contimg.tables import read_table
from workflow import SMALL, SMALL_DATE, made_once, small_date_in, status, values

CONFIGS = [*SMALL, ROOT / "tests" / "workflow" / "bad.yaml"]
GOOD, BROKEN, STRANGE, FEW, PARTIAL, NANS, ZEROS, FLAGGED, DIVERGING, LATE = range(2, 12)
NOTHING_USABLE = "no usable visibilities: all are zero, not finite or flagged"


@dataclass(frozen=True)
class BadDate:
    """The reduced date: its working directory, its groups, and what a reader sees."""

    folder: Path
    groups: list[RawGroup]

    def index(self) -> dict:
        return status(self.folder / "index" / f"{SMALL_DATE}.json")

    def in_index(self, number: int) -> dict:
        name = self.groups[number].name
        return next(group for group in self.index()["groups"] if group["group"] == name)

    def image(self, number: int) -> dict:
        return status(
            self.folder / "images" / SMALL_DATE / f"{self.groups[number].name}.image.json"
        )

    def page(self) -> str:
        """Text of the date's report, without tags and with entities resolved."""
        page = (self.folder / "report" / SMALL_DATE / "index.html").read_text()
        text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.fixture(scope="session")
def bad_date(tmp_path_factory: pytest.TempPathFactory) -> BadDate:
    folder = made_once(tmp_path_factory, "bad_date", make_bad_date)
    return BadDate(folder, raw_groups(SMALL_DATE, CONFIGS, folder / "incoming"))


def make_bad_date(folder: Path) -> None:
    groups = raw_groups(SMALL_DATE, CONFIGS, folder / "incoming")
    make_files(SMALL_DATE, CONFIGS, folder / "incoming")
    spoil(SMALL_DATE, CONFIGS, groups, folder / "incoming")
    snakemake(folder, "--", f"report/{SMALL_DATE}/index.html", configs=CONFIGS)


@pytest.mark.parametrize(
    ("number", "subband", "reason"),
    [
        (BROKEN, 3, "cut short"),
        (BROKEN, 7, "the file is empty"),
        (STRANGE, 2, "not an HDF5 file"),
        (STRANGE, 5, "15 antennas with data, the group's others have 16"),
        (LATE, 9, "header time is \\+60.0 s from the group's"),
    ],
)
def test_a_bad_subband_is_left_out_and_named(
    bad_date: BadDate, number: int, subband: int, reason: str
) -> None:
    listed = bad_date.in_index(number)
    assert listed["status"] == "partial"
    assert subband in listed["missing"]
    name = bad_date.groups[number].files[subband].name
    excluded = {one["file"]: one["reason"] for one in listed["excluded"]}
    assert re.search(reason, excluded[name])
    assert name in bad_date.page()
    assert re.search(reason, bad_date.page())
    used = status(bad_date.folder / f"ms/science/{SMALL_DATE}/{listed['group']}.ms.json")
    assert subband in used["figures"]["missing"]
    assert bad_date.image(number)["status"] == "ok"


def test_fifteen_subbands_are_enough_and_three_are_not(bad_date: BadDate) -> None:
    partial, few = bad_date.in_index(PARTIAL), bad_date.in_index(FEW)
    assert (partial["status"], partial["missing"]) == ("partial", [15])
    assert bad_date.image(PARTIAL)["status"] == "ok"
    assert few["status"] == "rejected"
    assert few["reason"] == "3 of 16 subbands, 14 needed"
    assert few["reason"] in bad_date.page()
    assert not list(bad_date.folder.glob(f"*/*/{few['group']}*"))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (NANS, NOTHING_USABLE),
        (ZEROS, NOTHING_USABLE),
        (FLAGGED, "99.9% flagged, 90% allowed"),
    ],
)
def test_a_group_that_fails_at_run_time_is_rejected_with_its_reason(
    bad_date: BadDate, number: int, reason: str
) -> None:
    image = bad_date.image(number)
    assert image["status"] == "rejected"
    assert image["reason"].startswith(reason)
    assert image["reason"] in bad_date.page()
    table, about = read_table(
        bad_date.folder / f"photometry/{SMALL_DATE}/{bad_date.groups[number].name}.parquet"
    )
    assert len(table) == 0
    assert about["reason"] == image["reason"]
    corrected = bad_date.folder / f"images/{SMALL_DATE}/{bad_date.groups[number].name}.pbcor.fits"
    assert fits.getheader(corrected)["STATUS"] == "rejected"


def test_an_image_that_diverged_is_kept_marked_and_left_out_of_mosaics(bad_date: BadDate) -> None:
    image, group = bad_date.image(DIVERGING), bad_date.groups[DIVERGING].name
    assert image["status"] == "ok"
    assert any(reason.startswith("rms_over_thermal is") for reason in image["failed_checks"])
    table, about = read_table(bad_date.folder / f"photometry/{SMALL_DATE}/{group}.parquet")
    assert len(table)
    assert about["failed_checks"][: len(image["failed_checks"])] == image["failed_checks"]
    assert image["failed_checks"][0] in bad_date.page()
    for mosaic in bad_date.folder.glob(f"mosaics/{SMALL_DATE}/*.mosaic.fits"):
        header = fits.getheader(mosaic)
        assert group not in [header[card] for card in header if card.startswith("TILE")]
        if group in bad_date.index()["mosaics"][mosaic.name.split(".")[0]]:
            assert group in header["REFUSED"]


def test_strange_names_are_told_and_do_nothing(bad_date: BadDate) -> None:
    index = bad_date.index()
    assert STRANGE_NAME in [one["file"] for one in index["unrecognised"]]
    page = (bad_date.folder / "report" / SMALL_DATE / "index.html").read_text()
    assert STRANGE_NAME not in page
    assert html.escape(STRANGE_NAME, quote=False).split("&amp;")[1] in page
    assert STRANGE_NAME in bad_date.page()
    assert not list(bad_date.folder.rglob("pwned"))
    assert not (ROOT / "pwned").exists()
    lone = next(group for group in index["groups"] if group["files"] == [LONE_TEXT])
    assert (lone["status"], lone["reason"]) == ("rejected", "none of its files can be read")
    assert lone["group"] in bad_date.page()


def test_the_other_groups_have_the_values_of_a_clean_run(
    bad_date: BadDate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clean, found = values(small_date_in(tmp_path_factory)), values(bad_date.folder)
    names = [group.name for group in bad_date.groups[: GOOD + 1]]
    of_groups = [
        name for name in clean
        if name.startswith(("ms/", "cal/", "images/", "photometry/", "catalogs/"))
        and not name.endswith(("photometry.parquet", "mosaic.parquet", "transits.json"))
    ]  # fmt: skip
    assert {name for group in names for name in of_groups if group in name}
    assert [name for name in of_groups if clean[name] != found.get(name)] == []


def test_a_rejected_group_that_is_asked_for_gives_labelled_empty_products(
    bad_date: BadDate, tmp_path: Path
) -> None:
    folder, group = tmp_path / "copy", bad_date.groups[FEW].name
    for name in (".snakemake", "incoming", "cal", "catalogs"):
        shutil.copytree(bad_date.folder / name, folder / name)
    target = f"photometry/{SMALL_DATE}/{group}.parquet"
    snakemake(folder, "--", target, configs=CONFIGS)
    reason = "3 of 16 subbands, 14 needed"
    ms = folder / "ms/science" / SMALL_DATE / f"{group}.ms"
    assert (ms / "REJECTED").read_text() == reason + "\n"
    for path in [*folder.glob(f"ms/*/*/{group}.ms.json"), *folder.glob("images/*/*.json")]:
        assert (status(path)["status"], status(path)["reason"]) == ("rejected", reason)
    images = sorted(folder.glob(f"images/{SMALL_DATE}/{group}.*.fits"))
    kinds = ["image", "model", "pb", "pbcor", "psf", "residual", "rms"]
    assert [path.name.split(".")[1] for path in images] == kinds
    for path in images:
        header = fits.getheader(path)
        assert (header["STATUS"], header["REASON"]) == ("rejected", reason)
        assert np.isnan(fits.getdata(path)).all()
    table, about = read_table(folder / target)
    assert len(table) == 0
    assert (about["status"], about["reason"]) == ("rejected", reason)
    assert "flux_jy" in table.columns
