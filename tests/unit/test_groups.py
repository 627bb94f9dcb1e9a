"""Names of groups and raw files, and which names belong together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contimg import groups
from contimg.groups import clusters, parse_raw_name

SECONDS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


@given(SECONDS, st.floats(-0.49, 0.49))
def test_a_group_is_the_second_nearest_to_its_time(moment: datetime, off_s: float) -> None:
    mjd = groups.mjd_of_group(stamp(moment))
    assert groups.group_of_mjd(mjd + off_s / 86400) == stamp(moment)


def test_known_modified_julian_date() -> None:
    assert groups.mjd_of_group("2000-01-01T12:00:00") == 51544.5


@given(SECONDS, st.integers(0, 99), st.sampled_from(["", ".5", ".123456"]))
def test_a_raw_name_tells_time_and_subband(moment: datetime, subband: int, fraction: str) -> None:
    name = f"{stamp(moment)}{fraction}_sb{subband:02d}.hdf5"
    parsed = parse_raw_name(name)
    assert parsed is not None
    assert (groups.group_of_mjd(parsed.mjd), parsed.subband, parsed.name) == (
        stamp(moment), subband, name,
    )  # fmt: skip
    assert groups.strange_name(Path(name)) == ""


@pytest.mark.parametrize(
    "name",
    [
        "2025-10-01T15:00:00_sb03_incomplete.hdf5",
        "2025-10-01T15:00:00_sb3.hdf5",
        "2025-10-01T25:00:00_sb03.hdf5",
        "2025-02-30T15:00:00_sb03.hdf5",
        "2025-10-01T15:00:00 $(x)_sb03.hdf5",
        "2025-10-01T15:00:00_sb03.hdf5\n",
        "notes.txt",
    ],
)
def test_other_names_are_not_taken_and_the_reason_is_told(name: str) -> None:
    assert parse_raw_name(name) is None
    reason = groups.strange_name(Path(name))
    assert reason == (
        "still being written" if "incomplete" in name else
        "not a raw file's name: YYYY-MM-DDTHH:MM:SS_sbNN.hdf5 or NAME.uvh5 is expected"
    )  # fmt: skip


@given(
    start=SECONDS | st.just(datetime(2025, 10, 18, 23, 59, 59, tzinfo=UTC)),
    offsets_s=st.lists(st.lists(st.integers(-25, 25), min_size=1, max_size=16), max_size=4),
    random=st.randoms(use_true_random=False),
)
def test_jittered_clocks_fall_into_their_groups(start, offsets_s, random) -> None:
    """Groups 309 s apart, the files' clocks off by up to 25 s: also on both sides of midnight."""
    made = [
        [
            f"{stamp(start + timedelta(seconds=309 * number + offset))}_sb{subband:02d}.hdf5"
            for subband, offset in enumerate(offsets)
        ]
        for number, offsets in enumerate(offsets_s)
    ]
    names = [parse_raw_name(name) for group in made for name in group]
    random.shuffle(names)
    found = clusters([name for name in names if name], tolerance_s=60)
    assert [[name.name for name in cluster] for cluster in found] == made


def test_days() -> None:
    assert groups.shift_date("2024-02-28", 2) == "2024-03-01"
    assert groups.days_between("2024-02-28", "2024-03-01") == 2
    assert groups.date_of_group("2025-10-01T15:00:00") == "2025-10-01"
