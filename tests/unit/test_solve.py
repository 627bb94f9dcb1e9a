"""Closure phases and reference antennas of the solves."""

import json
from pathlib import Path
from typing import Any

import casacore.tables as casatables
import numpy as np
import pytest
import synthetic_calibration as synthetic
import synthetic_ms

from contimg.closure import closure_phase_deg, residual_phase_deg
from contimg.predict import copy_without_autos, fill_model
from contimg.solve import Applied, mean_by_antenna
from contimg.status import read_status, write_status

LIMITS = {"max_flagged_solutions": 0.5, "min_median_snr": 10, "max_closure_phase_deg": 10,
          "max_closure_amplitude": 0.2}  # fmt: skip


def ratios(phase: np.ndarray) -> np.ndarray:
    """Visibilities of unit amplitude between antennas of the given phases, one polarization."""
    gain = np.exp(1j * phase)
    both = gain[:, None] * gain.conj()
    np.fill_diagonal(both, 0)
    return both[:, :, None]


def test_closure_phase_does_not_depend_on_antenna_phases() -> None:
    ratio = ratios(np.random.default_rng(2).uniform(0, 6, 8))
    assert closure_phase_deg(ratio) == pytest.approx(0.0, abs=1e-6)
    assert residual_phase_deg(ratio) > 30


def test_closure_phase_finds_what_no_antenna_phase_explains() -> None:
    ratio = ratios(np.zeros(3))
    ratio[0, 1], ratio[1, 0] = np.exp(0.5j), np.exp(-0.5j)
    assert closure_phase_deg(ratio) == pytest.approx(np.degrees(0.5))


def test_two_antennas_have_no_closure_phase() -> None:
    assert np.isnan(closure_phase_deg(ratios(np.zeros(2))))


def test_delays_are_left_out_when_there_are_none() -> None:
    applied = Applied().plus(None, "nearest").plus(Path("x.bcal"), "nearest,linearflag")
    assert applied.arguments() == {"gaintable": ["x.bcal"], "interp": ["nearest,linearflag"]}


def test_antennas_without_baselines_have_no_share() -> None:
    ids = (np.array([0, 0]), np.array([2, 3]))
    np.testing.assert_allclose(mean_by_antenna(ids, np.array([1.0, 0.5]), 4), [0.75, 0, 1, 0.5])


