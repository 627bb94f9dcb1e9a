"""The scripts from photometry to candidates, as a user or a rule runs them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_photometry import Field

import combine_photometry
import find_ese_candidates
import measure_variability
import normalise_lightcurves
from contimg.catalog import read_sources
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.schemas import ESE_CANDIDATES, LIGHTCURVES, PHOTOMETRY, VARIABILITY
from contimg.tables import check_schema, read_table, write_rejected_table, write_table

SCRIPTS = Path(__file__).parents[2] / "scripts"
EVENT = 4
# In a dozen epochs slow variation does much that a lens does; few nulls keep the tests short.
FEW = {"max_false_alarm": 0.05, "n_nulls": 100, "n_class": 50, "max_cadences": 1,
       "null_error_step": 9.0}  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Write group tables and a catalogue; return their folder and the photometry."""
    folder = tmp_path_factory.mktemp("archive")
    photometry = Field(n_sources=25).photometry(dip=(EVENT, 0.3, 35, 25))
    photometry["date"] = photometry.group.str.split(".").str[0]
    for (date, group), rows in photometry.groupby(["date", "group"]):
        write_table(folder / "photometry" / date / f"{group}.parquet", rows, PHOTOMETRY)
    nvss = photometry.drop_duplicates("source_id")[["ra_deg", "dec_deg"]].assign(
        flux_jy=0.05, rms_jy=0.0005, major_arcsec=45, minor_arcsec=45, beam_arcsec=45, size_arcsec=0
    )
    sources = build_sources({"nvss": nvss}, CatalogOptions(confusion_radius_arcsec=1))
    write_catalog(folder / "master_sources.sqlite3", sources, CatalogOptions(), {})
    assert set(read_sources(folder / "master_sources.sqlite3").source_id) == set(
        photometry.source_id
    )
    return folder, photometry


def combine(folder, date):
    output = folder / "photometry" / date / "photometry.parquet"
    groups = [p for p in (folder / "photometry" / date).glob("*.parquet") if p != output]
    combine_photometry.main(
        photometry=groups,
        catalog=folder / "master_sources.sqlite3",
        photometry_date=output,
        options={},
    )
    return output


def test_from_group_tables_to_the_candidate(archive, tmp_path):
    folder, photometry = archive
    dates = [combine(folder, date) for date in sorted(set(photometry.date))]
    normalise_lightcurves.main(
        photometry=dates[::-1],
        catalog=folder / "master_sources.sqlite3",
        options={"order": 1},
        lightcurves=tmp_path / "lightcurves.parquet",
    )
    measure_variability.main(
        lightcurves=tmp_path / "lightcurves.parquet", output=tmp_path / "variability.parquet"
    )
    find_ese_candidates.main(
        lightcurves=tmp_path / "lightcurves.parquet",
        variability=tmp_path / "variability.parquet",
        options=FEW,
        output=tmp_path / "ese_candidates.parquet",
    )
    curves, about = read_table(tmp_path / "lightcurves.parquet")
    check_schema(curves, LIGHTCURVES)
    assert len(curves) == len(photometry) and about["figures"]["n_images_solved"] == 12
    assert about["options"] == {"order": 1} and len(about["dates"]) == 12
    metrics, _ = read_table(tmp_path / "variability.parquet")
    check_schema(metrics, VARIABILITY)
    assert len(metrics) == 25 and metrics.ra_deg.notna().all()
    found, _ = read_table(tmp_path / "ese_candidates.parquet")
    check_schema(found, ESE_CANDIDATES)
    assert found.source_id[0] == photometry.source_id[EVENT]
    score = metrics.set_index("source_id").ese_score[found.source_id[0]]
    assert found.ese_score[0] == score


