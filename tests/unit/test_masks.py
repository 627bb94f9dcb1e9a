"""Masks from the catalogue: where they are, and that WSClean keeps to them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import synthetic_ms
from astropy.io import fits
from astropy.wcs import WCS

import make_mask
from contimg import imaging_weights, masks
from contimg.status import Rejected

CENTRE = synthetic_ms.CENTRE_DEG


def test_a_disc_is_where_the_source_is_across_ra_0() -> None:
    header = masks.image_header(0.02, 46.5, 400, 10.0)
    ra, dec = np.array([359.9, 0.3]), np.array([46.4, 46.7])
    mask = masks.catalogue_mask(header, ra, dec, [1.0, 1.0], 0.5, 60 / 3600)
    x, y = WCS(header).all_world2pix(ra, dec, 0)
    rows, columns = np.nonzero(mask)
    nearest = np.hypot(rows[:, None] - y, columns[:, None] - x).min(axis=1)
    assert nearest.max() <= 6.0
    assert mask.sum() == pytest.approx(2 * np.pi * 6**2, rel=0.1)


def test_faint_sources_and_those_outside_make_no_disc() -> None:
    header = masks.image_header(*CENTRE, 200, 10.0)
    ra = [CENTRE[0], CENTRE[0] + 0.1, CENTRE[0] + 5.0, CENTRE[0] + 180]
    mask = masks.catalogue_mask(header, ra, [CENTRE[1]] * 4, [0.1, 1.0, 1.0, 1.0], 0.5, 0.01)
    x, y = WCS(header).all_world2pix(ra[1], CENTRE[1], 0)
    assert mask[round(float(y)), round(float(x))]
    assert not mask[100, 100]
    assert 0 < mask.sum() < 60


def test_equal_masks_are_equal_small_files(tmp_path: Path) -> None:
    header = masks.image_header(*CENTRE, 2000, 3.0)
    rng = np.random.default_rng(1)
    ra, dec = CENTRE[0] + rng.uniform(-1, 1, 300), CENTRE[1] + rng.uniform(-0.8, 0.8, 300)
    mask = masks.catalogue_mask(header, ra, dec, np.ones(300), 0.5, 45 / 3600)
    for name in ("a.fits.gz", "b.fits.gz"):
        masks.write_mask(tmp_path / name, mask, header)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.fits.gz", "b.fits.gz"))
    assert first == second
    assert len(first) < 0.1 * mask.size
    assert np.array_equal(fits.getdata(tmp_path / "a.fits.gz"), mask)


def test_wsclean_cleans_inside_the_mask_only_and_has_the_expected_beam(tmp_path: Path) -> None:
    observed = synthetic_ms.Observation(
        n_antennas=24, n_chan=4, sources=[(227.0, 46.5, 5.0), (227.3, 46.6, 3.0)], noise_jy=0.1
    )
    synthetic_ms.write(tmp_path / "a.ms", observed)
    header = masks.image_header(*CENTRE, 256, 15.0)
    inside = masks.catalogue_mask(header, [227.3], [46.6], [3.0], 1.0, 90 / 3600)
    masks.write_mask(tmp_path / "mask.fits.gz", inside, header)
    command = ["wsclean", "-no-update-model-required", "-size", "256", "256", "-scale", "15asec",
               "-weight", "natural", "-niter", "200", "-mgain", "0.8", "-auto-threshold", "3",
               "-fits-mask", "mask.fits.gz", "-pol", "I", "-j", "1", "a.ms"]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    model = fits.getdata(tmp_path / "wsclean-model.fits").squeeze()
    assert model.sum() > 1.0
    assert not model[inside == 0].any()
    beam_deg = imaging_weights.expected_beam_deg(imaging_weights.read_sampled(tmp_path / "a.ms"))
    fitted = fits.getheader(tmp_path / "wsclean-image.fits")
    assert beam_deg == pytest.approx(np.sqrt(fitted["BMAJ"] * fitted["BMIN"]), rel=0.25)


def test_baselines_on_a_line_make_no_beam() -> None:
    seen = imaging_weights.Sampled(np.array([[10.0, 0], [20.0, 0]]), np.ones(2), 1.0)
    with pytest.raises(Rejected, match="on one line"):
        imaging_weights.expected_beam_deg(seen)


def test_wsclean_takes_the_mask_of_a_set_without_visibilities_in_range(tmp_path: Path) -> None:
    """So that the group ends as rejected: correct_primary_beam tells why."""
    synthetic_ms.write(tmp_path / "a.ms", synthetic_ms.Observation(n_antennas=8, n_chan=2))
    options = {"size": 64, "scale_arcsec": 60.0}
    make_mask.reject("no visibilities", mask=tmp_path / "mask.fits.gz", imaging=options)
    command = ["wsclean", "-no-update-model-required", "-size", "64", "64", "-scale", "60asec",
               "-minuv-l", "1e7", "-niter", "20", "-auto-threshold", "1",
               "-fits-mask", "mask.fits.gz", "-pol", "I", "-j", "1", "a.ms"]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "wsclean-image.fits").exists()
