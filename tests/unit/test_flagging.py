"""The flagging strategies, of AOFlagger and of CASA: interference goes, everything else stays.

tests/validation/rfi.py measures it at length.
"""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from casacore import tables
from raw_files import ANTENNAS, INGEST, REPOSITORY, TELESCOPE, RawGroup

from contimg.convert import convert
from contimg.status import is_whole, write_status

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


def test_a_set_without_one_polarization_is_searched_in_the_other(noisy):
    with tables.table(str(noisy), readonly=False, ack=False) as table:
        data, flags = table.getcol("DATA"), table.getcol("FLAG")
        data[..., 1], flags[..., 1] = 0, True
        data[:, 30, 0] += STRONG * NOISE_JY * 1j
        table.putcol("DATA", data)
        table.putcol("FLAG", flags)
    after, before, _ = flags_after(noisy)
    assert after[:, 30, 0].mean() > 0.98
    rest = ~before
    rest[:, 30] = False
    assert after[rest].mean() < 0.03


@pytest.fixture
def burst(tmp_path):
    """A set of 24 integrations with noise, and interference of the whole band in one of them."""
    group = replace(RawGroup(), n_channels=4, n_times=24, stations=(1, 3, 5, 7))
    random = np.random.default_rng(5)
    shape = group.visibilities(0).shape
    by_integration = np.repeat(np.arange(24) == 9, len(group.pairs))[:, None, None, None]
    paths = []
    for number in range(16):
        noise = random.normal(size=(2, *shape)) * NOISE_JY
        values = noise[0] + 1j * noise[1] + STRONG * NOISE_JY * by_integration
        paths.append(group.write(tmp_path, number, **{"Data/visdata": values.astype("c8")}))
    ms = tmp_path / "raw.ms"
    done = convert(
        paths, ms, antennas=ANTENNAS, telescope=TELESCOPE, ingest=INGEST, group=group.name
    )
    write_status(tmp_path / "raw.ms.json", digest=done.digest, figures=done.figures)
    return ms


def test_casas_flagdata_takes_a_burst_and_leaves_the_rest(burst):
    options = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())["flagging"]
    ms = burst.with_name("science.ms")
    # casatools and python-casacore are never in one process.
    subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "flag_group.py",
         "--raw-ms", burst, "--raw-status", burst.with_name("raw.ms.json"),
         "--ms", ms, "--status", ms.with_name("science.ms.json"),
         "--options", str(options["casa"])],
        check=True,
        capture_output=True,
        timeout=120,
    )  # fmt: skip
    with tables.table(str(ms), ack=False) as table:
        flags, times = table.getcol("FLAG"), np.unique(table.getcol("TIME"), return_inverse=True)[1]
        crosses = table.getcol("ANTENNA1") != table.getcol("ANTENNA2")
    assert flags[crosses & (times == 9)].mean() > 0.98
    assert flags[crosses & (times != 9)].mean() < 0.03
    assert not flags[~crosses].any()
    assert is_whole(ms)
    assert not any(path.stat().st_mode & 0o222 for path in ms.rglob("*") if path.is_file())
    with tables.table(str(burst), ack=False) as table:
        assert not table.getcol("FLAG").any(), "the raw set stays as it was"
