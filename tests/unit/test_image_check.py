"""Checks of an image, on WSClean's images of a small simulated set: good, and spoiled in four ways.

Thermal noise is judged by the noise that was put into the visibilities.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_ms
import yaml
from astropy.io import fits

import correct_primary_beam
import weigh_image
from contimg import image_check, imaging_weights
from contimg.checkout import CHECKOUT
from contimg.fits import read_image
from contimg.noise import background_and_rms
from contimg.status import Rejected, Status, read_status, write_status

CONFIG = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
LIMITS = CONFIG["imaging"]["checks"]
NOISE_JY = 0.5
SOURCES = [(227.0, 46.5, 2.0), (227.3, 46.7, 1.0), (226.6, 46.3, 0.6), (227.2, 46.2, 0.4)]
N_ANTENNAS = 24


def observation(**changes) -> synthetic_ms.Observation:
    given = {"n_antennas": N_ANTENNAS, "absent": (), "sources": SOURCES, "noise_jy": NOISE_JY}
    return synthetic_ms.Observation(**{**given, **changes})


OBSERVED = observation()
SEFD_JY = NOISE_JY * np.sqrt(2 * 0.25e6 * OBSERVED.integration_s)


def imaged(folder: Path, observed: synthetic_ms.Observation, *options: str) -> Path:
    """Write a set and image it; return the folder, with the names of the workflow in it."""
    synthetic_ms.write(folder / "a.ms", observed)
    plain = ["-size", "360", "360", "-scale", "15asec", "-pol", "I", "-j", "1", "-use-wgridder"]
    clean = options or ("-weight", "briggs", "0.5", "-niter", "5000", "-mgain", "0.6",
                        "-auto-mask", "5", "-auto-threshold", "1")  # fmt: skip
    command = ["wsclean", "-no-update-model-required", *plain, *clean, "a.ms"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    observation = observed.figures() | {
        "weight_time": np.full(observed.n_times, 1 / observed.n_times),
        "weight_freq": np.full(observed.n_chan, 1 / observed.n_chan),
    }
    write_status(folder / "a.ms.json", figures=observation)
    return folder


def judged(folder: Path) -> Status:
    """Run the rule's script on the images; return the status that it writes."""
    if not (folder / "weights.json").exists():
        weights_of(folder, "briggs 0.5")
    correct_primary_beam.main(
        **{name: folder / f"wsclean-{name}.fits" for name in ("image", "residual", "model", "psf")},
        calibrated_status=folder / "a.ms.json",
        weights_status=folder / "weights.json",
        **{name: folder / f"{name}.fits" for name in ("pb", "pbcor", "rms")},
        status=folder / "image.json",
        beam=CONFIG["beam"],
        checks=LIMITS,
        sefd_jy=SEFD_JY,
        integrations=1,
        background_box_beams=CONFIG["photometry"]["background_box_beams"],
    )
    return read_status(folder / "image.json")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imaged(tmp_path_factory.mktemp("good"), OBSERVED)


def weights_of(folder: Path, weight: str) -> float:
    """Run the rule's script on the set; return the effective number of its visibilities."""
    imaging = {"size": 360, "scale_arcsec": 15.0, "weight": weight}
    weigh_image.main(
        calibrated_ms=folder / "a.ms",
        calibrated_status=folder / "a.ms.json",
        status=folder / "weights.json",
        imaging={**CONFIG["imaging"], **imaging},
    )
    return read_status(folder / "weights.json").figures["effective_visibilities"]


def names_of(status: Status) -> set[str]:
    return {reason.split()[0] for reason in status.failed_checks}


def test_a_good_image_passes_and_has_its_figures(good: Path) -> None:
    found = judged(good)
    assert found.failed_checks == []
    assert 0.8 < found.figures["rms_over_thermal"] < 1.5
    assert found.figures["residual_over_dirty"] < 0.2


def test_scrambled_phases_fail(tmp_path: Path) -> None:
    phase = np.random.default_rng(3).uniform(-np.pi, np.pi, N_ANTENNAS)
    gains = np.exp(1j * phase)[:, None, None] * np.ones((1, OBSERVED.n_chan, 2))
    found = judged(imaged(tmp_path, observation(gains=gains)))
    assert found.status == "ok"  # kept, and marked
    assert "rms_over_thermal" in names_of(found)


def test_half_of_the_flux_and_of_the_noise_fails(good: Path, tmp_path: Path) -> None:
    for path in good.glob("wsclean-*.fits"):
        with fits.open(path) as hdus:
            if "psf" not in path.name:
                hdus[0].data *= 0.5
            hdus.writeto(tmp_path / path.name)
    for name in ("a.ms.json", "weights.json"):
        (tmp_path / name).write_text((good / name).read_text())
    assert names_of(judged(tmp_path)) == {"rms_over_thermal"}


