"""Sums over the band hold what gains can be solved from, and nothing of what is known already."""

import casacore.tables as casatables
import numpy as np
import pytest
import synthetic_ms

from contimg.band_sum import Response, intervals, write_sums
from contimg.predict import copy_without_autos, fill_model

N_CHAN, N_TIMES, FLUX_JY = 12, 4, 5.0
RANDOM = np.random.default_rng(8)


def phasors(*shape):
    return np.exp(1j * RANDOM.uniform(0, 2 * np.pi, shape)) * RANDOM.uniform(0.5, 2, shape)


GAINS, BANDPASS = phasors(12, 1, 2), phasors(12, N_CHAN, 2)


@pytest.fixture(scope="module")
def summed(tmp_path_factory):
    """Columns of the sums over a set with wild values where it, or the bandpass, is flagged."""
    folder = tmp_path_factory.mktemp("band")
    observed = synthetic_ms.Observation(
        n_chan=N_CHAN, n_times=N_TIMES, gains=GAINS * BANDPASS,
        sources=[(*synthetic_ms.CENTRE_DEG, FLUX_JY)],
    )  # fmt: skip
    synthetic_ms.write(folder / "sci.ms", observed)
    ms, target = folder / "solve.ms", folder / "band.ms"
    copy_without_autos(folder / "sci.ms", ms)
    flux = np.full((N_CHAN, 1), FLUX_JY)
    fill_model(ms, np.zeros((1, 3)), observed.freq_hz, lambda _: flux)
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        data, flag = table.getcol("DATA"), table.getcol("FLAG")
        data[:, 3], flag[:, 3] = 1e6, True
        data[:, 5] = 1e6
        flag[(table.getcol("ANTENNA1") == 0) & (table.getcol("ANTENNA2") == 1)] = True
        table.putcol("DATA", data)
        table.putcol("FLAG", flag)
    unknown = np.zeros((12, N_CHAN, 2), dtype=bool)
    unknown[:, 5] = True
    # A Measurement Set holds the conjugates of what pyuvdata has.
    write_sums(ms, [target], "25s", Response(BANDPASS.conj().astype(np.complex64), unknown))
    with casatables.table(str(target), ack=False) as table:
        columns = {name: table.getcol(name) for name in table.colnames() if name != "FLAG_CATEGORY"}
    with casatables.table(f"{target}::SPECTRAL_WINDOW", ack=False) as window:
        columns["CHAN_FREQ"] = window.getcol("CHAN_FREQ")
    return columns


def test_quotient_is_the_product_of_the_antennas_gains(summed):
    first, second = summed["ANTENNA1"], summed["ANTENNA2"]
    expected = (GAINS[first] * GAINS[second].conj()).conj()
    good = ~summed["FLAG"]
    np.testing.assert_allclose(summed["DATA"][good], expected[good], rtol=1e-4)


def test_baseline_without_data_is_flagged_and_no_other(summed):
    empty = (summed["ANTENNA1"] == 0) & (summed["ANTENNA2"] == 1)
    assert empty.any()
    assert np.array_equal(summed["FLAG"].all(axis=(1, 2)), empty)


def test_weight_is_that_of_the_model_through_the_bandpass(summed):
    row = np.flatnonzero(summed["ANTENNA2"] == 2)[0]
    used = np.delete(np.arange(N_CHAN), [3, 5])
    power = np.abs(BANDPASS[summed["ANTENNA1"][row]] * BANDPASS[2])[used] ** 2 * FLUX_JY**2
    np.testing.assert_allclose(summed["WEIGHT"][row], 2 * power.sum(axis=0), rtol=1e-4)


def test_intervals_of_two_integrations_become_one_time(summed):
    assert len(np.unique(summed["TIME"])) == N_TIMES / 2
    assert summed["INTERVAL"] == pytest.approx(2 * 12.884902)
    assert summed["CHAN_FREQ"] == pytest.approx(1.4e9 + 0.25e6 * (N_CHAN - 1) / 2)


@pytest.mark.parametrize(
    ("solint", "expected"),
    [
        ("int", [0, 1, 2, 3, 4, 5]),
        ("inf", [0, 0, 0, 1, 1, 1]),
        ("20s", [0, 0, 1, 2, 2, 3]),
        ("0.5min", [0, 0, 0, 1, 1, 1]),
    ],
)
def test_intervals_end_with_their_scan(solint, expected):
    times_s = np.array([0.0, 10.0, 20.0, 35.0, 45.0, 55.0])
    scans = np.array([1, 1, 1, 4, 4, 4], dtype=np.int32)
    assert intervals(times_s, scans, solint).tolist() == expected


def test_four_correlations_take_the_feeds_that_they_are_made_of():
    gain = np.array([[[2, 3]], [[5, 7j]]], dtype=np.complex64)
    flag = np.array([[[False, True]], [[False, False]]])
    both, unknown = Response(gain, flag).of_baselines(np.array([0]), np.array([1]), 4)
    assert both[0, 0].tolist() == [10, -14j, 15, -21j]
    assert unknown[0, 0].tolist() == [False, False, True, True]
