"""Bad antennas and impossible values are found in the autocorrelations, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from casacore import tables
from raw_files import ANTENNAS, INGEST, REPOSITORY, TELESCOPE, RawGroup

from contimg.bad_data import Autos, Watch, at_ceiling, bad_antennas
from contimg.convert import Converted, convert
from contimg.measurement_set import ms_digest
from contimg.status import Rejected

LIMITS = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())["flagging"]["bad_data"]
SEFD_JY, NOISE_JY = 5800.0, 5.0
GROUP = replace(RawGroup(), n_channels=4, n_times=4, stations=(1, 3, 5, 7, 9, 11))
FIRST, SECOND = GROUP.pairs.T + 1  # stations of the rows of one integration


@pytest.fixture
def values() -> list[np.ndarray]:
    """Visibilities of each subband: receivers' powers, a weak source, and thermal noise."""
    random = np.random.default_rng(7)
    found = []
    for number in range(16):
        own = GROUP.visibilities(number).reshape(GROUP.n_times, len(FIRST), 4, 2)
        noise = NOISE_JY * random.normal(size=(2, *own.shape))
        own = own + noise[0] + 1j * noise[1]
        own[:, FIRST == SECOND] = SEFD_JY + noise[0][:, FIRST == SECOND]
        found.append(own.astype(np.complex64))
    return found


def converted(values: list[np.ndarray], folder: Path) -> tuple[Converted, np.ndarray, np.ndarray]:
    """Convert; return also flags and visibilities by integration."""
    paths = [
        GROUP.write(folder, number, **{"Data/visdata": own.reshape(-1, 1, 4, 2)})
        for number, own in enumerate(values)
    ]
    done = convert(
        paths,
        folder / "x.ms",
        antennas=ANTENNAS,
        telescope=TELESCOPE,
        ingest=INGEST,
        group=GROUP.name,
        limits=LIMITS,
    )
    with tables.table(str(folder / "x.ms"), ack=False) as table:
        shape = GROUP.n_times, len(FIRST), 64, 2
        return done, table.getcol("FLAG").reshape(shape), table.getcol("DATA").reshape(shape)


def of_station(number: int) -> np.ndarray:
    return (number == FIRST) | (number == SECOND)


def test_nothing_is_bad_in_good_data_with_strong_interference(values, tmp_path):
    for own in values:
        own[:, :, 2] += np.where(FIRST == SECOND, 1e5, 0.9e5)[:, None]
    done, flags, _ = converted(values, tmp_path)
    assert (done.figures["bad_antennas"], done.figures["clipped_samples"]) == ([], 0)
    assert not flags.any()


def test_a_dead_polarization_goes_and_the_other_stays(values, tmp_path):
    for own in values:
        own[:, of_station(5), :, 1] *= 1e-3
    done, flags, data = converted(values, tmp_path)
    (found,) = done.figures["bad_antennas"]
    assert (found["antenna"], found["polarization"]) == ("DSA-005", "Y")
    assert found["reason"] == "dead: 0.001 of the median power"
    assert flags[:, of_station(5), :, 1].all()
    assert not data[:, of_station(5), :, 1].any()
    assert not flags[..., 0].any()
    assert not flags[:, ~of_station(5)].any()
    assert done.digest == ms_digest(tmp_path / "x.ms")
    assert done.figures["flagged_fraction"] == pytest.approx(flags.mean())


@pytest.mark.parametrize("left", [0.0, 1e-3])
def test_a_whole_polarization_lost_leaves_the_group_with_the_other(values, tmp_path, left):
    for own in values:
        own[..., 1] *= left
    done, flags, _ = converted(values, tmp_path)
    assert flags.mean(axis=(0, 1, 2)).tolist() == [0, 1]
    assert len(done.figures["bad_antennas"]) == len(GROUP.stations)
    assert done.figures["n_antennas"] == len(GROUP.stations)


