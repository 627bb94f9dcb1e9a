"""Figures of merit of an image against a catalogue, and gates."""

import numpy as np
import pandas as pd
import pytest

from contimg import flux_check


def measured(flux_jy: np.ndarray, rms_jy: float = 1e-3) -> pd.DataFrame:
    n = len(flux_jy)
    return pd.DataFrame(
        {"flux_jy": flux_jy, "rms_jy": np.full(n, rms_jy), "chi2": np.ones(n),
         "blended": np.zeros(n, bool), "status": np.full(n, "ok", dtype=object)}
    )  # fmt: skip


def test_flux_scale_error_is_found_and_one_variable_does_not_hide_it() -> None:
    rng = np.random.default_rng(0)
    catalog = rng.uniform(0.06, 1.0, 101)
    flux = 0.9 * catalog * (1 + 0.03 * rng.normal(size=101))
    flux[0] *= 10
    figures = flux_check.flux_figures(measured(flux), catalog)
    assert figures["n_flux_references"] == 101
    assert figures["flux_ratio_median"] == pytest.approx(0.9, abs=0.01)
    assert figures["flux_ratio_scatter"] == pytest.approx(0.027, abs=0.01)


def test_faint_blended_edge_and_unknown_sources_do_not_set_the_scale() -> None:
    table = measured(np.array([0.1, 9.0, 9.0, 9.0, 9.0]))
    table.loc[2, "blended"] = True
    table.loc[3, "status"] = "edge"
    catalog = np.array([0.1, 0.01, 0.1, 0.1, np.nan])
    figures = flux_check.flux_figures(table, catalog)
    assert figures["n_flux_references"] == 1
    assert figures["flux_ratio_median"] == pytest.approx(1.0)
    assert flux_check.flux_figures(table, catalog, min_flux_jy=0.005)["n_flux_references"] == 2


def test_missing_sources_lower_completeness() -> None:
    catalog = np.array([0.1, 0.1, 0.1, 0.006, 0.004])
    table = measured(np.array([0.1, 0.0, -0.002, 0.0035, 0.0]))
    figures = flux_check.flux_figures(table, catalog)
    assert figures["n_expected"] == 4  # 4 mJy is below 5 local rms
    assert figures["completeness"] == pytest.approx(0.5)


def test_an_empty_field_is_unknown_and_not_good() -> None:
    figures = flux_check.flux_figures(measured(np.zeros(0)), [])
    assert np.isnan(figures["flux_ratio_median"])
    assert flux_check.failed_limits(figures, {"completeness": (0.6, 1.0)}) == [
        "completeness is unknown, 0.6 to 1 wanted"
    ]


def test_astrometric_offset_is_the_median_of_good_fits() -> None:
    table = pd.DataFrame(
        {"dra_arcsec": [3.0, 3.1, 2.9, np.nan, 50.0], "ddec_arcsec": [4.0, 4.0, 4.0, np.nan, 50.0],
         "snr": [50, 60, 70, np.nan, 6], "converged": [True, True, True, False, True]}
    )  # fmt: skip
    figures = flux_check.astrometry_figures(table)
    assert figures["n_positions"] == 3
    assert figures["astrometric_offset_arcsec"] == pytest.approx(5.0)
    assert figures["astrometric_scatter_arcsec"] == pytest.approx(0.148, abs=0.01)


def test_limits_are_inclusive() -> None:
    limits = {"flux_ratio_median": (0.8, 1.2)}
    for value, n in ((0.8, 0), (1.2, 0), (0.79, 1), (1.21, 1), (float("nan"), 1)):
        assert len(flux_check.failed_limits({"flux_ratio_median": value}, limits)) == n
    assert len(flux_check.failed_limits({"flux_ratio_median": None}, limits)) == 1
