"""Light behind a plasma lens against rays shot one by one, and published lenses."""

import numpy as np
import pytest
from scipy.optimize import brentq

from contimg.lens import (
    CAUSTIC_ALPHA,
    LensShape,
    dips_at,
    magnification,
    make_template,
    strength,
    template_bank,
)

FWHM = np.sqrt(8 * np.log(2))


def sheet(alpha, beta_s):
    return LensShape("sheet", alpha, beta_s)


def shot(alpha, beta_s, at):
    """Rays at even spacing through a sheet, each smeared by the source: a sum at every place."""
    sigma = beta_s / FWHM
    u, spacing = np.linspace(-30, 30, 1_500_001, retstep=True)
    landed = np.sort(u * (1 + alpha * np.exp(-u * u)))
    found = []
    for place in at:
        near = slice(*np.searchsorted(landed, [place - 7 * sigma, place + 7 * sigma]))
        found.append(np.exp(-((landed[near] - place) ** 2) / 2 / sigma**2).sum())
    return np.array(found) * spacing / (sigma * np.sqrt(2 * np.pi))


def shot_round(alpha, beta_s, impact, at):
    """The same on a square grid of rays through a round lens."""
    sigma = beta_s / FWHM
    side, spacing = np.linspace(-7, 7, 2001, retstep=True)
    x, y = np.meshgrid(side, side)
    bend = 1 + alpha * np.exp(-(x**2) - y**2)
    away = [((bend * x - place) ** 2 + (bend * y - impact) ** 2) / 2 / sigma**2 for place in at]
    return np.array([np.exp(-one).sum() for one in away]) * spacing**2 / (2 * np.pi * sigma**2)


@pytest.mark.parametrize(
    ("alpha", "beta_s"), [(0.3, 0.5), (2.0, 0.1), (5.0, 0.1), (30.0, 0.2), (50.0, 1.0), (160, 0.4)]
)
def test_sheet_agrees_with_shooting_rays(alpha, beta_s):
    at = np.linspace(0, 25, 251)
    np.testing.assert_allclose(
        magnification(at, sheet(alpha, beta_s)), shot(alpha, beta_s, at), rtol=2e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("alpha", "beta_s", "impact"), [(0.5, 0.5, 0.0), (2.5, 0.3, 0.7), (8.0, 0.3, 1.5)]
)
def test_round_lens_agrees_with_shooting_rays(alpha, beta_s, impact):
    at = np.array([0.0, 0.4, 1.0, 1.5, 1.8, 2.2, 3.0])
    np.testing.assert_allclose(
        magnification(at, LensShape("", alpha, beta_s, impact)),
        shot_round(alpha, beta_s, impact, at),
        rtol=4e-3,
    )


@pytest.mark.parametrize("alpha", [0.5, 2.24, 10.0, 50.0])
def test_a_point_on_the_axis_is_dimmed_as_rays_spread(alpha):
    assert magnification(0.0, sheet(alpha, 0.03)) == pytest.approx(1 / (1 + alpha), rel=2e-3)
    round_lens = LensShape("", alpha, 0.03, 0.0)
    assert magnification(0.0, round_lens) == pytest.approx((1 + alpha) ** -2, rel=4e-3)


@pytest.mark.parametrize("alpha", [0.5, 3.0, 50.0])
@pytest.mark.parametrize("beta_s", [0.1, 1.0])
def test_what_the_axis_loses_stands_at_the_sides(alpha, beta_s):
    u = np.linspace(-40, 40, 400_001)
    assert magnification(u, sheet(alpha, beta_s)).mean() == pytest.approx(1, abs=1e-6)
    r = np.linspace(0, 40, 200_001)
    over_plane = (magnification(r, LensShape("", alpha, beta_s, 0.0)) * r).sum() / r.sum()
    assert over_plane == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("alpha", [4.0, 12.0, 50.0])
def test_spikes_stand_at_the_roots_of_the_lens_equation(alpha):
    def slope(u):
        return 1 + alpha * (1 - 2 * u * u) * np.exp(-u * u)

    critical = [brentq(slope, 0.7, np.sqrt(1.5)), brentq(slope, np.sqrt(1.5), 6)]
    caustics = sorted(u * (1 + alpha * np.exp(-u * u)) for u in critical)
    # Between the caustics three images are seen, outside of them one.
    u = np.arange(0, caustics[1] + 1, 0.001)
    seen = magnification(u, sheet(alpha, 0.02))
    for caustic in caustics:
        near = np.abs(u - caustic) < 0.1
        assert u[near][np.argmax(seen[near])] == pytest.approx(caustic, abs=0.02)
    assert seen[np.argmin(np.abs(u - np.mean(caustics)))] > 1


def test_caustics_need_a_strength_of_2_24():
    def growth(alpha):  # of the highest peak, for a source of a quarter of the size
        u = np.arange(0.5, 4, 0.0005)
        wide, narrow = (magnification(u, sheet(alpha, beta_s)).max() for beta_s in (0.02, 0.005))
        return narrow / wide

    assert abs(CAUSTIC_ALPHA - 2.24) < 0.001
    assert growth(1.8) < 1.02 and growth(3.0) > 1.6  # a fold: peak as size to the power -1/2


def test_strength_is_that_of_the_published_lenses():
    """Towards 0954+658 and 1741-038 at 2.25 GHz, with the columns and radii of their abstract."""
    wavelength_cm = 29.979 / 2.25
    distance_kpc = 160 / strength(wavelength_cm, 0.24, 1.0, 0.38)
    assert distance_kpc == pytest.approx(0.15, abs=0.002)
    # Its column is given to one figure, 1e-4.
    assert strength(wavelength_cm, 1e-4, distance_kpc, 0.065) == pytest.approx(2.5, rel=0.15)


def test_strength_goes_as_wavelength_squared():
    at = np.linspace(-6, 6, 50)
    np.testing.assert_allclose(
        magnification(at, sheet(8.0, 0.3), freq_ratio=2.0), magnification(at, sheet(2.0, 0.3))
    )


def test_templates_are_dips_of_unit_width():
    bank = template_bank()
    assert len({one.shape.name for one in bank}) == len(bank)
    for one in bank:
        half = one.dip.max() / 2
        x = np.linspace(-2, 2, 40_001)
        assert np.ptp(x[dips_at(one, x) >= half]) == pytest.approx(1, abs=0.001)
        middle = one.dip[len(one.x) // 2]
        assert middle > 0.9 * one.dip.max() and 0.3 < one.dip.max() <= 1
        np.testing.assert_allclose(one.dip, one.dip[::-1])
        np.testing.assert_array_equal(dips_at(one, np.array([-1e3, 1e3])), 0)
        here = one.x * one.fwhm_radii
        np.testing.assert_allclose(one.dip, 1 - magnification(here, one.shape), atol=1e-9)


def test_a_lens_that_only_brightens_is_no_template():
    with pytest.raises(ValueError, match="makes no dip"):
        make_template(LensShape("far", 1.0, 0.1, 3.0))
