"""tclean in the place of WSClean: the same fluxes and products, and a set that it only reads."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_ms
import yaml
from astropy.io import fits

from contimg.checkout import CHECKOUT
from contimg.fits import read_image
from contimg.noise import background_and_rms
from contimg.photometry import measure_fluxes
from contimg.status import write_status

OPTIONS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())["imaging"] | {
    "backend": "tclean", "size": 480, "scale_arcsec": 10.0, "niter": 2000
}  # fmt: skip
SOURCES = [(227.0, 46.5, 2.0), (227.4, 46.75, 1.0), (226.5, 46.2, 0.6)]
PRODUCTS = ("image", "residual", "model", "psf")


def run_script(folder: Path, imaging: dict) -> None:
    """Run the rule's script as a program: pytest's own process has python-casacore loaded."""
    arguments = ["--calibrated-ms", "a.ms", "--calibrated-status", "a.ms.json",
                 "--weights-status", "a.weights.json",
                 "--imaging", yaml.safe_dump(imaging), "--scratch", "."]  # fmt: skip
    for product in PRODUCTS:
        arguments += [f"--{product}", f"{product}.fits"]
    script = str(CHECKOUT / "scripts" / "image_group.py")
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "scripts"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def files_of(ms: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and times of a set's files."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in ms.rglob("*")
        if path.is_file() and path.name != "table.lock"
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One set imaged by tclean and by WSClean with the same options."""
    folder = tmp_path_factory.mktemp("tclean")
    observed = synthetic_ms.Observation(
        n_antennas=24, n_chan=4, absent=(), sources=SOURCES, noise_jy=0.1
    )
    synthetic_ms.write(folder / "a.ms", observed)
    write_status(folder / "a.ms.json", figures=observed.figures())
    write_status(folder / "a.weights.json")
    before = files_of(folder / "a.ms")
    run_script(folder, OPTIONS)
    untouched = files_of(folder / "a.ms") == before
    command = ["wsclean", "-no-update-model-required", "-size", "480", "480", "-scale", "10asec",
               "-weight", "briggs", "0.5", "-niter", "2000", "-mgain", "0.8", "-auto-mask", "5",
               "-auto-threshold", "1", "-pol", "I", "-j", "1", "-use-wgridder", "a.ms"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return SimpleNamespace(folder=folder, untouched=untouched)


def fluxes(path: Path) -> np.ndarray:
    image = read_image(path)
    background, rms = background_and_rms(image.data, 120)
    ra, dec, _ = np.array(SOURCES).T
    return measure_fluxes(image, ra, dec, background, rms)["flux_jy"].to_numpy()


def test_forced_fluxes_are_those_of_wsclean_and_of_the_truth(both: SimpleNamespace) -> None:
    by_tclean = fluxes(both.folder / "image.fits")
    assert by_tclean == pytest.approx(fluxes(both.folder / "wsclean-image.fits"), rel=0.01)
    assert by_tclean == pytest.approx([flux for _, _, flux in SOURCES], rel=0.02)


def test_products_have_the_form_of_wscleans(both: SimpleNamespace) -> None:
    for product in PRODUCTS:
        found = read_image(both.folder / f"{product}.fits")
        other = read_image(both.folder / f"wsclean-{product}.fits", product != "model")
        assert found.data.shape == other.data.shape
        assert found.wcs.wcs.crpix == pytest.approx(other.wcs.wcs.crpix)
        assert found.wcs.wcs.crval % 360 == pytest.approx(other.wcs.wcs.crval % 360, abs=1e-5)
        assert found.freq_hz == pytest.approx(other.freq_hz, rel=1e-4)
        assert found.header["STATUS"] == "ok"
        assert "HISTORY" not in found.header
    assert read_image(both.folder / "psf.fits").data[240, 240] == pytest.approx(1.0, abs=1e-3)


def test_niter_is_of_both_steps_together(both: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("a.ms", "a.ms.json", "a.weights.json"):
        (tmp_path / name).symlink_to(both.folder / name)
    run_script(tmp_path, OPTIONS | {"niter": 10})
    peaks = np.array([flux for _, _, flux in SOURCES])
    for _ in range(10):  # each takes a tenth off the highest peak
        peaks[peaks.argmax()] *= 0.9
    expected = sum(flux for _, _, flux in SOURCES) - peaks.sum()
    assert fits.getdata(tmp_path / "model.fits").sum() == pytest.approx(expected, rel=0.1)


def test_the_set_is_left_as_it_was(both: SimpleNamespace) -> None:
    assert both.untouched


def test_a_rejected_set_gives_labelled_empty_images(tmp_path: Path) -> None:
    write_status(tmp_path / "a.ms.json", status="rejected", reason="all flagged")
    run_script(tmp_path, OPTIONS)
    for product in PRODUCTS:
        header = fits.getheader(tmp_path / f"{product}.fits")
        assert (header["STATUS"], header["REASON"]) == ("rejected", "all flagged")