@pytest.mark.parametrize(
    ("factor", "reason"), [(50.0, "noisy: 50 times"), (None, "noisy: scatter")]
)
def test_a_noisy_antenna_goes(values, tmp_path, factor, reason):
    wild = np.random.default_rng(2).uniform(0.5, 2, size=(GROUP.n_times, len(GROUP.stations), 1))
    for own in values:
        own[..., 0][:, of_station(9)] *= factor or wild
    done, flags, _ = converted(values, tmp_path)
    (found,) = done.figures["bad_antennas"]
    assert (found["antenna"], found["polarization"]) == ("DSA-009", "X")
    assert found["reason"].startswith(reason)
    assert flags[:, of_station(9), :, 0].all()
    assert not flags[..., 1].any()


def test_a_visibility_above_what_both_antennas_receive_goes(values, tmp_path):
    row = int(np.flatnonzero((FIRST == 3) & (SECOND == 7))[0])
    values[15][2, row, 3, 1] = 1e9j  # the lowest subband descends: channel 0 of the set
    done, flags, data = converted(values, tmp_path)
    assert np.argwhere(flags).tolist() == [[2, row, 0, 1]]
    assert data[2, row, 0, 1] == 0
    assert done.figures["clipped_samples"] == 1
    assert done.figures["bad_antennas"] == []


def test_a_group_of_absurd_values_is_rejected(values, tmp_path):
    random = np.random.default_rng(3)
    for own in values:
        own[...] = 1e20 * np.exp(2j * np.pi * random.uniform(size=own.shape))
    with pytest.raises(Rejected, match="no usable visibilities"):
        converted(values, tmp_path)


def test_power_at_a_ceiling_takes_the_antennas_baselines_with_it(values, tmp_path):
    auto = int(np.flatnonzero((FIRST == 7) & (SECOND == 7))[0])
    for own in values:
        own[:, auto, :, 0] = np.minimum(own[:, auto, :, 0].real, SEFD_JY + NOISE_JY)
    _, flags, _ = converted(values, tmp_path)
    clipped = flags[:, auto, :, 0]
    assert 0.05 < clipped.mean() < 0.3
    for row in np.flatnonzero(of_station(7)):
        assert np.array_equal(flags[:, row, :, 0], clipped)
    assert not flags[:, ~of_station(7)].any()


def powers() -> np.ndarray:
    """Powers of 8 antennas, (times, antennas, channels, feeds)."""
    return (100 + np.random.default_rng(1).normal(size=(6, 8, 32, 2))).astype(np.float32)


def test_an_antenna_without_any_value_is_dead_and_counts_for_no_median():
    power = powers()
    power[:, 2:6] = np.nan
    found = bad_antennas(Autos(np.arange(10, 18), power), LIMITS)
    assert sorted({one.antenna for one in found}) == [12, 13, 14, 15]
    assert {one.reason for one in found} == {"dead: no power"}


def test_a_missing_subband_condemns_no_antenna():
    power = powers()
    power[:, :, 4:8] = np.nan
    assert bad_antennas(Autos(np.arange(8), power), LIMITS) == []
    assert not at_ceiling(power, LIMITS["ceiling_samples"]).any()


def test_powers_that_never_change_are_no_ceiling():
    power = np.full((6, 8, 32, 2), 2, dtype=np.float32)
    assert not at_ceiling(power, LIMITS["ceiling_samples"]).any()
    assert bad_antennas(Autos(np.arange(8), power), LIMITS) == []


def test_a_feed_that_the_set_does_not_measure_is_not_judged():
    antennas = np.repeat(np.arange(8), 6)
    times = np.tile(np.arange(6.0), 8)
    watch = Watch(antennas, antennas, times, [-5], 32)
    xx = powers()[..., 0].transpose(1, 0, 2).reshape(48, 32, 1)
    watch.look(slice(0, 48), xx.astype(np.complex64))
    autos = watch.autos()
    assert autos is not None
    assert bad_antennas(autos, LIMITS) == []