def test_from_subband_photometry_to_the_exponent_of_a_chromatic_dip(archive, tmp_path):
    folder, photometry = archive
    freq_hz = np.array([1.335e9, 1.382e9, 1.428e9, 1.475e9])
    depths = 0.3 * (1.4e9 / freq_hz) ** 2
    parts = [photometry.assign(freq_hz=1.4e9, subband=-1)]
    for subband, depth in enumerate(depths):
        field = Field(n_sources=25, noise_jy=0.0002, min_snr=100, max_snr=330)
        part = field.photometry(dip=(EVENT, depth, 35, 25))
        parts.append(part.assign(freq_hz=freq_hz[subband], subband=subband))
    every = pd.concat(parts)
    every["date"] = every.group.str.split(".").str[0]
    dates = []
    for date, rows in every.groupby("date"):
        dates.append(tmp_path / date / "photometry.parquet")
        write_table(tmp_path / date / "group.parquet", rows, PHOTOMETRY, {"subbands": [{}]})
        combine_photometry.main(
            photometry=[tmp_path / date / "group.parquet"],
            catalog=folder / "master_sources.sqlite3",
            photometry_date=dates[-1],
        )
    assert read_table(dates[0])[1]["groups"]["group"]["subbands"] == [{}]
    normalise_lightcurves.main(
        photometry=dates,
        catalog=folder / "master_sources.sqlite3",
        lightcurves=tmp_path / "lightcurves.parquet",
    )
    find_ese_candidates.main(
        lightcurves=tmp_path / "lightcurves.parquet",
        output=tmp_path / "candidates.parquet",
        options=FEW,
    )
    found, about = read_table(tmp_path / "candidates.parquet")
    check_schema(found, ESE_CANDIDATES)
    assert found.source_id[0] == photometry.source_id[EVENT]
    one = found.iloc[0]
    assert one.n_subbands == 4 and one.depth_exponent_err < 1
    assert abs(one.depth_exponent - 2) < 3 * one.depth_exponent_err
    assert one.chromaticity == "chromatic" and one.achromatic_p < 0.01
    told = about["subband_depths"][one.source_id]
    np.testing.assert_allclose(told["depth"], depths, rtol=0.3)  # the lens's dip is no Gaussian
    np.testing.assert_allclose(told["freq_hz"], freq_hz)


def test_rejected_groups_give_no_rows_and_are_listed(archive, tmp_path):
    folder, _ = archive
    good = folder / "photometry" / "D000" / "D000.0.parquet"
    bad = tmp_path / "2025-10-19T01:02:03.parquet"
    write_rejected_table(bad, PHOTOMETRY, "no calibration within 30 days")
    output = tmp_path / "photometry.parquet"
    catalog = folder / "master_sources.sqlite3"
    combine_photometry.main(
        photometry=[bad, good], catalog=catalog, photometry_date=output, options={}
    )
    rows, about = read_table(output)
    assert len(rows) == 25 and about["status"] == "ok"
    assert about["groups"]["2025-10-19T01:02:03"]["reason"] == "no calibration within 30 days"
    assert about["groups"]["D000.0"]["status"] == "ok"
    combine_photometry.main(photometry=[bad], catalog=catalog, photometry_date=output, options={})
    rows, about = read_table(output)
    assert len(rows) == 0 and about["status"] == "rejected" and about["reason"]


def test_images_that_failed_a_check_stay_out_of_light_curves_and_are_told(archive, tmp_path):
    """Images of one date failed: its transits are rows without a flux, the rest as without it."""
    folder, photometry = archive
    dates = sorted(set(photometry.date))
    tables = {date: combine(folder, date) for date in dates}
    rows, about = read_table(tables[dates[3]])
    reason = "rms_over_thermal is 7.2, 0.75 to 3 wanted"
    failed = sorted(set(rows.group))
    for group in failed:
        about["groups"][group]["failed_checks"] = [reason]
    marked = tmp_path / dates[3] / "photometry.parquet"
    spoiled = rows.assign(flux_jy=rows.flux_jy * 3.0)
    write_table(marked, spoiled, PHOTOMETRY, {"groups": about["groups"]})
    found = {}
    for name, given in (
        ("without", [path for date, path in tables.items() if date != dates[3]]),
        ("marked", [marked if date == dates[3] else path for date, path in tables.items()]),
    ):
        normalise_lightcurves.main(
            photometry=given,
            catalog=folder / "master_sources.sqlite3",
            lightcurves=tmp_path / f"{name}.parquet",
        )
        found[name] = read_table(tmp_path / f"{name}.parquet")
    curves, told = found["marked"]
    left_out = curves[curves.status == "failed_check"]
    assert len(left_out) == rows.source_id.nunique()
    assert left_out.norm_flux_jy.isna().all()
    assert (left_out.n_images == 0).all()
    assert told["dates"][dates[3]]["left_out"] == {group: [reason] for group in failed}
    others = curves[curves.status != "failed_check"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, found["without"][0])


