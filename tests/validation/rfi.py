"""Detection of interference against its strength, with the workflow's own flagging strategies.

    PYTHONPATH=scripts python tests/validation/rfi.py [--backend casa] [--scratch DIR]

Noise and sky are simulated and converted as usual, for a small set and for one of the full number
of channels and integrations, on a science field and on a bright calibrator. Interference of known
kind and strength is added to copies of each set, AOFlagger or CASA flags them, and a table tells,
for each strength (amplitude over the noise of the real part of one visibility), the fraction of
its samples detected and the fraction of clean samples flagged, on cross-correlations. Ends with
status 1 when fewer than 90 % are detected at 6 and above (wide kinds: WANTED_STRENGTHS), or more
than 5 % of the clean ones are flagged.
"""

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from casacore import tables
from numpy.typing import NDArray

from contimg.convert import convert
from contimg.groups import group_of_mjd
from contimg.uvh5 import read_header
from simulator.campaign import simulate
from simulator.rfi import occupied
from simulator.settings import Calibrator, Simulation

REPOSITORY = Path(__file__).resolve().parents[2]
ANTENNAS = REPOSITORY / "config" / "dsa110_antennas.csv"
CONFIG = REPOSITORY / "config" / "config.yaml"
STRATEGY = REPOSITORY / "config" / "aoflagger.lua"
SURVEY = REPOSITORY / "config" / "surveys" / "nvss_ra225-230_dec45-48.csv"
CALIBRATOR = Calibrator(name="0813+482", ra_deg=123.4002158, dec_deg=48.2172950, flux_jy=13.9)
DATE = "2025-10-19"
TIME_LIMIT_S = 600

STRENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 20, 50, 100)
KINDS: dict[str, dict[str, Any]] = {
    "narrow-band": {"kind": "narrowband", "frequencies_mhz": [1330.0, 1381.0, 1420.5, 1481.3]},
    "burst": {"kind": "burst", "integration": 2},
    "sweep": {"kind": "sweep", "start_mhz": 1400.0, "rate_mhz_per_s": 0.05},
    "wide sweep": {
        "kind": "sweep",
        "start_mhz": 1400.0,
        "rate_mhz_per_s": 0.05,
        "width_mhz": 2.0,
    },
    "satellite band": {"kind": "band", "centre_mhz": 1479.5, "width_mhz": 15.0},
    "subband edge": {"kind": "edge", "subbands": [3, 7, 12], "width_mhz": 1.0},
}
SHAPES = {
    "64 channels x 6": {
        "channels_per_subband": 4,
        "n_integrations": 6,
        "stations": list(range(24, 48)),
    },
    "768 channels x 24": {
        "channels_per_subband": 48,
        "n_integrations": 24,
        "stations": list(range(24, 36)),
    },
}
FIELDS = {"science": {"name": "science", "ra_deg": 227.5}, "calibrator": {"name": "0813+482"}}
WANTED_STRENGTH, WANTED_DETECTED, ALLOWED_CLEAN = 6, 0.90, 0.05
# What fills a twelfth of the band at all times weighs in the estimate of the noise.
WANTED_STRENGTHS = {"satellite band": 50, "wide sweep": 8, "subband edge": 8}

logger = logging.getLogger("rfi")


@dataclass(frozen=True)
class Result:
    """Fractions of interference and of clean samples that were flagged, crosses and autos."""

    strength: float
    detected: float
    clean: float
    detected_autos: float
    clean_autos: float

    def passes(self, kind: str) -> bool:
        wanted = self.strength >= WANTED_STRENGTHS.get(kind, WANTED_STRENGTH)
        return (self.detected >= WANTED_DETECTED or not wanted) and self.clean <= ALLOWED_CLEAN


def simulation_of(shape: str, field: str) -> Simulation:
    """Describe a simulated group without interference."""
    return Simulation.from_mapping(
        {
            "seed": 110,
            "pointing_dec_deg": 46.81,
            "fields": [{**FIELDS[field], "n_groups": 1}],
            "workers": 1,
            **SHAPES[shape],
        }
    )


def make_set(simulation: Simulation, folder: Path) -> Path:
    """Simulate one group and convert it."""
    incoming, ms = folder / "incoming", folder / "clean.ms"
    truth = folder / "truth.json", folder / "truth.h5"
    simulate(DATE, simulation, CALIBRATOR, ANTENNAS, [SURVEY], incoming, *truth)
    files = sorted(incoming.glob("*.hdf5"))
    convert(
        files,
        ms,
        antennas=ANTENNAS,
        telescope={"name": "OVRO_MMA", "dish_diameter_m": 4.65},
        ingest={"n_subbands": 16, "min_subbands": 14, "header_tolerance_s": 0.1},
        group=group_of_mjd(read_header(files[0]).first_mjd),
    )
    return ms


def command_of(backend: str, ms: Path) -> list[str]:
    """Return the command that flags as rule flag_group does; CASA in a process of its own."""
    if backend == "aoflagger":
        return ["aoflagger", "-j", "1", "-strategy", str(STRATEGY), str(ms)]
    options = yaml.safe_load(CONFIG.read_text())["flagging"]["casa"]
    call = (
        "import pathlib, contimg.flagdata as f; "
        f"f.flag_interference(pathlib.Path({str(ms)!r}), {options!r})"
    )
    return [sys.executable, "-c", call]


