"""The flagging strategy, run by AOFlagger: interference goes, everything else stays.

tests/validation/rfi.py measures it at length.
"""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from casacore import tables
from raw_files import ANTENNAS, INGEST, REPOSITORY, TELESCOPE, RawGroup

from contimg.convert import convert

NOISE_JY = 1.0
STRONG = 8.0


@pytest.fixture
def noisy(tmp_path):
    """A set of 64 channels and 6 integrations with noise, a source and a missing subband."""
    group = replace(RawGroup(), n_channels=4, n_times=6, stations=(1, 3, 5, 7, 9, 11, 103))
    random = np.random.default_rng(3)
    paths = []
    for number in [*range(5), *range(6, 16)]:
        values = group.visibilities(number)
        values += NOISE_JY * random.normal(size=values.shape) * np.ones(1)
        values += 1j * NOISE_JY * random.normal(size=values.shape)
        paths.append(group.write(tmp_path, number, **{"Data/visdata": values}))
    ms = tmp_path / "x.ms"
    convert(paths, ms, antennas=ANTENNAS, telescope=TELESCOPE, ingest=INGEST, group=group.name)
    return ms


def flags_after(ms, channel=None, integration=None):
    """Add interference, flag, and return flags (integrations, baselines, channels) and crosses."""
    with tables.table(str(ms), readonly=False, ack=False) as table:
        data, times = table.getcol("DATA"), np.unique(table.getcol("TIME"), return_inverse=True)[1]
        crosses = table.getcol("ANTENNA1") != table.getcol("ANTENNA2")
        if channel is not None:
            data[:, channel] += STRONG * NOISE_JY * 1j
        if integration is not None:
            data[times == integration] += STRONG * NOISE_JY * 1j
        table.putcol("DATA", data)
        before = table.getcol("FLAG")
    strategy = str(REPOSITORY / "config" / "aoflagger.lua")
    subprocess.run(
        ["aoflagger", "-j", "1", "-strategy", strategy, str(ms)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with tables.table(str(ms), ack=False) as table:
        after = table.getcol("FLAG")
    assert after[before].all(), "flags that were there are kept"
    assert np.array_equal(after[~crosses], before[~crosses]), "autocorrelations are left alone"
    return after[crosses], before[crosses], times[crosses]


def test_clean_data_of_a_small_set_stay(noisy):
    after, before, _ = flags_after(noisy)
    assert after[~before].mean() < 0.02


def test_a_persistent_carrier_goes(noisy):
    after, before, _ = flags_after(noisy, channel=30)
    assert after[:, 30].mean() > 0.98
    rest = ~before
    rest[:, 30] = False
    assert after[rest].mean() < 0.03


def test_a_broad_burst_goes(noisy):
    after, before, times = flags_after(noisy, integration=2)
    assert after[times == 2].mean() > 0.98
    assert after[times != 2][~before[times != 2]].mean() < 0.03


def test_what_one_polarization_shows_goes_from_both(noisy):
    after, _, _ = flags_after(noisy, channel=12)
    assert np.array_equal(after[..., 0], after[..., 1])
