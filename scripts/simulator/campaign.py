"""Simulate the raw files of one date."""

import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from threadpoolctl import threadpool_limits

from simulator.array import read_array
from simulator.observation import Observation, observe, subband_visibilities
from simulator.schedule import DEFAULT_SPACING_S, groups_of, second_stamp
from simulator.settings import N_SUBBANDS, Calibrator, Simulation
from simulator.sky import read_sky
from simulator.truth import record, write_arrays, write_record
from simulator.uvh5 import file_name, incomplete, write_subband

logger = logging.getLogger(__name__)


def observations_of(
    date: str, simulation: Simulation, calibrator: Calibrator, antennas: Path, surveys: list[Path]
) -> list[Observation]:
    """Return the groups of a date, ready to be written in any order."""
    array = read_array(antennas, simulation)
    sky = read_sky(surveys, calibrator, simulation)
    groups = groups_of(date, simulation, calibrator)
    return [observe(date, group, simulation, array, sky) for group in groups]


def make_file(observation: Observation, subband: int, incoming: Path) -> Path:
    """Simulate and write one raw file; the same bytes, whoever asks and whatever else is made.

    BLAS adds up in another order with other numbers of threads, so it has one here.
    """
    path = incoming / file_name(observation, subband)
    with threadpool_limits(limits=1, user_api="blas"):
        visibilities = subband_visibilities(observation, subband)
    write_subband(path, observation, subband, visibilities)
    logger.info("wrote %s", path.name)
    return path


def simulate(
    date: str,
    simulation: Simulation,
    calibrator: Calibrator,
    antennas: Path,
    surveys: list[Path],
    incoming: Path,
    truth: Path,
    truth_h5: Path,
) -> None:
    """Write the raw files of a date to `incoming`, then their truth."""
    incoming.mkdir(parents=True, exist_ok=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    observations = observations_of(date, simulation, calibrator, antennas, surveys)
    tasks = [
        (observation, subband, incoming)
        for observation in observations
        for subband in range(N_SUBBANDS)
        if subband not in observation.group.missing
    ]
    # Forked, because a spawned worker would run the script that started us again.
    with ProcessPoolExecutor(simulation.workers, mp_context=get_context("fork")) as pool:
        paths = list(pool.map(make_file, *zip(*tasks, strict=True))) if tasks else []
    if simulation.leave_incomplete and paths:
        leave_incomplete(observations[-1], paths[-1])
    write_arrays(truth_h5, observations)
    write_record(truth, record(date, simulation, calibrator, observations))


def leave_incomplete(last: Observation, path: Path) -> None:
    """Leave a half-written file of a group after the last one, as a crashed writer does."""
    stamp = second_stamp(last.group.jd[0], round(DEFAULT_SPACING_S))
    half = path.read_bytes()[: path.stat().st_size // 2]
    incomplete(path.with_name(f"{stamp}_sb00.hdf5")).write_bytes(half)
