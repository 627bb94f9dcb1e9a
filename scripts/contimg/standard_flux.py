"""Fluxes of the standard calibrators, by CASA's setjy, in a process of its own.

The process that predicts visibilities uses python-casacore, and casatools may not share it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.casa import casa_table, casatasks
from contimg.flux_standards import standard_sources

TIME_LIMIT_S = 300.0


def spectrum_of(calibrator: Mapping[str, Any], ms: Path, scratch: Path) -> NDArray | None:
    """Flux of a calibrator with a `standard` in each channel of a set; None for any other.

    setjy gets the 3C name of the source that lies there, whatever the calibrator is called.

    Parameters
    ----------
    calibrator : name, ra_deg, dec_deg and, of some, standard.
    ms, scratch : as for `standard_flux_jy`.
    """
    if not calibrator.get("standard"):
        return None
    position = (calibrator["ra_deg"], calibrator["dec_deg"])
    name = standard_sources(*position)[0] or calibrator["name"]
    return standard_flux_jy(ms, name, position, calibrator["standard"], scratch)


def standard_flux_jy(
    ms: Path, name: str, position_deg: tuple[float, float], standard: str, scratch: Path
) -> NDArray[np.float64]:
    """Flux of a standard calibrator in each channel of a Measurement Set.

    Parameters
    ----------
    ms : read only.
    name : as setjy knows it (3C286).
    position_deg : ICRS, degrees.
    standard : as setjy knows it (Perley-Taylor 99).
    scratch : folder for a small temporary copy.

    Returns
    -------
    (n_chan,) Jy.

    Raises
    ------
    ValueError
        When setjy does not know the calibrator or the standard.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="setjy.") as folder:
        request = {
            "ms": str(ms.resolve()), "name": name, "position_deg": list(position_deg),
            "standard": standard, "folder": str(Path(folder).resolve()),
        }  # fmt: skip
        answer = Path(folder).resolve() / "flux.json"
        done = subprocess.run(
            [sys.executable, "-m", "contimg.standard_flux", json.dumps(request), str(answer)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=folder, timeout=TIME_LIMIT_S, check=False,
        )  # fmt: skip
        if done.returncode or not answer.exists():
            raise ValueError(
                f"setjy gave no flux of {name!r} by the standard {standard!r} (see above): "
                "give the pinned calibrator a flux_jy, or a name and a standard that setjy knows"
            )
        return np.array(json.loads(answer.read_text()))


def setjy_flux_jy(
    ms: str, name: str, position_deg: list[float], standard: str, folder: str
) -> list[float]:
    """Run setjy on a copy of one row, in which the calibrator is the phase centre."""
    row = Path(folder) / "row.ms"
    with casa_table(Path(ms)) as table:
        selected = table.query("ANTENNA1 != ANTENNA2 LIMIT 1")
        selected.copy(str(row), deep=True).close()
        selected.close()
    for path in [row, *row.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    with casa_table(row / "FIELD", write=True) as field:
        field.putcell("NAME", 0, name)
        for column in ("PHASE_DIR", "DELAY_DIR", "REFERENCE_DIR"):
            field.putcell(column, 0, np.radians(np.reshape(position_deg, (2, 1))))
    casatasks().setjy(vis=str(row), standard=standard, usescratch=True, scalebychan=True)
    with casa_table(row) as table:
        flux_jy = np.abs(table.getcell("MODEL_DATA", 0)[0])
    if np.all(flux_jy == 1.0):
        raise LookupError(f"{name}: setjy does not know it and took 1 Jy")
    return flux_jy.tolist()


if __name__ == "__main__":
    fluxes = setjy_flux_jy(**json.loads(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(fluxes))