def test_rejection_goes_on_to_the_last_table(archive, tmp_path):
    folder, _ = archive
    write_rejected_table(tmp_path / "photometry.parquet", PHOTOMETRY, "nothing observed")
    curves = tmp_path / "lightcurves.parquet"
    normalise_lightcurves.main(
        photometry=[tmp_path / "photometry.parquet"],
        catalog=folder / "master_sources.sqlite3",
        options={},
        lightcurves=curves,
    )
    measure_variability.main(lightcurves=curves, output=tmp_path / "v.parquet")
    find_ese_candidates.main(lightcurves=curves, output=tmp_path / "e.parquet", options={})
    for name in ("lightcurves", "v", "e"):
        rows, about = read_table(tmp_path / f"{name}.parquet")
        assert len(rows) == 0 and about["status"] == "rejected"
        assert about["reason"] == "none of 1 dates has photometry"


def test_a_group_given_twice_is_refused(archive, tmp_path):
    folder, _ = archive
    group = folder / "photometry" / "D000" / "D000.0.parquet"
    with pytest.raises(ValueError, match="hold the same group"):
        combine_photometry.main(
            photometry=[group, group],
            catalog=folder / "master_sources.sqlite3",
            photometry_date=tmp_path / "p.parquet",
        )


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_another_telescopes_light_curves_from_the_command_line(tmp_path):
    rng = np.random.default_rng(0)
    mjd = 60000 + 6.0 * np.arange(40)
    flux = rng.normal(0.1, 0.003, (20, 40))
    flux[2] *= 1 - 0.35 * 0.5 ** ((2 * (mjd - 60120) / 25) ** 2)
    names = np.repeat([f"{i:03d}" for i in range(20)], 40)
    table = pd.DataFrame(
        {"source_id": names, "mjd": np.tile(mjd, 20), "flux_jy": flux.ravel(), "flux_err_jy": 0.003}
    )
    table.to_csv(tmp_path / "theirs.csv", index=False)
    output = tmp_path / "candidates.parquet"
    options = json.dumps(FEW)
    done = run(
        "find_ese_candidates.py",
        *("--lightcurves", tmp_path / "theirs.csv", "--output", output, "--options", options),
    )
    assert done.returncode == 0, done.stderr
    found, _ = read_table(output)
    assert found.source_id[0] == "002" and np.isnan(found.ra_deg[0])
    metrics = tmp_path / "v.parquet"
    done = run(
        "measure_variability.py", "--lightcurves", tmp_path / "theirs.csv", "--output", metrics
    )
    assert done.returncode == 0, done.stderr
    assert len(read_table(metrics)[0]) == 20


def test_light_curves_without_errors_are_refused_by_name(tmp_path):
    pd.DataFrame({"source_id": ["a"], "mjd": [1.0], "flux_jy": [1.0]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(ValueError, match=r"t\.csv: no column flux_err_jy"):
        measure_variability.main(lightcurves=tmp_path / "t.csv", output=tmp_path / "v.parquet")


@pytest.mark.parametrize("script", ["build_catalog", "build_calibrator_list"])
def test_help_says_what_a_script_does(script):
    done = run(f"{script}.py", "--help")
    assert done.returncode == 0 and "SQLite" in done.stdout
