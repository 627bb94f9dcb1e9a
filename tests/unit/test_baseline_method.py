"""The existing pipeline's procedure, by numbers that can be made by hand."""

import numpy as np
import pytest
from simulated_photometry import Field

from contimg.lightcurves import normalise


def baseline(photometry, snr=None, **options):
    names = sorted(set(photometry.source_id))
    given = dict.fromkeys(names, 100.0) | (snr or {})
    return normalise(photometry, set(names), {"method": "baseline", **options}, given)


def test_correction_is_the_median_ratio_to_the_baseline():
    photometry = Field(n_sources=15, n_epochs=14, min_snr=200, max_snr=300).photometry()
    near = np.hypot((photometry.ra_deg - 227.5) * 0.69, photometry.dec_deg - 46.5) < 1.2
    photometry = photometry[near]
    found = baseline(photometry, error_model="fixed")
    table = photometry.pivot_table(index="source_id", columns="group", values="flux_jy")
    ratio = table.div(table.iloc[:, :10].median(axis=1), axis=0)
    centre = ratio.median()
    spread = 1.4826 * (ratio - centre).abs().median()
    expected = ratio[(ratio - centre).abs() <= 3 * spread].median()
    images = found.images.set_index("group")
    np.testing.assert_allclose(images.gain, expected, rtol=0.004)
    assert expected.std() > 0.03


def test_references_are_the_brightest_twenty_of_catalogue_snr_fifty():
    photometry = Field(n_sources=60, n_epochs=12).photometry()
    names = sorted(set(photometry.source_id))
    found = baseline(photometry, dict.fromkeys(names[::2], 49.0))
    assert found.images.n_references.max() <= 20
    references = found.curves.groupby("source_id").is_reference.any()
    assert not references[names[::2]].any() and references[names[1::2]].any()
    assert found.images.gradient_ra_per_deg.isna().all()


def test_fewer_than_three_references_correct_nothing():
    photometry = Field(n_sources=6, n_epochs=12).photometry()
    names = sorted(set(photometry.source_id))
    found = baseline(photometry, dict.fromkeys(names[2:], 10.0))
    assert set(found.images.status) == {"unnormalised"} and (found.curves.gain == 1).all()


def test_gains_are_taken_out_but_not_gradients():
    flat, steep = (Field(n_sources=40, n_epochs=20, gradient_scatter=g) for g in (0.0, 0.05))
    scatter = []
    for field in (flat, steep):
        curves = baseline(field.photometry()).curves
        groups = curves.groupby("source_id").norm_flux_jy
        scatter.append((groups.std() / groups.mean()).median())
    assert scatter[0] < 0.035 and scatter[1] > 1.2 * scatter[0]


def test_catalogue_is_needed():
    photometry = Field(n_epochs=3).photometry()
    with pytest.raises(ValueError, match="NVSS S/N"):
        normalise(photometry, set(photometry.source_id), {"method": "baseline"})
