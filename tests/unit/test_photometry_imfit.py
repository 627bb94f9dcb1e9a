"""CASA's imfit, with the beam's shape and the positions held, gives the forced fluxes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits as afits
from synthetic_images import beam_noise, inject, sin_header

from conftest import ROOT
from contimg.fits import Beam, read_image
from contimg.photometry import measure_fluxes

BEAM = Beam(18.0 / 3600, 10.8 / 3600, 30.0)
HALF = 9
PLACES = [
    [(100.3, 310.8, 0.2)],
    [(300.0, 120.5, 0.02)],
    [(201.7, 333.2, -0.05)],
    [(112.4, 80.1, 0.1), (116.2, 83.0, 0.03)],
    [(300.2, 250.7, 0.01), (303.4, 254.3, 0.4), (298.1, 256.0, 0.06)],
]
"""Sources that are near one another: pixel from 0, and flux in Jy."""

# casatools and python-casacore may not meet in one process, so CASA gets one of its own.
CASAS_WAY = """
import json, sys
from contimg.casa import casatasks

found = []
for box, estimates in json.loads(sys.argv[2]):
    with open("estimates.txt", "w") as file:
        file.write(estimates)
    done = casatasks().imfit(sys.argv[1], box=box, estimates="estimates.txt")
    parts = done["results"]
    found.append([parts[f"component{i}"]["peak"]["value"] for i in range(parts["nelements"])])
json.dump(found, open("found.json", "w"))
"""


def test_imfit_gives_the_forced_fluxes(tmp_path: Path) -> None:
    """Of sources alone, in a pair and in a triple."""
    header = sin_header(shape=(400, 400), beam=BEAM)  # imfit crashes without a frequency axis
    data = beam_noise((400, 400), 1e-3, 4.7, seed=3)
    jobs = []
    for group in PLACES:
        x, y, _ = np.transpose(group)
        inject(data, header, *np.transpose(group))
        corners = [*(np.rint([x.min(), y.min()]).astype(int) - HALF).tolist(),
                   *(np.rint([x.max(), y.max()]).astype(int) + HALF).tolist()]  # fmt: skip
        shape = f"{BEAM.bmaj_deg * 3600}arcsec, {BEAM.bmin_deg * 3600}arcsec, {BEAM.bpa_deg}deg"
        lines = [f"{flux}, {i}, {j}, {shape}, xyabp" for i, j, flux in group]
        jobs.append((",".join(map(str, corners)), "\n".join(lines) + "\n"))
    header["BUNIT"] = "Jy/beam"
    afits.PrimaryHDU(data[None, None].astype("f4"), header).writeto(tmp_path / "image.fits")
    subprocess.run(
        [sys.executable, "-c", CASAS_WAY, "image.fits", json.dumps(jobs)], cwd=tmp_path,
        check=True, timeout=120, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    casas = np.concatenate(json.loads((tmp_path / "found.json").read_text()))
    x, y, _ = np.transpose([one for group in PLACES for one in group])
    image = read_image(tmp_path / "image.fits")
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    zeros = np.zeros(data.shape, "f4")
    ours = measure_fluxes(image, ra, dec, zeros, zeros + np.float32(1e-3))
    apart = np.abs(ours["flux_jy"].to_numpy() - casas)
    lone = ~ours["blended"].to_numpy()
    assert lone.sum() == 3
    assert apart[lone].max() < 5e-6
    assert (apart / ours["flux_err_jy"]).max() < 0.15  # a box has corners that no stamp has
