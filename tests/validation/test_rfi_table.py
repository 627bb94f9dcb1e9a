"""Interference of 6 sigma and above is flagged, clean samples are not.

The smallest set of `rfi.py`; `tools/validate` measures the full table.
"""

from pathlib import Path

import pytest
import rfi
from figures import record

pytestmark = pytest.mark.xdist_group("rfi")

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
        assert result.passes, result
