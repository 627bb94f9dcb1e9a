"""A set averaged before solving holds the weighted means of what it was made of."""

from pathlib import Path

import casacore.tables as casatables
import numpy as np
import pytest
import synthetic_ms

from contimg.averaging import averaged_freq_hz, copy_averaged
from contimg.calibration_table import channel_freq_hz

CHANNELS, INTEGRATIONS = 4, 3


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set of noise with flags and weights of its own, and its average."""
    folder = tmp_path_factory.mktemp("averaging")
    ms, copy = folder / "sci.ms", folder / "solve.ms"
    synthetic_ms.write(ms, synthetic_ms.Observation(n_times=5, noise_jy=1.0))
    rng = np.random.default_rng(6)
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        flag = table.getcol("FLAG")
        flag[:] = rng.uniform(size=flag.shape) < 0.2
        flag[:, 4:8, 1] = True
        table.putcol("FLAG", flag)
        table.putcol("WEIGHT_SPECTRUM", rng.uniform(0.5, 2, flag.shape).astype(np.float32))
    for path in ms.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    copy_averaged(ms, copy, CHANNELS, INTEGRATIONS)
    return ms, copy


def of_baseline(ms: Path, first: int, second: int) -> dict[str, np.ndarray]:
    with (
        casatables.table(str(ms), ack=False) as table,
        table.query(f"ANTENNA1 == {first} && ANTENNA2 == {second}", sortlist="TIME") as part,
    ):
        names = ("TIME", "UVW", "DATA", "FLAG", "WEIGHT_SPECTRUM", "INTERVAL")
        return {name: part.getcol(name) for name in names}


def test_averages_are_weighted_means(sets: tuple[Path, Path]) -> None:
    given, found = (of_baseline(ms, 1, 6) for ms in sets)
    weight = np.where(given["FLAG"], 0, given["WEIGHT_SPECTRUM"])
    for row, times in enumerate((slice(0, 3), slice(3, 5))):
        for channel in range(3):
            part = times, slice(4 * channel, 4 * channel + 4)
            for pol in range(2):
                w, v = weight[part][..., pol], given["DATA"][part][..., pol]
                assert found["FLAG"][row, channel, pol] == (w.sum() == 0)
                if w.sum():
                    mean = (w * v).sum() / w.sum()
                    assert found["DATA"][row, channel, pol] == pytest.approx(mean, rel=1e-5)
                    found_weight = found["WEIGHT_SPECTRUM"][row, channel, pol]
                    assert found_weight == pytest.approx(w.sum(), rel=1e-5)
        assert found["TIME"][row] == pytest.approx(given["TIME"][times].mean(), abs=1e-3)
        np.testing.assert_allclose(found["UVW"][row], given["UVW"][times].mean(axis=0))
        assert found["INTERVAL"][row] == pytest.approx(given["INTERVAL"][times].sum())
    assert found["FLAG"][:, 1, 1].all()


def test_channels_and_rows_are_fewer_and_autocorrelations_gone(sets: tuple[Path, Path]) -> None:
    ms, copy = sets
    np.testing.assert_allclose(channel_freq_hz(copy), averaged_freq_hz(ms, CHANNELS))
    with casatables.table(str(copy), ack=False) as table:
        assert table.nrows() == 2 * 11 * 10 / 2
        assert not np.any(table.getcol("ANTENNA1") == table.getcol("ANTENNA2"))
    with casatables.table(f"{copy}::SPECTRAL_WINDOW", ack=False) as window:
        assert window.getcell("NUM_CHAN", 0) == 3
        np.testing.assert_allclose(window.getcell("CHAN_WIDTH", 0), 1e6)


def test_channels_that_do_not_divide_are_told(sets: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"12 channels are no multiple of 5; change calibration"):
        averaged_freq_hz(sets[0], 5)
