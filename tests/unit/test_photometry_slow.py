"""Forced photometry gives the numbers of an implementation that shares nothing with it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from slow_photometry import measure
from synthetic_images import beam_noise, image_of, inject, sin_header

from contimg.fits import Beam
from contimg.photometry import measure_fluxes

CELL_ARCSEC = 3.0


@st.composite
def fields(draw):
    """An image with blends, holes, edges, negative fluxes, a background and uneven noise."""
    shape = draw(st.tuples(st.integers(40, 70), st.integers(40, 70)))
    bmaj_pixels = draw(st.floats(2.5, 6.0))
    bmaj_deg = bmaj_pixels * CELL_ARCSEC / 3600
    # Sums over pixels are integrals from two pixels a beam on; at 1.5 the error is 1.4 % off.
    bmin_pixels = max(bmaj_pixels * draw(st.floats(0.45, 1.0)), 2.2)
    bmin_deg = bmin_pixels * CELL_ARCSEC / 3600
    beam = Beam(bmaj_deg, bmin_deg, draw(st.floats(-180, 180)))
    x, y = [], []
    for _ in range(draw(st.integers(1, 3))):
        centre = [draw(st.floats(-3, n + 2)) for n in shape[::-1]]
        for _ in range(draw(st.integers(1, 4))):
            x.append(centre[0] + draw(st.floats(-1.3, 1.3)) * bmaj_pixels)
            y.append(centre[1] + draw(st.floats(-1.3, 1.3)) * bmaj_pixels)
    flux = [draw(st.floats(-0.3, 1.0)) for _ in x]
    holes = draw(
        st.lists(st.tuples(*[st.integers(0, 69)] * 2, *[st.integers(1, 9)] * 2), max_size=3)
    )
    return shape, beam, np.array(x), np.array(y), np.array(flux), holes, draw(st.integers(0, 999))


def pixels_of(shape, beam, x, y, flux, holes, seed):
    """The field's image, background and noise."""
    header, rng = sin_header(shape=shape, beam=beam), np.random.default_rng(seed)
    data = beam_noise(shape, 0.02, beam.bmaj_deg * 3600 / CELL_ARCSEC, seed)
    for one in zip(x, y, flux, strict=True):
        if min(one[:2]) > 0:
            inject(data, header, *one)
    slope = np.linspace(-1, 1, shape[1]) + np.linspace(0, 1, shape[0])[:, None]
    background = (0.01 * rng.normal() * slope).astype("f4")
    rms = (0.02 * (1 + 0.3 * slope * rng.uniform(-1, 1))).astype("f4")
    for row, column, height, width in holes:
        data[row : row + height, column : column + width] = np.nan
    return image_of(data + background, header), background, rms


@settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no failure
)
@given(fields())
def test_agrees_with_the_formulas_done_slowly(field) -> None:
    """Fluxes to 1e-5, flags and chi-squared, of lone and blended sources at all kinds of places."""
    _, beam, x, y, *_ = field
    apart = np.hypot(x[:, None] - x, y[:, None] - y)[np.triu_indices(len(x), 1)]
    bmaj_pixels = beam.bmaj_deg * 3600 / CELL_ARCSEC
    assume((apart > 0.4 * bmaj_pixels).all())  # closer ones share their flux, each way its own
    assume((np.abs(apart - 1.5 * bmaj_pixels) > 1e-3).all())
    assume((np.abs(np.r_[x, y] % 1 - 0.5) > 1e-6).all())  # which of two pixels is nearest
    image, background, rms = pixels_of(*field)
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    fast = measure_fluxes(image, ra, dec, background, rms)
    slow = measure(image.header, image.data, background, rms, ra, dec)
    for name in ("status", "edge", "blended"):
        assert fast[name].tolist() == [row[name] for row in slow]
    for name in ("flux_jy", "chi2"):
        expected = np.array([row[name] for row in slow])
        assert fast[name].to_numpy() == pytest.approx(expected, rel=1e-4, abs=2e-6, nan_ok=True)
    expected = np.array([row["flux_err_jy"] for row in slow])
    assert fast["flux_err_jy"].to_numpy() == pytest.approx(expected, rel=1e-3, nan_ok=True)