def test_a_clean_that_makes_things_worse_fails(tmp_path: Path) -> None:
    options = ["-weight", "briggs", "0.5", "-niter", "400", "-gain", "1.0", "-mgain", "0.99",
               "-auto-mask", "0.2", "-auto-threshold", "0.1"]  # fmt: skip
    found = judged(imaged(tmp_path, OBSERVED, *options))
    assert found.failed_checks
    assert {"rms_over_thermal", "residual_over_dirty"} & names_of(found)


def test_an_image_without_numbers_or_without_light_is_rejected(good: Path, tmp_path: Path) -> None:
    for value, reason in ((np.nan, "no numbers"), (-1.0, "no positive pixel")):
        image = read_image(good / "wsclean-image.fits")
        image.data[:] = value
        with pytest.raises(Rejected, match=reason):
            correct_primary_beam.require_an_image(image)
    image = read_image(good / "wsclean-image.fits")
    beam = image.beam._replace(bmaj_deg=0.0)
    with pytest.raises(Rejected, match=r"restoring beam of 0 x .* could fit none"):
        correct_primary_beam.require_an_image(replace(image, beam=beam))


def test_rings_around_a_source_fail(good: Path) -> None:
    residual = read_image(good / "wsclean-residual.fits").data
    rows, columns = np.indices(residual.shape)
    away = np.hypot(rows - 100, columns - 120)
    spoiled = residual + np.where(away < 12, np.cos(away), 0) * 40 * np.std(residual)
    image = read_image(good / "wsclean-image.fits")
    figures = [
        image_check.check_figures(image, data, *background_and_rms(data, 120), 0.01)
        for data in (residual, spoiled.astype(np.float32))
    ]
    assert figures[0]["residual_kurtosis"] < 1 < LIMITS["max_residual_kurtosis"]
    assert figures[1]["residual_kurtosis"] > LIMITS["max_residual_kurtosis"]


def test_thermal_noise_with_natural_weights_is_the_textbook_formula() -> None:
    n, bandwidth_hz, seconds, channels, integrations = 96, 187.5e6, 309.24, 192, 24
    visibilities = n * (n - 1) / 2 * channels * integrations
    found = image_check.thermal_noise_jy(
        5800, visibilities, bandwidth_hz / channels, seconds / integrations
    )
    textbook = 5800 / np.sqrt(2 * n * (n - 1) * bandwidth_hz * seconds)
    assert found == pytest.approx(textbook)
    assert found == pytest.approx(0.18e-3, rel=0.02)


@pytest.mark.parametrize("weight", ["natural", "briggs 0.5", "briggs 0", "uniform"])
def test_noise_that_was_put_in_is_the_thermal_noise(weight: str, tmp_path: Path) -> None:
    options = ["-weight", *weight.split(), "-niter", "0"]
    imaged(tmp_path, observation(sources=[(227.0, 46.5, 1e-9)], n_times=8), *options)
    effective = weights_of(tmp_path, weight)
    thermal = image_check.thermal_noise_jy(SEFD_JY, effective, 0.25e6, OBSERVED.integration_s)
    assert fits.getdata(tmp_path / "wsclean-image.fits").std() == pytest.approx(thermal, rel=0.1)


def test_weights_by_briggs_lie_between_uniform_and_natural() -> None:
    """Two cells, one with a visibility and one with nine: uniform weights make both equal."""
    uv = np.array([[100.0, 0.0]] + [[500.0, 300.0]] * 9)
    robusts = (np.inf, 2, 0, -2, -np.inf)
    found = [
        imaging_weights.briggs_effective_visibilities(uv, np.ones(10), 10.0, r) for r in robusts
    ]
    assert found == sorted(found, reverse=True)
    # Nine visibilities share the weight of one: (1 + 1)^2 / (1 + 1/9).
    assert [*found[:2], *found[3:]] == pytest.approx([10, 10, 3.6, 3.6], rel=0.02)


def test_the_beam_that_was_fitted_is_compared_with_the_psf(good: Path) -> None:
    image, psf = (read_image(good / f"wsclean-{name}.fits") for name in ("image", "psf"))
    assert image_check.beam_area_ratio(image, psf.data) == pytest.approx(1.0, abs=0.3)
    gaussian = np.exp(-0.5 * np.einsum("ijk,kl,ijl->ij", _offsets(psf.data.shape),
                                       np.linalg.inv(image.beam_covariance_pixels()),
                                       _offsets(psf.data.shape)))  # fmt: skip
    exact = image_check.beam_area_ratio(image, gaussian.astype(np.float32))
    assert exact == pytest.approx(1.0, abs=0.02)


def _offsets(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.stack([columns - shape[1] // 2, rows - shape[0] // 2], axis=-1)
