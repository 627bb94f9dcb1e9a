"""Housekeeping takes what was asked for, whole, and nothing that anything names or links to."""

import errno
import os
from pathlib import Path

import pytest

from conftest import ROOT
from contimg import retention
from contimg.configuration import ConfigurationError
from contimg.settings import settings_of

DATE, OTHER = "2025-10-01", "2025-10-02"
GROUP = f"{DATE}T15:25:35"
NASTY = f'{DATE}T15:00:00 it\'s "$(touch pwned)" & <b>.ms'
ALL = list(retention.KINDS)

KEPT = [
    f"ms/science/{DATE}/{GROUP}.ms.json",
    f"ms/calibrated/{DATE}/{GROUP}.ms.json",
    f"images/{DATE}/{GROUP}.image.json",
    f"cal/{DATE}/{GROUP}.bcal/table.dat",
    f"cal/{DATE}/{GROUP}.gcal.json",
    f"cal/{DATE}/calibration.json",
    f"photometry/{DATE}/{GROUP}.parquet",
    f"mosaics/{DATE}/T1500.mosaic.fits",
    f"ms/science/{DATE}/{NASTY}/table.dat",
    f"ms/science/{OTHER}/{OTHER}T15:25:35.ms/table.dat",
    f"incoming/{GROUP}_sb00.hdf5",
    "variability/lightcurves.parquet",
]
TAKEN = {
    "raw_ms": [f"ms/raw/{DATE}/{GROUP}.ms/table.dat", f"cal/{DATE}/{GROUP}.solve.ms/table.dat"],
    "science_ms": [f"ms/science/{DATE}/{GROUP}.ms/table.dat"],
    "calibrated_ms": [f"ms/calibrated/{DATE}/{GROUP}.ms/table.dat"],
    "working_images": [
        f"images/{DATE}/{GROUP}.{name}.fits" for name in ("psf", "model", "residual", "s3.residual")
    ],
    "images": [
        f"images/{DATE}/{GROUP}.{name}.fits" for name in ("image", "pbcor", "pb", "rms", "s0.rms")
    ],
}  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A working directory with everything of a date in it, ten bytes a file."""
    for name in [*KEPT, *(name for names in TAKEN.values() for name in names)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0123456789")
    return tmp_path


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def clean(directory: Path, kinds: list[str], named: set[str] | None = None) -> retention.Plan:
    plan = retention.plan_for_date(directory, DATE, kinds, named or set())
    for item in plan.items:
        retention.remove_item(directory, item)
    return plan


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_takes_its_own_products_of_its_date_and_nothing_else(
    archive: Path, kind: str
) -> None:
    before = files(archive)
    plan = clean(archive, [kind])
    assert before - files(archive) == set(TAKEN[kind])
    assert {item.kind for item in plan.items} == {kind}
    assert sum(item.n_bytes for item in plan.items) == 10 * len(TAKEN[kind])
    assert not list(archive.rglob("*.removed"))


def test_a_plan_removes_nothing(archive: Path) -> None:
    before = files(archive)
    assert retention.plan_for_date(archive, DATE, ALL, set()).items
    assert files(archive) == before


def test_what_is_named_stays_with_all_that_holds_it(archive: Path) -> None:
    image = f"images/{DATE}/{GROUP}.pbcor.fits"
    named = {image, f"ms/science/{DATE}/{GROUP}.ms/table.dat", f"ms/calibrated/{DATE}"}
    plan = clean(archive, ALL, named)
    for name in (image, *TAKEN["science_ms"], *TAKEN["calibrated_ms"]):
        assert (archive / name).exists()
    assert {path for path, _ in plan.kept} == {
        image, f"ms/science/{DATE}/{GROUP}.ms", f"ms/calibrated/{DATE}/{GROUP}.ms",
    }  # fmt: skip


def test_pages_name_what_they_link_to(archive: Path) -> None:
    page = archive / "report" / DATE / "index.html"
    page.parent.mkdir(parents=True)
    quoted = GROUP.replace(":", "%3A")
    page.write_text(
        f'<a href="../../images/{DATE}/{quoted}.pbcor.fits?x#y">a</a> <a href="#top">b</a>'
        f"<img src='../../images/{DATE}/a&amp;b.fits'> <a href='https://example.org/x.fits'>c</a>"
        '<img src="data:image/png;base64,AAAA">'
    )
    elsewhere = archive / "report" / OTHER / "index.html"
    elsewhere.parent.mkdir()
    elsewhere.write_text('<a href="other.fits">x</a>')
    (archive / "report" / "index.html").write_text(f'<a href="{DATE}/index.html">x</a>')
    assert retention.named_by_pages(archive, [DATE]) == {
        f"images/{DATE}/{GROUP}.pbcor.fits", f"images/{DATE}/a&b.fits", f"report/{DATE}/index.html",
    }  # fmt: skip


def test_publications_name_what_they_list_and_an_unreadable_one_stops_all(archive: Path) -> None:
    listing = archive / "publish" / "2026a" / "products.json"
    listing.parent.mkdir(parents=True)
    listing.write_text(
        f'{{"release": "2026a", "products": [{{"path": "images/{DATE}/x.fits", "bytes": 1}}]}}'
    )
    assert retention.named_by_publications(archive) == {f"images/{DATE}/x.fits"}
    listing.write_text("{")
    with pytest.raises(ValueError, match=r"products\.json: not JSON"):
        retention.named_by_publications(archive)


def test_links_are_neither_followed_nor_removed(archive: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / f"{GROUP}.psf.fits").write_text("precious")
    (archive / "ms" / "raw" / DATE / f"{DATE}T16:00:00.ms").symlink_to(outside)
    folder = archive / "images" / DATE
    folder.rename(archive / "images" / "moved")
    folder.symlink_to(outside)
    plan = clean(archive, ALL)
    assert (outside / f"{GROUP}.psf.fits").read_text() == "precious"
    assert dict(plan.kept) == {
        f"images/{DATE}": "leads out of the working directory",
        f"ms/raw/{DATE}/{DATE}T16:00:00.ms": "a link",
    }
    assert folder.is_symlink()


def test_a_kill_half_way_leaves_nothing_that_looks_whole_and_is_made_up_for(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = next(
        item
        for item in retention.plan_for_date(archive, DATE, ["science_ms"], set()).items
        if item.kind == "science_ms"
    )

    def killed(_path: Path) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "delete_tree", killed)
    with pytest.raises(KeyboardInterrupt):
        retention.remove_item(archive, item)
    assert not (archive / item.path).exists()
    assert len(list((archive / "ms" / "science" / DATE).glob(".*.removed"))) == 1
    monkeypatch.undo()
    # Whatever is asked for next, the rest goes too.
    plan = clean(archive, ["working_images"])
    assert "leftovers" in {item.kind for item in plan.items}
    assert not list(archive.rglob("*.removed"))


def test_files_held_open_elsewhere_are_left_for_the_next_time(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = archive / "ms" / "science" / DATE / f"{GROUP}.ms" / ".nfs000000000001"
    held.write_text("x")
    unlink = os.unlink

    def busy(path, *args, **kwargs):
        if os.fspath(path).endswith(held.name):
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        unlink(path, *args, **kwargs)

    monkeypatch.setattr(os, "unlink", busy)
    clean(archive, ["science_ms"])
    assert not held.parent.exists()
    assert [path.name for path in archive.rglob("*") if path.is_file() and "removed" in str(path)] \
        == [held.name]  # fmt: skip
    monkeypatch.undo()
    clean(archive, ["science_ms"])
    assert not list(archive.rglob(".nfs*"))


def test_a_file_that_cannot_be_removed_is_an_error(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path, *_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError):
        clean(archive, ["science_ms"])


def test_age_is_counted_from_the_observation_and_null_keeps_for_ever() -> None:
    keep = {"raw_ms": 0, "science_ms": 30, "calibrated_ms": None}
    assert retention.expired_kinds(keep, "2025-10-01", "2025-10-31") == ["raw_ms"]
    assert retention.expired_kinds(keep, "2025-10-01", "2025-11-01") == ["raw_ms", "science_ms"]
    assert retention.expired_kinds(keep, "2025-10-01", "2025-10-01") == []


def test_by_default_nothing_is_ever_too_old() -> None:
    keep = settings_of([])["retention"]
    assert set(keep) == set(ALL)
    assert retention.expired_kinds(keep, "1990-01-01", "2100-01-01") == []


def test_a_misspelled_kind_or_a_negative_age_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("retention: {sience_ms: 10, images: -1}\n")
    with pytest.raises(ConfigurationError, match="did you mean science_ms") as told:
        settings_of([wrong])
    assert "retention.images: -1 found, at least 0 expected" in str(told.value)


def test_settings_are_laid_over_each_other_as_snakemake_does(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("retention: {images: 5}\ndates: ['2025-10-01', '2025-10-02']\n")
    second.write_text("retention: {raw_ms: 1}\ndates: ['2025-10-03']\n")
    found = settings_of([first, second], ROOT)
    assert (found["retention"]["images"], found["retention"]["raw_ms"]) == (5, 1)
    assert found["dates"] == ["2025-10-03"]
    assert found["imaging"]["size"] == settings_of([])["imaging"]["size"]


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (151e6, "151 MB"), (6.2e11, "620 GB"), (2.5e13, "25 TB")],
)
def test_sizes_read_as_people_write_them(n_bytes: float, text: str) -> None:
    assert retention.size_text(n_bytes) == text
