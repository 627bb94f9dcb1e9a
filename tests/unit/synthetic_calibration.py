"""Make a folder with a corrupted observation and run the calibration chain on it."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import synthetic_ms as synthetic
import yaml

from contimg.predict import copy_without_autos, fill_model
from contimg.status import write_status

BASE = Path(__file__).parents[2]
DEAD = 7
N_ANTENNAS, N_CHAN = 12, 16


def gains_of(delay_ns: float) -> np.ndarray:
    """Gains (antenna, channel, pol) in the sense of pyuvdata: smooth, one antenna dead."""
    rng = np.random.default_rng(3)
    shape = (N_ANTENNAS, 1, 2)
    place = np.linspace(-1, 1, N_CHAN)[None, :, None]
    amplitude = (1 + 0.2 * rng.normal(size=shape)) * (1 + 0.1 * np.sin(3 * place))
    phase = rng.uniform(0, 2 * np.pi, shape) + 0.3 * place * rng.normal(size=shape)
    delay = 2 * np.pi * delay_ns * 1e-9 * rng.normal(size=shape) * 0.25e6 * N_CHAN / 2 * place
    gains = amplitude * np.exp(1j * (phase + delay))
    gains[DEAD] = 0
    return gains


def calibrated(folder: Path, *, delay_ns: float = 0.0) -> SimpleNamespace:
    """Write an observation in which antenna 8 is dead, solve it and apply the solutions."""
    observed = synthetic.Observation(
        n_antennas=N_ANTENNAS, n_chan=N_CHAN, n_times=4, noise_jy=0.2, gains=gains_of(delay_ns),
        sources=[(227.3, 46.6, 8.0), (227.9, 47.1, 1.0)],
    )  # fmt: skip
    sources = np.array(observed.sources)
    synthetic.write(folder / "sci.ms", observed)
    copy_without_autos(folder / "sci.ms", folder / "solve.ms")
    flux = np.tile(sources[:, 2], (N_CHAN, 1))
    lmn = synthetic.plain_cosines(observed.sources)
    fill_model(folder / "solve.ms", lmn, observed.freq_hz, lambda _: flux)
    for path in (folder / "sci.ms").rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    figures = observed.figures()
    write_status(folder / "sci.ms.json", digest="science", figures=figures)
    write_status(
        folder / "solve.ms.json",
        digest="model",
        inputs={"ms": "science"},
        figures={**figures, "calibrator": "fake"},
    )
    config = yaml.safe_load((BASE / "config" / "config.yaml").read_text())
    chain = {name: config[name] for name in ("calibration", "flagging")}
    chain["averaging"] = {"channels": 4, "integrations": 1}
    (folder / "chain.yaml").write_text(yaml.safe_dump(chain))
    run_chain(folder, "--delay" if delay_ns else "--no-delay")
    tables = folder / "cal" / "2025-10-19"
    return SimpleNamespace(
        folder=folder, observed=observed, chain=chain,
        **{kind: tables / f"2025-10-19T02:24:00.{kind}" for kind in ("kcal", "bcal", "gcal")},
        choice=tables / "calibration.json",
    )  # fmt: skip


def run_chain(folder: Path, flag: str) -> None:
    run_python([str(Path(__file__).with_name("calibration_chain.py")), str(folder), flag])


def run_python(arguments: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run Python with the library on its path; what it printed is shown when it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(BASE / "scripts"), "OMP_NUM_THREADS": "1"},
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done
