"""Photometry of a mosaic, as the rule makes it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_mosaic import three_tiles

import measure_mosaic
from contimg import fits
from contimg.master_catalog import CatalogOptions, build_sources, write_catalog
from contimg.mosaic import build_mosaic
from contimg.schemas import PHOTOMETRY
from contimg.status import write_status
from contimg.tables import check_schema, read_table

OPTIONS = {
    "min_jy": 0.01, "blend_beams": 1.5, "background_box_beams": 30, "check_min_jy": 0.05,
    "ratio_range": [0.8, 1.2], "min_completeness": 0.6,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict, pd.DataFrame]:
    """The table, its metadata and the catalogue of a mosaic of three tiles across RA 0."""
    folder = tmp_path_factory.mktemp("mosaic")
    tiles, ra, dec = three_tiles(folder, rms=(1e-3, 2e-3, 1e-3), flux=0.2)
    far = pd.DataFrame({"ra_deg": [30.0, 4.0], "dec_deg": [54.0, 54.0]})
    sources = pd.concat([pd.DataFrame({"ra_deg": ra, "dec_deg": dec}), far]).assign(
        flux_jy=0.2, rms_jy=5e-4, major_arcsec=45.0, minor_arcsec=45.0, beam_arcsec=45.0,
        size_arcsec=0.0,
    )  # fmt: skip
    catalogue = build_sources({"nvss": sources}, CatalogOptions())
    write_catalog(folder / "catalog.sqlite3", catalogue, CatalogOptions(), {})
    made = build_mosaic(tiles, pb_limit=0.3)
    for name, data in (("mosaic", made.data), ("rms", made.rms)):
        fits.write_image(folder / f"T0000.{name}.fits", data, made.header)
    for number, tile in enumerate(tiles):
        write_status(folder / f"{tile.name}.image.json", figures={"mid_mjd": 60949.0 + number})
    write_status(folder / "t9.image.json", figures={"mid_mjd": 70000.0})
    measure_mosaic.main(
        mosaic=folder / "T0000.mosaic.fits", rms=folder / "T0000.rms.fits",
        statuses=sorted(folder.glob("*.image.json")), catalog=folder / "catalog.sqlite3",
        photometry=folder / "T0000.mosaic.parquet", name="T0000", date="2025-10-01",
        options=OPTIONS,
    )  # fmt: skip
    return *read_table(folder / "T0000.mosaic.parquet"), catalogue


def test_fluxes_are_the_truth_within_their_errors(measured) -> None:
    table, about, _ = measured
    check_schema(table, PHOTOMETRY)
    ok = table[table["status"] == "ok"]
    assert len(ok) > 100
    pull = (ok["flux_jy"] - 0.2) / ok["flux_err_jy"]
    assert pull.std() == pytest.approx(1.0, abs=0.2)
    assert abs(pull.mean()) < 0.3
    assert about["figures"]["flux_ratio_median"] == pytest.approx(1, abs=0.01)
    assert about["failed_checks"] == []


def test_rows_are_of_the_sources_that_the_mosaic_shows(measured) -> None:
    """Sources beyond it, or on its blank pixels, have no row."""
    table, about, catalogue = measured
    inside = set(table["source_id"])
    assert inside < set(catalogue["source_id"])
    assert table["ra_deg"].between(3, 357).sum() == 0
    assert set(table["status"]) <= {"ok", "edge", "nan"}
    assert (table["group"] == "T0000").all() and (table["pb"] == 1).all()
    # Its time is that of the tiles that are in it, not of all groups.
    assert about["tiles"] == ["t0", "t1", "t2"]
    assert np.allclose(table["mjd"], 60950.0)


def test_a_rejected_mosaic_gives_the_labelled_empty_table(tmp_path: Path) -> None:
    measure_mosaic.reject("no tile is good", photometry=tmp_path / "m.parquet", name="T0000")
    table, about = read_table(tmp_path / "m.parquet")
    assert len(table) == 0
    assert (about["status"], about["reason"]) == ("rejected", "no tile is good")
