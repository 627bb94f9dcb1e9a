"""What belongs to a release, what its digests are of, and when a product made again differs."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from contimg.release import members, record
from contimg.release.compare import DIFFERENT, EQUAL, IDENTICAL, Verdict, compare
from contimg.release.crate import Contents, write_crate
from contimg.release.members import Made, Product, RawFile
from contimg.tables import METADATA_KEY
from publish import made_of

DATE = "2025-10-04"
GROUP = f"{DATE}T22:05:29"
IMAGE = f"images/{DATE}/{GROUP}.image.fits"
RUNCRATE = Path(sys.executable).with_name("runcrate")


def test_missing_and_stale_products_are_named_and_removed_visibilities_are_not() -> None:
    made = [
        Made(IMAGE, "image_group", "a"),
        Made(f"ms/science/{DATE}/{GROUP}.ms", "flag_group", "b", state="missing"),
        Made(f"ms/raw/{DATE}/{GROUP}.ms", "convert_group", "c", state="removed temp file"),
        Made("images/gone.fits", "image_group", "d", state="missing"),
        Made("old.json", "index_date", "e", state="params changed", plan="update pending"),
    ]
    faults = members.unfinished(made)
    assert [fault["path"] for fault in faults] == ["images/gone.fits", "old.json"]
    assert "index_date has work to do (params changed)" in faults[1]["why"]


def test_visibilities_and_temporary_things_are_not_published(tmp_path: Path) -> None:
    names = [
        "ms/science/d/g.ms.json",
        "cal/d/g.solve.ms.json",
        "ms/raw/d/g.ms.json",
        "cal/d/g.bcal.json",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "ms/science/d/g.ms").mkdir()
    made = [Made(name, "", "") for name in [*names, "ms/science/d/g.ms", "not/there.json"]]
    found = [one.path for one in members.published(made, tmp_path)]
    assert found == ["cal/d/g.bcal.json", "ms/science/d/g.ms.json"]


@pytest.mark.parametrize(
    ("path", "date"),
    [(IMAGE, DATE), (f"index/{DATE}.json", DATE), (f"report/{DATE}/index.html", DATE),
     ("catalogs/master_sources.sqlite3", None), ("report/index.html", None)],
)  # fmt: skip
def test_a_product_belongs_to_the_date_of_its_path(path: str, date: str | None) -> None:
    assert members.date_of(path) == date


def test_snakemakes_summary_is_read_whatever_a_command_holds() -> None:
    line = "\t".join(
        [IMAGE, "Sat Nov 21", "image_group", f"logs/{DATE}/image_group/{GROUP}.log", "a.ms,b.json",
         "printf 'x\ty'", "ok", "no update"]
    )  # fmt: skip
    expected = Made(IMAGE, "image_group", f"{DATE}/image_group/{GROUP}", ("a.ms", "b.json"))
    assert made_of(line) == expected


def test_input_names_with_commas_stay_whole() -> None:
    made = [Made("x.ms", "convert_group", "j", ("incoming/a", " b.uvh5", "other"))]
    (whole,) = members.with_whole_names(made, ["incoming/a, b.uvh5"])
    assert whole.inputs == ("other", "incoming/a, b.uvh5")


def index_of(folder: Path) -> Path:
    """An index of one group of two files and a stranger, and the files."""
    groups = [{"group": GROUP, "files": ["a_sb00.hdf5", "b_sb01.hdf5"]}]
    unrecognised = [{"file": "c_incomplete.hdf5", "reason": "being written"}]
    index = {"date": DATE, "groups": groups, "unrecognised": unrecognised}
    (folder / f"{DATE}.json").write_text(json.dumps(index))
    for name in ("a_sb00.hdf5", "b_sb01.hdf5", "c_incomplete.hdf5"):
        (folder / name).write_text(name)
    return folder / f"{DATE}.json"


def test_raw_files_are_told_by_digest_and_strangers_too(tmp_path: Path) -> None:
    found = members.raw_files(index_of(tmp_path), tmp_path)
    assert [(one.name, one.group) for one in found] == [
        ("a_sb00.hdf5", GROUP), ("b_sb01.hdf5", GROUP), ("c_incomplete.hdf5", None),
    ]  # fmt: skip
    sums = subprocess.run(
        ["sha256sum", "a_sb00.hdf5"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert sums.stdout.split()[0] == found[0].sha256


def test_a_raw_file_that_is_gone_is_named(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    (tmp_path / "b_sb01.hdf5").unlink()
    with pytest.raises(FileNotFoundError, match=r"b_sb01\.hdf5: not there"):
        members.raw_files(index, tmp_path)


def test_changed_added_and_lost_files_are_found(tmp_path: Path) -> None:
    for name in ("kept", "changed", "lost"):
        (tmp_path / name).write_text(name)
    members.write_sums(tmp_path, {})
    assert members.wrong_sums(tmp_path) == []
    (tmp_path / "changed").write_text("Changed")
    (tmp_path / "lost").unlink()
    (tmp_path / "added").write_text("")
    faults = members.wrong_sums(tmp_path)
    assert [fault.split(":")[0] for fault in faults] == ["added", "lost", "changed"]


def test_other_software_is_named() -> None:
    one = {"python": "3.11", "packages": {"numpy": "2.3.5", "gone": "1"}}
    two = {"python": "3.11", "packages": {"numpy": "2.4.0"}}
    assert record.other_software(one, two) == [
        "packages gone: 1 in the release, None here",
        "packages numpy: 2.3.5 in the release, 2.4.0 here",
    ]


# -- comparisons


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Noise of 1 mJy, a source of 1 Jy, a corner without data."""
    pixels = np.random.default_rng(1).normal(0, 1e-3, (64, 64)).astype(np.float32)
    pixels[32, 32], pixels[0, 0] = 1.0, np.nan
    header = fits.Header({"BMAJ": 0.02, "CRVAL1": 227.5, "OBJECT": GROUP})
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "image.fits")
    return tmp_path / "image.fits"


