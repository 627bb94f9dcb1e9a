"""Background and noise maps."""

import numpy as np
import pytest
from synthetic_images import beam_noise, inject, sin_header

from contimg import noise


def test_noise_that_varies_over_the_field_is_followed() -> None:
    n = 1200
    truth = 1e-3 * (1 + np.arange(n) / n)[None, :] * np.ones((n, 1))
    data = (beam_noise((n, n), 1.0, 5.0, seed=1) * truth + 0.002).astype("f4")
    background, rms = noise.background_and_rms(data, 150)
    assert background.dtype == rms.dtype == np.float32
    assert np.median(rms / truth) == pytest.approx(1.0, abs=0.02)
    assert np.abs(rms / truth - 1).max() < 0.2
    assert np.median(background) == pytest.approx(0.002, abs=1e-4)


def test_sources_raise_neither_background_nor_noise() -> None:
    header = sin_header(shape=(600, 600))
    data = beam_noise((600, 600), 1e-3, 5.0, seed=2)
    without = noise.background_and_rms(data.astype("f4"), 150)
    rng = np.random.default_rng(2)
    inject(data, header, *rng.uniform(10, 590, (2, 100)), rng.uniform(0.005, 1.0, 100))
    background, rms = noise.background_and_rms(data.astype("f4"), 150)
    assert np.abs(rms / without[1] - 1).max() < 0.25
    assert np.median(rms) == pytest.approx(1e-3, rel=0.08)
    assert np.abs(background).max() < 5e-4


def test_blank_part_takes_its_noise_from_the_nearest_box() -> None:
    data = np.random.default_rng(3).normal(size=(400, 400)).astype("f4")
    data[:, :150] = np.nan
    _, rms = noise.background_and_rms(data, 50)
    assert np.isfinite(rms).all()
    assert rms[:, :100] == pytest.approx(1.0, abs=0.15)


def test_blank_image_has_no_noise() -> None:
    blank = np.full((64, 64), np.nan, "f4")
    background, rms = noise.background_and_rms(blank, 32)
    assert np.isnan(background).all()
    assert np.isnan(rms).all()
    assert np.isnan(noise.image_figures(blank)["rms_jy"])


def test_data_are_left_as_they_were() -> None:
    data = np.random.default_rng(4).normal(size=(64, 64)).astype("f4")
    before = data.copy()
    noise.background_and_rms(data, 16)
    noise.image_figures(data)
    assert np.array_equal(data, before)


def test_figures_of_an_image_with_a_source_and_a_bowl() -> None:
    data = np.random.default_rng(5).normal(scale=1e-3, size=(500, 500)).astype("f4")
    data[250, 250], data[100, 100] = 2.0, -0.03
    figures = noise.image_figures(data)
    assert figures["rms_jy"] == pytest.approx(1e-3, rel=0.01)
    assert figures["peak_jy"] == 2.0
    assert figures["dynamic_range"] == pytest.approx(2000, rel=0.01)
    assert figures["negative_bowl"] == pytest.approx(-30, rel=0.01)
