"""Each source gets its gains from all the other references, with errors that hold."""

import numpy as np
import pandas as pd
import pytest
from simulated_photometry import Field

from contimg.anderson import Anderson
from contimg.leave_out import gains_without_self
from contimg.lightcurves import Band, normalise, sorted_rows, usable_rows
from contimg.normalise import GainOptions, bright_references, solve_gains

OPTIONS = GainOptions(reference_scatter=0.0)


def band_of(photometry):
    rows = sorted_rows(photometry)
    return Band(rows, usable_rows(rows), set(photometry.source_id), None)


def without(measurements, number):
    return measurements.rows(measurements.source != number)


def test_gains_are_those_of_a_solution_without_the_source():
    photometry = Field(images_a_transit=2, gradient_scatter=0.02, max_snr=300).photometry()
    band = band_of(photometry)
    measurements = band.measurements()
    found, _ = gains_without_self(measurements, band.candidate, OPTIONS)
    differences, wider = [], []
    for number in range(len(band.names)):
        others = without(measurements, number)
        leads, flux = bright_references(others, band.candidate, OPTIONS)
        alone = solve_gains(others.rows(leads), flux, OPTIONS)
        own = measurements.source == number
        rows = measurements.rows(own)
        error = np.sqrt(rows.quadratic(alone.covariance))
        ratio = found.gain[own] / rows.gain(alone.coefficients)
        differences.append((ratio / ratio.mean() - 1) / error)
        wider.append(found.gain_err[own] / error)
    assert np.std(differences) < 0.1
    assert np.median(wider) == pytest.approx(1, abs=0.03)


def test_one_bright_source_among_faint_ones_does_not_normalise_itself():
    """Its neighbours lead its gains, at their precision, though it leads all of theirs."""

    def bright_varies(numbers, epoch):
        return np.where(numbers == 0, 100 * (1 + 0.2 * (epoch % 2)), 1.0)

    photometry = Field(n_sources=40, n_epochs=20, min_snr=20, max_snr=21).photometry(
        extra=bright_varies
    )
    curves = normalise(photometry, set(photometry.source_id)).curves
    of_image = curves[curves.source_id == photometry.source_id[0]].sort_values("mjd")
    flux = of_image.norm_flux_jy.to_numpy()
    assert flux[1::2].mean() / flux[::2].mean() == pytest.approx(1.2, abs=0.01)


def test_errors_hold_when_references_vary_and_images_of_a_transit_share_them():
    """What a reference does on a date is the same in all of its images: no average takes it out."""
    pulls = []
    for seed in range(6):

        def varies(numbers, epoch, seed=seed):
            rng = np.random.default_rng((seed, epoch))
            return 1 + 0.05 * rng.standard_normal(len(numbers)) * (numbers > 0)

        field = Field(
            n_sources=20, n_epochs=40, images_a_transit=4, min_snr=300, max_snr=301, seed=seed
        )
        photometry = field.photometry(extra=varies)
        found = normalise(photometry, set(photometry.source_id), {"error_model": "fixed"}).curves
        own = found[found.source_id == photometry.source_id[0]]
        residual = own.norm_flux_jy / own.norm_flux_jy.mean() - 1
        pulls.append(residual / (own.norm_err_jy / own.norm_flux_jy))
    assert np.std(np.concatenate(pulls)) == pytest.approx(1, abs=0.12)


def test_acceleration_finds_the_fixed_point_of_a_slow_linear_map():
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    slow = turn @ np.diag(np.r_[0.99, 0.98, 0.95, rng.uniform(0, 0.5, 27)]) @ turn.T
    fixed = rng.standard_normal(30)
    faster, plain, accelerated = Anderson(), np.zeros(30), np.zeros(30)
    for _ in range(30):
        plain = fixed + slow @ (plain - fixed)
        step = fixed + slow @ (accelerated - fixed)
        accelerated = faster.next_point(accelerated, step, np.ones(30))
    assert np.linalg.norm(accelerated - fixed) < 0.01 * np.linalg.norm(plain - fixed)


def test_an_image_whose_references_disagree_is_refused_and_says_why():
    photometry = Field(n_epochs=15).photometry()
    rng = np.random.default_rng(3)
    bad = photometry.group == "D004.0"
    photometry.loc[bad, "flux_jy"] *= np.exp(0.5 * rng.standard_normal(bad.sum()))
    found = normalise(photometry, set(photometry.source_id))
    (row,) = found.images[found.images.status != "ok"].itertuples()
    assert row.group == "D004.0" and row.status == "bad_scatter" and row.date == "D004"
    assert "times that of the median image" in row.reason
    refused = found.curves[found.curves.status == "bad_scatter"]
    assert len(refused) == 30 and refused.norm_flux_jy.isna().all()
    good = found.images[found.images.status == "ok"]
    quiet = normalise(photometry[~bad], set(photometry.source_id)).images
    np.testing.assert_allclose(good.gain_err, quiet.gain_err, rtol=0.02)


def test_table_of_images_holds_the_true_gains_and_gradients():
    field = Field(n_sources=60, gradient_scatter=0.02, max_snr=300, images_a_transit=2, seed=1)
    photometry = field.photometry()
    images = normalise(photometry, set(photometry.source_id)).images.set_index("group")
    centre = photometry[["ra_deg", "dec_deg"]].mean() - [227.5, 46.5]
    offset = [centre.ra_deg * np.cos(np.radians(46.5)), centre.dec_deg]
    true = pd.Series(field.true_gain)
    true += [np.dot(offset, field.true_gradient[group]) for group in true.index]
    pull = (images.gain - true / true.mean()) / images.gain_err
    assert np.std(pull) == pytest.approx(1, abs=0.35)
    east = pd.Series({group: value[0] for group, value in field.true_gradient.items()})
    assert np.std((images.gradient_ra_per_deg - east) / images.gradient_ra_err_per_deg) < 1.4
    assert images.chi2_nu.median() == pytest.approx(1, abs=0.25)
    assert (images.n_references == 60).all() and (images.reason == "").all()


def test_table_of_images_says_why_an_image_has_no_gain():
    photometry = Field(n_epochs=5, n_sources=12).photometry()
    few = (photometry.group == "D001.0") & (photometry.groupby("group").cumcount() > 1)
    photometry = photometry[~few]
    dark = photometry.group == "D002.0"
    photometry.loc[dark, "status"] = "failed_check"
    photometry.loc[photometry.group == "D003.0", ["flux_jy", "flux_err_jy"]] *= 0.1
    images = normalise(photometry, set(photometry.source_id)).images.set_index("group")
    assert images.status.to_dict() == {
        "D000.0": "ok", "D001.0": "unnormalised", "D002.0": "failed_check",
        "D003.0": "bad_gain", "D004.0": "ok",
    }  # fmt: skip
    assert images.reason["D001.0"] == "2 references, 3 are needed"
    assert images.reason["D003.0"].startswith("gain 0.0") and np.isnan(images.gain["D002.0"])
