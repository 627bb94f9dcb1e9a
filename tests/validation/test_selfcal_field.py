"""A field whose gains have drifted since the calibrator, mended by self-calibration."""

from pathlib import Path

import judge
import pandas as pd
import pytest
from figures import record

from conftest import ROOT, snakemake
from contimg.status import read_status
from contimg.tables import read_table

CONFIGS = [ROOT / "config" / "demo.yaml", ROOT / "tests" / "validation" / "drifting.yaml"]
DATE = "2025-10-01"
IMAGED = "catalogue_1mjy"


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The working directory, and the group."""
    folder = tmp_path_factory.mktemp("drifting")
    snakemake(folder, "--quiet", "rules", "--", f"simulated/{DATE}/truth.json", configs=CONFIGS)
    (_, group), *others = judge.science_groups(folder)
    assert not others
    targets = (f"photometry/{DATE}/{group}.parquet", "selfcal/comparison.parquet")
    snakemake(folder, "--quiet", "rules", "--", *targets, configs=CONFIGS)
    return folder, group


@pytest.fixture(scope="module")
def compared(field: tuple[Path, str]) -> pd.DataFrame:
    table, _ = read_table(field[0] / "selfcal" / "comparison.parquet")
    return table.set_index("strategy")


def test_the_snr_is_that_of_good_gains_again(compared: pd.DataFrame) -> None:
    record("selfcal", compared[["snr_initial", "snr_final"]].to_dict("index"))
    assert list(compared.index) == ["none", IMAGED, "clean"]
    assert compared.loc["none", "snr_improvement"] == 1
    assert (compared.loc[[IMAGED, "clean"], "snr_improvement"] > 2.3).all()  # measured: 3.1
    assert not compared["fell_back"].any()


def test_fluxes_and_positions_are_those_of_the_sky(field: tuple[Path, str]) -> None:
    folder, group = field
    found = judge.fluxes(judge.image_fluxes(folder, DATE, group))
    record("selfcal_fluxes", found)
    assert found.n > 15
    assert abs(found.mean - 1) < 0.01
    assert judge.positions(judge.image_positions(folder, DATE, group)).median_offset < 0.03


def test_the_image_is_that_of_the_round_that_was_chosen(field: tuple[Path, str]) -> None:
    folder, group = field
    chosen = read_status(folder / "selfcal" / IMAGED / DATE / f"{group}.ms.json")
    found = chosen.figures["selfcal"]
    used = found["rounds"][found["round"]]
    assert used["snr"] == max(one.get("snr", 0) for one in found["rounds"])
    image = read_status(folder / "images" / DATE / f"{group}.image.json")
    assert image.figures["dynamic_range"] > 2.3 * found["rounds"][0]["snr"]
    left = {path.suffix for path in (folder / "selfcal").glob(f"*/{DATE}/*")}
    assert left == {".gcal", ".json"}  # sets and images of the rounds are temporary
