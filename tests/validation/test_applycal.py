"""CASA's applycal, with the workflow's tables, gives the workflow's calibrated data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import casacore.tables as casatables
import numpy as np
import pytest

from conftest import ROOT
from contimg.transform import transform

DATE = "2025-10-04"
AVERAGED = {"channels": 4, "integrations": 2}

# casatools and python-casacore may not meet in one process, so CASA gets one of its own. Channel 9
# of one antenna's bandpass is flagged first, and all of another's: both must flag the data.
CASAS_WAY = """
import shutil, sys
from pathlib import Path
from contimg.casa import casa_table, casatasks

ms, bcal, gcal = (Path(path) for path in sys.argv[1:4])
seconds, channels, integrations = float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
with casa_table(bcal, write=True) as table:
    flag = table.getcol("FLAG")
    flag[:, 9, 4] = flag[:, :, 11] = True
    table.putcol("FLAG", flag)
copy = Path("copy.ms")
shutil.copytree(ms, copy)
for path in copy.rglob("*"):
    path.chmod(path.stat().st_mode | 0o200)
tasks = casatasks()
tasks.applycal(
    vis=str(copy), gaintable=[str(bcal), str(gcal)], interp=["nearest,linearflag", "nearest"],
    calwt=False, flagbackup=False, applymode="calflag",
)
tasks.mstransform(
    vis=str(copy), outputvis="casas.ms", datacolumn="corrected", antenna="*&", keepflags=True,
    usewtspectrum=True, chanaverage=channels > 1, chanbin=channels,
    timeaverage=integrations > 1, timebin=f"{integrations * seconds * 1.0001}s",
)
"""


@pytest.mark.parametrize("averaged", [{"channels": 1, "integrations": 1}, AVERAGED])
def test_applycal_gives_the_calibrated_data(
    observation: Path, tmp_path: Path, averaged: dict[str, int]
) -> None:
    """Of a group whose tables were borrowed, of another field and day."""
    choice = json.loads((observation / "cal" / DATE / "calibration.json").read_text())["figures"]
    tables = choice["tables"][0]
    assert tables["date"] != DATE
    for kind in ("bcal", "gcal"):
        shutil.copytree(observation / tables[kind], tmp_path / kind)
        for path in (tmp_path / kind).rglob("*"):
            path.chmod(path.stat().st_mode | 0o200)
    status = sorted(observation.glob(f"ms/science/{DATE}/*.ms.json"))[0]
    figures = json.loads(status.read_text())["figures"]
    numbers = [figures["integration_s"], averaged["channels"], averaged["integrations"]]
    done = subprocess.run(
        [sys.executable, "-c", CASAS_WAY, str(status.with_suffix("")), "bcal", "gcal",
         *map(str, numbers)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    ms, tables = status.with_suffix(""), {kind: tmp_path / kind for kind in ("bcal", "gcal")}
    transform(ms, tmp_path / "ours.ms", tables, **averaged)
    ours, casas = (columns(tmp_path / name) for name in ("ours.ms", "casas.ms"))
    for name in ("TIME", "ANTENNA1", "ANTENNA2", "FLAG"):
        np.testing.assert_array_equal(ours[name], casas[name], err_msg=name)
    flag = ours["FLAG"]
    assert flag[(ours["ANTENNA1"] == 11) | (ours["ANTENNA2"] == 11)].all()
    assert 0.01 < flag.mean() < 0.5
    rms = np.sqrt(np.mean(np.abs(casas["DATA"][~flag]) ** 2))
    scale = np.maximum(np.abs(casas["DATA"]), rms)  # both ways round to 32 bits
    assert (np.abs(ours["DATA"] - casas["DATA"]) / scale)[~flag].max() < 1e-6
    np.testing.assert_allclose(ours["WEIGHT"][~flag], casas["WEIGHT"][~flag], rtol=1e-6)


def columns(ms: Path) -> dict[str, np.ndarray]:
    """Read a set in order of time and baseline; WEIGHT is that of each channel."""
    with casatables.table(str(ms), ack=False) as table, table.sort("TIME, ANTENNA1, ANTENNA2") as t:
        names = ("TIME", "ANTENNA1", "ANTENNA2", "DATA", "FLAG")
        found = {name: t.getcol(name) for name in names}
        spectrum = "WEIGHT_SPECTRUM" in t.colnames()
        weight = t.getcol("WEIGHT_SPECTRUM") if spectrum else t.getcol("WEIGHT")[:, None]
        return found | {"WEIGHT": np.broadcast_to(weight, found["DATA"].shape)}
