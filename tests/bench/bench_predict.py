"""How long the ways of predicting visibilities take, and how far off they are.

    PYTHONPATH=scripts:tests/unit python tests/bench/bench_predict.py [--threads 1]

An averaged set of full size (96 antennas, 24 integrations, 192 channels), of 200 and 1500 point
sources and of an image with 4000 CLEAN components: antenna phasors (`predict_visibilities`), the
gridding of ducc0 (`predict_image`) and WSClean -predict. Fluxes do not change here and sources lie
on pixels, or nothing but phasors could do it. The error is the largest on 300 visibilities over
the sum of fluxes, by the plain Fourier sum. WSClean's time is with reading and writing the set.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--antennas", type=int, default=96)
given = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before numpy reads it

import casacore.tables as casatables  # noqa: E402
import numpy as np  # noqa: E402
import synthetic_ms as synthetic  # noqa: E402
from astropy.io import fits  # noqa: E402
from scipy.constants import speed_of_light  # noqa: E402

from contimg.predict import (  # noqa: E402
    add_model_column,
    copy_without_autos,
    predict_image,
    predict_visibilities,
)

SIZE, CELL_ARCSEC = 4800, 3.0
SPACING_HZ = 0.9765625e6
SEED = 3


class FullSize(synthetic.Observation):
    """An averaged group of the whole array."""

    @property
    def freq_hz(self) -> np.ndarray:
        return 1.3115e9 + SPACING_HZ * np.arange(self.n_chan)


def components(n: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of n components within the inner 3.3 degrees, and their direction cosines."""
    rng = np.random.default_rng(SEED)
    image = np.zeros((SIZE, SIZE), dtype=np.float32)
    image.flat[rng.choice(SIZE**2, 4 * n, replace=False)] = rng.exponential(0.1, 4 * n)
    edge = SIZE // 12
    image[:edge] = image[-edge:] = 0
    image[:, :edge] = image[:, -edge:] = 0
    y, x = np.nonzero(image)
    image[y[n:], x[n:]] = 0
    y, x = np.nonzero(image)
    cell = np.radians(CELL_ARCSEC / 3600)
    east, north = (SIZE // 2 - x) * cell, (y - SIZE // 2) * cell
    return image, np.column_stack([east, north, np.sqrt(1 - east**2 - north**2) - 1])


def by_phasors(ms: Path, lmn: np.ndarray, flux: np.ndarray, freq_hz: np.ndarray) -> np.ndarray:
    """All integrations, one after the other."""
    found = []
    with casatables.table(str(ms), ack=False) as table:
        for part in table.iter("TIME"):
            uvw, first, second = (part.getcol(name) for name in ("UVW", "ANTENNA1", "ANTENNA2"))
            fluxes = np.tile(flux, (len(freq_hz), 1))
            found.append(predict_visibilities(uvw, first, second, lmn, fluxes, freq_hz))
    return np.concatenate(found)


def by_wsclean(ms: Path, image: np.ndarray, folder: Path) -> None:
    """WSClean writes MODEL_DATA, to be read outside of the time that counts."""
    with fits.open(folder / "model-image.fits") as hdus:
        hdus[0].data[0, 0] = image
        hdus.writeto(folder / "model-model.fits", overwrite=True)
    wsclean("-predict", ms=ms, folder=folder)


def wsclean(*options: str, ms: Path, folder: Path) -> None:
    command = ["wsclean", *options, "-j", str(given.threads), "-size", str(SIZE), str(SIZE),
               "-scale", f"{CELL_ARCSEC}asec", "-use-wgridder", "-wgridder-accuracy", "1e-5",
               "-no-small-inversion", "-name", "model", str(ms)]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def exact(uvw: np.ndarray, lmn: np.ndarray, flux: np.ndarray, freq_hz: np.ndarray) -> np.ndarray:
    delay = 2 * np.pi / speed_of_light * (uvw @ lmn.T)
    return np.stack([(flux * np.exp(1j * delay * f)).sum(axis=1) for f in freq_hz], axis=1)


def cpu_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def column(ms: Path, name: str) -> np.ndarray:
    with casatables.table(str(ms), ack=False) as table:
        return table.getcol(name)


def compare(ms: Path, folder: Path, freq_hz: np.ndarray, n: int) -> None:
    """Print a line for each way with n components."""
    image, lmn = components(n)
    flux = image[np.nonzero(image)].astype(float)
    uvw = column(ms, "UVW")
    rows, cell = np.random.default_rng(1).integers(0, len(uvw), 300), np.radians(CELL_ARCSEC / 3600)
    truth = exact(uvw[rows], lmn, flux, freq_hz[::95])
    ways: dict[str, Callable[[], np.ndarray | None]] = {
        "antenna phasors": lambda: by_phasors(ms, lmn, flux, freq_hz),
        "ducc0": lambda: predict_image(uvw, freq_hz, image, cell, threads=given.threads),
        "WSClean -predict": lambda: by_wsclean(ms, image, folder),
    }
    for name, predict in ways.items():
        start, used = time.monotonic(), cpu_s()
        found = predict()
        seconds, used = round(time.monotonic() - start, 1), round(cpu_s() - used, 1)
        if found is None:
            found = column(ms, "MODEL_DATA")[..., 0]
        error = float(np.abs(found[rows][:, ::95] - truth).max() / flux.sum())
        line = {"components": n, "way": name, "wall_s": seconds, "cpu_s": used, "error": error}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


with tempfile.TemporaryDirectory(prefix="bench-predict-") as temporary:
    scratch, full_size = Path(temporary), Path(temporary) / "set.ms"
    observed = FullSize(
        n_antennas=given.antennas, absent=(), n_times=24, n_chan=192, sources=[(227.0, 46.5, 1.0)]
    )
    synthetic.write(scratch / "whole.ms", observed)
    copy_without_autos(scratch / "whole.ms", full_size)
    shutil.rmtree(scratch / "whole.ms")
    with casatables.table(str(full_size), readonly=False, ack=False) as whole:
        add_model_column(whole)
    wsclean("-niter", "0", ms=full_size, folder=scratch)
    for number in (200, 1500, 4000):
        compare(full_size, scratch, observed.freq_hz, number)
