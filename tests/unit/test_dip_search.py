"""The search by shifted windows finds what a fit of each dip by itself finds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.dip_search import SHAPES, best_dips
from contimg.epochs import Epochs
from contimg.ese import fit_dips


def light_curve(rng, n_epochs, span, depth=0.0):
    days = np.sort(rng.uniform(0, span, n_epochs))
    days -= days[0]
    error = rng.uniform(0.01, 0.03, n_epochs)
    flux = rng.normal(1, error)
    flux *= 1 - depth * 0.5 ** ((2 * (days - 0.4 * span) / 30) ** 2)
    return days, flux, error


def one_by_one(days, flux, error, min_fwhm, max_fwhm, slack):
    """Every dip of the grid fitted by itself, at the exact times: the largest gain.

    Epochs this part of a width beyond the edges of dip and wings count as within (-: do not).
    """
    weight = error**-2.0
    best = 0.0
    n_widths = max(2, int(np.ceil(np.log(max_fwhm / min_fwhm) / np.log(1.25))) + 1)
    for width in np.geomspace(min_fwhm, max_fwhm, n_widths):
        for centre in np.arange(0, days[-1] + width / 12, width / 6):
            x = (days - centre) / width
            if (np.abs(x) <= 0.5 + slack).sum() < 2 or (np.abs(x) > 0.75 - slack).sum() < 3:
                continue
            for shape in SHAPES:
                design = np.stack([np.ones(len(x)), -shape(x)], axis=1) / error[:, None]
                (base, drop), *_ = np.linalg.lstsq(design, flux / error, rcond=None)
                if base > 0 and 0 < drop <= base:
                    left = ((flux - base + drop * shape(x)) ** 2 * weight).sum()
                    constant = ((flux - np.average(flux, weights=weight)) ** 2 * weight).sum()
                    best = max(best, constant - left)
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 40), st.floats(50, 150), st.sampled_from([0.0, 0.2]))
def test_the_gain_is_that_of_fitting_each_dip_by_itself(seed, n_epochs, span, depth):
    days, flux, error = light_curve(np.random.default_rng(seed), n_epochs, span, depth)
    weight = error**-2.0
    mean = np.average(flux, weights=weight)
    dips = best_dips(days[None], weight[None], (flux - mean)[None], np.array([mean]), 14.0, 100.0)
    # Times to W/60 in the search: an epoch at an edge may count or not, one at a steep wall differ.
    least, most = (one_by_one(days, flux, error, 14.0, 100.0, slack) for slack in (-1 / 60, 1 / 60))
    assert 0.85 * least - 1.5 <= dips.gain[0] <= 1.15 * most + 1.5


def test_the_curve_of_templates_has_its_length():
    """L of one width, summed up from whitened templates of unit length, finely and plainly."""
    days = np.arange(200.0)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 200)
    dips = best_dips(
        days[None], weight[None], np.zeros((1, 200)), np.ones(1), min_fwhm=20.0, max_fwhm=30.0
    )
    length = 0.0
    for width in np.geomspace(20.0, 30.0, 3):
        centres = np.arange(0, 199 + width / 12, width / 6)
        for shape in SHAPES:
            vectors = shape((days - centres[:, None]) / width)
            vectors -= (vectors * weight).sum(axis=1, keepdims=True) / weight.sum()
            vectors *= np.sqrt(weight)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            cosines = (vectors[1:] * vectors[:-1]).sum(axis=1)
            length += np.arccos(np.clip(cosines, -1, 1)).sum()
    assert dips.n_curves[0] == 9
    assert dips.length[0] == pytest.approx(length, rel=0.01)


def table_of(curves):
    width = max(len(curve[0]) for curve in curves)
    padded = np.full((3, len(curves), width), np.nan)
    for i, curve in enumerate(curves):
        padded[:, i, : len(curve[0])] = curve
    sources = pd.DataFrame({"source_id": [str(i) for i in range(len(curves))]})
    return Epochs(sources, padded[0] + 60000, *padded[1:])


def test_neither_threads_nor_neighbours_in_the_table_change_a_digit():
    rng = np.random.default_rng(1)
    sizes = [(int(rng.integers(8, 120)), rng.uniform(30, 400)) for _ in range(9)]
    curves = [light_curve(rng, n, span, 0.1) for n, span in sizes]
    together = fit_dips(table_of(curves * 60))
    pd.testing.assert_frame_equal(
        together, fit_dips(table_of(curves * 60), threads=3), check_exact=True
    )
    of_each = ["depth", "centre_mjd", "timescale_days", "amplitude", "asymmetry"]
    for i, curve in enumerate(curves):
        alone = fit_dips(table_of([curve]))[of_each]
        pd.testing.assert_frame_equal(
            alone, together[of_each].iloc[[i]].reset_index(drop=True), rtol=1e-9
        )
