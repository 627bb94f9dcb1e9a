"""What averaging before solving, and phases alone, cost in accuracy and save in time.

    PYTHONPATH=scripts:tests/validation python tests/validation/fast_solving.py OBSERVATION DATE

Of a simulated working directory, reduced with config/demo.yaml: its calibrator's group is solved
again in each way, in a folder of its own, and compared with the simulator's truth. Prints
processor seconds (start of the programs included), and the rms error of bandpass times gains in the
science data's channels, where averaged channels are interpolated as they are when applied.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from gains import station_number

from contimg.calibration_table import read_bandpass, read_gains
from contimg.configuration import validated
from contimg.inventory import Inventory

ROOT = Path(__file__).parents[2]
WAYS: dict[str, dict[str, Any]] = {
    "as by default": {},
    "phases alone": {"gains": {"mode": "p"}},
    "2 channels": {"average": {"channels": 2, "integrations": 1}},
    "4 channels": {"average": {"channels": 4, "integrations": 1}},
    "4 channels, 2 integrations": {"average": {"channels": 4, "integrations": 2}},
    "4 channels, 2 integrations, phases alone": {
        "average": {"channels": 4, "integrations": 2}, "gains": {"mode": "p"},
    },
}  # fmt: skip


def cpu_s() -> float:
    """Processor seconds of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_rule(script: str, **arguments: Any) -> float:
    """Run a rule's script by itself; return the processor seconds that it took."""
    words = [
        word
        for name, value in arguments.items()
        for word in (f"--{name.replace('_', '-')}",
                     yaml.safe_dump(value) if isinstance(value, dict) else str(value))
    ]  # fmt: skip
    start = cpu_s()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *words],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return cpu_s() - start


def solve(observation: Path, group: str, config: dict[str, Any], folder: Path) -> float:
    """Predict, solve the bandpass and the gains in `folder`; return the processor seconds."""
    date, calibration = group[:10], config["calibration"]
    ms, solve_ms = observation / f"ms/science/{date}/{group}.ms", folder / "solve.ms"
    inventory = Inventory({**config, "incoming": str(observation / "incoming")}, base=ROOT)
    bcal, gcal = folder / "t.bcal", folder / "t.gcal"
    solved_on = {"solve_ms": solve_ms, "solve_status": f"{solve_ms}.json"}
    return sum((
        run_rule("predict_model.py", ms=ms, ms_status=f"{ms}.json", solve_ms=solve_ms,
                 status=f"{solve_ms}.json", catalog=observation / "catalogs/master_sources.sqlite3",
                 calibrator=inventory.calibrator_of(group), calibration=calibration,
                 beam=config["beam"], scratch=folder),
        run_rule("solve_bandpass.py", **solved_on, bcal=bcal, status=f"{bcal}.json",
                 calibration=calibration, scratch=folder),
        run_rule("solve_gains.py", **solved_on, bcal=bcal, bcal_status=f"{bcal}.json", gcal=gcal,
                 status=f"{gcal}.json", calibration=calibration, scratch=folder),
    ))  # fmt: skip


def errors(folder: Path, truth: Path, group: str) -> tuple[float, float]:
    """Rms error of amplitude, and of phase in degrees, of bandpass times gains."""
    bandpass, gains = read_bandpass(folder / "t.bcal"), read_gains(folder / "t.gcal")
    with h5py.File(truth) as file:
        part = file[group]
        live, stations = part["live"][:], part["station_number"][:]
        true = (part["gains"][:][:, None] * part["bandpass"][:])[live].conj()
        freq_hz = part["freq_hz"][:]
    numbers = [station_number(name) for name in bandpass.antennas]
    rows = [numbers.index(int(station)) for station in stations[live]]
    solved = (bandpass.gain * gains.gain[:, :1])[rows]
    found = np.empty(true.shape, dtype=complex)
    for row, pol in np.ndindex(len(rows), solved.shape[2]):
        good = ~bandpass.flag[rows[row], :, pol]
        at, values = bandpass.freq_hz[good], solved[row, good, pol]
        found[row, :, pol] = np.interp(freq_hz, at, np.abs(values)) * np.exp(
            1j * np.interp(freq_hz, at, np.unwrap(np.angle(values)))
        )
    ratio = found / true
    ratio /= np.exp(1j * np.angle(ratio.mean(axis=0)))
    return float(np.std(np.abs(ratio))), float(np.degrees(np.std(np.angle(ratio))))


def main(observation: str, date: str) -> None:
    """Solve in each way and print a table."""
    config = validated(
        yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT / "config/schema.yaml"
    )
    own = Path(observation).resolve()
    choice = json.loads((own / f"cal/{date}/calibration.json").read_text())["figures"]
    group = choice["tables"][0]["group"]
    for way, changes in WAYS.items():
        calibration = {
            name: {**value, **changes[name]} if name in changes else value
            for name, value in config["calibration"].items()
        }
        with tempfile.TemporaryDirectory() as folder:
            seconds = solve(own, group, {**config, "calibration": calibration}, Path(folder))
            truth = own / f"simulated/{group[:10]}/truth.h5"
            amplitude, phase_deg = errors(Path(folder), truth, group)
        sys.stdout.write(f"{way:42} {seconds:5.1f} s {amplitude:8.2%} {phase_deg:6.2f} deg\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
