"""Raw files as they should not be: each function spoils files of a simulated date."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import yaml

from conftest import ROOT
from simulator.campaign import make_file, observations_of
from simulator.observation import Observation
from simulator.settings import Calibrator, Simulation
from simulator.uvh5 import file_name

STRANGE_NAME = """2025-10-01T15:00:00 it's "$(touch pwned)" & <b>_sb03.hdf5"""
LONE_TEXT = "2025-10-01T12:00:00_sb00.hdf5"


def simulation_of(configs: list[Path]) -> dict:
    """Return the `simulation` block of configurations laid over each other."""
    merged: dict = {}
    for path in configs:
        block = yaml.safe_load(path.read_text()).get("simulation", {})
        observation = {**merged.get("observation", {}), **block.get("observation", {})}
        merged = {**merged, **block, "observation": observation}
    return merged


def observations(date: str, configs: list[Path], **changed: object) -> list[Observation]:
    """Return a date's groups as the simulator makes them, with settings changed."""
    block = simulation_of(configs)
    simulation = replace(Simulation.from_mapping(block["observation"]), **changed)
    surveys = [ROOT / path for path in block["surveys"]]
    antennas = ROOT / "config" / "dsa110_antennas.csv"
    return observations_of(date, simulation, Calibrator(**block["calibrator"]), antennas, surveys)


@dataclass(frozen=True)
class RawGroup:
    """A group's raw files by subband number."""

    name: str
    files: dict[int, Path]

    def change(self, function: Callable[[h5py.File], None], subbands: list[int] | None = None):
        for subband in subbands or sorted(self.files):
            with h5py.File(self.files[subband], "r+") as file:
                function(file)

    def leave(self, n_subbands: int) -> None:
        for subband in sorted(self.files)[n_subbands:]:
            self.files[subband].unlink()


def raw_groups(date: str, configs: list[Path], incoming: Path) -> list[RawGroup]:
    """Return the groups of a date, and where their files belong."""
    return [
        RawGroup(
            observation.group.name,
            {number: incoming / file_name(observation, number) for number in range(16)},
        )
        for observation in observations(date, configs)
    ]


def make_files(date: str, configs: list[Path], incoming: Path) -> None:
    """Simulate the raw files of a date; nothing is wrong with them yet."""
    incoming.mkdir(parents=True)
    for observation in observations(date, configs):
        for number in range(16):
            make_file(observation, number, incoming)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("Dear observer,\n")


def late_by_a_minute(file: h5py.File) -> None:
    file["Header/time_array"][...] += 60 / 86400


def not_a_number(file: h5py.File) -> None:
    file["Data/visdata"][...] = np.nan


def all_zero(file: h5py.File) -> None:
    file["Data/visdata"][...] = 0


def mostly_flagged(file: h5py.File) -> None:
    """Flag all but one sample, as the telescope may do itself."""
    flags = np.ones(file["Data/flags"].shape, dtype=bool)
    flags[1, 0, 0, 0] = False
    file["Data/flags"][...] = flags


def hole_in_the_sky(file: h5py.File) -> None:
    """Take a thousand janskys away at the phase centre, which CLEAN cannot give back."""
    file["Data/visdata"][...] -= 1000


def with_an_antenna_less(date: str, configs: list[Path], group: int, subband: int, incoming: Path):
    stations = simulation_of(configs)["observation"]["stations"]
    observed = observations(date, configs, stations=tuple(stations[:-1]))[group]
    make_file(observed, subband, incoming)


def spoil(date: str, configs: list[Path], groups: list[RawGroup], incoming: Path) -> None:
    """Spoil a date's groups but for the calibrator's and the first two science groups."""
    broken, strange, few, partial, nans, zeros, flagged, diverging, late = groups[3:]
    cut_short(broken.files[3])
    empty(broken.files[7])
    text(strange.files[2])
    with_an_antenna_less(date, configs, groups.index(strange), 5, incoming)
    few.leave(3)
    partial.leave(15)
    nans.change(not_a_number)
    zeros.change(all_zero)
    flagged.change(mostly_flagged)
    diverging.change(hole_in_the_sky)
    late.change(late_by_a_minute, [9])
    (incoming / STRANGE_NAME).write_text("x")
    (incoming / LONE_TEXT).write_text("Not a visibility in sight.\n")
