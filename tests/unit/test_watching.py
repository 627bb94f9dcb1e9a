"""What the watcher does next: which groups are ready, what is asked for, in which order."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import watch
from contimg.checkout import CHECKOUT
from contimg.watched import Published
from contimg.watcher import KILL_S
from contimg.watching import (
    ARRIVING,
    DONE,
    GIVEN_UP,
    TIMED_OUT,
    WAITING,
    WHOLE,
    Arrival,
    Attempt,
    Day,
    Input,
    Options,
    Product,
    Run,
    Sighting,
    Stamp,
    Tally,
    after_run,
    arrivals,
    is_over,
    newest_dates,
    next_runs,
    sighted,
    state_of,
    waiting,
)

OPTIONS = Options(settle_s=30, timeout_s=900, retries=2, batch=2, schedulers=2)
START_S = 1_760_000_000.0
NEVER = float("-inf")


def seen(
    *subbands: int, minute: int = 0, since_s: float = START_S, changed_s: float = START_S
) -> dict[str, Sighting]:
    """Sightings of files of one group, with clocks that differ by seconds."""
    return {
        f"2025-10-01T03:{minute:02d}:{10 + subband:02d}_sb{subband:02d}.hdf5": Sighting(
            Stamp(100, changed_s, changed_s), since_s
        )
        for subband in subbands
    }


def only_arrival(sightings: dict[str, Sighting], now_s: float) -> Arrival:
    (found,) = arrivals(sightings, now_s, OPTIONS)
    return found


@pytest.mark.parametrize(
    ("n_subbands", "age_s", "state"),
    [
        (16, 29, ARRIVING),
        (16, 30, WHOLE),
        (15, 30, ARRIVING),
        (15, 899, ARRIVING),
        (15, 900, TIMED_OUT),
        (1, 900, TIMED_OUT),
    ],
)
def test_a_group_is_whole_when_settled_and_timed_out_when_nothing_comes(
    n_subbands: int, age_s: float, state: str
) -> None:
    assert only_arrival(seen(*range(n_subbands)), START_S + age_s).state == state


def test_one_young_file_holds_its_group_back() -> None:
    files = seen(*range(15)) | seen(15, since_s=START_S + 1000)
    assert only_arrival(files, START_S + 1029).state == ARRIVING
    assert only_arrival(files, START_S + 1030).state == WHOLE
    late = seen(*range(14)) | seen(14, since_s=START_S + 800, changed_s=START_S + 800)
    assert only_arrival(late, START_S + 1600).state == ARRIVING


def test_a_watcher_that_starts_does_not_wait_anew_for_what_timed_out_before() -> None:
    old = seen(*range(15), changed_s=START_S - 5000)
    assert only_arrival(old, START_S + 29).state == ARRIVING
    assert only_arrival(old, START_S + 30).state == TIMED_OUT


def test_a_file_that_was_copied_with_its_old_time_is_new() -> None:
    copied = {
        name: one._replace(stamp=Stamp(100, START_S - 1e6, START_S))
        for name, one in seen(*range(15)).items()
    }
    assert only_arrival(copied, START_S + 31).state == ARRIVING


def test_subbands_count_once_and_only_valid_ones_count() -> None:
    doubled = seen(*range(15)) | {
        "2025-10-01T03:00:40_sb03.hdf5": Sighting(Stamp(1, START_S, START_S), START_S),
        "2025-10-01T03:00:41_sb17.hdf5": Sighting(Stamp(1, START_S, START_S), START_S),
    }
    found = only_arrival(doubled, START_S + 100)
    assert (found.n_subbands, found.state) == (15, ARRIVING)
    assert len(found.inputs) == 17


def test_what_is_no_raw_file_belongs_to_no_group() -> None:
    strange = dict.fromkeys(
        ["2025-10-01T03:00:11_sb00_incomplete.hdf5", "notes.txt", "2025-99-01T03:00:11_sb00.hdf5"],
        Sighting(Stamp(1, START_S, START_S), START_S),
    )
    assert arrivals(strange, START_S, OPTIONS) == []
    assert newest_dates(strange, 3) == {}


def test_the_newest_dates_are_watched() -> None:
    names = [f"2025-10-0{day}T03:00:11_sb00.hdf5" for day in (3, 1, 2)]
    assert list(newest_dates([*names, "2026.txt", "2027-01-01.log"], 2)) == [
        "2025-10-02",
        "2025-10-03",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 40)).map(
            lambda pair: (Stamp(pair[0], START_S, START_S), pair[1])
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_file_is_as_old_as_its_last_change(looks: list[tuple[Stamp, float]]) -> None:
    now_s, sightings, last_change_s, before = START_S, {}, START_S, None
    for stamp, pause_s in looks:
        now_s += pause_s
        if stamp != before:
            last_change_s, before = now_s, stamp
        sightings = sighted({"a": stamp}, sightings, now_s)
    assert sightings["a"].since_s == last_change_s
    assert sighted({}, sightings, now_s) == {}


@given(st.permutations(range(16)), st.lists(st.floats(0, 100), min_size=16, max_size=16))
def test_the_order_of_arrival_changes_nothing(order: list[int], delays_s: list[float]) -> None:
    files: dict[str, Sighting] = {}
    for subband, delay_s in zip(order, delays_s, strict=True):
        files |= seen(subband, since_s=START_S + delay_s)
    last_s = START_S + max(delays_s)
    assert only_arrival(files, last_s + 29.9).state == ARRIVING
    assert only_arrival(files, last_s + 30.1).state == WHOLE


def test_a_date_is_over_when_the_next_has_come_or_nothing_comes_any_more() -> None:
    ready = only_arrival(seen(*range(16)), START_S + 100)
    on_its_way = only_arrival(seen(*range(15), minute=5), START_S + 100)
    assert not is_over([ready], False, START_S + 899, OPTIONS)
    assert is_over([ready], False, START_S + 900, OPTIONS)
    assert is_over([ready], True, START_S + 100, OPTIONS)
    assert not is_over([ready, on_its_way], True, START_S + 899, OPTIONS)
    assert is_over([ready], False, START_S + 100, Options(once=True))
    assert not is_over([], True, START_S, OPTIONS)


def product(
    name: str, date: str = "2025-10-01", made_s: float = NEVER, version: int = 1
) -> Product:
    inputs = frozenset({Input(name, version, START_S)})
    return Product(f"photometry/{date}/{name}", inputs, START_S, made_s)


def test_without_memory_the_files_say_what_is_done() -> None:
    assert state_of(product("a"), {}, 2) == WAITING
    assert state_of(product("a", made_s=START_S - 1), {}, 2) == WAITING
    assert state_of(product("a", made_s=START_S + 1), {}, 2) == DONE


def test_a_failed_product_is_tried_again_and_left_until_its_inputs_change() -> None:
    group, attempts = product("a"), {}
    for _ in range(3):
        assert state_of(group, attempts, 2) == WAITING
        attempts = after_run(attempts, Run("2025-10-01", (group,)), False, [])
    assert state_of(group, attempts, 2) == GIVEN_UP
    changed = product("a", version=2)
    assert state_of(changed, attempts, 2) == WAITING
    attempts = after_run(attempts, Run("2025-10-01", (changed,)), False, [])
    assert attempts[changed.target].failures == 1


def test_a_file_that_changes_while_its_group_is_made_makes_the_group_again() -> None:
    before, after = product("a"), product("a", made_s=START_S + 10, version=2)
    attempts = after_run({}, Run("2025-10-01", (before,)), True, [])
    assert state_of(before, attempts, 2) == DONE
    assert state_of(after, attempts, 2) == WAITING


def test_files_that_are_cleared_away_ask_for_nothing() -> None:
    whole = Product("p", frozenset({Input("a", 1, 1), Input("b", 1, 1)}), START_S, NEVER)
    less = Product("p", frozenset({Input("a", 1, 1)}), START_S, START_S - 1)
    attempts = after_run({}, Run("2025-10-01", (whole,)), True, [])
    assert state_of(less, attempts, 2) == DONE


def test_a_failure_does_not_count_against_what_was_made_beside_it() -> None:
    good, bad = product("good"), product("bad")
    attempts = after_run({}, Run("2025-10-01", (good, bad)), False, [good.target])
    assert attempts[good.target].done
    assert attempts[bad.target].failures == 1
    fresh = product("fresh")
    assert waiting([bad, good, fresh], attempts, 2) == [fresh, bad]


def day(date: str, *names: str, calibrated: bool = True, **more: object) -> Day:
    groups = [product(name, date) for name in names]
    return Day(date, groups=groups, calibrated=calibrated, **more)


def chosen(days: list[Day], running: set[str] = frozenset(), **more: object) -> list[list[str]]:
    runs = next_runs(days, more.get("attempts", {}), running, more.get("options", OPTIONS))
    return [[run.date[-2:], *(Path(one.target).name for one in run.products)] for run in runs]


def page_of(date: str) -> Product:
    return Product(f"report/{date}/index.html", frozenset(), START_S, NEVER)


FIRST, SECOND, THIRD = "2025-10-01", "2025-10-02", "2025-10-03"


def test_groups_are_asked_for_in_order_and_a_few_at_a_time() -> None:
    assert chosen([day(FIRST, "a", "b", "c")]) == [["01", "a", "b"]]


def test_one_scheduler_a_date_and_a_few_in_all() -> None:
    days = [day(FIRST, "a"), day(SECOND, "b"), day(THIRD, "c")]
    assert chosen(days) == [["01", "a"], ["02", "b"]]
    assert chosen(days, running={FIRST}) == [["02", "b"]]
    assert chosen(days, running={FIRST, SECOND}) == []


def test_a_date_waits_for_the_calibration_of_an_earlier_one_that_has_groups_to_do() -> None:
    days = [day(FIRST, "a", calibrated=False), day(SECOND, "b")]
    assert chosen(days) == [["01", "a"]]
    assert chosen(days, running={FIRST}) == []
    assert chosen([day(FIRST, calibrated=False), day(SECOND, "b")]) == [["02", "b"]]


def test_a_calibrator_that_is_still_arriving_holds_its_date_and_no_other() -> None:
    assert chosen([day(FIRST, "a", held_by="calibrator"), day(SECOND, "b")]) == [["02", "b"]]


def test_new_groups_go_before_pages_and_pages_before_what_they_would_make_again() -> None:
    again = [product("again", FIRST)]
    over = day(FIRST, uncalibrated=again, page=page_of(FIRST))
    one = Options(schedulers=1)
    assert chosen([over, day(SECOND, "b")], options=one) == [["02", "b"]]
    assert chosen([over]) == [["01", "index.html"]]
    assert chosen([day(FIRST, uncalibrated=again)]) == [["01", "again"]]
    assert chosen([day(FIRST, "a", uncalibrated=again)]) == [["01", "a"]]


def test_a_page_is_asked_for_once_when_a_group_was_given_up() -> None:
    over = day(FIRST, "bad", page=page_of(FIRST))
    attempts = {over.groups[0].target: Attempt(over.groups[0].inputs, failures=3)}
    assert chosen([over], attempts=attempts) == [["01", "index.html"]]
    attempts = after_run(attempts, Run(FIRST, (over.page,)), False, [])
    assert chosen([over], attempts=attempts) == []


@given(st.lists(st.sampled_from(["ok", "fails"]), min_size=1, max_size=6), st.integers(0, 3))
def test_whatever_fails_everything_else_is_made_and_the_end_is_reached(
    fates: list[str], retries: int
) -> None:
    names = [f"{fate}{number}" for number, fate in enumerate(fates)]
    whole = day(FIRST, *names, page=page_of(FIRST))
    options = Options(retries=retries, batch=2)
    attempts: dict[str, Attempt] = {}
    for _ in range(2 + len(fates) * (retries + 2)):
        for run in next_runs([whole], attempts, set(), options):
            made = [one.target for one in run.products if "fails" not in one.target]
            good = len(made) == len(run.products)
            attempts = after_run(attempts, run, good, made)
    assert next_runs([whole], attempts, set(), options) == []
    for one in whole.groups:
        assert attempts[one.target].done == ("ok" in one.target)


def test_what_was_rejected_before_its_calibration_came_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def write(path: str, status: str, at_s: float) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps({"status": status}))
        os.utime(path, (at_s, at_s))

    groups = {name: product(name) for name in ("early", "usable", "late")}
    for name, status, at_s in (("early", "rejected", 1), ("usable", "ok", 1), ("late", "ok", 3)):
        write(f"ms/calibrated/{FIRST}/{name}.ms.json", status, START_S + at_s)
    assert Published().uncalibrated(FIRST, groups) == []
    calibration = f"cal/{FIRST}/calibration.json"
    write(calibration, "rejected", START_S + 2)
    published = Published()
    assert published.uncalibrated(FIRST, groups) == []
    write(calibration, "ok", START_S + 2.5)
    (again,) = published.uncalibrated(FIRST, groups)
    assert again.target == groups["early"].target
    assert state_of(again, {again.target: Attempt(groups["early"].inputs, done=True)}, 2) == WAITING


def test_the_summary_names_latency_and_backlog() -> None:
    tally = Tally().with_backlog(3).with_backlog(1).with_latency("a", 10).with_latency("b", 31)
    assert str(tally) == (
        "2 groups, from last file to photometry 20 s (median), 31 s (largest); largest backlog 3"
    )
    assert str(Tally()) == "no photometry was waited for"


def test_the_systemd_unit_runs_a_command_that_the_watcher_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("@DIRECTORY@").mkdir()
    lines = (CHECKOUT / "tools" / "contimg-watch.service").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    words = settings["ExecStart"].split()
    assert words[:2] == ["@CHECKOUT@/.venv/bin/python", "scripts/watch.py"]
    arguments, more = watch.parsed(words[2:])
    assert (str(arguments.directory), arguments.profile, more) == ("@DIRECTORY@", "local", [])
    assert float(settings["TimeoutStopSec"]) > arguments.grace + 2 * KILL_S


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--settle", "60", "--timeout", "30"], "--timeout is shorter than --settle"),
        (["--poll", "0"], "--poll: 0 found, more than 0 expected"),
        (["--retries", "-1"], "--retries: -1 found, 0 or more expected"),
        (["--", "--config", "reproducible=true"], "give configuration in files"),
        (["--", "report/2025-10-01/index.html"], "the watcher chooses the targets"),
        (
            ["--", "--quiet", "all", "--", "report/2025-10-01/index.html"],
            "the watcher chooses the targets",
        ),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        watch.parsed(words)
    assert complaint in capsys.readouterr().err


def test_what_stands_after_the_dashes_is_for_snakemake() -> None:
    words = ["--configfile", "a.yaml", "b.yaml", "--", "--cores", "2", "--sdm", "apptainer"]
    arguments, more = watch.parsed(words)
    assert [path.name for path in arguments.configfile] == ["a.yaml", "b.yaml"]
    assert more == ["--cores", "2", "--sdm", "apptainer"]