SOLVE = """
import json, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {scripts!r})
import solve_bandpass
from contimg.casa import casa_table, load_casatasks
from contimg.script import run
from contimg.solve import reference_antennas

load_casatasks()
ranked = lambda *names: reference_antennas(Path("solve.ms"), names)
found = {{"ranked": ranked(), "preferred": ranked("DSA-008", "DSA-003", "DSA-011")}}

def spoil(column, change):
    # Of the best-ranked antenna's baselines; what stood there is returned.
    with casa_table(Path("solve.ms"), write=True) as table:
        values = table.getcol(column)
        ids = np.stack([table.getcol("ANTENNA1"), table.getcol("ANTENNA2")])
        its = (ids == found["ranked"][0]).any(axis=0)
        later = table.getcol("TIME") >= np.unique(table.getcol("TIME"))[-2]
        table.putcol(column, change(values.copy(), its, later))
    return values

def restore(column, values):
    with casa_table(Path("solve.ms"), write=True) as table:
        table.putcol(column, values)

def noise(values, rows):
    parts = np.random.default_rng(0).normal(size=(2, *values[..., rows].shape))
    values[..., rows] = 3 * (parts[0] + 1j * parts[1])
    return values

def flagged(values, rows):
    values[..., rows] = True
    return values

spoils = {{
    "dead": ("DATA", lambda values, its, later: noise(values, its)),
    "dies": ("DATA", lambda values, its, later: noise(values, its & later)),
    "flagged later": ("FLAG", lambda values, its, later: flagged(values, its & later)),
}}
for name, (column, change) in spoils.items():
    before = spoil(column, change)
    found[name] = ranked()
    restore(column, before)
Path("found.json").write_text(json.dumps(found))

def solve(name):
    sys.argv = ["solve_bandpass.py", "--solve-ms", "solve.ms", "--solve-status", "solve.ms.json",
        "--bcal", f"{{name}}.bcal", "--status", f"{{name}}.json",
        "--calibration", Path("calibration.yaml").read_text()]
    run(solve_bandpass.main, reject=solve_bandpass.reject)

solve("weak")
with casa_table(Path("solve.ms"), write=True) as table:
    table.putcol("FLAG", table.getcol("FLAG") | True)
solve("flagged")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in which DSA-008 is dead, and DSA-003 flagged in all but one integration."""
    folder = tmp_path_factory.mktemp("solve")
    observed = synthetic_ms.Observation(
        n_chan=16, n_times=4, noise_jy=1.0, gains=synthetic.gains_of(0.0),
        sources=[(*synthetic_ms.CENTRE_DEG, 2.0)],
    )  # fmt: skip
    synthetic_ms.write(folder / "sci.ms", observed)
    ms = folder / "solve.ms"
    copy_without_autos(folder / "sci.ms", ms)
    fill_model(ms, np.zeros((1, 3)), observed.freq_hz, lambda mjd: np.full((16, 1), 2.0))
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        flag, first, second = (table.getcol(n) for n in ("FLAG", "ANTENNA1", "ANTENNA2"))
        later = table.getcol("TIME") > table.getcol("TIME").min()
        flag[later & ((first == 2) | (second == 2))] = True
        table.putcol("FLAG", flag)
    write_status(folder / "solve.ms.json", digest="model", figures=observed.figures())
    calibration: dict[str, Any] = {
        **LIMITS, "min_median_snr": 1e4, "reference_antennas": [],
        "prebandpass": {"solint": "30s", "min_snr": 3},
        "bandpass": {"solint": "inf", "min_snr": 3, "fill": "none"},
    }  # fmt: skip
    (folder / "calibration.yaml").write_text(json.dumps(calibration))
    synthetic.run_python(["-c", SOLVE.format(scripts=str(synthetic.BASE / "scripts"))], folder)
    return folder


def test_reference_antennas_are_alive_unflagged_and_central(folder: Path) -> None:
    found = json.loads((folder / "found.json").read_text())
    # Rows of the ANTENNA table: 2 is flagged, 3 has no data, 7 is dead.
    assert len(found["ranked"]) == 5
    assert not {2, 3, 7} & set(found["ranked"])
    with casatables.table(f"{folder}/solve.ms::ANTENNA", ack=False) as antenna:
        position = antenna.getcol("POSITION")
    distance = np.linalg.norm(position - np.median(position, axis=0), axis=1)
    assert distance[found["ranked"][0]] < np.median(distance)


@pytest.mark.parametrize("fate", ["dead", "dies", "flagged later"])
def test_the_best_antenna_is_no_reference_once_it_is_dead(folder: Path, fate: str) -> None:
    """Dead, dead in the later half of the group, or flagged there: the next one leads."""
    found = json.loads((folder / "found.json").read_text())
    assert found["ranked"][0] not in found[fate]
    assert found[fate][:4] == found["ranked"][1:]


def test_preferred_reference_comes_first_unless_dead_or_flagged(folder: Path) -> None:
    found = json.loads((folder / "found.json").read_text())
    assert found["preferred"][0] == 10
    assert not {2, 7} & set(found["preferred"])


def test_table_that_fails_its_gate_is_kept_and_rejected(folder: Path) -> None:
    found = read_status(folder / "weak.json")
    assert found.status == "rejected"
    assert found.reason.startswith("bandpass: median S/N of the bandpass")
    assert found.digest
    assert (folder / "weak.bcal" / "table.dat").is_file()


def test_flagged_calibrator_gives_a_labelled_empty_table(folder: Path) -> None:
    found = read_status(folder / "flagged.json")
    assert (found.status, found.reason) == ("rejected", "all data of the calibrator are flagged")
    assert [path.name for path in (folder / "flagged.bcal").iterdir()] == ["REJECTED"]
