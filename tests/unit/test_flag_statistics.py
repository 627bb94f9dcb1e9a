"""What the flags' fingerprint says is what was flagged, and it names the cause."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from casacore import tables
from raw_files import ANTENNAS, INGEST, TELESCOPE, RawGroup
from test_bad_data import LIMITS

from contimg.convert import convert
from contimg.status import write_status
from measure_flags import main, reject

GROUP = replace(RawGroup(), n_channels=4, n_times=3, stations=(1, 3, 5, 7, 9))
N_BASELINES = 10


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, dict]:
    """A set with subband 2 missing, YY of station 5 dead, and interference flagged by hand."""
    folder = tmp_path_factory.mktemp("flags")
    first, second = GROUP.pairs.T + 1
    paths = []
    for number in [*range(2), *range(3, 16)]:
        values = GROUP.visibilities(number)
        own = values.reshape(GROUP.n_times, len(first), 4, 2)
        own[:, (first == 5) | (second == 5), :, 1] *= 1e-4
        paths.append(GROUP.write(folder, number, **{"Data/visdata": values}))
    ms = folder / "x.ms"
    done = convert(
        paths,
        ms,
        antennas=ANTENNAS,
        telescope=TELESCOPE,
        ingest=INGEST,
        group=GROUP.name,
        limits=LIMITS,
    )
    write_status(folder / "x.ms.json", digest=done.digest, figures=done.figures)
    with tables.table(str(ms), readonly=False, ack=False) as table:
        flags = table.getcol("FLAG")
        times = np.unique(table.getcol("TIME"), return_inverse=True)[1]
        flags[times == 1, 0] = True
        ends = table.getcol("ANTENNA1"), table.getcol("ANTENNA2")
        flags[(times == 2) & (ends[0] == 0) & (ends[1] == 2), 8:16] = True
        flags[ends[0] == ends[1]] = True  # autocorrelations do not count
        table.putcol("FLAG", flags)
    main(ms=ms, ms_status=folder / "x.ms.json", flags=folder / "x.flags.json")
    return folder, json.loads((folder / "x.flags.json").read_text())["figures"]


def test_the_causes_add_up_to_what_is_flagged(measured):
    causes = measured[1]["causes"]
    samples = 3 * N_BASELINES * 64 * 2
    assert causes["missing_subbands"] == pytest.approx(1 / 16)
    assert causes["bad_antennas"] == pytest.approx(4 / N_BASELINES / 2 * 15 / 16)
    assert causes["other_conversion"] == pytest.approx(0, abs=1e-12)
    burst = 2 * N_BASELINES - 4  # one channel of integration 1, but for the dead ones
    carrier = 8 * 2  # of one baseline
    assert causes["interference"] == pytest.approx((burst + carrier) / samples, rel=1e-6)
    assert sum(causes.values()) == pytest.approx(measured[1]["flagged_fraction"])


def test_each_axis_tells_where(measured):
    figures = measured[1]
    names = figures["antennas"]["name"]
    assert names == ["DSA-001", "DSA-003", "DSA-005", "DSA-007", "DSA-009"]
    flagged = np.array(figures["antennas"]["flagged"])
    assert flagged.argmax() == 2
    assert figures["subbands"]["number"] == list(range(16))
    assert figures["subbands"]["flagged"][2] == 1
    assert figures["subbands"]["later"][2] is None
    later = np.array(figures["integrations"]["later"])
    assert later == pytest.approx([0, 16 / 960, 16 / 960])
    assert figures["polarizations"]["name"] == ["XX", "YY"]
    assert np.diff(figures["polarizations"]["flagged"])[0] > 0.3
    channels = np.array(figures["channels"]["later"], dtype=float)
    assert len(channels) == 64
    assert sorted(np.flatnonzero(channels > 0)) == [0, *range(8, 16)]
    assert np.all(np.diff(figures["channels"]["freq_hz"]) > 0)


def test_a_rejected_group_has_a_reason_and_no_figures(tmp_path):
    reject("no sky", flags=tmp_path / "x.flags.json")
    content = json.loads((tmp_path / "x.flags.json").read_text())
    assert (content["status"], content["reason"], content["figures"]) == ("rejected", "no sky", {})
