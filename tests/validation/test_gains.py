"""The tables that the workflow solves are the gains that the simulation put in."""

import json
from pathlib import Path

import pytest
from gains import compare_gains

from contimg.status import read_status


def solved_groups(folder: Path) -> list[Path]:
    """Status files of the gain tables that passed, on groups of which there is truth."""
    found = sorted(folder.glob("cal/*/*.gcal.json"))
    return [path for path in found if read_status(path).ok]


def test_gains_are_those_of_the_simulation(observation: Path) -> None:
    statuses = solved_groups(observation)
    assert statuses
    for status in statuses:
        date, group = status.parent.name, status.name.removesuffix(".gcal.json")
        truth = observation / "simulated" / date
        noise_jy = json.loads((truth / "truth.json").read_text())["noise_sigma_jy"]
        found = compare_gains(
            status.with_name(f"{group}.bcal"),
            status.with_name(f"{group}.gcal"),
            truth / "truth.h5",
            group,
            read_status(status).figures["apparent_jy"],
            noise_jy,
        )
        assert found.amplitude_bias == pytest.approx(1.0, abs=0.01), group
        assert abs(found.phase_bias_deg) < 0.5, group
        assert found.amplitude_over_thermal < 1.2, group
        assert found.phase_over_thermal < 1.2, group
        assert not found.dead_unflagged, group
        assert not found.live_flagged, group
