"""Other ways to image: a mask from the catalogue, a quick look, CASA instead of WSClean."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image as Pixels

from conftest import snakemake
from workflow import SMALL, SMALL_DATE, plan, small_date_in, status


@pytest.fixture(scope="module")
def small_date(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_date_in(tmp_path_factory)


def test_a_quick_look_and_an_image_with_the_catalogues_mask(
    small_date: Path, tmp_path: Path
) -> None:
    folder, config = tmp_path / "copy", tmp_path / "masked.yaml"
    shutil.copytree(small_date, folder)
    group = sorted(path.name.split(".")[0] for path in folder.glob("images/*/*.image.json"))[-1]
    image, picture = f"images/{SMALL_DATE}/{group}", f"quick/{SMALL_DATE}/{group}.png"
    plain = fits.getdata(folder / f"{image}.model.fits")
    config.write_text("imaging: {mask: catalogue}\n")
    snakemake(folder, "--", f"{image}.image.json", picture, configs=[*SMALL, config])
    assert status(folder / f"{image}.image.json")["status"] == "ok"
    with fits.open(folder / f"{image}.image.fits") as hdus:
        command = "".join(line.ljust(72) for line in hdus[0].header["HISTORY"])
    assert "-fits-mask mask.fits.gz" in command
    model = fits.getdata(folder / f"{image}.model.fits")
    assert model.sum() == pytest.approx(plain.sum(), rel=0.5)
    assert np.count_nonzero(model) != np.count_nonzero(plain)
    # Nothing but the picture is left of the look, and nothing of the mask.
    assert [path.name for path in (folder / "quick" / SMALL_DATE).iterdir()] == [f"{group}.png"]
    assert not list(folder.glob("images/*/*.mask.fits.gz"))
    with Pixels.open(folder / picture) as drawn:
        assert min(drawn.size) >= 256


def test_tclean_finds_its_own_mask_and_what_it_does_not_use_does_not_image_again(
    small_date: Path, tmp_path: Path
) -> None:
    folder, table, config = tmp_path / "copy", tmp_path / "beam.csv", tmp_path / "casa.yaml"
    shutil.copytree(small_date, folder)
    group = sorted(path.name.split(".")[0] for path in folder.glob("images/*/*.image.json"))[-1]
    target = f"images/{SMALL_DATE}/{group}.image.json"
    config.write_text("imaging: {backend: tclean, mask: auto, size: 256, niter: 100}\n")
    snakemake(folder, "--", target, configs=[*SMALL, config])
    assert status(folder / target)["status"] == "ok"
    assert fits.getdata(folder / "images" / SMALL_DATE / f"{group}.model.fits").any()
    beam_again = [f"Beam, noise and corrected image of {group}"]
    limits = tmp_path / "limits.yaml"
    limits.write_text("imaging: {checks: {min_dynamic_range: 11}}\n")
    assert plan(folder, target, configs=[*SMALL, config, limits]) == beam_again
    # A table for the beam: its rule alone is run with it, and planned again when it changes.
    table.write_text("angle_deg,power\n0,1\n2,0.4\n4,0\n")
    config.write_text(f"{config.read_text()}beam: {{model: table, table: {table}}}\n")
    alone = ("--allowed-rules", "correct_primary_beam")
    snakemake(folder, *alone, "--", target, configs=[*SMALL, config])
    assert plan(folder, target, options=alone, configs=[*SMALL, config]) == []
    table.write_text("angle_deg,power\n0,1\n2,0.5\n4,0\n")
    assert plan(folder, target, options=alone, configs=[*SMALL, config]) == beam_again


def test_a_mask_is_made_and_casa_is_asked_only_where_the_configuration_says_so(
    tmp_path: Path, small_date: Path
) -> None:
    target = f"report/{SMALL_DATE}/index.html"
    found = {}
    for name, text in (("plain", "{niter: 501}"), ("casa", "{backend: tclean, mask: catalogue}")):
        config = tmp_path / f"{name}.yaml"
        config.write_text(f"imaging: {text}\n")
        found[name] = plan(small_date, target, configs=[*SMALL, config])
    assert not [job for job in found["plain"] if job.startswith("Mask of")]
    assert not [job for job in found["plain"] if job.endswith("by tclean")]
    assert len([job for job in found["casa"] if job.startswith("Mask of")]) == 3
    assert len([job for job in found["casa"] if job.endswith("by tclean")]) == 3
