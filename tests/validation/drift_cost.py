"""What the drift and the colour of the beam cost, and what their subtraction gives.

    PYTHONPATH=scripts python tests/validation/drift_cost.py WORKING_DIRECTORY DATE GROUP \
        --configs config/demo.yaml tests/observation.yaml --limits off 0.02 0.005 0.002

calibrates and images a group of a simulated and reduced working directory once for each value of
`imaging.drift.min_change_jy`, below WORKING_DIRECTORY/drift, and prints a line of JSON for each:
noise away from the truth's sources, dynamic range, fluxes and positions against the truth.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import judge
import numpy as np
import yaml

from contimg.fits import read_image
from contimg.imaging import wsclean_arguments
from contimg.status import read_status

ROOT = Path(__file__).parents[2]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one configuration over another, as Snakemake does."""
    both = dict(base)
    for name, value in over.items():
        is_block = isinstance(value, dict) and isinstance(base.get(name), dict)
        both[name] = merged(base[name], value) if is_block else value
    return both


def configuration(paths: list[Path]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for path in [ROOT / "config" / "config.yaml", *paths]:
        config = merged(config, yaml.safe_load(path.read_text()))
    return config


def script(name: str, folder: Path, **arguments: Any) -> float:
    """Run a script of the workflow by itself; return what it took, seconds."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py")]
    for key, value in arguments.items():
        text = value if isinstance(value, str | Path) else json.dumps(value)
        command += [f"--{key.replace('_', '-')}", str(text)]
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    return time.monotonic() - start


def measured(
    folder: Path, date: str, group: str, config: dict[str, Any], limit: str, more: list[str]
) -> dict:
    """Calibrate, image and judge with one limit."""
    out = Path("drift") / limit
    for kind in ("images", "photometry"):
        (folder / out / kind / date).mkdir(parents=True, exist_ok=True)
    if not (folder / out / "simulated").exists():
        (folder / out / "simulated").symlink_to(folder / "simulated")
    drift = dict(config["imaging"]["drift"], enabled=limit != "off", n_parts=1)
    drift["min_change_jy"] = 0.0 if limit == "off" else float(limit)
    apply_s = script(
        "apply_calibration", folder, ms=f"ms/science/{date}/{group}.ms",
        ms_status=f"ms/science/{date}/{group}.ms.json",
        calibration_status=f"cal/{date}/calibration.json",
        catalog="catalogs/master_sources.sqlite3", calibrated_ms=out / "calibrated.ms",
        status=out / "calibrated.ms.json", averaging=config["averaging"],
        flagging=config["flagging"], drift=drift, beam=config["beam"],
    )  # fmt: skip
    start = time.monotonic()
    subprocess.run(
        ["wsclean", *wsclean_arguments(config["imaging"]), *more, "-use-wgridder", "-j", "1",
         "-name", "w", "calibrated.ms"],
        cwd=folder / out, check=True, capture_output=True,
    )  # fmt: skip
    image_s = time.monotonic() - start
    image = out / "images" / date / group
    for product in ("image", "residual", "model", "psf"):
        (folder / out / f"w-{product}.fits").rename(folder / f"{image}.{product}.fits")
    made = {name: f"{image}.{name}.fits" for name in ("image", "residual", "pb", "pbcor", "rms")}
    script(
        "correct_primary_beam", folder, **made, calibrated_status=out / "calibrated.ms.json",
        status=f"{image}.image.json", beam=config["beam"], imaging=config["imaging"],
        background_box_beams=config["photometry"]["background_box_beams"],
    )  # fmt: skip
    script(
        "measure_photometry", folder, **{name: made[name] for name in ("image", "pb", "rms")},
        image_status=f"{image}.image.json", catalog="catalogs/master_sources.sqlite3",
        photometry=out / "photometry" / date / f"{group}.parquet", group=group, date=date,
        options=config["photometry"], min_response=config["beam"]["min_response"],
    )  # fmt: skip
    return {"limit": limit, "apply_s": apply_s, "image_s": image_s,
            **judged(folder / out, date, group)}  # fmt: skip


def judged(folder: Path, date: str, group: str) -> dict[str, Any]:
    """Figures of one image by the truth."""
    image = read_image(folder / f"images/{date}/{group}.image.fits")
    residual = read_image(folder / f"images/{date}/{group}.residual.fits", require_beam=False)
    truth = judge.read_sources(folder / f"simulated/{date}/truth.h5", group)
    noise = judge.noise(image, truth)
    brightest = truth.iloc[(truth["flux_jy"] * truth["beam"]).argmax()]
    rows = judge.image_fluxes(folder, date, group)
    offsets = judge.image_positions(folder, date, group)
    status = folder / "calibrated.ms.json"
    return {
        "n_sources": read_status(status).figures["drift"]["n_sources"] if status.exists() else 0,
        "noise_mjy": 1e3 * noise.std_jy,
        "noise_mad_mjy": 1e3 * noise.mad_jy,
        "residual_peak_mjy": 1e3 * float(np.abs(residual.data).max()),
        "dynamic_range": float(image.data.max() / noise.std_jy),
        "brightest": [float(brightest[name]) for name in ("flux_jy", "beam")],
        "fluxes": asdict(judge.fluxes(rows)) if len(rows) > 3 else rows["ratio"].tolist(),
        "ratios": sorted(zip(rows["true_beam"].round(2).tolist(), rows["ratio"].round(4).tolist(),
                             strict=True))[:6],
        "positions": asdict(judge.positions(offsets)) if len(offsets) > 2 else None,
    }  # fmt: skip


def main() -> None:
    """Print what each limit gives."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("date")
    parser.add_argument("group")
    parser.add_argument("--configs", type=Path, nargs="*", default=[])
    parser.add_argument("--limits", nargs="+", default=["off", "0.02", "0.005", "0.002", "0.001"])
    parser.add_argument("--wsclean", default="", help="further options of WSClean, in one word")
    given = parser.parse_args()
    config = configuration(given.configs)
    for limit in given.limits:
        found = measured(
            given.folder.resolve(), given.date, given.group, config, limit, given.wsclean.split()
        )
        sys.stdout.write(json.dumps(found, default=float) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
