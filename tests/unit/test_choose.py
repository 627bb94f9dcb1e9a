"""A date is served by its own tables, else by the nearest earlier date of its strip."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import choose_calibration
from contimg import choose as choosing
from contimg.calibration_table import Bandpass
from contimg.checkout import CHECKOUT
from contimg.choose import NothingServes, choose
from contimg.status import Rejected, read_status, write_status

CALIBRATION: dict[str, Any] = {
    "pinned_tables": [],
    "borrow_days": 30,
    "strip_tolerance_deg": 0.1,
    "previous_bandpass": {
        "warn_amplitude": 0.1, "warn_phase_deg": 15, "max_amplitude": 0.5, "max_phase_deg": 60,
    },
}  # fmt: skip
TODAY = "2025-10-19"
AMPLITUDES: dict[str, float] = {}


def bandpass(path: Path) -> Bandpass:
    """A flat bandpass of the amplitude that a test gave the table's group or date."""
    amplitude = AMPLITUDES.get(path.stem, AMPLITUDES.get(path.parent.name, 1.0))
    gain = np.full((3, 8, 2), amplitude, dtype=np.complex64)
    return Bandpass(("1", "2", "3"), 1e9 + 1e6 * np.arange(8), gain, np.zeros(gain.shape, bool))


@pytest.fixture(autouse=True)
def in_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choosing, "read_bandpass", bandpass)
    AMPLITUDES.clear()


def publish(
    date: str,
    hour: int = 14,
    *,
    dec_deg: float | None = 46.81,
    rejected: str = "",
    bandpass_rejected: str = "",
    delay: bool = False,
) -> Path:
    """Publish tables of one group as the solving rules do; return the gains' status file."""
    group = f"{date}T{hour:02d}:00:00"
    prefix = Path("cal") / date / group
    figures = {"mid_mjd": 60000.0 + hour / 24, "apparent_dec_deg": dec_deg, "calibrator": "3C196"}
    inputs = {"bcal": f"b{group}", **({"kcal": f"k{group}"} if delay else {})}
    reasons = {"gcal": rejected, "bcal": bandpass_rejected, **({"kcal": ""} if delay else {})}
    for kind, reason in reasons.items():
        Path(f"{prefix}.{kind}").mkdir(parents=True)
        write_status(
            Path(f"{prefix}.{kind}.json"),
            status="rejected" if reason else "ok",
            reason=reason,
            digest=f"{kind[0]}{group}",
            inputs=inputs if kind == "gcal" else {},
            figures=figures,
        )
    return Path(f"{prefix}.gcal.json")


def test_own_tables_come_first_in_time_order() -> None:
    publish("2025-10-18")
    own = [publish(TODAY, 20), publish(TODAY, 3)]
    choice = choose(TODAY, [46.81], own, CALIBRATION)
    assert choice.source == "own"
    assert [one.group for one in choice.tables] == [f"{TODAY}T03:00:00", f"{TODAY}T20:00:00"]
    assert choice.tables[0].bcal == f"cal/{TODAY}/{TODAY}T03:00:00.bcal"
    assert choice.tables[0].kcal is None
    assert choice.tables[0].digests == {"bcal": f"b{TODAY}T03:00:00", "gcal": f"g{TODAY}T03:00:00"}


def test_delays_go_with_the_tables_solved_on_them() -> None:
    choice = choose(TODAY, [46.81], [publish(TODAY, delay=True)], CALIBRATION)
    assert choice.tables[0].kcal == f"cal/{TODAY}/{TODAY}T14:00:00.kcal"
    assert set(choice.tables[0].digests) == {"bcal", "gcal", "kcal"}


def test_one_passing_table_is_enough_and_the_other_is_explained() -> None:
    own = [publish(TODAY, 3, rejected="gains: 80% flagged"), publish(TODAY, 20)]
    choice = choose(TODAY, [46.81], own, CALIBRATION)
    assert [one.group for one in choice.tables] == [f"{TODAY}T20:00:00"]
    assert [(one.group, one.why_not) for one in choice.considered] == [
        (f"{TODAY}T03:00:00", "gains: 80% flagged")
    ]


