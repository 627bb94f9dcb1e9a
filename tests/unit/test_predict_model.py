"""The solve set's model follows the calibrator through the beam."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import casacore.tables as casatables
import numpy as np
import pandas as pd
import pytest
import synthetic_ms as synthetic
import yaml

import predict_model
from contimg.beam import gaussian_power
from contimg.calibrators import KnownCalibrators
from contimg.checkout import CHECKOUT
from contimg.status import read_status, write_status

CALIBRATOR = {"name": "0834+555", "ra_deg": 227.0, "dec_deg": 46.5, "flux_jy": 8.0}
CALIBRATION = {
    "model_radius_deg": 2.5, "model_min_jy": 0.01, "average": {"channels": 1, "integrations": 1},
}  # fmt: skip
BEAM = {"model": "gaussian", "table": ""}
DEFAULTS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set over which the dish's axis drifts a degree away from the calibrator."""
    folder = tmp_path_factory.mktemp("predict")
    observed = synthetic.Observation()
    synthetic.write(folder / "sci.ms", observed)
    drift = [[227.0, 46.5 + step / 3] for step in range(4)]
    write_status(
        folder / "sci.ms.json", digest="x", figures={**observed.figures(), "pointing": drift}
    )
    rows = pd.DataFrame(
        [("a", 227.0, 46.501, 7.0, np.nan), ("b", 220.0, 46.5, 9.0, 0.0)],
        columns=["source_id", "ra_deg", "dec_deg", "s_nvss", "alpha"],
    )
    with closing(sqlite3.connect(folder / "catalog.sqlite3")) as database:
        rows.to_sql("sources", database, index=False)
    return folder


def predict(folder: Path, calibrator: dict) -> None:
    predict_model.main(
        ms=folder / "sci.ms",
        ms_status=folder / "sci.ms.json",
        catalog=folder / "catalog.sqlite3",
        solve_ms=folder / "solve.ms",
        status=folder / "solve.ms.json",
        calibrator=calibrator,
        calibration=CALIBRATION,
        beam=BEAM,
        scratch=folder,
    )


def test_model_fades_as_the_calibrator_leaves_the_beam(folder: Path) -> None:
    predict(folder, CALIBRATOR)
    with casatables.table(str(folder / "solve.ms"), ack=False) as table:
        model, time = table.getcol("MODEL_DATA"), table.getcol("TIME")
    freq_hz = synthetic.Observation().freq_hz
    for step, moment in enumerate(np.unique(time)):
        response = gaussian_power(np.radians(step / 3), freq_hz, 4.65)
        amplitude = np.abs(model[time == moment])
        np.testing.assert_allclose(amplitude, 8.0 * response[:, None] + 0 * amplitude, rtol=1e-5)
    figures = read_status(folder / "solve.ms.json").figures
    assert (figures["calibrator"], figures["n_model_sources"]) == ("0834+555", 1)
    assert figures["flux_jy"] == pytest.approx(8.0)
    assert figures["apparent_jy"] < 8.0 * figures["beam_response"] < 8.0


def test_same_input_gives_the_same_digest(folder: Path) -> None:
    predict(folder, CALIBRATOR)
    first = read_status(folder / "solve.ms.json")
    predict(folder, CALIBRATOR)
    assert read_status(folder / "solve.ms.json") == first


def test_standard_calibrator_has_setjys_spectrum(folder: Path) -> None:
    standard = {"name": "3C286", "ra_deg": 227.0, "dec_deg": 46.5, "standard": "Perley-Taylor 99"}
    predict(folder, standard)
    # Perley & Taylor (1999), VLA Calibrator Manual: log S = a + b x + c x^2 + d x^3, x = log GHz.
    x = np.log10(synthetic.Observation().freq_hz / 1e9)
    published = 10 ** (1.23734 - 0.43276 * x - 0.14223 * x**2 + 0.00345 * x**3)
    figures = read_status(folder / "solve.ms.json").figures
    assert figures["flux_jy"] == pytest.approx(published.mean(), rel=2e-3)
    assert not [path for path in folder.iterdir() if path.name.startswith("setjy")]


# Perley & Butler (2017), ApJS 230, 7: log10 S(Jy) = sum of a_i log10(nu / GHz)^i.
PERLEY_BUTLER_2017 = {
    "3C48": (1.3253, -0.7553, -0.1914, 0.0498),
    "3C138": (1.0088, -0.4981, -0.155, -0.010, 0.022),
    "3C147": (1.4516, -0.6961, -0.201, 0.064, -0.046, 0.029),
    "3C196": (1.2872, -0.8530, -0.153, -0.0200, 0.0201),
    "3C286": (1.2481, -0.4507, -0.1798, 0.0357),
    "3C295": (1.4701, -0.7658, -0.2780, -0.0347, 0.0399),
}
LIST_NAMES = {"3C48": "0137+331", "3C138": "0521+166", "3C147": "0542+498", "3C196": "0813+482",
              "3C286": "1331+305", "3C295": "1411+522"}  # fmt: skip


