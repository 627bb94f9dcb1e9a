"""Quality of an image against a catalogue: flux scale, completeness, astrometry, and its gates."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contimg.noise import SIGMA_PER_MAD

MIN_FLUX_JY = 0.05
"""Catalogue sources above this set the flux ratio."""

EXPECTED_SNR = 5.0
"""Sources whose catalogue flux is this many local rms should be seen."""

DETECTED_SNR = 3.0
"""A source is seen when its forced flux is this many local rms."""


def flux_figures(
    table: pd.DataFrame, catalog_flux_jy: ArrayLike, min_flux_jy: float = MIN_FLUX_JY
) -> dict[str, float]:
    """Flux scale and completeness of an image.

    Parameters
    ----------
    table : what `photometry.measure_fluxes` gives, a row a catalogue source, corrected for the
        primary beam (flux, error and rms alike).
    catalog_flux_jy : (n,) catalogue flux of each row, Jy; NaN where there is none.
    min_flux_jy : lone sources above this set the flux ratio.

    Returns
    -------
    ``n_flux_references``; ``flux_ratio_median`` and ``flux_ratio_scatter`` (1.4826 MAD) of
    measured over catalogue flux; ``n_expected``: sources of at least 5 local rms in the catalogue;
    ``completeness``: the fraction of them measured at 3 local rms or more; ``chi2_median`` of the
    flux references. NaN where nothing is known.

    Notes
    -----
    The catalogue decides which sources are looked at, the image does not: a choice by measured
    flux would keep the lucky ones.
    """
    catalog = np.asarray(catalog_flux_jy, dtype=float)
    flux, rms = table["flux_jy"].to_numpy(), table["rms_jy"].to_numpy()
    measured = (table["status"] == "ok").to_numpy() & np.isfinite(flux)
    reference = measured & ~table["blended"].to_numpy(dtype=bool) & (catalog >= min_flux_jy)
    expected = measured & (catalog >= EXPECTED_SNR * rms)
    median, scatter = _median_and_scatter(flux[reference] / catalog[reference])
    seen = flux[expected] >= DETECTED_SNR * rms[expected]
    return {
        "n_flux_references": int(reference.sum()),
        "flux_ratio_median": median,
        "flux_ratio_scatter": scatter,
        "n_expected": int(expected.sum()),
        "completeness": float(seen.mean()) if expected.any() else float("nan"),
        "chi2_median": _median_and_scatter(table["chi2"].to_numpy()[reference])[0],
    }


def astrometry_figures(table: pd.DataFrame, min_snr: float = 10.0) -> dict[str, float]:
    """Offsets of measured from catalogue positions.

    Parameters
    ----------
    table : what `photometry.fit_free_positions` gives.
    min_snr : fits of at least this S/N count.

    Returns
    -------
    ``n_positions``; medians ``ra_offset_arcsec`` (on the sky) and ``dec_offset_arcsec``, their
    length ``astrometric_offset_arcsec``, and ``astrometric_scatter_arcsec`` (1.4826 MAD, the
    larger of the two axes). NaN where nothing is known.
    """
    good = table[table["converged"] & (table["snr"] >= min_snr)]
    ra, ra_scatter = _median_and_scatter(good["dra_arcsec"].to_numpy())
    dec, dec_scatter = _median_and_scatter(good["ddec_arcsec"].to_numpy())
    return {
        "n_positions": len(good),
        "ra_offset_arcsec": ra,
        "dec_offset_arcsec": dec,
        "astrometric_offset_arcsec": float(np.hypot(ra, dec)),
        "astrometric_scatter_arcsec": max(ra_scatter, dec_scatter),
    }


def failed_limits(
    figures: Mapping[str, float | None], limits: Mapping[str, tuple[float, float]]
) -> list[str]:
    """Reasons why figures fail their gates.

    Parameters
    ----------
    figures : figures by name.
    limits : smallest and largest allowed value by name of figure, both included; infinite where
        there is none.

    Returns
    -------
    A sentence for each figure that is unknown or out of range; empty when all is well.
    """
    reasons = []
    for name, (low, high) in limits.items():
        value = figures.get(name)
        if value is None or not np.isfinite(value):
            reasons.append(f"{name} is unknown, {_range(low, high)} wanted")
        elif not low <= value <= high:
            reasons.append(f"{name} is {value:.4g}, {_range(low, high)} wanted")
    return reasons


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


def _median_and_scatter(values: NDArray) -> tuple[float, float]:
    values = np.asarray(values, dtype=float)  # an empty column has no type
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    median = float(np.median(finite))
    return median, float(SIGMA_PER_MAD * np.median(np.abs(finite - median)))
