"""Images of the shared observation: their noise maps, and their checks."""

import json
from pathlib import Path

import numpy as np
import pytest

from contimg.fits import read_image

PARTS = 4


def images(observation: Path) -> list[Path]:
    return sorted(observation.glob("images/*/*.image.json"))


def test_residuals_scatter_as_the_noise_map_says_in_every_part(observation: Path) -> None:
    for status in images(observation):
        stem = str(status).removesuffix(".image.json")
        residual = read_image(Path(f"{stem}.residual.fits")).data
        rms = read_image(Path(f"{stem}.rms.fits")).data
        parts = [
            np.array_split(rows, PARTS, axis=1) for rows in np.array_split(residual / rms, PARTS)
        ]
        scatter = np.array([[part.std() for part in row] for row in parts])
        assert 0.9 < scatter.min() <= scatter.max() < 1.2, status


def test_every_image_passes_and_its_thermal_noise_is_the_receivers(observation: Path) -> None:
    """The true SEFD, 39 live antennas, the band and the time give 0.89 mJy/beam (demo.yaml)."""
    for path in images(observation):
        status = json.loads(path.read_text())
        assert status["status"] == "ok"
        assert "failed_checks" not in status
        natural_jy = 5800 / np.sqrt(2 * 39 * 38 * 187.5e6 * 77.31)
        assert natural_jy == pytest.approx(0.89e-3, rel=0.01)
        # Flags and robust weights raise it.
        assert 1.05 < status["figures"]["thermal_jy"] / natural_jy < 1.35
        assert 1.0 < status["figures"]["rms_over_thermal"] < 2.0
