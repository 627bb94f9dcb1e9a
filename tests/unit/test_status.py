"""Status files: written whole, read with care, the same for the same values."""

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from contimg.status import (
    NotWhole,
    Rejected,
    is_whole,
    listing,
    plain,
    read_status,
    reject_directory,
    require_ok,
    require_whole,
    status_of,
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


def test_what_a_killed_run_left_beside_a_product_goes(tmp_path: Path) -> None:
    (tmp_path / ".x.ms.4711.part").mkdir()
    (tmp_path / ".x.ms.4711.part" / "table.dat").touch()
    (tmp_path / ".x.ms.json.4711.part").touch()  # another product's
    reject_directory(tmp_path / "x.ms", "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.ms.json.4711.part", "x.ms"]


FUNCTIONS = Path(__file__).parents[2] / "rules" / "functions.sh"


def shell(commands: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run commands as a shell rule does."""
    text = f"set -euo pipefail\n{FUNCTIONS.read_text()}\n{commands}"
    return subprocess.run(
        ["bash", "-c", text, "rule", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory product with names as tables and people have them, and its status."""
    directory = tmp_path / "a 'b'; c" / "x.ms"
    for name in ("table.dat", "table.lock", "HISTORY/table.f0", "SUB/table.f0", 'SUB/é "q" ü'):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_status(status_of(directory), figures={"n": 1})
    return directory


def test_a_whole_directory_is_whole_to_python_and_to_the_shell(directory: Path) -> None:
    assert is_whole(directory)
    assert shell('require_whole "$1"', directory).returncode == 0
    assert shell('list "$1"', directory).stdout == listing(directory) + "\n"
    assert read_status(status_of(directory)).listing == listing(directory)


@pytest.mark.parametrize("name", ["table.dat", "SUB/table.f0", "HISTORY/table.f0"])
def test_a_file_that_lacks_makes_it_not_whole(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert not is_whole(directory)
    with pytest.raises(NotWhole, match=r"x\.ms: not whole.*remove both and run again$"):
        require_whole(directory)
    refused = shell('require_whole "$1"; echo went on', directory)
    assert refused.returncode == 1
    assert refused.stdout.endswith("remove both and run again\n")


def test_a_file_that_is_cut_short_makes_it_not_whole(directory: Path) -> None:
    (directory / "SUB" / "table.f0").write_text("")
    assert not is_whole(directory)
    assert shell('require_whole "$1"', directory).returncode == 1


def test_what_is_not_of_the_product_does_not_matter(directory: Path) -> None:
    (directory / ".snakemake_timestamp").touch()
    (directory / "SUB" / ".nfs0000000000000001").write_text("x")
    (directory / ".fuse_hidden0001").write_text("x")
    (directory / "HISTORY" / "table.f0").write_text("a path of another length")
    (directory / "table.lock").write_text("another reader")
    assert is_whole(directory)
    assert shell('require_whole "$1"', directory).returncode == 0


def test_an_old_status_without_a_listing_vouches_for_its_directory(directory: Path) -> None:
    content = json.loads(status_of(directory).read_text())
    del content["listing"]
    write_json(status_of(directory), content)
    assert is_whole(directory)
    assert shell('require_whole "$1"', directory).returncode == 0


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_directory_without_a_readable_status_is_not_whole(
    directory: Path, content: str | None
) -> None:
    status_of(directory).unlink()
    if content is not None:
        status_of(directory).write_text(content)
    assert not is_whole(directory)


def test_the_shell_copies_a_status_with_the_new_listing_and_the_container(directory: Path) -> None:
    status = status_of(directory)
    before = json.loads(status.read_text())
    (directory / "aoflagger.lua").write_text("strategy")
    target = directory.with_name("y.ms.json")
    done = shell('copy_status "$@"', status, directory, target, "sha256:ab")
    assert done.returncode == 0, done.stdout
    found = json.loads(target.read_text())
    assert found == before | {"listing": listing(directory), "container": "sha256:ab"}
    assert is_whole(directory, target)
    shell('copy_status "$@"', target, directory, status)
    assert json.loads(status.read_text()) == before | {"listing": listing(directory)}
