"""The dish's beam, and its average over drift and band."""

from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS
from pyuvdata import AiryBeam
from scipy.optimize import brentq

from contimg import beam, meridian
from contimg.beam import Dish

DISH = Dish("airy", 4.65)
FREQ_HZ = np.linspace(1.311e9, 1.499e9, 32)


def sin_wcs(ra_deg: float, dec_deg: float, n: int, cell_arcsec: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [n / 2 + 1, n / 2 + 1]
    wcs.wcs.cdelt = [-cell_arcsec / 3600, cell_arcsec / 3600]
    return wcs


def brute_force(ra: float, dec: float, track: np.ndarray, dish: Dish = DISH) -> float:
    """Mean over pointings and channels by the spherical law of cosines, one value at a time."""
    total = []
    for ra0, dec0 in np.radians(track):
        r, d = np.radians(ra), np.radians(dec)
        cosine = np.sin(d) * np.sin(dec0) + np.cos(d) * np.cos(dec0) * np.cos(r - ra0)
        total += [float(beam.power(np.arccos(cosine), f, dish)) for f in FREQ_HZ]
    return float(np.mean(total))


def test_full_width_at_half_power_is_2_71_deg() -> None:
    half = brentq(lambda x: float(beam.airy_power(x, 1.405e9, 4.65)) - 0.5, 1e-3, 0.04)
    assert np.degrees(2 * half) == pytest.approx(2.71, abs=0.01)
    gauss = brentq(lambda x: float(beam.gaussian_power(x, 1.405e9, 4.65)) - 0.5, 1e-3, 0.04)
    assert gauss == pytest.approx(half, rel=1e-3)


def test_airy_agrees_with_pyuvdata() -> None:
    theta = np.linspace(0, np.pi / 2, 200)
    reference = AiryBeam(diameter=4.65).power_eval(
        az_array=np.zeros(200), za_array=theta, freq_array=FREQ_HZ
    )
    ours = beam.airy_power(theta[None, :], FREQ_HZ[:, None], 4.65)
    assert np.allclose(ours, np.real(reference[0, 0]), atol=1e-10)


def test_nothing_is_received_from_behind() -> None:
    for dish in (DISH, Dish("gaussian", 0.1)):
        assert beam.power(np.pi * 0.6, 1.4e9, dish) == 0


def test_table_scales_with_frequency(tmp_path: Path) -> None:
    angle = np.linspace(0, 10, 4000)
    values = beam.airy_power(np.radians(angle), 1.405e9, 4.65)
    path = tmp_path / "beam.csv"
    np.savetxt(path, np.c_[angle, values], "%.8f", ",", header="angle_deg,power", comments="")
    dish = Dish("table", 4.65, path)
    theta = np.radians(np.linspace(0, 4, 50))
    for freq in (1.31e9, 1.49e9):
        assert np.allclose(beam.power(theta, freq, dish), beam.power(theta, freq, DISH), atol=1e-4)
    assert beam.power(np.radians(12), 1.405e9, dish) == 0


@pytest.mark.parametrize(
    "text", ["angle,power\n0,1\n", "angle_deg,power\n0,0.5\n1,0\n", "angle_deg,power\n1,1\n0,0\n"]
)
def test_what_is_not_a_beam_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.csv"):
        beam.power(0.01, 1.4e9, Dish("table", 4.65, path))


def test_average_equals_brute_force_across_ra_zero() -> None:
    track = np.column_stack([np.linspace(359.4, 360.7, 24) % 360, np.full(24, 54.0)])
    ra, dec = np.array([0.05, 358.2, 2.0]), np.array([54.0, 55.1, 53.0])
    ones = np.ones
    ours = beam.drift_averaged_beam(ra, dec, track, ones(24), FREQ_HZ, ones(32), DISH)
    truth = [brute_force(r, d, track) for r, d in zip(ra, dec, strict=True)]
    assert ours == pytest.approx(truth, abs=1e-6)


def test_a_drift_is_not_its_middle() -> None:
    """Five minutes of drift widen the beam along right ascension: lower inside, higher outside."""
    track = meridian.meridian_icrs(60967.5 + np.arange(24) * 12.884902 / 86400, 54.0)
    middle = track.mean(axis=0, keepdims=True)
    at = (middle[0, 0], middle[0, 1])
    drift = beam.drift_averaged_beam(*at, track, np.ones(24), FREQ_HZ, np.ones(32), DISH)
    still = beam.drift_averaged_beam(*at, middle, [1.0], FREQ_HZ, np.ones(32), DISH)
    assert still == pytest.approx(1.0, abs=1e-6)
    assert 0.97 < drift < 0.995


def test_flagged_integrations_and_channels_do_not_count() -> None:
    track = np.array([[10.0, 54.0], [30.0, 54.0]])
    alone = beam.drift_averaged_beam(10.5, 54.2, track[:1], [1.0], [1.4e9], [3.0], DISH)
    weighted = beam.drift_averaged_beam(10.5, 54.2, track, [5.0, 0.0], [1.4e9, 1.3e9], [1, 0], DISH)
    assert weighted == pytest.approx(alone, rel=1e-6)
    with pytest.raises(ValueError, match="some must be positive"):
        beam.drift_averaged_beam(10.5, 54.2, track, [0.0, 0.0], [1.4e9], [1.0], DISH)


@pytest.mark.parametrize("centre", [(0.3, 54.0), (120.0, 80.0)])
def test_image_of_the_beam_equals_its_points(centre: tuple[float, float]) -> None:
    n, cell = 480, 40.0  # 5.3 degrees, beyond the first null
    wcs = sin_wcs(*centre, n, cell)
    track = np.column_stack([centre[0] + np.linspace(-0.6, 0.6, 24), np.full(24, centre[1])])
    args = (track, np.ones(24), FREQ_HZ, np.ones(32), DISH)
    image = beam.beam_image(wcs, (n, n), *args)
    y, x = np.random.default_rng(3).integers(0, n, (2, 500))
    ra, dec = wcs.all_pix2world(x, y, 0)
    assert np.allclose(image[y, x], beam.drift_averaged_beam(ra, dec, *args), atol=1e-6)


def test_image_beyond_the_sky_is_refused() -> None:
    wcs = sin_wcs(0, 54, 140, 3600)
    with pytest.raises(ValueError, match="beyond the sky"):
        beam.beam_image(wcs, (140, 140), np.array([[0.0, 54.0]]), [1], [1.4e9], [1], DISH)
