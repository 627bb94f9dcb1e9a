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


def test_flux_of_the_phase_calibrator_is_the_published_one(reduced):
    table = reduced / "photometry" / DATE / "photometry.parquet"
    tool = [sys.executable, str(ROOT / "tools" / "flux_of_1445"), str(table)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_3c286_has_the_flux_of_its_standard(reduced):
    (solution,) = (reduced / "cal" / DATE).glob("*.gcal.json")
    figures = json.loads(solution.read_text())["figures"]
    assert figures["calibrator"] == "3C286"
    assert figures["flux_jy"] == pytest.approx(14.76, abs=0.005)  # Perley-Taylor 99


def test_every_field_is_a_group_of_its_own(reduced):
    index = json.loads((reduced / "index" / f"{DATE}.json").read_text())
    assert len(index["groups"]) == 3
    assert all(group["status"] == "complete" for group in index["groups"])
