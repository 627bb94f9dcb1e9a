"""Away from sources an image is as noisy as one of noise alone.

A small array with a true sky cannot show this: of 39 antennas, the sidelobes of hundreds of faint
sources below the reach of CLEAN are stronger than the noise. So deep.yaml takes 82.
"""

import shutil
from pathlib import Path

import judge
import pytest
from figures import record

from conftest import ROOT, snakemake
from contimg.fits import read_image

DATE = "2025-10-08"
HERE = Path(__file__).parent
DEEP = [ROOT / "config" / "demo.yaml", HERE / "deep.yaml"]


def test_image_noise_is_that_of_noise_alone(tmp_path: Path) -> None:
    sky, dark = tmp_path / "sky", tmp_path / "dark"
    sky.mkdir(), dark.mkdir()
    snakemake(sky, "--", f"simulated/{DATE}/truth.json", configs=DEEP)
    [(_, group)] = judge.science_groups(sky)
    image = f"images/{DATE}/{group}.image.fits"
    snakemake(sky, "--", image, configs=DEEP)

    [gains] = (sky / "cal" / DATE).glob("*.gcal")
    for kind in ("bcal", "gcal"):
        table = gains.with_suffix(f".{kind}")
        copy = dark / table.relative_to(sky)
        shutil.copytree(table, copy)
        shutil.copy(f"{table}.json", f"{copy}.json")
    pinned = tmp_path / "pinned.yaml"
    pinned.write_text(f'calibration: {{pinned_tables: ["cal/{DATE}/{gains.stem}"]}}\n')
    configs = [*DEEP, HERE / "noise_only.yaml", pinned]
    snakemake(dark, "--", f"simulated/{DATE}/truth.json", configs=configs)
    snakemake(dark, "--", image, configs=configs)

    sources = judge.read_sources(sky / f"simulated/{DATE}/truth.h5", group)
    with_sky, alone = (judge.noise(read_image(folder / image), sources) for folder in (sky, dark))
    assert with_sky.fraction_of_pixels > 0.5
    record("noise with the sky", with_sky)
    record("noise alone", alone)
    record("noise with the sky over noise alone", with_sky.std_jy / alone.std_jy)
    assert with_sky.std_jy == pytest.approx(alone.std_jy, rel=0.2)
    assert with_sky.mad_jy == pytest.approx(alone.mad_jy, rel=0.2)