def changed_image(image: Path, change: Any) -> Verdict:
    """The verdict after a change of pixels and header."""
    with fits.open(image) as hdus:
        pixels, header = hdus[0].data.copy(), hdus[0].header.copy()
    change(pixels, header)
    again = image.with_name("again.fits")
    fits.PrimaryHDU(pixels, header).writeto(again, overwrite=True)
    return compare("image", image, again)


def test_a_clock_and_a_command_line_are_no_values(image: Path) -> None:
    def later(_: Any, header: fits.Header) -> None:
        header["DATE"] = "2026-01-01"
        header.add_history("wsclean -j 2")

    assert changed_image(image, later) == Verdict("image", IDENTICAL)
    again = image.with_name("again.fits")
    assert members.value_digest(again) == members.value_digest(image)
    assert members.sha256_and_size(again) != members.sha256_and_size(image)


def test_pixels_agree_to_the_larger_of_peak_and_rms(image: Path) -> None:
    rms = np.nanstd(fits.getdata(image))
    tolerance = max(1e-5, 1e-2 * rms)

    def moved(by: float) -> Verdict:
        def change(pixels: Any, _: Any) -> None:
            pixels[5, 5] += by

        return changed_image(image, change)

    assert moved(0.9 * tolerance).state == EQUAL
    verdict = moved(1.1 * tolerance)
    assert verdict.state == DIFFERENT
    assert "1 of 4096 values differ" in verdict.detail


def test_a_pixel_that_loses_its_value_is_different(image: Path) -> None:
    def blank(pixels: Any, _: Any) -> None:
        pixels[9, 9] = np.nan

    assert "finite in other places" in changed_image(image, blank).detail


@pytest.mark.parametrize(
    ("card", "value", "state"),
    [("CRVAL1", 227.5 + 1e-9, DIFFERENT), ("OBJECT", "other", DIFFERENT), ("NEW", 1, DIFFERENT),
     ("BMAJ", 0.0200001, EQUAL), ("BMAJ", 0.03, DIFFERENT)],
)  # fmt: skip
def test_a_header_is_compared_too(image: Path, card: str, value: Any, state: str) -> None:
    assert changed_image(image, lambda _, header: header.set(card, value)).state == state


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = pd.DataFrame(
        {"source_id": ["a", "b"], "ra_deg": [1.0, 2.0], "flux_jy": [1.0, 0.01], "n": [3, 4],
         "flux_err_jy": [2e-3, 1e-3], "image_digest": ["x", "x"]}
    )  # fmt: skip
    write_rows(rows, tmp_path / "table.parquet", {"digest": "1", "figures": {"ratio": 1.0}})
    return tmp_path / "table.parquet"


