"""One way to run a script: as a Snakemake job, or from the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contimg import script
from contimg.script import from_command_line, read_yaml
from contimg.status import InputError, NotWhole, Rejected, status_of, write_status

SCRIPTS = Path(script.__file__).parents[1]


class Named(dict):
    """Snakemake's named lists, as far as scripts see them."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Job:
    """A Snakemake job's object."""

    def __init__(self, folder: Path, **content: Any) -> None:
        self.input = Named(content.get("input", {}))
        self.output = Named(content.get("output", {}))
        self.params = Named(content.get("params", {}))
        self.wildcards = Named(content.get("wildcards", {}))
        self.resources = Named(tmpdir=str(folder))
        self.threads, self.rule, self.log = 3, "measure", []


def test_arguments_come_by_name_from_the_job(tmp_path: Path) -> None:
    job = Job(
        tmp_path,
        input={"image": "a.fits", "tables": ["b", "c"], "lone": "d"},
        output={"table": "t.parquet"},
        params={"options": {"niter": 3}, "name": "x", "nothing": None},
        wildcards={"group": "2025-10-01T15:00:00"},
    )
    found: dict[str, Any] = {}

    def main(
        *, image: Path, tables: list[Path], lone: list[Path], table: Path, options: dict,
        name: str, group: str, threads: int, scratch: Path, nothing: Path | None, more: int = 7,
    ) -> None:  # fmt: skip
        found.update(locals())

    script.run(main, job)
    del found["found"]
    assert found == {
        "image": Path("a.fits"), "tables": [Path("b"), Path("c")], "lone": [Path("d")],
        "table": Path("t.parquet"), "options": {"niter": 3}, "name": "x", "nothing": None,
        "group": "2025-10-01T15:00:00", "threads": 3, "scratch": tmp_path, "more": 7,
    }  # fmt: skip


def test_an_argument_that_the_rule_lacks_is_named(tmp_path: Path) -> None:
    def main(*, image: Path) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="rule measure gives no 'image'"):
        script.run(main, Job(tmp_path))


@pytest.fixture
def rejected_input(tmp_path: Path) -> dict[str, str]:
    write_status(tmp_path / "in.json", status="rejected", reason="3 of 16 subbands")
    return {"image_status": str(tmp_path / "in.json")}


def test_a_rejected_input_gives_a_rejected_output(
    tmp_path: Path, rejected_input: dict[str, str]
) -> None:
    job = Job(tmp_path, input=rejected_input, output={"table": "t"})
    called = []

    def main(*, image_status: Path, table: Path) -> None:
        called.append("main")

    def reject(reason: str, *, table: Path) -> None:
        called.append((reason, table))

    script.run(main, job, reject=reject)
    assert called == [("3 of 16 subbands", Path("t"))]


def test_bad_data_met_while_working_is_rejected_and_a_bug_is_not(tmp_path: Path) -> None:
    reasons = []

    def bad_data(*, table: Path) -> None:
        raise Rejected("all flagged")

    def bug(*, table: Path) -> None:
        raise ZeroDivisionError

    job = Job(tmp_path, output={"table": "t"})
    script.run(bad_data, job, reject=lambda reason: reasons.append(reason))
    assert reasons == ["all flagged"]
    with pytest.raises(ZeroDivisionError):
        script.run(bug, job, reject=lambda reason: reasons.append(reason))
    assert reasons == ["all flagged"]


def test_without_a_way_to_reject_the_reason_ends_the_program(
    tmp_path: Path, rejected_input: dict[str, str]
) -> None:
    def main(*, image_status: Path) -> None:
        raise AssertionError

    with pytest.raises(SystemExit, match="3 of 16 subbands"):
        script.run(main, Job(tmp_path, input=rejected_input))


def test_an_input_directory_that_is_not_whole_is_an_error_and_an_output_is_not(
    tmp_path: Path,
) -> None:
    ms, table = tmp_path / "x.ms", tmp_path / "x.bcal"
    for directory in (ms, table):
        directory.mkdir()
        (directory / "table.dat").touch()
        write_status(status_of(directory))
    called = []

    def main(*, ms: Path, ms_status: Path, tables: list[Path], status: Path) -> None:
        called.append(ms)

    def job(*tables: Path) -> Job:
        names = {"ms": str(ms), "ms_status": str(status_of(ms)), "tables": tables}
        return Job(tmp_path, input=names, output={"status": str(status_of(table))})

    (table / "table.dat").unlink()
    script.run(main, job(table))
    assert called == [ms]
    (ms / "table.dat").unlink()
    for one in (job(), job(ms)):
        with pytest.raises(NotWhole, match=r"x\.ms: not whole"):
            script.run(main, one, reject=lambda reason: called.append(reason))
    assert called == [ms]


