"""Status files: written whole, read with care, the same for the same values."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from contimg.status import (
    Rejected,
    plain,
    read_status,
    reject_directory,
    require_ok,
    write_json,
    write_status,
    written_whole,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    figures = {
        "rms_jy": np.float32(0.5),
        "freq_hz": np.arange(2.0),
        "n": np.int64(3),
        "p": Path("x"),
    }
    write_status(path, digest="d", inputs={"b": "2", "a": "1"}, figures=figures)
    found = read_status(path)
    assert found.ok
    assert (found.reason, found.digest, found.inputs) == ("", "d", {"a": "1", "b": "2"})
    assert found.figures == {"rms_jy": 0.5, "freq_hz": [0.0, 1.0], "n": 3, "p": "x"}


def test_what_is_not_finite_becomes_null() -> None:
    values = {"a": math.nan, "b": [math.inf, 1.0], "c": np.array([np.nan, 2.0])}
    assert plain(values) == {"a": None, "b": [None, 1.0], "c": [None, 2.0]}


def test_a_rejected_product_is_refused_with_its_reason(tmp_path: Path) -> None:
    write_status(tmp_path / "a.json", status="rejected", reason="all flagged")
    with pytest.raises(Rejected, match=r"^all flagged$"):
        require_ok(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["[]", "{}", '{"status": "fine"}', '{"status": "okay"}'])
def test_a_file_that_is_no_status_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json: not a status file"):
        read_status(tmp_path / "a.json")


def test_nothing_of_a_failed_write_is_left(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "b.json", {"x": object()})
    with pytest.raises(KeyError), written_whole(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}


def test_a_directory_replaces_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "x.ms").mkdir()
    (tmp_path / "x.ms" / "old").touch()
    reject_directory(tmp_path / "x.ms", "3 of 16 subbands")
    assert [path.name for path in (tmp_path / "x.ms").iterdir()] == ["REJECTED"]
    assert (tmp_path / "x.ms" / "REJECTED").read_text() == "3 of 16 subbands\n"