def test_the_lists_standard_calibrators_have_perley_and_butlers_fluxes(folder: Path) -> None:
    """All six, found in the list by place, have the published flux at 1.405 GHz."""
    known = KnownCalibrators(DEFAULTS, CHECKOUT).table
    freq_hz = synthetic.Observation().freq_hz
    nearest = np.abs(freq_hz - 1.405e9).argmin()
    standards = {str(row["name"]) for row in known if row["standard"] == "Perley-Butler 2017"}
    assert standards == set(LIST_NAMES.values())
    rows = {name: known[known["name"] == LIST_NAMES[name]][0] for name in LIST_NAMES}
    found = setjys_fluxes(folder, rows)
    for name, coefficients in PERLEY_BUTLER_2017.items():
        published = 10 ** np.polyval(coefficients[::-1], np.log10(freq_hz / 1e9))
        np.testing.assert_allclose(found[name], published, rtol=1e-4)
        assert abs(found[name][nearest] / rows[name]["flux_jy"] - 1) < 0.05, name


def setjys_fluxes(folder: Path, rows: dict[str, np.void]) -> dict[str, list[float]]:
    """Ask setjy for each row of the table of calibrators, in one process of its own."""
    code = (
        "import json, pathlib, sys; from contimg.standard_flux import setjy_flux_jy as f;"
        "asked = json.loads(sys.argv[1]);"
        "[pathlib.Path(one['folder']).mkdir() for one in asked.values()];"
        "fluxes = {name: f(**one) for name, one in asked.items()};"
        "pathlib.Path('fluxes.json').write_text(json.dumps(fluxes))"
    )
    asked = {
        name: {"ms": str(folder / "sci.ms"), "name": str(row["name"]),
               "position_deg": [float(row["ra_deg"]), float(row["dec_deg"])],
               "standard": str(row["standard"]), "folder": str(folder / name)}
        for name, row in rows.items()
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)], check=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "scripts")}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return json.loads((folder / "fluxes.json").read_text())


def test_the_status_says_whose_flux_the_model_has(folder: Path) -> None:
    place = {"name": "mine", "ra_deg": 202.784533, "dec_deg": 30.509155}
    standard = {"standard": "Perley-Butler 2017", "flux_model": "Perley-Butler 2017"}
    predict(folder, place | standard)
    figures = read_status(folder / "solve.ms.json").figures
    assert figures["flux_model"] == "Perley-Butler 2017"
    x = np.log10(1.4)
    published = 10 ** np.polyval(PERLEY_BUTLER_2017["3C286"][::-1], x)
    assert figures["flux_1400mhz_jy"] == pytest.approx(published, rel=1e-4)
    spectrum = figures["spectrum"]
    assert (spectrum["freq_hz"][0], spectrum["freq_hz"][-1]) == tuple(
        synthetic.Observation().freq_hz[[0, -1]]
    )
    assert all(np.diff(spectrum["flux_jy"]) < 0)
    predict(folder, CALIBRATOR | {"flux_model": "VLA list"})
    figures = read_status(folder / "solve.ms.json").figures
    assert (figures["flux_model"], figures["flux_1400mhz_jy"]) == ("VLA list", pytest.approx(8.0))


def test_unknown_standard_calibrator_is_an_error(folder: Path) -> None:
    unknown = {"name": "nobody", "ra_deg": 20.0, "dec_deg": 50.0, "standard": "Perley-Taylor 99"}
    with pytest.raises(ValueError, match="no flux of 'nobody'"):
        predict(folder, unknown)


def test_rejected_science_set_gives_a_labelled_empty_solve_set(tmp_path: Path) -> None:
    write_status(tmp_path / "sci.ms.json", status="rejected", reason="13 of 16 subbands")
    script = Path(predict_model.__file__)
    arguments = ["--ms", "sci.ms", "--ms-status", "sci.ms.json", "--catalog", "none",
                 "--solve-ms", "solve.ms", "--status", "solve.ms.json", "--calibrator", "{}",
                 "--calibration", "{}", "--beam", "{}"]  # fmt: skip
    subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert read_status(tmp_path / "solve.ms.json").reason == "13 of 16 subbands"
    assert (tmp_path / "solve.ms" / "REJECTED").read_text() == "13 of 16 subbands\n"
