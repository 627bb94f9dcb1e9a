"""Scratch folders: where there is room, and gone afterwards, whatever became of the job."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_status import FUNCTIONS, shell

from contimg import scratch

SCRIPTS = Path(scratch.__file__).parents[1]


@pytest.fixture
def tmpdir(tmp_path: Path) -> Path:
    folder = tmp_path / "a node's disk"
    folder.mkdir()
    return folder


def test_a_folder_is_private_and_gone_after_success_and_failure(
    tmpdir: Path, tmp_path: Path
) -> None:
    product = tmp_path / "cal" / "x.bcal"
    with scratch.scratch_folder(tmpdir, 10, product) as folder:
        assert folder.parent == tmpdir
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "band.ms").mkdir()
        (folder / "band.ms" / "table.dat").touch()
    with pytest.raises(KeyError), scratch.scratch_folder(tmpdir, 10, product) as folder:
        (folder / "file").touch()
        raise KeyError
    assert list(tmpdir.iterdir()) == []


OWNER_IN_PYTHON = """
import sys
from pathlib import Path
from contimg.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), 0, Path(sys.argv[1]) / "x.bcal") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""

OWNER_IN_SHELL = """
make_scratch "$1" imaging 0
touch "$scratch/file"
echo "$scratch"
sleep 600 >/dev/null  # what a job started holds the lock as well
"""


def start_owner(kind: str, tmpdir: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that owns a scratch folder; return it with the folder."""
    if kind == "python":
        command = [sys.executable, "-c", OWNER_IN_PYTHON, str(tmpdir)]
    else:
        text = f"set -euo pipefail\n{FUNCTIONS.read_text()}\n{OWNER_IN_SHELL}"
        command = ["bash", "-c", text, "rule", str(tmpdir)]
    owner = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )  # fmt: skip
    assert owner.stdout
    return owner, Path(owner.stdout.readline().rstrip("\n"))


def kill(owner: subprocess.Popen[str]) -> None:
    os.killpg(owner.pid, signal.SIGKILL)
    owner.communicate()


@pytest.mark.parametrize("dead", ["python", "shell"])
@pytest.mark.parametrize("next_job", ["python", "shell"])
def test_the_next_job_removes_what_a_killed_one_left_and_nothing_else(
    tmpdir: Path, dead: str, next_job: str
) -> None:
    (alive, kept), (killed, left) = (start_owner(dead, tmpdir) for _ in range(2))
    try:
        kill(killed)
        assert (left / "file").exists()
        if next_job == "python":
            scratch.remove_abandoned(tmpdir)
        else:
            assert shell('remove_abandoned "$1"', tmpdir).returncode == 0
        assert list(tmpdir.iterdir()) == [kept]
        assert (kept / "file").exists()
    finally:
        kill(alive)


def test_folders_of_others_are_left_alone(
    tmpdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").mkdir()
    (tmpdir / f"{scratch.prefix()}link").symlink_to(tmp_path / "precious")
    for name in ("contimg-anotherhost-x", "else"):
        (tmpdir / name).mkdir()
    before = sorted(tmpdir.iterdir())
    scratch.remove_abandoned(tmpdir)
    assert shell('remove_abandoned "$1"', tmpdir).returncode == 0
    assert sorted(tmpdir.iterdir()) == before
    (tmpdir / f"{scratch.prefix()}theirs").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: -1)
    scratch.remove_abandoned(tmpdir)
    assert (tmpdir / f"{scratch.prefix()}theirs").exists()
    assert (tmp_path / "precious").is_dir()


def test_without_room_temporary_files_go_beside_the_product_and_the_log_says_so(
    tmpdir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    product = tmp_path / "cal" / "x.bcal"
    (product.parent / ".x.bcal.abc.scratch").mkdir(parents=True)  # a killed job's
    with scratch.scratch_folder(tmpdir, 10**18, product) as folder:
        assert list(product.parent.iterdir()) == [folder]
        assert folder.name.startswith(".x.bcal.")
        assert list(tmpdir.iterdir()) == []
    assert list(product.parent.iterdir()) == []
    assert "1e+09 GB needed: temporary files go to" in caplog.text


def test_without_room_the_shell_takes_the_folder_beside_the_product(
    tmpdir: Path, tmp_path: Path
) -> None:
    (tmp_path / "images" / ".g.imaging.abcdef.part").mkdir(parents=True)  # a killed job's
    commands = """make_part "$2" g.imaging; make_scratch "$1" imaging 999999999999999
                  ls -A "$2"; echo "$scratch"; touch "$scratch/file" """
    done = shell(commands, tmpdir, tmp_path / "images")
    assert done.returncode == 0, done.stdout
    said, part, folder = done.stdout.splitlines()
    assert "999999999999999 kB needed: temporary files go to" in said
    assert folder == str(tmp_path / "images" / part / "temporary")
    assert list((tmp_path / "images").iterdir()) == []


def test_a_file_that_is_still_open_on_nfs_is_left_to_the_next_job(
    tmpdir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unlink = os.unlink

    def busy(path: str, **how: int) -> None:
        if Path(path).name.startswith(".nfs"):
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        unlink(path, **how)

    with monkeypatch.context() as patch, scratch.scratch_folder(tmpdir, 0, Path("x.ms")) as folder:
        for name in ("file", ".nfs0001", "SUB/.nfs0002", "SUB/table.dat"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        patch.setattr(os, "unlink", busy)
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert left == [".nfs0001", ".nfs0002"]
    assert "left for the next job" in caplog.text
    scratch.remove_abandoned(tmpdir)
    assert list(tmpdir.iterdir()) == []


def test_a_file_system_without_locks_does_no_harm(
    tmpdir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scratch, "lock_of", lambda folder: None)
    with scratch.scratch_folder(tmpdir, 0, Path("x.ms")) as folder:
        scratch.remove_abandoned(tmpdir)
        assert list(tmpdir.iterdir()) == [folder]
    assert list(tmpdir.iterdir()) == []
    assert "no file locks" in caplog.text


def test_the_disk_has_as_much_room_as_df_says(tmpdir: Path) -> None:
    kilobytes = int(shell('df -k --output=avail "$1" | tail -n 1', tmpdir).stdout)
    assert kilobytes == pytest.approx(shutil.disk_usage(tmpdir).free / 1024, rel=0.05)


@pytest.fixture(autouse=True)
def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