def test_nearest_earlier_date_lends_all_its_passing_tables() -> None:
    publish("2025-10-10")
    publish("2025-10-15", 3)
    publish("2025-10-15", 20)
    publish("2025-10-15", 22, bandpass_rejected="bandpass: S/N 4")
    choice = choose(TODAY, [46.85], [publish(TODAY, rejected="noise")], CALIBRATION)
    assert choice.source == "borrowed"
    assert [one.group for one in choice.tables] == ["2025-10-15T03:00:00", "2025-10-15T20:00:00"]
    assert [one.why_not for one in choice.considered] == ["noise", "bandpass: S/N 4"]


def test_later_dates_never_lend() -> None:
    publish("2025-10-20")
    with pytest.raises(Rejected, match="no date of the 30 days before has tables"):
        choose(TODAY, [46.81], [], CALIBRATION)


def test_dates_beyond_the_limit_do_not_lend() -> None:
    publish("2025-09-18")
    with pytest.raises(Rejected, match="no calibration for 2025-10-19"):
        choose(TODAY, [46.81], [], CALIBRATION)
    publish("2025-09-19")
    assert choose(TODAY, [46.81], [], CALIBRATION).tables[0].date == "2025-09-19"


def test_other_strips_do_not_lend_and_the_reason_says_so() -> None:
    publish("2025-10-18", dec_deg=46.92)
    with pytest.raises(Rejected, match=r"2025-10-18T14:00:00: declination 46\.920 deg is 0\.110"):
        choose(TODAY, [46.81], [], CALIBRATION)
    publish("2025-10-17", dec_deg=46.90)
    assert choose(TODAY, [46.81], [], CALIBRATION).tables[0].date == "2025-10-17"


def test_nothing_is_borrowed_for_an_unknown_declination() -> None:
    publish("2025-10-18")
    with pytest.raises(Rejected, match="declination not known"):
        choose(TODAY, [None], [], CALIBRATION)


def test_pinned_tables_override_everything() -> None:
    publish("2025-01-01", dec_deg=10.0)
    pinned = {**CALIBRATION, "pinned_tables": ["cal/2025-01-01/2025-01-01T14:00:00"]}
    choice = choose(TODAY, [46.81], [publish(TODAY)], pinned)
    assert (choice.source, [one.date for one in choice.tables]) == ("pinned", ["2025-01-01"])


def test_missing_pinned_table_is_never_replaced() -> None:
    pinned = {**CALIBRATION, "pinned_tables": ["cal/2025-01-01/2025-01-01T14:00:00"]}
    with pytest.raises(Rejected, match=r"2025-01-01T14:00:00\.gcal\.json is missing"):
        choose(TODAY, [46.81], [publish(TODAY)], pinned)


def test_bandpass_solved_again_makes_its_gains_unusable() -> None:
    own = publish(TODAY)
    bandpass = Path(f"cal/{TODAY}/{TODAY}T14:00:00.bcal.json")
    write_status(bandpass, digest="another")
    with pytest.raises(Rejected, match="has changed since the gains were solved on it"):
        choose(TODAY, [46.81], [own], CALIBRATION)


def test_folders_of_the_user_are_passed_over() -> None:
    Path("cal/my-old-tables").mkdir(parents=True)
    publish("2025-10-18")
    assert choose(TODAY, [46.81], [], CALIBRATION).tables[0].date == "2025-10-18"


def test_each_declination_has_its_own_strips_tables() -> None:
    """The dishes moved: tables of one pointing never serve the other."""
    own = publish(TODAY, dec_deg=46.81)
    publish("2025-10-18", dec_deg=48.3)
    choice = choose(TODAY, [46.81, 48.3], [own], CALIBRATION)
    assert [(one.source, one.groups) for one in choice.strips] == [
        ("own", [f"{TODAY}T14:00:00"]),
        ("borrowed", ["2025-10-18T14:00:00"]),
    ]
    assert choice.source == "own and borrowed"
    assert {one.date for one in choice.tables} == {"2025-10-18", TODAY}


def test_a_declination_without_tables_does_not_cost_the_other_its_own() -> None:
    choice = choose(TODAY, [46.81, 48.3], [publish(TODAY)], CALIBRATION)
    served, other = choice.strips
    assert (served.source, other.source, other.groups) == ("own", "", [])
    assert "declination 46.810 deg is 1.490 deg off, 0.1 deg allowed" in other.reason