PROGRAM = '''
import logging, subprocess
from pathlib import Path
from contimg.script import run

def main(*, images: list[Path], output: Path, options: dict, scale: float, name: str = "none",
         limit: int | None = None) -> None:
    """Write what was given.

    images: any number of them
    """
    logging.getLogger("x").info("to the log")
    subprocess.run(["echo", "a child's word"], check=True)
    output.write_text(repr((images, options, scale, name, limit)))

if __name__ == "__main__":
    run(main, globals().get("snakemake"))
'''


def run_program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, "program.py", *arguments], cwd=folder, env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_script_is_a_program_with_the_same_arguments(tmp_path: Path) -> None:
    done = run_program(
        tmp_path, "--images", "a b", "c", "--output", "o", "--options", "{niter: 5, deep: true}",
        "--scale", "1e-3", "--limit", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    images, options, scale, name, limit = eval(  # (our own repr)
        (tmp_path / "o").read_text(), {"PosixPath": Path}
    )
    assert images == [Path("a b"), Path("c")]
    assert (options, scale, name, limit) == ({"niter": 5, "deep": True}, 0.001, "none", 4)
    assert "to the log" in done.stderr


@pytest.mark.parametrize("text", ["1e30", "-1e30", "1e-3", "2.5E+4", ".5e1"])
def test_a_number_of_json_is_a_number_on_the_command_line(text: str) -> None:
    """YAML 1.1 takes 1e30 for text: a sentinel of that value would silently be none."""
    assert read_yaml(f'{{"sentinels": [{text}, -99]}}') == {"sentinels": [float(text), -99]}


def test_options_that_are_no_yaml_are_told(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["program", "--options", "{a: [1"])
    with pytest.raises(SystemExit):
        from_command_line(with_options)
    assert "argument --options: '{a: [1' is no YAML or JSON" in capsys.readouterr().err


def with_options(*, options: dict | None = None) -> None:
    """Take options."""


def test_what_is_missing_on_the_command_line_is_named(tmp_path: Path) -> None:
    done = run_program(tmp_path, "--output", "o")
    assert done.returncode != 0
    assert "--images, --options, --scale" in done.stderr


READER = '''
from pathlib import Path
from contimg.script import run
from contimg.tables import read_table

def main(*, table: Path) -> None:
    """Read a table."""
    rows, _ = read_table(table)
    rows["nothing"] if len(rows) else int("a bug")

if __name__ == "__main__":
    run(main)
'''


def test_a_bad_input_ends_a_program_in_one_line_and_a_bug_does_not(tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(READER)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "text.parquet").write_text("text")
    (tmp_path / "bug.csv").write_text("a,b\n")

    def errors_of(table: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "reader.py", "--table", table], cwd=tmp_path,
            env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        return done.stderr.splitlines()

    assert errors_of("empty.csv") == [
        "reader.py: empty.csv: empty; a line of column names is expected"
    ]
    (line,) = errors_of("text.parquet")
    assert line.startswith("reader.py: text.parquet: not a readable parquet table")
    for missing in ("no.csv", "no.parquet"):
        assert errors_of(missing) == [f"reader.py: {missing}: no such file; correct the path"]
    assert errors_of("bug.csv")[0].startswith("Traceback")


def test_a_bad_input_of_a_job_is_whole_in_its_log(tmp_path: Path) -> None:
    def main(*, table: Path) -> None:
        raise InputError("t: empty")

    with pytest.raises(InputError, match="t: empty"):
        script.run(main, Job(tmp_path, output={"table": "t"}))


def test_all_output_of_a_job_goes_to_its_log(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    code = """
import runpy
class Named(dict):
    __getattr__ = dict.get
class Job:
    input = Named(images=["a"]); output = Named(output="o"); wildcards = Named()
    params = Named(options={}, scale=1.0); log = ["logs/deep/program.log"]; rule = "program"
    resources = Named()
runpy.run_path("program.py", {"snakemake": Job()}, "__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    log = (tmp_path / "logs/deep/program.log").read_text()
    assert "INFO x: to the log" in log
    assert "a child's word" in log
    assert done.stdout + done.stderr == ""
