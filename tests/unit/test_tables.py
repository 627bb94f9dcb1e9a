"""Tables say what they hold, and are whole or not there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from contimg import schemas
from contimg.tables import (
    empty_table,
    read_table,
    table_digest,
    write_rejected_table,
    write_table,
)

COLUMNS = (
    schemas.Column("source_id", "string", "", "name"),
    schemas.Column("flux_jy", "float64", "Jy", "flux"),
    schemas.Column("n", "int64", "", "count"),
    schemas.Column("good", "bool", "", "flag"),
    schemas.Column("freq_hz", "float64", "Hz", "frequency", optional=True),
)


@pytest.fixture
def rows():
    return pd.DataFrame(
        {"source_id": ["a", "b"], "flux_jy": [1.5, np.nan], "n": [1, 2], "good": [True, False]}
    )


def test_rows_and_metadata_come_back(tmp_path, rows):
    path = tmp_path / "t.parquet"
    write_table(path, rows, COLUMNS, {"options": {"order": 1}})
    found, metadata = read_table(path)
    pd.testing.assert_frame_equal(found, rows)
    assert metadata["status"] == "ok"
    assert metadata["columns"]["flux_jy"] == {"unit": "Jy", "description": "flux"}
    assert metadata["workflow_version"]
    assert metadata["config_digest"]
    assert metadata["digest"] == table_digest(found)


def test_rejected_table_has_the_columns_no_rows_and_the_reason(tmp_path):
    path = tmp_path / "t.parquet"
    write_rejected_table(path, schemas.PHOTOMETRY, "all data flagged")
    found, metadata = read_table(path)
    assert len(found) == 0
    assert list(found.columns) == [c.name for c in schemas.PHOTOMETRY if not c.optional]
    assert (metadata["status"], metadata["reason"]) == ("rejected", "all data flagged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="n"), r"missing columns \['n'\]"),
        (lambda t: t.assign(host="x"), r"unknown columns \['host'\]"),
        (lambda t: t.assign(n=[1.5, 2.5]), "column n is float64, expected int64"),
        (lambda t: t.assign(source_id=[1, 2]), "source_id is int64, expected string"),
        (lambda t: t.assign(source_id=["a", None]), "source_id is object, expected string"),
    ],
)
def test_a_table_off_its_schema_is_refused_and_leaves_nothing(tmp_path, rows, change, message):
    with pytest.raises(ValueError, match=message):
        write_table(tmp_path / "t.parquet", change(rows), COLUMNS)
    assert list(tmp_path.iterdir()) == []


def test_digest_is_of_values(rows):
    same = rows.copy()
    same["flux_jy"] = same.flux_jy.to_numpy()[::-1].copy()[::-1]
    assert table_digest(same) == table_digest(rows)
    assert table_digest(rows.assign(flux_jy=[1.5, 0.0])) != table_digest(rows)
    assert table_digest(rows.assign(flux_jy=[0.0, 1.0])) == table_digest(
        rows.assign(flux_jy=[-0.0, 1.0])
    )


def test_files_hold_nothing_of_machine_or_clock(tmp_path, rows):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_table(tmp_path / name / "t.parquet", rows, COLUMNS)
    first = (tmp_path / "one" / "t.parquet").read_bytes()
    assert first == (tmp_path / "two" / "t.parquet").read_bytes()
    assert str(tmp_path).encode() not in first


def test_units_are_on_the_columns_too(tmp_path, rows):
    write_table(tmp_path / "t.parquet", rows, COLUMNS)
    field = pq.read_schema(tmp_path / "t.parquet").field("flux_jy")
    assert field.metadata[b"unit"] == b"Jy"


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"not parquet at all")
    with pytest.raises(ValueError, match=r"t\.parquet: not a readable parquet table"):
        read_table(path)
    with pytest.raises(ValueError, match=r"t\.tsv: unknown form; .* \.csv or \.parquet"):
        read_table(tmp_path / "t.tsv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(ValueError, match=r"d\.csv: a directory found, a file expected"):
        read_table(tmp_path / "d.csv")


@pytest.mark.parametrize(
    "schema",
    [schemas.PHOTOMETRY, schemas.LIGHTCURVES, schemas.VARIABILITY, schemas.ESE_CANDIDATES],
)
def test_every_column_is_described_and_has_its_unit_in_its_name(schema):
    endings = {"Jy": "_jy", "deg": "_deg", "Hz": "_hz"}
    for column in schema:
        assert column.description
        assert column.name.endswith(endings.get(column.unit, ""))
    assert len(empty_table(schema)) == 0


def bytes_read():
    """What this process has read from files so far, as the kernel counts it."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


def test_one_source_of_a_large_table_is_read_without_the_others(tmp_path):
    n_sources, n_epochs = 1000, 100
    rng = np.random.default_rng(1)
    ids = np.repeat([f"J{number:06d}" for number in range(n_sources)], n_epochs)
    rows = pd.DataFrame(
        {
            "source_id": ids,
            "flux_jy": rng.normal(size=len(ids)),
            "n": rng.integers(0, 10**9, len(ids)),
            "good": True,
        }
    )
    path = tmp_path / "t.parquet"
    write_table(path, rows, COLUMNS, by_source=True)
    read_table(path, source_ids=["J000001"])  # whatever is read once only
    before = bytes_read()
    found, metadata = read_table(path, source_ids=["J000777"])
    assert bytes_read() - before < path.stat().st_size / 10
    wanted = rows[rows.source_id == "J000777"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted)
    assert metadata["digest"] == table_digest(rows)
    assert read_table(path, ["flux_jy"], source_ids=["J000777"])[0].flux_jy.equals(wanted.flux_jy)
    assert read_table(path, source_ids=["J9"])[0].empty


def test_a_table_for_look_ups_is_in_the_order_of_its_sources(tmp_path, rows):
    with pytest.raises(ValueError, match=r"t\.parquet: rows are not in the order of source_id"):
        write_table(tmp_path / "t.parquet", rows[::-1], COLUMNS, by_source=True)


WRITTEN = [
    name
    for name, value in vars(schemas).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, tuple)
]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_documents_have_every_column_as_it_is_written(name):
    lines = (Path(__file__).parents[2] / "docs" / "file-formats.md").read_text().splitlines()
    for column in getattr(schemas, name):
        optional = " (optional)" if column.optional else ""
        cells = (f"`{column.name}`{optional}", column.dtype, column.unit or "–", column.description)
        line = " | ".join(cell.replace("|", "\\|") for cell in cells)
        assert f"| {line} |" in lines