def write_rows(rows: pd.DataFrame, path: Path, metadata: dict, **how: Any) -> None:
    import pyarrow as pa

    arrow = pa.Table.from_pandas(rows, preserve_index=False)
    arrow = arrow.replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    pq.write_table(arrow, path, **how)


@pytest.mark.parametrize(
    ("column", "row", "value", "state"),
    [("flux_jy", 1, 0.01 + 0.9e-5, EQUAL), ("flux_jy", 1, 0.01 + 3e-5, DIFFERENT),
     ("flux_jy", 0, 1.0 + 1.9e-5, EQUAL), ("ra_deg", 0, 1.0 + 1e-12, DIFFERENT),
     ("n", 0, 4, DIFFERENT), ("source_id", 0, "c", DIFFERENT), ("image_digest", 0, "y", EQUAL)],
)  # fmt: skip
def test_measured_columns_have_a_tolerance_and_given_ones_none(
    table: Path, column: str, row: int, value: Any, state: str
) -> None:
    rows = pd.read_parquet(table)
    rows.loc[row, column] = value
    again = table.with_name("again.parquet")
    write_rows(rows, again, {"digest": "2", "figures": {"ratio": 1.0}})
    verdict = compare("table", table, again)
    assert verdict.state == state
    assert column in verdict.detail


def test_a_table_stored_otherwise_is_identical(table: Path) -> None:
    again = table.with_name("again.parquet")
    rows = pd.read_parquet(table)
    write_rows(rows, again, {"digest": "1", "figures": {"ratio": 1.0}}, compression="gzip")
    assert table.read_bytes() != again.read_bytes()
    assert compare("table", table, again) == Verdict("table", IDENTICAL)
    assert members.value_digest(table) == members.value_digest(again)


@pytest.mark.parametrize(
    ("change", "state"),
    [({}, IDENTICAL), ({"digest": "2"}, EQUAL), ({"rms_jy": 1.005e-3}, EQUAL),
     ({"rms_jy": 1.02e-3}, DIFFERENT), ({"mid_mjd": 60949.0000001}, DIFFERENT),
     ({"n_sources": 101}, DIFFERENT), ({"status": "rejected"}, DIFFERENT),
     ({"inputs": {"ms": "other"}}, EQUAL), ({"inputs": {}}, DIFFERENT),
     ({"digest": ""}, DIFFERENT)],
)  # fmt: skip
def test_status_files_are_compared_by_what_their_values_mean(
    tmp_path: Path, change: dict, state: str
) -> None:
    content = {"status": "ok", "digest": "1", "inputs": {"ms": "2"}, "rms_jy": 1e-3,
               "mid_mjd": 60949.0, "n_sources": 100}  # fmt: skip
    (tmp_path / "one.json").write_text(json.dumps(content))
    (tmp_path / "two.json").write_text(json.dumps(content | change))
    assert compare("json", tmp_path / "one.json", tmp_path / "two.json").state == state


def test_what_was_not_made_again_is_different(image: Path) -> None:
    assert compare("x", image, image.with_name("none")).detail == "was not made again"


# -- the crate

NASTY = f"{GROUP}_sb00 a#b?%20<i>'\".hdf5"


def crate_of(folder: Path, **changed: Any) -> Path:
    for path, text in {
        "config.yaml": "a: 1\n", "workflow/Snakefile": "", "workflow/scripts/convert_group.py": "",
        f"images/{DATE}/{GROUP}.image.fits": "pixels",
    }.items():  # fmt: skip
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    job = f"{DATE}/{{}}/{GROUP}"
    ms = f"ms/raw/{DATE}/{GROUP}.ms"
    contents = Contents(
        name="r1", dates=[DATE], date_published="2026-01-01",
        products=[Product(IMAGE, DATE, "image_group", "d1", "s1", 6)],
        raw=[RawFile(NASTY, DATE, GROUP, 7, "f00")],
        made=[
            Made(IMAGE, "image_group", job.format("image_group"), (ms,)),
            Made(ms, "convert_group", job.format("convert_group"), (f"incoming/{NASTY}",)),
        ],
        software={"packages": {"snakemake": "9"}, "workflow": "0.1"},
    )  # fmt: skip
    write_crate(folder, replace(contents, **changed))
    return folder


