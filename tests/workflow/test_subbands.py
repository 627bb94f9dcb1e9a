"""Images of parts of the band, of a group whose files of one part never came."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from conftest import ROOT, snakemake
from contimg.fits import read_image
from contimg.tables import read_table, subband_of, whole_band
from validation import judge
from workflow import SMALL, SMALL_DATE, small_date_in, status

CONFIGS = [*SMALL, ROOT / "tests" / "workflow" / "subbands.yaml"]
MISSING = 5
"""Counted from the lowest frequency; raw subbands 4 and 5, counted from the highest."""


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Measure the small date's last group without two of its files; return folder and GROUP."""
    small_date = small_date_in(tmp_path_factory)
    folder = tmp_path_factory.mktemp("subbands") / "date"
    for name in (".snakemake", "incoming", "cal", "catalogs", "simulated"):
        shutil.copytree(small_date / name, folder / name)
    groups = sorted(path.stem for path in small_date.glob(f"ms/science/{SMALL_DATE}/*.ms"))
    calibrator, last = groups[0], groups[-1]
    for path in small_date.glob(f"ms/science/{SMALL_DATE}/{calibrator}.*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        (folder / "ms/science" / SMALL_DATE).mkdir(parents=True, exist_ok=True)
        copy(path, folder / "ms/science" / SMALL_DATE / path.name)
    truth = status(folder / f"simulated/{SMALL_DATE}/truth.json")["groups"][-1]
    assert truth["group"] == last
    for name in truth["files"]:
        if name.endswith(("_sb04.hdf5", "_sb05.hdf5")):
            (folder / "incoming" / name).unlink()
    target = f"photometry/{SMALL_DATE}/{last}.parquet"
    snakemake(folder, "--quiet", "rules", "--", target, configs=CONFIGS)
    return folder, last


def test_the_part_that_is_missing_is_rejected_and_says_so(group: tuple[Path, str]) -> None:
    folder, name = group
    images = folder / "images" / SMALL_DATE
    told = status(images / f"{name}.subbands.json")["figures"]["subbands"]
    assert [one["status"] == "ok" for one in told] == [k != MISSING for k in range(8)]
    assert told[MISSING]["reason"] == "all data from 1428.4 to 1451.9 MHz are flagged"
    for product in ("pb", "pbcor", "rms"):
        header = fits.getheader(images / f"{name}.s{MISSING}.{product}.fits")
        assert header["STATUS"] == "rejected" and "flagged" in header["REASON"]
    assert status(images / f"{name}.image.json")["status"] == "ok"


def test_bright_sources_have_their_true_flux_in_each_subband(group: tuple[Path, str]) -> None:
    folder, name = group
    table, about = read_table(folder / f"photometry/{SMALL_DATE}/{name}.parquet")
    found = sorted(set(table.subband))
    assert found == [-1, *(k for k in range(8) if k != MISSING)]
    assert len(whole_band(table)) and not about["failed_checks"]
    assert [one["status"] for one in about["subbands"]].count("rejected") == 1
    truth = judge.read_sources(folder / f"simulated/{SMALL_DATE}/truth.h5", name)
    lone = judge.lone_sources(read_image(folder / f"images/{SMALL_DATE}/{name}.image.fits"), truth)
    means, errors = [], []
    for _, rows in table.groupby(subband_of(table)):
        judged = judge.judged_fluxes(rows, lone)
        weight = judged["ratio_err"] ** -2
        means.append(np.average(judged["ratio"], weights=weight))
        errors.append(weight.sum() ** -0.5)
    assert max(errors) < 0.03
    assert np.all(np.abs(np.array(means) - 1) < 0.02 + 2 * np.array(errors)), means
    assert np.average(means[1:], weights=np.array(errors[1:]) ** -2) == pytest.approx(1, abs=0.02)
    assert np.all(np.diff([rows.freq_hz.iloc[0] for k, rows in table.groupby("subband")][1:]) > 0)