def flag(ms: Path, backend: str = "aoflagger") -> None:
    """Flag a set in place."""
    command = command_of(backend, ms)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def add_interference(
    ms: Path, where: NDArray[np.bool_], amplitude_jy: float, random: np.random.Generator
) -> None:
    """Add one interferer, at its own phase on each baseline and polarization.

    Parameters
    ----------
    where : (n_times, n_channels).
    """
    with tables.table(str(ms), readonly=False, ack=False) as table:
        data = table.getcol("DATA")
        times = np.unique(table.getcol("TIME"), return_inverse=True)[1]
        pairs = np.column_stack([table.getcol("ANTENNA1"), table.getcol("ANTENNA2")])
        baselines, rows = np.unique(pairs, axis=0, return_inverse=True)
        phase = random.uniform(0, 2 * np.pi, (len(baselines), data.shape[2]))
        phase[baselines[:, 0] == baselines[:, 1]] = 0
        added = amplitude_jy * np.exp(1j * phase)[rows.ravel()]
        table.putcol("DATA", data + where[times][:, :, None] * added[:, None, :])


def fractions(ms: Path, where: NDArray[np.bool_], strength: float) -> Result:
    """Measure what was flagged."""
    with tables.table(str(ms), ack=False) as table:
        flags = table.getcol("FLAG")
        times = np.unique(table.getcol("TIME"), return_inverse=True)[1]
        autos = table.getcol("ANTENNA1") == table.getcol("ANTENNA2")
    hit = where[times]
    return Result(
        strength,
        *(
            float(flags[rows][hit[rows] == state].mean())
            for rows in (~autos, autos)
            for state in (True, False)
        ),
    )


def flags_by_baseline(ms: Path) -> tuple[NDArray[np.bool_], list[tuple[int, int]]]:
    """Return flags (n_times, n_baselines, n_channels) of cross-correlations, and their stations.

    A sample is flagged when either of its polarizations is.
    """
    with tables.table(str(ms / "ANTENNA"), ack=False) as table:
        station = [int(name.split("-")[-1]) for name in table.getcol("NAME")]
    with tables.table(str(ms), ack=False) as table:
        flags = table.getcol("FLAG").any(axis=-1)
        first, second = table.getcol("ANTENNA1"), table.getcol("ANTENNA2")
        times = np.unique(table.getcol("TIME"), return_inverse=True)[1]
    cross = first != second
    pairs, baseline = np.unique(np.stack([first, second])[:, cross], axis=1, return_inverse=True)
    ordered = np.zeros((times.max() + 1, pairs.shape[1], flags.shape[1]), dtype=bool)
    ordered[times[cross], baseline.ravel()] = flags[cross]
    return ordered, [(station[i], station[j]) for i, j in pairs.T]


def true_interference(
    truth_h5: Path, group: str, baselines: list[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Return where interference is, (n_times, n_baselines, n_channels), from the truth."""
    with h5py.File(truth_h5) as file:
        part = file[group]
        strength, seen = part["rfi_inr_each"][:], part["rfi_seen"][:]
        stations = zip(part["station_1"][:], part["station_2"][:], strict=True)
        number = {frozenset(map(int, pair)): i for i, pair in enumerate(stations)}
    order = [number[frozenset(pair)] for pair in baselines]
    return np.einsum("itc,ib->tbc", strength > 0, seen[:, order]) > 0


def measured(
    simulation: Simulation, clean: Path, spec: dict[str, Any], backend: str = "aoflagger"
) -> Iterator[Result]:
    """Yield the result for each strength of one kind of interference."""
    where = occupied(spec, simulation, np.random.default_rng(1)) > 0
    for strength in STRENGTHS:
        ms = clean.with_name("trial.ms")
        shutil.rmtree(ms, ignore_errors=True)
        shutil.copytree(clean, ms)
        amplitude_jy = strength * simulation.noise_sigma_jy
        add_interference(ms, where, amplitude_jy, np.random.default_rng(strength))
        flag(ms, backend)
        yield fractions(ms, where, strength)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, help="where the sets are made for a while")
    parser.add_argument("--backend", choices=["aoflagger", "casa"], default="aoflagger")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    parser.add_argument("--field", choices=sorted(FIELDS), action="append")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("simulator").setLevel(logging.WARNING)
    passed = True
    logger.info(
        "shape | field | kind | strength | detected | clean flagged | autos: detected | clean"
    )
    for shape in options.shape or SHAPES:
        for field in options.field or FIELDS:
            simulation = simulation_of(shape, field)
            with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
                clean = make_set(simulation, Path(folder))
                for kind, spec in KINDS.items():
                    for result in measured(simulation, clean, spec, options.backend):
                        passed &= result.passes(kind)
                        logger.info(
                            "%s | %s | %s | %d | %.3f | %.4f | %.3f | %.4f%s",
                            shape, field, kind, result.strength, result.detected, result.clean,
                            result.detected_autos, result.clean_autos,
                            "" if result.passes(kind) else " FAILS",
                        )  # fmt: skip
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
