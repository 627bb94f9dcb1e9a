"""`scripts/transits.py`: the last transits of a calibrator, on a few made-up raw files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_files import INTEGRATION_S, RawGroup

from contimg.checkout import CHECKOUT
from contimg.groups import mjd_of_group
from contimg.status import write_status

# Transits of 3C196 as astropy has them.
TRANSITS = {
    "2025-09-29": "2025-09-29T15:33:59",
    "2025-09-30": "2025-09-30T15:30:03",
    "2025-10-01": "2025-10-01T15:26:07",
    "2025-10-02": "2025-10-02T15:22:11",
    "2025-10-03": "2025-10-03T15:18:16",
}


def write_group(incoming: Path, date: str, n_subbands: int = 16, **header: Any) -> str:
    """Write a group about 3C196's transit, of which only the first file is whole."""
    group = RawGroup(mjd_of_group(TRANSITS[date]) - INTEGRATION_S / 86400, header=header)
    group.write(incoming, 0)
    for subband in range(1, n_subbands):
        (incoming / f"{group.name}_sb{subband:02d}.hdf5").touch()
    return group.name


def write_gains(directory: Path, group: str, reason: str = "") -> None:
    write_status(
        directory / "cal" / group[:10] / f"{group}.gcal.json",
        status="rejected" if reason else "ok",
        reason=reason,
        figures={"calibrator": "0813+482", "mid_mjd": mjd_of_group(group) + 1e-4},
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four dates: solved; failed at the gate; of another declination; with too few subbands."""
    directory = tmp_path_factory.mktemp("directory")
    incoming = directory / "incoming"
    write_gains(directory, write_group(incoming, "2025-09-29"))
    write_gains(directory, write_group(incoming, "2025-09-30"), "gains: 62 % are flagged")
    write_group(incoming, "2025-10-01", phase_center_app_dec=np.radians(20.0))
    write_group(incoming, "2025-10-03", n_subbands=5)
    return directory


def asked(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "scripts" / "transits.py"), "--directory", str(directory),
         *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_each_transit_tells_its_data_and_its_tables(directory: Path) -> None:
    done = asked(directory, "--calibrator", "0813+482", "--last", "6", "--json")
    answer = json.loads(done.stdout)
    assert answer["calibrator"] == "0813+482"
    found = {one["date"]: one for one in answer["transits"]}
    assert list(found) == [*sorted(TRANSITS, reverse=True), "2025-09-28"]
    for date, transit in TRANSITS.items():
        assert abs(found[date]["mjd"] - mjd_of_group(transit)) * 86400 < 1.5
    few = "5 of 16 subbands, 14 needed"
    assert {date: (one["data"], one["verdict"]) for date, one in found.items()} == {
        "2025-10-03": (few, "none"),
        "2025-10-02": ("no data", "none"),
        "2025-10-01": ("not in the beam", "none"),
        "2025-09-30": ("", "gains: 62 % are flagged"),
        "2025-09-29": ("", "passed"),
        "2025-09-28": ("no data", "none"),
    }
    assert [date for date, one in found.items() if one["solved"]] == ["2025-09-30", "2025-09-29"]
    group = found["2025-09-29"]["group"]
    assert found["2025-09-29"]["tables"] == f"cal/2025-09-29/{group}"
    assert found["2025-09-29"]["apparent_jy"] == pytest.approx(7.14, abs=0.02)


def test_the_table_counts_back_from_a_date_when_asked(directory: Path) -> None:
    done = asked(directory, "--calibrator", "3c196", "--last", "2", "--before", "2025-10-01")
    head, titles, *rows = done.stdout.splitlines()
    assert head == "0813+482: the last 2 transits, 2 with data"
    assert titles.split() == ["transit", "(UTC)", "group", "beam", "Jy", "solved", "tables"]
    assert [row[:10] for row in rows] == ["2025-09-30", "2025-09-29"]
    assert rows[1].endswith(": passed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibrator", "0813+483"], "0813+483: no such calibrator in vla_calibrators.txt; "
         "similar: 0813+482"),
        (["--calibrator", "3C196", "--before", "2025-10-32"], "'2025-10-32' is no date"),
        (["--calibrator", "3C196", "--last", "0"], "'0': a number from 1 is expected"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_answered_in_one_line(
    directory: Path, arguments: list[str], words: str
) -> None:
    done = asked(directory, *arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_raw_files_it_asks_for_a_date(tmp_path: Path) -> None:
    done = asked(tmp_path, "--calibrator", "3C196")
    assert done.stderr == (
        "transits.py: incoming: no raw files to count back from; give --before DATE\n"
    )
    done = asked(tmp_path, "--calibrator", "3C196", "--before", "2025-10-02", "--last", "1")
    assert "2025-10-01T15:26:07  no data" in done.stdout
