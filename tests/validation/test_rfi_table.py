"""Interference of 6 sigma and above is flagged, clean samples are not.

The smallest set of `rfi.py`; `tools/validate` measures the full table.
"""

from pathlib import Path

import numpy as np
import pytest
import rfi
from figures import record

SHAPE = "64 channels x 6"


@pytest.fixture(scope="module", params=sorted(rfi.FIELDS))
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    simulation = rfi.simulation_of(SHAPE, request.param)
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, simulation, rfi.make_set(simulation, folder)


@pytest.mark.parametrize("kind", sorted(rfi.KINDS))
def test_interference_is_detected_and_clean_samples_are_kept(clean, kind: str, monkeypatch) -> None:
    field, simulation, ms = clean
    monkeypatch.setattr(rfi, "STRENGTHS", (1, 6, 20, 100))
    for result in rfi.measured(simulation, Path(ms), rfi.KINDS[kind]):
        record(f"RFI: {SHAPE}, {field}, {kind}", result)
        assert result.passes(kind), result


def test_flags_of_the_shared_observation(observation: Path) -> None:
    """Of all its groups: the flags that lie on interference, and those that lie on nothing."""
    hits: list[np.ndarray] = []
    rest: list[np.ndarray] = []
    for ms in sorted(observation.glob("ms/science/*/*.ms")):
        date, group = ms.parent.name, ms.stem
        flags, present = rfi.flags_by_baseline(ms)
        where = rfi.true_interference(observation / f"simulated/{date}/truth.h5", group, present)
        used = ~flags.all(axis=(0, 1))  # missing subbands are flagged from the start
        hits.append(flags[..., used][where[..., used]])
        rest.append(flags[..., used][~where[..., used]])
    detected, clean = np.concatenate(hits).mean(), np.concatenate(rest).mean()
    record("RFI: shared observation", {"detected": detected, "clean": clean})
    assert detected > rfi.WANTED_DETECTED
    assert clean < rfi.ALLOWED_CLEAN
