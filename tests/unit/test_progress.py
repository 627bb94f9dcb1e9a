"""The state of each group, told from the files that runs leave."""

import json
import os
import socket
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contimg.locks import LOCKS
from contimg.progress import STATES, Archive, DateProgress, GroupProgress, raw_groups
from contimg.report.status_page import page_of, status_content
from contimg.rule_times import rule_times
from contimg.run_traces import in_progress, is_live, last_line
from contimg.schemas import PHOTOMETRY
from contimg.settings import settings_of
from contimg.status import write_json, write_status
from contimg.tables import empty_table, write_rejected_table, write_table

DATE = "2025-10-19"
NASTY = "'\"<script>alert(1)</script>$(x)"
INGEST = {"n_subbands": 16, "min_subbands": 14, "name_tolerance_s": 60}


def group(number: int) -> str:
    return f"{DATE}T02:{5 * number:02d}:05"


def touch(path: Path, time_s: float | None = None, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if time_s is not None:
        os.utime(path, (time_s, time_s))
    return path


def raw(root: Path, name: str, n_subbands: int = 16, suffix: str = ".hdf5") -> None:
    for subband in range(n_subbands):
        touch(root / "incoming" / f"{name}_sb{subband:02d}{suffix}")


def archive(root: Path, **how: object) -> Archive:
    return Archive(root, settings_of([]), **how)


def states(root: Path, **how: object) -> dict[str, str]:
    return {one.name: one.state for one in archive(root, **how).progress_of(DATE).groups}


def one_of(root: Path, name: str, **how: object) -> GroupProgress:
    return next(g for g in archive(root, **how).progress_of(DATE).groups if g.name == name)


def test_a_group_is_in_the_last_state_that_its_files_show(tmp_path: Path) -> None:
    for number in range(6):
        raw(tmp_path, group(number))
    for number in range(1, 6):
        write_status(tmp_path / f"ms/science/{DATE}/{group(number)}.ms.json")
    for number in range(2, 6):
        write_status(tmp_path / f"ms/calibrated/{DATE}/{group(number)}.ms.json")
    for number in range(3, 6):
        write_status(tmp_path / f"images/{DATE}/{group(number)}.image.json")
    table = tmp_path / f"photometry/{DATE}/{group(4)}.parquet"
    write_table(table, empty_table(PHOTOMETRY), PHOTOMETRY)
    reason = "no source in the image"
    write_rejected_table(table.with_name(f"{group(5)}.parquet"), PHOTOMETRY, reason)
    assert states(tmp_path) == {
        group(0): "planned", group(1): "converted", group(2): "calibrated", group(3): "imaged",
        group(4): "measured", group(5): "rejected",
    }  # fmt: skip
    assert one_of(tmp_path, group(5)).reason == reason


def test_raw_files_that_are_not_all_there_wait_until_the_index_rejects_them(tmp_path: Path) -> None:
    raw(tmp_path, group(0), 9)
    touch(tmp_path / "incoming" / f"{group(0)}_sb09_incomplete.hdf5")
    raw(tmp_path, group(1), 14)
    waiting = one_of(tmp_path, group(0))
    assert (waiting.state, waiting.reason) == ("waiting", "9 of 16 subbands, 1 being written")
    assert one_of(tmp_path, group(1)).state == "planned"
    reason = "9 of 16 subbands, 14 needed"
    entry = {"group": group(0), "status": "rejected", "reason": reason, "files": ["x"] * 9}
    write_json(tmp_path / f"index/{DATE}.json", {"groups": [entry]})
    rejected = one_of(tmp_path, group(0))
    assert (rejected.state, rejected.reason) == ("rejected", reason)
    # The rest comes after all: the group is planned, whatever the old index says.
    raw(tmp_path, group(0), 16)
    assert one_of(tmp_path, group(0)).state == "planned"


def test_the_hosts_clocks_make_no_second_group(tmp_path: Path) -> None:
    write_status(tmp_path / f"ms/science/{DATE}/{group(1)}.ms.json")
    for subband in range(16):
        touch(tmp_path / "incoming" / f"{DATE}T02:05:{subband % 4:02d}_sb{subband:02d}.hdf5")
    assert states(tmp_path) == {group(1): "converted"}


def test_a_group_around_midnight_belongs_to_the_date_of_its_header(tmp_path: Path) -> None:
    write_status(tmp_path / f"ms/science/{DATE}/{DATE}T00:00:03.ms.json")
    raw(tmp_path, "2025-10-18T23:59:58")
    assert archive(tmp_path).progress_of("2025-10-18").groups == []
    assert states(tmp_path) == {f"{DATE}T00:00:03": "converted"}


def test_names_that_are_none_of_ours_are_passed_by() -> None:
    names = ["notes.txt", f"{DATE}T99:00:00_sb00.hdf5", f"{DATE}T01:00:00_sb77.hdf5", NASTY]
    assert raw_groups(names, INGEST) == {}


def test_a_date_that_is_put_together_is_told_by_its_table(tmp_path: Path) -> None:
    folder = tmp_path / "photometry" / DATE
    for number in range(3):
        write_table(folder / f"{group(number)}.parquet", empty_table(PHOTOMETRY), PHOTOMETRY)
    told = {group(n): {"status": "ok", "reason": ""} for n in range(2)}
    told[group(2)] = {"status": "rejected", "reason": NASTY}
    table = folder / "photometry.parquet"
    write_table(table, empty_table(PHOTOMETRY), PHOTOMETRY, {"groups": told})
    assert states(tmp_path) == {group(0): "measured", group(1): "measured", group(2): "rejected"}
    assert one_of(tmp_path, group(2)).reason == NASTY
    # Measured again since: what the older table says of it no longer counts.
    later = table.stat().st_mtime + 10
    os.utime(folder / f"{group(2)}.parquet", (later, later))
    assert one_of(tmp_path, group(2)).state == "measured"


def job(root: Path, rule: str, name: str, *, log_s: float, ended_s: float | None = None) -> None:
    text = f"starting\nOSError: {name} {NASTY}\n\n"
    touch(root / f"logs/{DATE}/{rule}/{name}.log", log_s, text)
    if ended_s is not None:
        touch(root / f"benchmarks/{DATE}/{rule}/{name}.jsonl", ended_s, '{"s": 1.5}\n')


def mark(root: Path, path: str) -> None:
    """Mark an output as being made, as Snakemake does: long names go over several folders."""
    text = urlsafe_b64encode(path.encode()).decode()
    parts = [text[i : i + 40] for i in range(0, len(text), 40)]
    names = [f"@{part}" for part in parts[:-1]] + parts[-1:]
    touch(root.joinpath(".snakemake", "incomplete", *names))


def test_a_job_whose_log_no_benchmark_follows_failed_with_its_last_line(tmp_path: Path) -> None:
    raw(tmp_path, group(0))
    raw(tmp_path, group(1))
    job(tmp_path, "convert_group", group(0), log_s=100, ended_s=101)
    job(tmp_path, "flag_group", group(0), log_s=110, ended_s=50)
    job(tmp_path, "convert_group", group(1), log_s=100, ended_s=101)
    job(tmp_path, "build_mosaic", "T0200", log_s=120)
    done = archive(tmp_path).progress_of(DATE)
    failed, planned = done.groups
    assert (failed.state, failed.rule) == ("failed", "flag_group")
    assert failed.reason == f"OSError: {group(0)} {NASTY}"
    assert planned.state == "planned"
    assert [(one.name, one.rule) for one in done.failed_jobs] == [("T0200", "build_mosaic")]


def test_a_failure_is_history_once_an_earlier_step_was_done_again(tmp_path: Path) -> None:
    raw(tmp_path, group(0))
    job(tmp_path, "image_group", group(0), log_s=100)
    assert one_of(tmp_path, group(0)).state == "failed"
    job(tmp_path, "convert_group", group(0), log_s=200, ended_s=201)
    assert one_of(tmp_path, group(0)).state == "planned"


def test_a_job_at_work_has_not_failed_unless_its_run_died(tmp_path: Path) -> None:
    raw(tmp_path, group(0))
    job(tmp_path, "convert_group", group(0), log_s=100)
    mark(tmp_path, f"ms/raw/{DATE}/{group(0)}.ms")
    assert in_progress(tmp_path) == {f"ms/raw/{DATE}/{group(0)}.ms"}
    at_work = one_of(tmp_path, group(0), live=True)
    assert (at_work.state, at_work.running) == ("planned", "convert_group")
    died = one_of(tmp_path, group(0), live=False)
    assert (died.state, died.rule) == ("failed", "convert_group")
    assert died.reason.startswith("interrupted")


def test_a_measured_group_that_is_being_made_again_is_at_work(tmp_path: Path) -> None:
    for number in range(2):
        table = tmp_path / f"photometry/{DATE}/{group(number)}.parquet"
        write_table(table, empty_table(PHOTOMETRY), PHOTOMETRY)
        job(tmp_path, "image_group", group(number), log_s=100)
    mark(tmp_path, f"images/{DATE}/{group(0)}.image.fits")
    again, done = archive(tmp_path, live=True).progress_of(DATE).groups
    assert (again.state, again.running) == ("measured", "image_group")
    assert (done.state, done.running) == ("measured", "")


@pytest.mark.parametrize(
    ("host", "pid", "ended", "live"),
    [
        (socket.gethostname(), os.getpid(), False, True),
        (socket.gethostname(), os.getpid(), True, False),
        (socket.gethostname(), 2**22 + 1, False, False),
        ("another-host", 2**22 + 1, False, True),
    ],
    ids=["running", "ended", "died", "elsewhere"],
)
def test_a_run_lives_while_its_process_does(
    tmp_path: Path, host: str, pid: int, ended: bool, live: bool
) -> None:
    assert not is_live(tmp_path)
    run = {"name": "a", "host": host, "pid": pid, "cluster": False, "ended": ended}
    touch(tmp_path / LOCKS / f"{DATE}.lock", text=json.dumps(run) + "\n")
    assert is_live(tmp_path) is live


def test_the_last_line_is_found_at_the_end_of_a_long_log(tmp_path: Path) -> None:
    log = touch(tmp_path / "long.log", text="x" * 100_000 + "\nthe end\n  \n")
    assert last_line(log) == "the end"
    assert last_line(touch(tmp_path / "empty.log")) == ""
    assert len(last_line(touch(tmp_path / "wide.log", text="y" * 100_000))) <= 400


def test_pauses_do_not_count_as_work() -> None:
    # Two groups in ten minutes, and one more in ten minutes on the next day.
    done = DateProgress(DATE, [], converted_s=[0.0, 86400.0], measured_s=[300.0, 600.0, 87000.0])
    assert done.groups_per_hour == pytest.approx(3 / (1200 / 3600))
    assert DateProgress(DATE, []).groups_per_hour is None


def test_rules_are_ordered_by_median_time_of_their_newest_jobs(tmp_path: Path) -> None:
    for number, seconds in enumerate([1.0, 9.0, 2.0]):
        folder = tmp_path / f"benchmarks/{DATE}"
        record = json.dumps({"s": seconds, "max_rss": 100.0 * seconds})
        touch(folder / "image_group" / f"{group(number)}.jsonl", text=record + "\n")
        record = json.dumps({"s": seconds * 10, "max_rss": None})
        touch(folder / "flag_group" / f"{group(number)}.jsonl", text=record + "\n")
    touch(folder / "image_group" / f"{group(5)}.jsonl", text='{"s": 1')  # being written
    first, second = rule_times(tmp_path, [DATE])
    assert (first.rule, first.median_s, first.max_s, first.max_mb) == ("flag_group", 20, 90, None)
    assert (second.n_jobs, second.median_s, second.median_mb) == (3, 2.0, 200.0)
    newest = rule_times(tmp_path, [DATE], most=1)
    assert [rule.median_s for rule in newest] == [20.0]


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_tells_counts_and_reasons_and_runs_no_script(tmp_path: Path) -> None:
    groups = [GroupProgress(group(i), state) for i, state in enumerate(STATES)]
    for one in groups:
        one.reason = f"{one.state} {NASTY}"
    groups[7].rule = groups[1].running = "image_group"
    done = DateProgress(DATE, groups, finished=True, measured_s=[1000.0, 5000.0])
    done.failed_jobs = [GroupProgress("T0200", "failed", "killed", rule="build_mosaic")]
    now = datetime.fromtimestamp(5600, UTC)
    content = status_content([done], [], now, live=True)
    assert content["seen"] == "1970-01-01T01:33:20Z"
    assert content["counts"] == dict.fromkeys(STATES, 1)
    assert (content["measured_last_hour"], content["measured_last_day"]) == (1, 2)
    (date,) = content["dates"]
    assert date["groups"]["imaged"] == [group(4)]
    assert date["rejected"] == [{"group": group(6), "reason": f"rejected {NASTY}"}]
    assert [one["log"] for one in date["failed"]] == [
        f"logs/{DATE}/image_group/{group(7)}.log", f"logs/{DATE}/build_mosaic/T0200.log",
    ]  # fmt: skip
    page = Page(page_of(content))
    text = " ".join(page.words)
    for state in ("waiting", "rejected", "failed"):
        assert f"{state} {NASTY}" in text
    # One script: the data block, which is JSON and never run.
    assert page.tags.count("script") == 1
    assert "A run is at work" in text
    assert not {"img", "iframe", "object"} & set(page.tags)
