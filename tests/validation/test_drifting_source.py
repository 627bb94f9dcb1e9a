"""A source keeps its flux, and its place, while it drifts from one edge of the beam to the other.

Its apparent flux changes fivefold over the five groups, by a third within one of them, and twofold
over the band at the edges: what CLEAN cannot model is subtracted before.
"""

from pathlib import Path

import judge
import numpy as np
import pandas as pd
import pytest
from figures import record

from conftest import ROOT, snakemake
from contimg.fits import read_image
from contimg.noise import background_and_rms
from contimg.photometry import fit_free_positions
from contimg.tables import read_table

DATE = "2025-10-08"
CONFIGS = [ROOT / "config" / "demo.yaml", Path(__file__).with_name("drift.yaml")]
BRIGHT_JY = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("drift")
    snakemake(made, "--", f"simulated/{DATE}/truth.json", configs=CONFIGS)
    photometry = [f"photometry/{DATE}/{group}.parquet" for group in groups_of(made)]
    snakemake(made, "--", *photometry, configs=CONFIGS)
    return made


def groups_of(folder: Path) -> list[str]:
    return [group for _, group in judge.science_groups(folder)]


@pytest.fixture(scope="module")
def fluxes(folder: Path) -> pd.DataFrame:
    """Measured over true flux of the lone sources of each group."""
    rows = []
    for number, group in enumerate(groups_of(folder)):
        image = read_image(folder / f"images/{DATE}/{group}.image.fits")
        truth = judge.read_sources(folder / f"simulated/{DATE}/truth.h5", group)
        measured, _ = read_table(folder / f"photometry/{DATE}/{group}.parquet")
        found = judge.with_truth(measured, judge.lone_sources(image, truth))
        rows.append(found.assign(group=number, ratio=found["flux_jy"] / found["true_flux_jy"]))
    return pd.concat(rows)


def test_flux_is_constant_from_one_edge_of_the_beam_to_the_other(fluxes: pd.DataFrame) -> None:
    bright = fluxes[fluxes["true_flux_jy"] == BRIGHT_JY]
    record("drift: beam response", bright["pb"].round(3).tolist())
    record("drift: measured / true flux", bright["ratio"].round(4).tolist())
    np.testing.assert_array_equal(bright["group"], range(5))
    assert bright["pb"].iloc[[0, 4]].max() < 0.25
    assert bright["pb"].iloc[2] > 0.99
    np.testing.assert_allclose(bright["ratio"], 1.0, atol=0.01)
    assert np.ptp(bright["ratio"]) < 0.01


def test_fainter_sources_keep_their_fluxes_beside_it(fluxes: pd.DataFrame) -> None:
    faint = fluxes[(fluxes["true_flux_jy"] < BRIGHT_JY) & (fluxes["pb"] > 0.3)]
    record("drift: fainter sources", faint["ratio"].describe().to_dict())
    assert len(faint) > 30
    assert faint["ratio"].median() == pytest.approx(1.0, abs=0.005)
    assert faint["ratio"].std() < 0.02


def test_what_is_left_of_the_source_is_noise(folder: Path) -> None:
    """With the sidelobes of its change in the image it is 500 at the edges and 1900 beside them."""
    found = []
    for group in groups_of(folder):
        image = read_image(folder / f"images/{DATE}/{group}.image.fits")
        truth = judge.read_sources(folder / f"simulated/{DATE}/truth.h5", group)
        found.append(float(image.data.max()) / judge.noise(image, truth).std_jy)
    record("drift: dynamic range", found)
    assert min(found) > 1000
    assert min(found[1:4]) > 5000


def test_place_is_constant_too(folder: Path) -> None:
    """Differential aberration would move it by 0.6 arcsec at an edge, turned UVW by 0.2."""
    offsets = []
    for group in groups_of(folder):
        image = read_image(folder / f"images/{DATE}/{group}.image.fits")
        truth = judge.read_sources(folder / f"simulated/{DATE}/truth.h5", group)
        bright = truth[truth["flux_jy"] == BRIGHT_JY]
        background, rms = background_and_rms(image.data, 300)
        fit = fit_free_positions(image, bright["ra_deg"], bright["dec_deg"], background, rms)
        offsets.append(fit[["dra_arcsec", "ddec_arcsec"]].to_numpy()[0])
    record("drift: offsets, arcsec", np.round(offsets, 3).tolist())
    assert np.abs(offsets).max() < 0.15