def test_runcrate_tells_the_jobs_whatever_the_names_hold(tmp_path: Path) -> None:
    crate = crate_of(tmp_path)
    done = subprocess.run(
        [RUNCRATE, "report", str(crate)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run, *jobs = done.stdout.split("action: ")[1:]
    assert "instrument: workflow/Snakefile" in run
    assert len(jobs) == 2
    convert = next(job for job in jobs if "workflow/scripts/convert_group.py" in job)
    assert "#raw/2025-10-04T22%3A05%3A29_sb00%20a%23b%3F%2520" in convert
    assert f"#intermediate/ms/raw/{DATE}/" in convert
    assert "#rule/image_group" in next(job for job in jobs if job is not convert)


def test_a_crate_is_the_same_text_each_time(tmp_path: Path) -> None:
    crate = crate_of(tmp_path) / "ro-crate-metadata.json"
    first = crate.read_text()
    crate.unlink()
    crate_of(tmp_path)
    assert crate.read_text() == first
    ids = [entity["@id"] for entity in json.loads(first)["@graph"]]
    assert len(ids) == len(set(ids))


def test_raw_files_are_in_the_crate_by_digest(tmp_path: Path) -> None:
    text = (crate_of(tmp_path) / "ro-crate-metadata.json").read_text()
    raw = next(one for one in json.loads(text)["@graph"] if one.get("name") == NASTY)
    assert (raw["sha256"], raw["contentSize"]) == ("f00", "7")
    parts = next(one for one in json.loads(text)["@graph"] if one["@id"] == "./")["hasPart"]
    assert raw["@id"] not in {part["@id"] for part in parts}


def test_creators_are_people_with_or_without_an_address(tmp_path: Path) -> None:
    creators = ["A. One <https://orcid.org/0000-0000-0000-0000>", "B. Two"]
    text = (crate_of(tmp_path, creators=creators) / "ro-crate-metadata.json").read_text()
    people = {one["name"]: one["@id"] for one in json.loads(text)["@graph"]
              if one["@type"] == "Person"}  # fmt: skip
    assert people == {
        "A. One": "https://orcid.org/0000-0000-0000-0000", "B. Two": "#person/B.%20Two",
    }  # fmt: skip


def test_borrowed_tables_that_changed_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cal" / DATE
    folder.mkdir(parents=True)
    tables = {"date": "2025-10-01", "group": "g", "gcal": "cal/2025-10-01/g.gcal",
              "digests": {"gcal": "chosen"}}  # fmt: skip
    choice = {"figures": {"source": "borrowed", "tables": [tables], "considered": []}}
    (folder / "calibration.json").write_text(json.dumps(choice))
    with pytest.raises(ValueError, match=r"cal/2025-10-01/g\.gcal: nothing found, chosen expected"):
        members.tables_of_other_dates(tmp_path, [DATE])


@pytest.mark.parametrize("compared", [False, True])
def test_what_was_considered_or_compared_comes_along(tmp_path: Path, compared: bool) -> None:
    other = tmp_path / "cal" / "2025-10-01"
    (other / "g.gcal").mkdir(parents=True)
    (other / "g.gcal.json").write_text("{}")
    (tmp_path / "cal" / DATE).mkdir()
    considered = [{"date": "2025-10-01", "group": "g", "why_not": "gate"},
                  {"date": DATE, "group": "own", "why_not": "gate"}]  # fmt: skip
    figures = {"tables": [], "considered": considered}
    if compared:
        previous = {"date": "2025-10-01", "group": "g", "digest": "x"}
        figures |= {"considered": considered[1:], "compared": [{"previous": previous}]}
    choice = {"status": "rejected", "figures": figures}
    (tmp_path / "cal" / DATE / "calibration.json").write_text(json.dumps(choice))
    found = [one.path for one in members.tables_of_other_dates(tmp_path, [DATE])]
    assert found == ["cal/2025-10-01/g.gcal", "cal/2025-10-01/g.gcal.json"]
    shutil.rmtree(other)
    assert members.tables_of_other_dates(tmp_path, [DATE]) == []
