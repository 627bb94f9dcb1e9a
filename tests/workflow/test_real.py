"""Real visibilities: the VLA observation of NGC 5921 through the same rules (`make real`)."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT, snakemake

DATE = "1995-04-13"


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    tool = [sys.executable, str(ROOT / "tools" / "fields_to_uvh5"), str(folder / "incoming")]
    subprocess.run(tool, check=True)
    configs = [ROOT / "config" / "ngc5921.yaml"]
    snakemake(folder, "--", f"report/{DATE}/index.html", configs=configs)
    return folder


def test_fluxes_are_the_published_ones(reduced):
    """Of the phase calibrator within 1 %, and of N5921's neighbours in NVSS."""
    tool = [sys.executable, str(ROOT / "tools" / "real_fluxes"), str(reduced)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "neighbours of N5921" in done.stdout


def test_self_calibration_raised_the_signal_to_noise_of_the_phase_calibrator(reduced):
    improvements = []
    for path in (reduced / "selfcal" / "clean" / DATE).glob("*.ms.json"):
        rounds = json.loads(path.read_text())["figures"]["selfcal"]["rounds"]
        improvements.append(max(one.get("snr", 0) for one in rounds) / rounds[0]["snr"])
    assert len(improvements) == 3
    assert max(improvements) > 2.0


def test_3c286_has_the_flux_of_its_standard(reduced):
    (solution,) = (reduced / "cal" / DATE).glob("*.gcal.json")
    figures = json.loads(solution.read_text())["figures"]
    assert figures["calibrator"] == "3C286"
    assert figures["flux_jy"] == pytest.approx(14.76, abs=0.005)  # Perley-Taylor 99


def test_every_field_is_a_group_of_its_own(reduced):
    index = json.loads((reduced / "index" / f"{DATE}.json").read_text())
    assert len(index["groups"]) == 3
    assert all(group["status"] == "complete" for group in index["groups"])
