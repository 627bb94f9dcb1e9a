"""A round of self-calibration on a set of known gains: CASA agrees with what is written."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import casacore.tables as casatables
import numpy as np
import pandas as pd
import pytest
import synthetic_ms as synthetic
import yaml
from astropy.io import fits as afits
from synthetic_images import sin_header

from contimg import standard_flux
from contimg.calibration_table import antenna_names, read_gains, table_digest
from contimg.drift import sky_of_set
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.predict import copy_without_autos
from contimg.status import is_whole, read_status, write_status
from solve_round import sky_of

BASE = Path(__file__).parents[2]
SOURCES = [(227.05, 46.55, 3.0), (226.9, 46.45, 1.0)]
DEAD = 5
OPTIONS = {
    "rounds": [{"mode": "ap", "solint": "inf", "phase_solint": "30s", "min_snr": 3}],
    "radius_deg": 2.0,
    "min_improvement": 0.05,
    "max_flagged_solutions": 0.5,
}
APPLYCAL = """
import sys
from contimg.casa import casatasks
casatasks().applycal(vis=sys.argv[1], gaintable=[sys.argv[2]], interp=["nearest"], calwt=False)
"""


def gains() -> np.ndarray:
    """Drifted gains (antenna, 1, pol); one antenna is dead."""
    rng = np.random.default_rng(4)
    phase, size = rng.normal(0, 0.4, (10, 1, 2)), 1 + rng.normal(0, 0.05, (10, 1, 2))
    made = size * np.exp(1j * phase)
    made[DEAD] = 0
    return made


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("round")
    observed = synthetic.Observation(
        n_antennas=10, n_times=6, gains=gains(), sources=SOURCES, noise_jy=0.05
    )
    synthetic.write(folder / "all.ms", observed)
    copy_without_autos(folder / "all.ms", folder / "set.ms")
    figures = {**observed.figures(), "dish_diameter_m": 0.01}  # a beam as wide as the sky
    still = {"enabled": False, "min_change_jy": 0.0, "min_response": 0.0, "n_parts": 1}
    n_chan, n_times = observed.n_chan, len(figures["integration_mjd"])
    figures |= {"weight_time": [1 / n_times] * n_times, "weight_freq": [1 / n_chan] * n_chan}
    digest = sky_of_set(figures, folder / "none", still, {"model": "airy"}).digest()
    figures["drift"] = {**still, "digest": digest}
    write_status(folder / "set.ms.json", digest="set", figures=figures)
    sky = pd.DataFrame(SOURCES, columns=["ra_deg", "dec_deg", "flux_jy"]).assign(
        rms_jy=0.0005, major_arcsec=45, minor_arcsec=45, beam_arcsec=45, size_arcsec=0
    )
    write_catalog(
        folder / "sky.sqlite3", build_sources({"nvss": sky}, CatalogOptions()), CatalogOptions(), {}
    )
    noise = np.random.default_rng(5).normal(0, 0.01, (1, 1, 256, 256)).astype(np.float32)
    noise[0, 0, 100, 100] = 1.0
    afits.PrimaryHDU(noise, sin_header()).writeto(folder / "r0.fits")
    run_round(folder)
    return SimpleNamespace(folder=folder, gcal=folder / "r1.gcal", ms=folder / "r1.ms")


def run_round(folder: Path) -> None:
    given = {
        "calibrated_ms": "set.ms", "calibrated_status": "set.ms.json", "catalog": "sky.sqlite3",
        **dict.fromkeys(("images", "residuals", "models"), "r0.fits"),
        "gcal": "r1.gcal", "solution": "r1.gcal.json",
        "round_ms": "r1.ms", "status": "r1.ms.json",
        "strategy": {"model": "catalogue", "min_mjy": 1}, "calibrator": None,
        "selfcal_options": OPTIONS, "beam": {"model": "airy", "table": ""}, "scratch": ".",
    }  # fmt: skip
    words = [
        word
        for name, value in given.items()
        for word in (
            f"--{name.replace('_', '-')}",
            value if isinstance(value, str) else yaml.safe_dump(value),
        )
    ]
    script = [sys.executable, str(BASE / "scripts" / "solve_round.py")]
    subprocess.run([*script, *words], check=True, cwd=folder)


def column(ms: Path, name: str) -> np.ndarray:
    with casatables.table(str(ms), ack=False) as table:
        return table.getcol(name)


def test_gains_are_those_put_in_with_a_mean_of_one(solved: SimpleNamespace) -> None:
    live = [a for a in range(10) if a not in (3, DEAD)]
    found, truth = read_gains(solved.gcal).gain[live], gains().conj()[live]
    truth = truth / np.exp(np.log(np.abs(truth)).mean())
    ratio = found / truth
    ratio /= np.exp(1j * np.angle(ratio.mean(axis=0)))
    np.testing.assert_allclose(ratio, 1, atol=0.01)


def test_no_data_are_lost_and_the_dead_antenna_is_left_as_it_was(solved: SimpleNamespace) -> None:
    assert (column(solved.ms, "FLAG") == column(solved.folder / "set.ms", "FLAG")).all()
    np.testing.assert_allclose(read_gains(solved.gcal).gain[DEAD], 1)
    figures = read_status(solved.folder / "r1.gcal.json").figures
    assert figures["flagged_solutions"] == pytest.approx(1 / 9)
    assert figures["phase_rms_deg"] == pytest.approx(np.degrees(0.4), rel=0.3)


def test_casa_applies_the_table_to_the_same_visibilities(solved: SimpleNamespace) -> None:
    copy = solved.folder / "applied.ms"
    copy_without_autos(solved.folder / "set.ms", copy)
    command = [sys.executable, "-c", APPLYCAL, str(copy), str(solved.gcal)]
    paths = {**os.environ, "PYTHONPATH": str(BASE / "scripts")}
    subprocess.run(command, check=True, cwd=solved.folder, env=paths)
    expected = column(copy, "CORRECTED_DATA")
    np.testing.assert_allclose(
        column(solved.ms, "DATA"), expected, atol=1e-6 * np.abs(expected).max()
    )


def test_the_round_is_whole_and_says_what_it_is(solved: SimpleNamespace) -> None:
    status = read_status(solved.folder / "r1.ms.json")
    assert status.inputs == {"ms": "set", "gcal": table_digest(solved.gcal)}
    assert is_whole(solved.ms) and is_whole(solved.gcal)
    assert antenna_names(solved.gcal) == antenna_names(solved.ms)


CALIBRATOR = {"ra_deg": 227.9, "dec_deg": 47.1, "flux_jy": 8.0}


def test_a_calibrator_has_its_own_rows_spectral_index_wherever_it_stands(tmp_path: Path) -> None:
    rows = [("own", 227.9, 47.1, 7.0, -0.8), ("other", 227.9, 47.2, 1.0, 0.0)]
    names = ["source_id", "ra_deg", "dec_deg", "s_nvss", "alpha"]
    with closing(sqlite3.connect(tmp_path / "sky.sqlite3")) as database:
        pd.DataFrame(rows, columns=names).to_sql("sources", database, index=False)
    figures = {**synthetic.Observation().figures(), "freq_hz": [1.4e9, 2.8e9]}
    write_status(tmp_path / "set.ms.json", figures=figures)
    calibrated = read_status(tmp_path / "set.ms.json")
    sky = sky_of(
        {"model": "calibrator"}, CALIBRATOR, tmp_path / "sky.sqlite3", calibrated, 3.0, None
    )
    np.testing.assert_allclose(sky.flux_jy, [[8.0], [8.0 * 2**-0.8]])


def test_setjy_is_asked_by_the_name_of_the_source_that_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(standard_flux, "standard_flux_jy", lambda *words: asked.append(words[1]))
    place = {"name": "1331+305", "ra_deg": 202.784533, "dec_deg": 30.509155}
    standard_flux.spectrum_of({**place, "standard": "Perley-Butler 2017"}, tmp_path, tmp_path)
    assert asked == ["3C286"]
    assert standard_flux.spectrum_of(place, tmp_path, tmp_path) is None
