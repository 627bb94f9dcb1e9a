"""What is left of a source that drifts through the beam is a constant source of its mean flux."""

from pathlib import Path

import casacore.tables as casatables
import numpy as np
import pandas as pd
import pytest
import synthetic_ms as synthetic
from astropy_cosines import direction_cosines

from contimg.beam import Dish, drift_averaged_beam
from contimg.drift import NO_SOURCES, changing_sky, mean_of_parts, settle

FREQ_HZ = np.linspace(1.311e9, 1.499e9, 16)
CENTRE = (227.0, 46.5)
DRIFT_DEG = 0.64  # each way, in 309 s at this declination
WEIGHT_FREQ = np.where(np.arange(16) == 5, 0.0, 1 / 15)


def catalogue(
    ra_deg: np.ndarray, dec_deg: np.ndarray, s_nvss: np.ndarray, alpha: float = np.nan
) -> pd.DataFrame:
    return pd.DataFrame({"ra_deg": ra_deg, "dec_deg": dec_deg, "s_nvss": s_nvss, "alpha": alpha})


def drifting(n: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointings, times and weights of a group; its third integration is flagged."""
    cosine = np.cos(np.radians(CENTRE[1]))
    ra_deg = CENTRE[0] + np.linspace(-DRIFT_DEG, DRIFT_DEG, n) / cosine
    weight = np.where(np.arange(n) == 2, 0.0, 1 / (n - 1))
    return np.column_stack([ra_deg, np.full(n, CENTRE[1])]), 60967.1 + np.arange(n) / 6700, weight


def dishes(folder: Path) -> list[Dish]:
    """A dish of each beam model; the table falls as a parabola to 0 at 3 deg."""
    angle = np.linspace(0, 3, 100)
    rows = np.column_stack([angle, np.maximum(1 - (angle / 3) ** 2, 0)])
    path = folder / "beam.csv"
    np.savetxt(path, rows, delimiter=",", header="angle_deg,power", comments="")
    return [Dish("airy"), Dish("gaussian"), Dish("table", 4.65, path)]


@pytest.mark.parametrize("model", [0, 1, 2], ids=["airy", "gaussian", "table"])
def test_change_has_no_mean_and_the_mean_is_the_averaged_beam(tmp_path: Path, model: int) -> None:
    """So neither a wrong flux nor a wrong index moves a source's flux."""
    dish = dishes(tmp_path)[model]
    pointings, mjd, weight = drifting()
    ra_deg, dec_deg = np.array([227.0, 224.4, 229.6]), np.array([46.5, 46.1, 47.3])
    rows = catalogue(ra_deg, dec_deg, np.array([1.0, 3.0, 0.5]))
    arguments = (CENTRE, FREQ_HZ, pointings, mjd, weight, WEIGHT_FREQ, dish)
    sky = changing_sky(rows, *arguments)
    beam = drift_averaged_beam(ra_deg, dec_deg, pointings, weight, FREQ_HZ, WEIGHT_FREQ, dish)
    whole = np.tile(rows["s_nvss"] * beam, (len(FREQ_HZ), 1))
    np.testing.assert_allclose(sky.mean_jy, whole, rtol=1e-4)
    steep = changing_sky(rows.assign(alpha=-1.0), *arguments)
    for one in (sky, steep):
        change = sum(w * (WEIGHT_FREQ @ one.change_jy(t)) for t, w in zip(mjd, weight, strict=True))
        np.testing.assert_allclose(change, 0.0, atol=1e-12)
        assert (one.rms_jy[1:] / one.mean_jy[0, 1:] > 0.05).all()


def test_each_part_of_the_band_that_is_imaged_has_its_own_mean() -> None:
    dish, (pointings, mjd, weight) = Dish(), drifting()
    rows = catalogue(np.array([224.4]), np.array([46.1]), np.array([3.0]))
    sky = changing_sky(rows, CENTRE, FREQ_HZ, pointings, mjd, weight, WEIGHT_FREQ, dish, n_parts=2)
    half = len(FREQ_HZ) // 2
    for part in (slice(0, half), slice(half, None)):
        share = WEIGHT_FREQ[part] / WEIGHT_FREQ[part].sum()
        place = np.array([224.4]), np.array([46.1])
        beam = drift_averaged_beam(*place, pointings, weight, FREQ_HZ[part], share, dish)
        np.testing.assert_allclose(sky.mean_jy[part, 0], 3.0 * beam[0], rtol=1e-4)


def test_parts_are_the_channels_that_wsclean_images_together() -> None:
    """WSClean's part p of P begins at channel floor(n p / P), divisor or not."""
    values = np.arange(64.0)[:, None]
    mean = mean_of_parts(values, np.ones(64), 5)[:, 0]
    starts = np.flatnonzero(np.diff(mean, prepend=-1))
    np.testing.assert_array_equal(starts, [0, 12, 25, 38, 51])


def test_sources_are_chosen_by_their_change_and_not_by_their_flux() -> None:
    pointings, mjd, weight = drifting()
    rows = catalogue(np.array([227.0, 224.4, 224.6]), np.full(3, 46.5), np.array([1.0, 1.0, 0.05]))
    sky = changing_sky(
        rows, CENTRE, FREQ_HZ, pointings, mjd, weight, WEIGHT_FREQ, Dish(), min_change_jy=0.1
    )
    np.testing.assert_array_equal(sky.ra_deg, [224.4])
    np.testing.assert_allclose(sky.lmn, direction_cosines([224.4], [46.5], CENTRE), atol=3e-7)


def test_sources_in_the_sidelobes_are_left_alone() -> None:
    pointings, mjd, weight = drifting()
    rows = catalogue(np.array([221.5, 224.0]), np.full(2, 46.5), np.array([50.0, 1.0]))
    arguments = (CENTRE, FREQ_HZ, pointings, mjd, weight, WEIGHT_FREQ, Dish())
    assert len(changing_sky(rows, *arguments, 0.02).lmn) == 2
    sky = changing_sky(rows, *arguments, 0.02, min_response=0.02)
    np.testing.assert_array_equal(sky.ra_deg, [224.0])


def test_between_two_integrations_the_flux_is_between_theirs() -> None:
    """Averaged integrations have times of their own."""
    pointings, mjd, weight = drifting()
    rows = catalogue(np.array([224.4]), np.array([46.5]), np.array([1.0]))
    sky = changing_sky(rows, CENTRE, FREQ_HZ, pointings, mjd, weight, WEIGHT_FREQ, Dish())
    first, middle, second = (sky.apparent_jy(t)[0, 0] for t in (mjd[3], mjd[3:5].mean(), mjd[4]))
    assert middle == pytest.approx((first + second) / 2, rel=1e-3)
    assert abs(second - first) / first > 0.02


@pytest.fixture
def drifted(tmp_path: Path) -> tuple[Path, np.ndarray, object]:
    """A set of two sources through the beam, its UVW, and the sky that made it."""
    ms = tmp_path / "drifted.ms"
    observed = synthetic.Observation(n_times=5, sources=[(227.0, 46.5, 0.0)])
    synthetic.write(ms, observed)
    pointings, _, _ = drifting(5)
    even = np.full(5, 0.2), np.full(observed.n_chan, 1 / observed.n_chan)
    rows = catalogue(np.array([224.9, 228.7]), np.array([46.1, 47.3]), np.array([3.0, 0.5]))
    sky = changing_sky(
        rows, CENTRE, observed.freq_hz, pointings, observed.integration_mjd, *even, Dish()
    )
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        uvw = table.getcol("UVW") * 1.0001
        mjd = table.getcol("TIME") / 86400
        data = np.zeros((len(uvw), observed.n_chan, 2), dtype=complex)
        for row, (time, baseline) in enumerate(zip(mjd, uvw, strict=True)):
            phase = 2j * np.pi / 299792458.0 * observed.freq_hz[:, None] * (sky.lmn @ baseline)
            data[row] = (sky.apparent_jy(time) * np.exp(phase)).sum(axis=1)[:, None]
        table.putcol("DATA", data.astype(np.complex64))
    return ms, uvw, sky


def constant(uvw: np.ndarray, sky: object) -> np.ndarray:
    phase = 2j * np.pi / 299792458.0 * sky.freq_hz[:, None] * (uvw @ sky.lmn.T)[:, None, :]
    return (sky.mean_jy * np.exp(phase)).sum(axis=-1)


def column(ms: Path, name: str) -> np.ndarray:
    with casatables.table(str(ms), ack=False) as table:
        return table.getcol(name)


def test_a_set_is_left_with_constant_sources_and_scaled_uvw(drifted: tuple) -> None:
    ms, uvw, sky = drifted
    before = column(ms, "DATA")
    assert np.abs(before[..., 0] - constant(uvw, sky)).max() > 0.2
    digest = settle(ms, sky, 1.0001)
    np.testing.assert_allclose(column(ms, "UVW"), uvw, atol=1e-9)
    for hand in (0, 1):
        np.testing.assert_allclose(column(ms, "DATA")[..., hand], constant(uvw, sky), atol=3e-5)
    nothing = sky.chosen(np.zeros(2, dtype=bool))
    assert settle(ms, nothing, 1.0) == digest
    assert settle(ms, sky, 1.0) != digest


def test_without_sources_only_uvw_change_and_the_digest_is_of_the_values(drifted: tuple) -> None:
    ms, uvw, _ = drifted
    before = column(ms, "DATA")
    nothing = changing_sky(
        NO_SOURCES, CENTRE, np.array([1.4e9]), np.array([CENTRE]), [60967.1], [1.0], [1.0], Dish()
    )
    first = settle(ms, nothing, 1.0001)
    np.testing.assert_array_equal(column(ms, "DATA"), before)
    np.testing.assert_allclose(column(ms, "UVW"), uvw, atol=1e-9)
    assert settle(ms, nothing, 1.0) == first
