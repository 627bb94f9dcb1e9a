"""What a killed run leaves is put away, and nothing of other dates or of the telescope is."""

import os
import stat
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from contimg.locks import Locks, Run
from contimg.recovery import (
    RecoveryError,
    broken_directories,
    end_slurm_jobs,
    parts_of,
    slurm_jobs_of,
    unneeded_sets,
)
from contimg.status import write_status
from resume import end_jobs, main, recover, snakemake_command, split

DATE, OTHER = "2025-10-01", "2025-10-08"
GROUP = f"{DATE}T15:00:00"


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def directory_with_status(path: Path) -> Path:
    """A directory product of two files, with its status."""
    write(path / "table.dat")
    write(path / "table.f0")
    write_status(path.with_name(f"{path.name}.json"))
    return path


def names(found: list[Path], folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in found]


def test_half_written_files_of_the_date_are_found(tmp_path: Path) -> None:
    dead = [
        f"cal/{DATE}/.{GROUP}.bcal.7.part", f"images/{DATE}/.{GROUP}.imaging.a1b2c3.part",
        f"index/.{DATE}.json.7.part", f"ms/science/{DATE}/.{GROUP}.ms.ab.scratch",
        "catalogs/.master_sources.sqlite3.7.part",
    ]  # fmt: skip
    alive = [
        f"cal/{OTHER}/.x.bcal.7.part", f"index/.{OTHER}.json.7.part", f"incoming/{GROUP}.part",
        f"images/{DATE}/{GROUP}.image.fits", "variability/.lightcurves.parquet.7.part",
    ]  # fmt: skip
    for name in dead + alive:
        write(tmp_path / name)
    assert sorted(names(parts_of(tmp_path, {DATE, "catalogs"}), tmp_path)) == sorted(dead)


def test_a_half_removed_directory_is_found_with_its_status(tmp_path: Path) -> None:
    raw = directory_with_status(tmp_path / "ms/raw" / DATE / f"{GROUP}.ms")
    calibrated = directory_with_status(tmp_path / "ms/calibrated" / DATE / f"{GROUP}.ms")
    directory_with_status(tmp_path / "cal" / DATE / f"{GROUP}.bcal")
    other = directory_with_status(tmp_path / "ms/raw" / OTHER / "b.ms")
    no_status = write(tmp_path / "cal" / DATE / f"{GROUP}.gcal" / "table.dat").parent
    for path in (raw, calibrated, other):
        (path / "table.f0").unlink()
    found = broken_directories(tmp_path, {DATE})
    assert sorted(found) == sorted([raw, Path(f"{raw}.json"), calibrated, no_status])


def test_sets_are_kept_until_their_last_user_is_done(tmp_path: Path) -> None:
    raw = directory_with_status(tmp_path / "ms/raw" / DATE / f"{GROUP}.ms")
    solve = directory_with_status(tmp_path / "cal" / DATE / f"{GROUP}.solve.ms")
    calibrated = directory_with_status(tmp_path / "ms/calibrated" / DATE / f"{GROUP}.ms")
    assert unneeded_sets(tmp_path, {DATE}) == []
    flagged = f"ms/science/{DATE}/{GROUP}.ms.json"
    write(tmp_path / flagged)
    mark = write(tmp_path / ".snakemake/incomplete" / urlsafe_b64encode(flagged.encode()).decode())
    assert unneeded_sets(tmp_path, {DATE}) == []  # Snakemake had begun to make it again
    mark.unlink()
    assert unneeded_sets(tmp_path, {DATE}) == [raw, Path(f"{raw}.json")]
    write(tmp_path / f"cal/{DATE}/{GROUP}.gcal.json")
    write(tmp_path / f"images/{DATE}/{GROUP}.image.json")
    found = unneeded_sets(tmp_path, {DATE})
    assert found == [raw, Path(f"{raw}.json"), solve, Path(f"{solve}.json"), calibrated]
    assert unneeded_sets(tmp_path, {OTHER}) == []


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Slurm: a file of `id name` lines that squeue lists and scancel edits."""
    jobs = write(tmp_path / "queue", "11 mine\n12 mine\n13 other\n")
    stand_in(
        tmp_path / "bin" / "squeue",
        f"""
        for word; do case "$word" in --name=*) names="${{word#--name=}}" ;; esac; done
        while read -r id name; do
            case ",$names," in *",$name,"*) echo "$id" ;; esac
        done <'{jobs}'""",
    )
    stand_in(
        tmp_path / "bin" / "scancel",
        f"""
        for id; do sed -i "/^$id /d" '{jobs}'; done""",
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return jobs


def stand_in(path: Path, script: str) -> None:
    write(path, f"#!/bin/sh\n{script}\n").chmod(stat.S_IRWXU)


def test_only_the_dead_runs_jobs_are_cancelled(queue: Path) -> None:
    assert slurm_jobs_of(["mine"]) == ["11", "12"]
    end_slurm_jobs(["mine", "third"])
    assert queue.read_text() == "13 other\n"
    end_slurm_jobs(["mine"])
    assert slurm_jobs_of([]) == []


def test_a_job_that_stays_is_an_error(
    queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin" / "scancel", "true")
    monkeypatch.setattr("contimg.recovery.SLURM_LIMIT_S", 0.5)
    with pytest.raises(RecoveryError, match=r"jobs 11 12 .* start the slurmd"):
        end_slurm_jobs(["mine"])


def test_a_slurm_that_does_not_answer_is_an_error(queue: Path, tmp_path: Path) -> None:
    stand_in(tmp_path / "bin" / "squeue", "echo 'Unable to contact controller' >&2; exit 1")
    with pytest.raises(RecoveryError, match="squeue: Unable to contact controller; "):
        end_slurm_jobs(["mine"])


def test_a_run_that_died_on_another_host_is_recovered_there_or_when_that_is_down() -> None:
    dead = Run("a", "elsewhere.example", 7, cluster=False)
    with pytest.raises(RecoveryError, match=r"on elsewhere.example \(process 7\).*--host-is-down"):
        end_jobs([dead], host_is_down=False, dry_run=False)
    end_jobs([dead], host_is_down=True, dry_run=False)
    end_jobs([replace(dead, ended=True)], host_is_down=False, dry_run=False)


def test_the_dead_run_of_another_date_is_left_to_that_dates_recovery(tmp_path: Path) -> None:
    both = Locks(tmp_path, {OTHER, "catalogs"})
    both.enter(dead := Run("other", "elsewhere.example", 7, cluster=False))
    both.release()
    recover(tmp_path, {DATE}, host_is_down=False, dry_run=False)
    with pytest.raises(RecoveryError, match="on elsewhere"):
        recover(tmp_path, {OTHER}, host_is_down=False, dry_run=False)
    recover(tmp_path, {OTHER}, host_is_down=True, dry_run=False)
    locks = Locks(tmp_path, {OTHER, "catalogs"})
    assert dead not in locks.runs()
    locks.release()


def test_snakemakes_arguments_begin_after_the_first_dashes() -> None:
    ours, theirs = split(["--date", DATE, "--", "--cores", "1", "--", "report/x"])
    assert ours == ["--date", DATE]
    assert snakemake_command(Path("d"), theirs)[-7:] == [
        "--directory", "d", "--rerun-incomplete", "--cores", "1", "--", "report/x",
    ]  # fmt: skip
    assert split(["--date", DATE]) == (["--date", DATE], [])


def test_what_is_no_date_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--date", "../x"])
    assert "'../x' is no date" in capsys.readouterr().err
