"""Normalisation takes out what an image does to its sources, and nothing of a source's own."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_photometry import Field

from contimg import lightcurves
from contimg.leave_out import STATUSES, fold_of_sources
from contimg.lightcurves import direction_cosines, light_curves
from contimg.schemas import IMAGES, LIGHTCURVES
from contimg.tables import check_schema
from contimg.transit_means import combine_transits
from normalise_lightcurves import FAILED_CHECK


def curves_of(photometry, **options):
    return light_curves(photometry, set(photometry.source_id), options)[0]


def test_table_has_the_declared_columns():
    check_schema(curves_of(Field(n_epochs=3).photometry()), LIGHTCURVES)


@pytest.mark.parametrize("seed", range(3))
def test_five_percent_gain_errors_are_recovered(seed):
    field = Field(seed=seed)
    curves = curves_of(field.photometry(), order=0)
    true = np.array(list(field.true_gain.values()))
    found = curves.groupby("mjd").gain.mean().to_numpy()
    pull = (found - true / true.mean()) / curves.groupby("mjd").gain_err.mean().to_numpy()
    assert np.std(found - true / true.mean()) < 0.01
    assert np.sqrt(np.mean(pull**2)) < 1.6


def test_gain_mean_over_the_images_of_a_field_is_one():
    curves = curves_of(Field(images_a_transit=1).photometry(), order=0)
    assert curves.groupby("source_id").gain.mean().to_numpy() == pytest.approx(1.0, abs=2e-3)


def test_constant_sources_are_constant_within_their_errors_after_gain_and_gradient():
    chi2 = []
    for seed in range(4):
        curves = curves_of(Field(seed=seed, gradient_scatter=0.02).photometry(), order=1)
        mean = curves.groupby("source_id").norm_flux_jy.transform("mean")
        chi2.append(np.sum(((curves.norm_flux_jy - mean) / curves.norm_err_jy) ** 2) / (30 * 11))
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.12)


def test_gradient_needs_order_one():
    field = Field(gradient_scatter=0.05, min_snr=40, max_snr=130)
    scatter = [
        curves_of(field.photometry(), order=order)
        .groupby("source_id")
        .norm_flux_jy.agg(lambda flux: flux.std() / flux.mean())
        .median()
        for order in (0, 1)
    ]
    assert scatter[1] < 0.5 * scatter[0]


@settings(max_examples=10, deadline=None)
@given(
    number=st.integers(0, 11),
    epoch=st.integers(0, 5),
    factor=st.floats(-3, 30),
    seed=st.integers(0, 5),
)
def test_no_source_touches_its_own_gain(number, epoch, factor, seed):
    before = Field(n_sources=12, n_epochs=6, seed=seed, min_snr=30).photometry()
    name, group = before.source_id[number], f"D{epoch:03d}.0"
    after = before.copy()
    after.loc[(after.source_id == name) & (after.group == group), "flux_jy"] *= factor
    own = [curves[curves.source_id == name] for curves in map(curves_of, (before, after))]
    for column in ("gain", "gain_err", "n_references"):
        np.testing.assert_allclose(own[0][column], own[1][column], rtol=1e-14)
    ratio = own[1].norm_flux_jy.to_numpy() / own[0].norm_flux_jy.to_numpy()
    assert ratio[epoch] == pytest.approx(factor, abs=1e-9)
    assert np.delete(ratio, epoch) == pytest.approx(1.0, abs=1e-12)


def test_a_variable_reference_does_not_make_the_others_vary():
    def one_halves(numbers, epoch):
        return np.where((numbers == 3) & (epoch >= 6), 0.5, 1.0)

    field = Field(n_sources=8, min_snr=60, max_snr=61, noise_jy=0.0005)
    quiet, disturbed = curves_of(field.photometry()), curves_of(field.photometry(extra=one_halves))
    others = quiet.source_id != field.photometry().source_id[3]
    change = disturbed.norm_flux_jy[others] / quiet.norm_flux_jy[others] - 1
    step = change[disturbed.mjd[others] > quiet.mjd.median()].mean() - change.mean()
    assert abs(step) < 0.01  # an unweighted mean of eight would step by 0.03


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_the_rows_and_dates_does_not_matter(random):
    photometry = Field(n_sources=10, n_epochs=4, images_a_transit=2).photometry()
    order = list(range(len(photometry)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(
        curves_of(photometry), curves_of(photometry.iloc[order]), check_exact=True
    )


def test_one_date_alone_works():
    curves = curves_of(Field(n_epochs=1).photometry())
    assert (curves.status == "ok").all() and (curves.n_images == 1).all()
    assert curves.norm_flux_jy.to_numpy() == pytest.approx(curves.flux_jy.to_numpy(), rel=0.05)


def test_too_few_references_leave_the_flux_as_it_is_and_say_so():
    photometry = Field(n_sources=3, n_epochs=4).photometry()
    curves = curves_of(photometry)
    assert (curves.status == "unnormalised").all() and (curves.gain == 1).all()
    assert curves.norm_flux_jy.tolist() == pytest.approx(curves.flux_jy.tolist(), rel=1e-14)
    assert (curves.norm_err_jy > 0.1 * curves.norm_flux_jy).all()


def test_an_image_with_few_references_gets_the_error_that_good_images_suggest():
    photometry = Field(n_epochs=30, gain_scatter=0.05).photometry()
    few = (photometry.group == "D004.0") & (photometry.groupby("group").cumcount() > 2)
    curves = curves_of(photometry[~few])
    odd = curves[curves.status == "unnormalised"]
    assert len(odd) == 3
    assert odd.gain_err.to_numpy() == pytest.approx(0.05, abs=0.025)


def test_an_image_of_absurd_gain_is_refused():
    photometry = Field().photometry()
    photometry.loc[photometry.group == "D002.0", ["flux_jy", "flux_err_jy"]] *= 0.1
    curves = curves_of(photometry)
    refused = curves[curves.status == "bad_gain"]
    assert len(refused) == 30 and refused.norm_flux_jy.isna().all()
    assert refused.flux_jy.notna().all() and (refused.n_images == 0).all()
    good = curves[curves.status == "ok"]
    assert good.groupby("mjd").gain.mean().mean() == pytest.approx(1.0, abs=0.01)


def test_images_of_a_transit_become_one_better_epoch():
    single, triple = (
        curves_of(Field(images_a_transit=n, n_epochs=5).photometry(), error_model="fixed")
        for n in (1, 3)
    )
    assert len(single) == len(triple) == 5 * 30
    assert (triple.n_images == 3).all()
    improvement = np.median(single.norm_err_jy) / np.median(triple.norm_err_jy)
    assert improvement == pytest.approx(np.sqrt(3), rel=0.1)


def test_two_transits_on_one_utc_date_are_two_epochs():
    photometry = Field(n_epochs=2, span_days=1).photometry().assign(date="2025-10-19")
    assert (curves_of(photometry).groupby("source_id").size() == 2).all()


def test_rows_without_a_usable_flux_stay_as_rows_that_say_why():
    photometry = Field(n_epochs=3).photometry()
    name = photometry.source_id[0]
    lost = (photometry.source_id == name) & (photometry.group == "D001.0")
    clean = curves_of(photometry[~lost])
    photometry.loc[lost, ["flux_jy", "status"]] = [np.nan, "edge"]
    curves = curves_of(photometry)
    row = curves[(curves.source_id == name) & (curves.status == "edge")].iloc[0]
    assert np.isnan(row.norm_flux_jy) and row.n_images == 0 and np.isnan(row.flux_err_jy)
    rest = curves[curves.status == "ok"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, clean, rtol=1e-3)  # the images' centres moved a little


def test_a_flux_on_an_edge_row_does_not_count():
    photometry = Field(n_epochs=3, images_a_transit=2).photometry()
    edge = (photometry.source_id == photometry.source_id[0]) & (photometry.group == "D001.1")
    photometry.loc[edge, ["flux_jy", "status"]] = [99.0, "edge"]
    curves = curves_of(photometry)
    assert curves.norm_flux_jy.max() < 1 and curves.n_images.min() == 1


def test_non_detections_and_negative_fluxes_are_kept():
    photometry = Field().photometry()
    faint = photometry.source_id == photometry.source_id[5]
    rng = np.random.default_rng(0)
    photometry.loc[faint, "flux_jy"] = 0.001 * rng.standard_normal(faint.sum())
    curves = curves_of(photometry)
    own = curves[curves.source_id == photometry.source_id[5]]
    assert len(own) == 12 and (own.status == "ok").all()
    assert (own.norm_flux_jy < 0).any() and not own.is_reference.any()


def test_nothing_usable_gives_rows_of_nan():
    photometry = Field(n_epochs=2).photometry().assign(flux_jy=np.nan)
    curves = curves_of(photometry)
    assert len(curves) == 60 and curves.norm_flux_jy.isna().all()
    assert set(curves.status) == {"no_flux"}


def test_the_schemas_tell_every_word_of_status():
    for schema in (LIGHTCURVES, IMAGES):
        (told,) = (column.description for column in schema if column.name == "status")
        for word in (*STATUSES, FAILED_CHECK, "no_flux"):
            assert re.search(rf"\b{word}\b", told)


def test_field_across_ra_zero_is_one_field():
    away, across = (Field(n_sources=18, ra_deg=ra, gradient_scatter=0.02) for ra in (227.5, 0.1))
    flux = [
        curves_of(field.photometry(), max_folds=18)
        .sort_values(["flux_jy", "mjd"])
        .norm_flux_jy.to_numpy()
        for field in (away, across)
    ]
    np.testing.assert_allclose(flux[0], flux[1], rtol=1e-6)


def test_direction_cosines_are_offsets_on_the_sky():
    rows = pd.DataFrame({"ra_deg": [359.0, 1.0, 0.0, 0.0], "dec_deg": [46.0, 46.0, 45.0, 47.0]})
    l_deg, m_deg = direction_cosines(rows, np.zeros(4, dtype=np.int64))
    assert l_deg[:2] == pytest.approx([-np.cos(np.radians(46)), np.cos(np.radians(46))], rel=1e-3)
    assert m_deg[3] - m_deg[2] == pytest.approx(2.0, rel=1e-3)


def test_resolved_and_blended_sources_are_no_references():
    photometry = Field(n_epochs=4).photometry()
    names = sorted(set(photometry.source_id))
    photometry["blended"] = photometry.source_id == names[1]
    curves, _ = light_curves(photometry, set(names[1:]))
    references = curves.groupby("source_id").is_reference.any()
    assert not references[names[0]] and not references[names[1]] and references[names[2:]].all()


def with_subbands(whole):
    """Photometry of three bands with the same sources, and other gains and noise."""
    parts = [whole.assign(freq_hz=1.4e9, subband=-1)]
    for subband, freq_hz in enumerate((1.35e9, 1.45e9)):
        part = Field(seed=subband + 1).photometry().assign(freq_hz=freq_hz, subband=subband)
        part[["source_id", "ra_deg", "dec_deg"]] = whole[["source_id", "ra_deg", "dec_deg"]]
        parts.append(part)
    return pd.concat(parts)


def test_subband_images_are_normalised_each_for_itself():
    whole = Field(seed=0).photometry()
    photometry = with_subbands(whole)
    curves, figures = light_curves(photometry, set(whole.source_id))
    check_schema(curves, LIGHTCURVES)
    for subband, freq_hz in ((-1, 1.4e9), (0, 1.35e9), (1, 1.45e9)):
        part = curves[curves.subband == subband]
        assert (part.freq_hz == freq_hz).all()
        own = photometry[photometry.subband == subband].drop(columns=["freq_hz", "subband"])
        alone = part.drop(columns=["freq_hz", "subband"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, curves_of(own))
    assert set(figures["subbands"]) == {"0", "1"} and figures["n_images_solved"] == 12
    assert figures["subbands"]["1"]["n_images_solved"] == 12


def test_one_subband_is_one_light_curve_though_flags_move_its_frequency():
    photometry = with_subbands(Field(seed=0).photometry())
    flagged = (photometry.group == "D003.0") & (photometry.subband == 0)
    photometry["freq_hz"] = photometry.freq_hz.mask(flagged, 1.352e9)
    curves = curves_of(photometry)
    low = curves[curves.subband == 0]
    assert (low.freq_hz == 1.35e9).all()
    assert (low.groupby("source_id").size() == 12).all()


def test_dates_without_subband_images_are_of_the_whole_band():
    whole = Field(seed=0).photometry()
    photometry = with_subbands(whole)
    before = photometry.group < "D004"
    mixed = photometry[~before | (photometry.subband == -1)].copy()
    mixed["subband"] = mixed.subband.astype(float).mask(mixed.group < "D004")
    mixed["freq_hz"] = mixed.freq_hz.mask(mixed.group < "D004")
    curves = curves_of(mixed)
    part = curves[curves.subband == -1].drop(columns=["freq_hz", "subband"])
    pd.testing.assert_frame_equal(part.reset_index(drop=True), curves_of(whole))


def test_a_table_given_twice_is_refused():
    photometry = Field(n_epochs=2).photometry()
    with pytest.raises(ValueError, match="occurs twice in group"):
        curves_of(pd.concat([photometry, photometry]))


def test_folds_leave_each_source_out_and_never_depend_on_flux():
    assert fold_of_sources(np.array([True, False, True, True]), 20).tolist() == [0, -1, 1, 2]
    many = fold_of_sources(np.ones(50, dtype=bool), 20)
    assert set(many) == set(range(20)) and np.bincount(many).max() == 3


def test_fitted_error_model_makes_chi_squared_one():
    field = Field(n_epochs=40, max_snr=600)
    rng = np.random.default_rng(5)
    photometry = field.photometry(extra=lambda n, epoch: 1 + 0.03 * rng.standard_normal(len(n)))
    curves, figures = light_curves(photometry, set(photometry.source_id), {"error_model": "fit"})
    mean = curves.groupby("source_id").norm_flux_jy.transform("mean")
    chi2 = np.sum(((curves.norm_flux_jy - mean) / curves.norm_err_jy) ** 2) / (30 * 39)
    assert figures["error_scale"]["b"] == pytest.approx(0.03, abs=0.01)
    assert chi2 == pytest.approx(1.0, abs=0.2)


def test_blocks_of_rows_do_not_show(monkeypatch):
    photometry = Field(n_epochs=6, images_a_transit=2).photometry()
    photometry.loc[::17, "status"] = "edge"
    whole = curves_of(photometry)
    monkeypatch.setattr(lightcurves, "BLOCK_ROWS", 50)
    pd.testing.assert_frame_equal(curves_of(photometry), whole, check_exact=True)


def test_transit_mean_is_the_inverse_variance_mean():
    rows = pd.DataFrame(
        {
            "source_id": "a",
            "ra_deg": 1.0,
            "dec_deg": 2.0,
            "mjd": [60000.0, 60000.01],
            "flux_jy": [1.0, 4.0],
            "flux_err_jy": [0.1, 0.2],
            "gain": [1.0, 2.0],
            "gain_err": [0.0, 0.0],
            "shared_err": [0.0, 0.0],
            "norm_flux_jy": [1.0, 2.0],
            "norm_err_jy": [0.1, 0.1],
            "norm_weight": [100.0, 100.0],
            "n_references": [5, 4],
            "is_reference": False,
            "image_status": "ok",
        }
    )
    (row,) = combine_transits(rows, 12.0).itertuples()
    assert row.norm_flux_jy == pytest.approx(1.5)
    assert row.norm_err_jy == pytest.approx(0.1 / np.sqrt(2))
    assert row.flux_jy == pytest.approx((100 * 1 + 25 * 4) / 125)
    assert row.n_references == 4 and row.n_images == 2
