"""Error bars of forced fluxes: Monte Carlo with noise that is correlated as the beam."""

from pathlib import Path

import judge
import numpy as np
import pandas as pd
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from figures import record

from contimg.fits import Beam, Image, read_image
from contimg.noise import background_and_rms
from contimg.photometry import measure_fluxes

SIZE, CELL_DEG, RMS_JY = 1500, 3.0 / 3600, 1e-3
BEAM = Beam(6.0 * CELL_DEG, 3.6 * CELL_DEG, 30.0)
N_IMAGES = 4


def header() -> Header:
    cards = Header()
    for axis, (name, value, step) in enumerate(
        (("RA---SIN", 227.0, -CELL_DEG), ("DEC--SIN", 46.5, CELL_DEG)), start=1
    ):
        cards[f"CTYPE{axis}"], cards[f"CRVAL{axis}"], cards[f"CDELT{axis}"] = name, value, step
        cards[f"CRPIX{axis}"], cards[f"CUNIT{axis}"] = SIZE / 2 + 1, "deg"
    return cards


def noise_image(seed: int) -> Image:
    """Noise whose autocorrelation is the beam: white noise times the root of its spectrum."""
    rng = np.random.default_rng(seed)
    v, u = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij")
    angle = np.radians(BEAM.bpa_deg)
    along, across = v * np.cos(angle) - u * np.sin(angle), v * np.sin(angle) + u * np.cos(angle)
    square = (along * BEAM.bmaj_deg) ** 2 + (across * BEAM.bmin_deg) ** 2
    root = np.exp(-(np.pi**2) * square / CELL_DEG**2 / (8 * np.log(2)))
    data = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIZE, SIZE))) * root, (SIZE, SIZE))
    data *= RMS_JY / data.std()
    return Image(data.astype("f4"), header(), WCS(header()), BEAM, 1.4e9)


def pulls(offsets: list[tuple[float, float]], known_noise: bool) -> np.ndarray:
    """Flux over error at empty places, (n, number of offsets), which are in units of BMAJ."""
    found = []
    for seed in range(N_IMAGES):
        image, rng = noise_image(seed), np.random.default_rng(seed + 100)
        grid = np.arange(40.0, SIZE - 40.0, 31.0)
        x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
        x, y = (axis + rng.uniform(-0.5, 0.5, axis.size) for axis in (x, y))
        x, y = (
            np.stack([axis + 6.0 * step for step in steps], axis=1)
            for axis, steps in zip((x, y), np.transpose(offsets), strict=True)
        )
        background = np.zeros((SIZE, SIZE), "f4")
        rms = np.full((SIZE, SIZE), RMS_JY, "f4")
        if not known_noise:
            background, rms = background_and_rms(image.data, 180)
        ra, dec = image.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
        table = measure_fluxes(image, ra, dec, background, rms)
        assert (table["status"] == "ok").all()
        assert (table["blended"] == (len(offsets) > 1)).all()
        found.append((table["flux_jy"] / table["flux_err_jy"]).to_numpy().reshape(x.shape))
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("name", "offsets", "known_noise"),
    [
        ("lone", [(0.0, 0.0)], True),
        ("lone", [(0.0, 0.0)], False),
        ("pairs at 0.5 BMAJ", [(0.0, 0.0), (0.3, 0.4)], True),
        ("pairs at 1.2 BMAJ", [(0.0, 0.0), (-0.96, 0.72)], True),
        ("triples", [(0.0, 0.0), (0.7, 0.2), (0.1, 0.9)], False),
    ],
)
def test_flux_over_error_has_a_standard_deviation_of_one(name, offsets, known_noise) -> None:
    found = pulls(offsets, known_noise)
    kind = "known" if known_noise else "measured"
    record(f"flux over error, {name}, {kind} noise", {"n": found.size, "std": found.std()})
    assert found.std() == pytest.approx(1.0, abs=0.02)
    assert abs(found.mean()) < 4 / np.sqrt(found.size) + 0.02


def test_error_of_images_that_were_imaged(observation: Path) -> None:
    """At empty places of real images: noise of gridded visibilities, residual sidelobes, drift."""
    parts = []
    for date, group in judge.science_groups(observation):
        stem = observation / f"images/{date}/{group}"
        image, rms = read_image(f"{stem}.image.fits"), read_image(f"{stem}.rms.fits").data
        truth = judge.read_sources(observation / f"simulated/{date}/truth.h5", group)
        box = round(30 * image.beam.bmaj_deg / image.pixel_scale_deg)
        background, _ = background_and_rms(image.data, box)
        away = judge.away_from_sources(image, truth)
        rows, columns = np.nonzero(away[::40, ::40])
        ra, dec = image.wcs.all_pix2world(40 * columns, 40 * rows, 0)
        found = measure_fluxes(image, ra, dec, background, rms)
        parts.append(found[found["status"] == "ok"])
    rows = pd.concat(parts)
    pull = rows["flux_jy"] / rows["flux_err_jy"]
    record(
        "flux over error, imaged",
        {"n": len(pull), "std": pull.std(), "mad": judge.robust_rms(pull)},
    )
    assert 0.8 < judge.robust_rms(pull) < 1.2