def test_a_tracking_telescopes_own_tables_serve_all_its_groups() -> None:
    choice = choose(TODAY, [None], [publish(TODAY, dec_deg=None)], CALIBRATION)
    assert [(one.source, len(one.groups)) for one in choice.strips] == [("own", 1)]


def test_tracking_and_transit_groups_have_tables_of_their_own_kind() -> None:
    tracking, transit = publish(TODAY, 3, dec_deg=None), publish(TODAY, 20)
    choice = choose(TODAY, [46.81, None], [tracking, transit], CALIBRATION)
    assert [one.groups for one in choice.strips] == [
        [f"{TODAY}T20:00:00"], [f"{TODAY}T03:00:00"],
    ]  # fmt: skip
    alone = choose(TODAY, [46.81, None], [transit], CALIBRATION)
    assert (alone.strips[1].groups, alone.strips[1].source) == ([], "")


def test_a_changed_bandpass_is_warned_of_and_the_previous_one_recorded() -> None:
    publish("2025-10-10")
    publish("2025-10-15")
    AMPLITUDES[TODAY] = 1.2
    choice = choose(TODAY, [46.81], [publish(TODAY)], CALIBRATION)
    (compared,) = choice.compared
    previous = {"group": "2025-10-15T14:00:00", "date": "2025-10-15",
                "digest": "b2025-10-15T14:00:00"}  # fmt: skip
    assert compared.previous == previous
    assert compared.change is not None
    assert compared.change["amplitude_ratio"] == pytest.approx(1.2)
    assert choice.source == "own"
    (warning,) = choice.warnings
    assert "amplitudes by 20%, 10% allowed (median ratio 1.200)" in warning


def test_a_bandpass_changed_beyond_the_limit_is_refused_and_none_is_borrowed_for_it() -> None:
    """Gains may have been changed on purpose: the old table would give wrong fluxes."""
    publish("2025-10-15")
    AMPLITUDES["2025-10-18"] = 1.6
    own = publish("2025-10-18")
    with pytest.raises(NothingServes, match="amplitudes by 60%, 50% allowed"):
        choose("2025-10-18", [46.81], [own], CALIBRATION)
    moved = choose("2025-10-18", [46.81, 48.3], [own, publish("2025-10-18", 3, dec_deg=48.3)],
                   CALIBRATION)  # fmt: skip
    assert [one.source for one in moved.strips] == ["", "own"]
    assert "amplitudes by 60%" in moved.strips[0].reason
    assert choose("2025-10-18", [46.81], [own], shipped()).source == "own"


def shipped() -> dict[str, Any]:
    defaults = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())["calibration"]
    return {**CALIBRATION, "previous_bandpass": defaults["previous_bandpass"]}


def test_a_second_table_that_agrees_serves_in_place_of_the_refused() -> None:
    publish("2025-10-15")
    AMPLITUDES[f"{TODAY}T20:00:00"] = 1.6
    choice = choose(TODAY, [46.81], [publish(TODAY, 3), publish(TODAY, 20)], CALIBRATION)
    assert (choice.source, [one.group for one in choice.tables]) == ("own", [f"{TODAY}T03:00:00"])


def test_a_refused_table_is_never_lent() -> None:
    publish("2025-10-15")
    AMPLITUDES["2025-10-18"] = 1.6
    status = Path("cal/2025-10-18/calibration.json")
    choose_calibration.main(
        solutions=[publish("2025-10-18")], status=status, date="2025-10-18",
        declinations_deg=[46.81], calibration=CALIBRATION,
    )  # fmt: skip
    assert "amplitudes by 60%, 50% allowed" in read_status(status).reason
    later = choose(TODAY, [46.81], [publish(TODAY)], CALIBRATION)
    assert later.source == "own"
    assert later.compared[0].previous["date"] == "2025-10-15"
    assert choose("2025-10-20", [46.81], [], CALIBRATION).tables[0].date == TODAY


def test_a_pinned_table_of_another_strip_draws_a_warning() -> None:
    publish("2025-01-01", dec_deg=10.0)
    pinned = {**CALIBRATION, "pinned_tables": ["cal/2025-01-01/2025-01-01T14:00:00"]}
    choice = choose(TODAY, [46.81], [], pinned)
    assert choice.strips[0].source == "pinned"
    assert "declination 10.000 deg is 36.810 deg off" in choice.warnings[0]
