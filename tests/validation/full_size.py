"""The accuracies at full size, with and without self-calibration, judged by the truth.

    export PYTHONPATH=scripts:tests:tests/validation
    python tests/validation/full_size.py DIRECTORY [WAY ...]

simulates in DIRECTORY, all 96 antennas: a field whose gains drift (`field`), the same without a sky
(`dark`), and one with a source of 10 Jy and gain errors of 2 % (`bright`); about 11 GB, and five
minutes an image on 2 cores. A way is a strategy of self-calibration (none, clean ...), with `+mask`
CLEAN has the catalogue's mask. Prints a line of JSON an image.
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import judge
import numpy as np

from conftest import ROOT, snakemake
from contimg.fits import read_image
from contimg.status import read_status

DATE = "2025-10-19"
MIN_BEAM = 0.2
HERE = Path(__file__).parent
FULL = ROOT / "config" / "full.yaml"
DEEP = HERE / "full_size.yaml"
OVERLAYS = {"field": [], "bright": [HERE / "bright.yaml"], "dark": [HERE / "noise_only.yaml"]}


def reduce(folder: Path, way: str, extra: dict[str, Any] | None = None) -> None:
    """Bring one science group from simulation to photometry; `extra` is laid over the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "overlay.yaml"
    strategy, _, mask = way.partition("+")
    chosen: dict[str, Any] = {"selfcal": {"strategy": strategy}}
    if mask:
        chosen["imaging"] = {"mask": "catalogue", "mask_min_jy": 0.0005, "auto_threshold": 0.7}
    overlay.write_text(json.dumps(chosen | (extra or {})))
    configs = [FULL, *OVERLAYS[folder.name], DEEP, overlay]
    if not (folder / f"simulated/{DATE}/truth.json").exists():
        snakemake(folder, "--", f"simulated/{DATE}/truth.json", configs=configs)
    [(_, group)] = judge.science_groups(folder)
    snakemake(folder, "--", f"photometry/{DATE}/{group}.parquet", configs=configs)


def tables_of(folder: Path) -> str:
    """cal/DATE/GROUP of the tables that serve the field."""
    [gains] = (folder / "cal" / DATE).glob("*.gcal")
    return str(gains.relative_to(folder).with_suffix(""))


def lend_tables(field: Path, dark: Path) -> dict[str, Any]:
    """Copy the field's tables to the noise's directory; return the configuration that pins them."""
    tables = tables_of(field)
    for kind in ("bcal", "gcal"):
        copy = dark / f"{tables}.{kind}"
        if not copy.exists():
            shutil.copytree(field / f"{tables}.{kind}", copy)
            shutil.copy(field / f"{tables}.{kind}.json", f"{copy}.json")
    return {"calibration": {"pinned_tables": [tables]}}


def judged(folder: Path, thermal: judge.Noise | None) -> dict[str, Any]:
    """Figures of the one image of a folder."""
    [(date, group)] = judge.science_groups(folder)
    image = read_image(folder / f"images/{date}/{group}.image.fits")
    beam = read_image(folder / f"images/{date}/{group}.pb.fits", require_beam=False).data
    sources = judge.read_sources(folder / f"simulated/{date}/truth.h5", group)
    # The truth's sky is the survey's, RA 225-230 and dec 45-48: the beam above 0.2 lies in it.
    found = judge.noise(image, sources, beam > MIN_BEAM)
    figures = {
        "noise": asdict(found),
        "image": read_status(folder / f"images/{date}/{group}.image.json").figures,
    }
    if thermal:
        fluxes = judge.image_fluxes(folder, date, group, MIN_BEAM)
        figures |= {
            "noise_over_noise_alone": found.std_jy / thermal.std_jy,
            "mad_over_noise_alone": found.mad_jy / thermal.mad_jy,
            "fluxes": asdict(judge.fluxes(fluxes)),
            "positions": asdict(judge.positions(judge.image_positions(folder, date, group))),
            "dynamic_range": float(np.nanmax(image.data)) / found.std_jy,
        }
    return figures


def main(directory: Path, ways: list[str]) -> None:
    field, dark, bright = (directory / name for name in ("field", "dark", "bright"))
    thermal = None
    for way in ways:
        for folder in (field, bright):
            reduce(folder, way)
            if thermal is None:
                reduce(dark, "none", lend_tables(field, dark))
                thermal = judge.Noise(**judged(dark, None)["noise"])
                show({"noise alone": asdict(thermal)})
            show({"folder": folder.name, "way": way, **judged(folder, thermal)})


def show(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures, default=float) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:] or ["none", "clean"])
