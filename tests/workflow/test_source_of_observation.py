"""Looking at the sources of a real run: what Source reads, and the pages that rules make."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from conftest import ROOT, snakemake
from contimg import Source
from contimg.catalog import read_sources
from contimg.tables import read_table
from workflow import copy_for_dry_runs, planned_rules

ARCHIVE = ("--profile", str(ROOT / "profiles" / "archive"), "--rerun-triggers", "mtime")


@pytest.fixture(scope="module")
def bright(observation: Path) -> pd.Series:
    """The variability of the observation's brightest source."""
    table, _ = read_table(observation / "variability" / "variability.parquet")
    return table.loc[table.mean_jy.idxmax()]


def test_a_source_is_found_by_name_and_by_position(observation: Path, bright: pd.Series) -> None:
    source = Source(bright.source_id, observation)
    assert Source.at(bright.ra_deg, bright.dec_deg, 5.0, observation).source_id == bright.source_id
    pd.testing.assert_series_equal(source.metrics(), bright, check_names=False)
    assert (source.n_epochs, source.detections) == (bright.n_epochs, bright.n_detections)
    with pytest.raises(
        ValueError,
        match=rf"no source within 5 arcsec.*nearest: {bright.source_id}".replace("+", r"\+"),
    ):
        Source.at(bright.ra_deg, bright.dec_deg + 10 / 3600, 5.0, observation)


def test_its_measurements_are_all_images_of_all_dates(observation: Path, bright: pd.Series) -> None:
    source = Source(bright.source_id, observation)
    every = pd.concat(
        [pd.read_parquet(path) for path in observation.glob("photometry/*/photometry.parquet")]
    )
    own = every[every.source_id == bright.source_id].sort_values("mjd", ignore_index=True)
    pd.testing.assert_frame_equal(source.measurements, own)


def test_its_cutouts_show_it_in_the_middle(observation: Path, bright: pd.Series) -> None:
    images = Source(bright.source_id, observation).epoch_images()
    assert len(images) == bright.n_epochs
    for image in images:
        data = image.cutout.data
        middle = data.shape[0] // 2
        peak = np.array(np.unravel_index(np.nanargmax(data), data.shape))
        assert np.abs(peak - middle).max() <= 2, "brightest within two pixels of the middle"
        path = observation / "images" / image.date / f"{image.group}.pbcor.fits"
        assert image.cutout.beam.bmaj_deg == fits.getheader(path)["BMAJ"]


def test_its_neighbours_are_the_catalogues(observation: Path, bright: pd.Series) -> None:
    source = Source(bright.source_id, observation)
    near = source.nearby(radius_deg=0.5)
    sources = read_sources(observation / "catalogs" / "master_sources.sqlite3")
    east = (sources.ra_deg - bright.ra_deg) * np.cos(np.radians(bright.dec_deg))
    flat = np.hypot(east, sources.dec_deg - bright.dec_deg)  # good to a per cent this near
    assert set(near.source_id) >= set(sources.source_id[(flat > 0) & (flat < 0.49)])
    assert near.separation_arcsec.is_monotonic_increasing and bright.source_id not in set(
        near.source_id
    )


def test_a_source_outside_every_image_is_an_honest_empty_one(observation: Path) -> None:
    sources = read_sources(observation / "catalogs" / "master_sources.sqlite3")
    measured = set(read_table(observation / "variability" / "variability.parquet")[0].source_id)
    outside = next(name for name in sources.source_id if name not in measured)
    source = Source(outside, observation)
    assert (source.n_epochs, source.detections, len(source.measurements)) == (0, 0, 0)
    assert source.metrics().n_epochs == 0 and np.isnan(source.metrics().eta)
    assert source.lightcurve().texts[-1].get_text() == "no usable epoch"
    assert source.cutouts().texts[-1].get_text() == "no epoch"
    assert np.isfinite(source.ra_deg) and len(source.catalog)


def test_an_unknown_name_tells_the_nearest(observation: Path, bright: pd.Series) -> None:
    wrong = f"{bright.source_id[:-2]}{(int(bright.source_id[-2:]) + 7) % 60:02d}"
    with pytest.raises(ValueError, match=f"nearest: {re.escape(bright.source_id)}"):
        Source(wrong, observation)


def test_the_archive_profile_makes_pages_of_sources(
    observation: Path, bright: pd.Series, tmp_path: Path
) -> None:
    folder = copy_for_dry_runs(observation, tmp_path / "copy")
    name = f"source/{bright.source_id}/index.html"
    shown = planned_rules(folder, name, "report_sources", options=ARCHIVE)
    assert set(shown) == {"report_source", "report_sources"} and shown["report_source"] >= 12
    (folder / "variability" / "ese_candidates.parquet").unlink()
    done = snakemake(folder, *ARCHIVE, "--dry-run", "--", "report_sources", check=False)
    assert done.returncode != 0
    assert "no variability/ese_candidates.parquet yet; make report/index.html first" in done.stdout
