"""The relative fluxes of the existing pipeline, to compare with: `normalisation.method: baseline`.

For each image the brightest references near its centre (NVSS S/N of 50 or more, unresolved,
unconfused, at most 20 within 1.5 deg) are divided by their baselines, the medians of their first
10 epochs; the median ratio, after a 3-sigma clip, is the image's correction, with 3 references or
more. Errors add in quadrature. References whose normalised flux has chi2_nu above 2 over 30 days
are dropped for these days. There is no gradient, and a reference takes part in its own correction,
as it does there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.leave_out import RowGains, gain_spread
from contimg.measurements import Bools, Floats, Ints, Measurements, medians
from contimg.normalise import GainOptions, GainSolution


@dataclass(frozen=True)
class BaselineOptions:
    """The limits of the existing pipeline's procedure.

    Attributes
    ----------
    min_nvss_snr, max_references, max_distance_deg : which references count in an image.
    n_baseline_epochs : epochs whose median is a source's baseline.
    clip_sigma : of the median ratio.
    max_chi2_nu, chi2_days : a reference beyond is dropped for that time.
    """

    min_nvss_snr: float = 50.0
    max_references: int = 20
    max_distance_deg: float = 1.5
    n_baseline_epochs: int = 10
    clip_sigma: float = 3.0
    max_chi2_nu: float = 2.0
    chi2_days: float = 30.0


def baseline_gains(
    measurements: Measurements,
    mjd: Floats,
    candidate: Bools,
    snr_nvss: Floats,
    options: GainOptions,
    limits: BaselineOptions | None = None,
) -> tuple[RowGains, GainSolution]:
    """Return each row's gain, and the images' gains, by the existing pipeline's procedure.

    Parameters
    ----------
    measurements : all usable rows, sorted by source and time.
    mjd : (Nrows,) times.
    candidate : (Nsources,) unresolved, unconfused sources.
    snr_nvss : (Nsources,) S/N in the catalogue.
    """
    limits = limits or BaselineOptions()
    baseline = _baselines(measurements, mjd, limits)
    good = candidate & (snr_nvss >= limits.min_nvss_snr) & (baseline > 0)
    near = np.hypot(measurements.l_deg, measurements.m_deg) <= limits.max_distance_deg
    leads = _brightest(measurements, good[measurements.source] & near, snr_nvss, limits)
    gain, error, count = _median_ratios(measurements, baseline, leads, options, limits)
    leads &= ~_variable(measurements, mjd, gain, error, limits)
    gain, error, count = _median_ratios(measurements, baseline, leads, options, limits)
    solved = count >= max(1, options.min_references)
    in_range = (options.min_gain <= gain) & (gain <= options.max_gain)
    solution = GainSolution(
        coefficients=np.where(solved, gain, 1.0)[:, None],
        covariance=np.where(solved, error**2, 0.0)[:, None, None],
        shared=np.zeros((measurements.n_images, 1, 1)),
        n_references=count,
        solved=solved,
        chi2_nu=np.full(measurements.n_images, np.nan),
        refused=solved & ~in_range,
        flux=baseline,
        excess=np.zeros(measurements.n_sources),
        used=np.bincount(measurements.source[leads], minlength=measurements.n_sources) > 0,
        n_iterations=2,
        change=0.0,
    )
    image = measurements.image
    spread = gain_spread(gain[solution.good], options)
    status = np.where(~solved, 1, np.where(~in_range, 2, 0))
    gains = RowGains(
        gain=solution.coefficients[image, 0],
        gain_err=np.where(solved, error, spread)[image],
        shared_err=np.zeros(len(image)),
        n_references=count[image],
        status=status[image].astype(np.int8),
    )
    return gains, solution


def snr_of_sources(
    names: NDArray[np.object_], snr_nvss: Mapping[str, float] | None
) -> NDArray[np.float64]:
    """Return each source's S/N in the catalogue.

    Raises
    ------
    ValueError
        Without a catalogue.
    """
    if snr_nvss is None:
        raise ValueError(
            "normalisation.method baseline chooses references by NVSS S/N: give the catalogue"
        )
    return np.array([snr_nvss.get(str(name), 0.0) for name in names], dtype=np.float64)


def _baselines(measurements: Measurements, mjd: Floats, limits: BaselineOptions) -> Floats:
    """Return the median of each source's first epochs (UTC days with a measurement)."""
    day = np.floor(mjd).astype(np.int64)
    epoch = pd.Series(day).groupby(measurements.source).rank(method="dense").to_numpy()
    early = epoch <= limits.n_baseline_epochs
    return medians(measurements.source[early], measurements.flux_jy[early], measurements.n_sources)


def _brightest(
    measurements: Measurements, good: Bools, snr: Floats, limits: BaselineOptions
) -> Bools:
    """Choose the sources of highest S/N in each image."""
    rows = np.flatnonzero(good)
    order = rows[np.lexsort((measurements.source[rows], -snr[measurements.source[rows]]))]
    rank = pd.Series(order).groupby(measurements.image[order]).cumcount().to_numpy()
    chosen = np.zeros(len(good), dtype=bool)
    chosen[order[rank < limits.max_references]] = True
    return chosen


def _median_ratios(
    measurements: Measurements,
    baseline: Floats,
    leads: Bools,
    options: GainOptions,
    limits: BaselineOptions,
) -> tuple[Floats, Floats, Ints]:
    """Return each image's clipped median ratio, its standard error and the references left."""
    size = measurements.n_images
    image = measurements.image[leads]
    ratio = measurements.flux_jy[leads] / baseline[measurements.source[leads]]
    centre = medians(image, ratio, size)
    spread = 1.4826 * medians(image, np.abs(ratio - centre[image]), size)
    kept = np.abs(ratio - centre[image]) <= limits.clip_sigma * spread[image]
    image, ratio = image[kept], ratio[kept]
    count = np.bincount(image, minlength=size).astype(np.int64)
    gain = medians(image, ratio, size)
    square = np.bincount(image, (ratio - gain[image]) ** 2, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.pi / 2 * square / np.maximum(count - 1, 1) / count)
    enough = count >= max(1, options.min_references)
    return np.where(enough, gain, 1.0), np.where(enough, error, 0.0), count


def _variable(
    measurements: Measurements, mjd: Floats, gain: Floats, error: Floats, limits: BaselineOptions
) -> Bools:
    """Whether a row's source scatters too much in the days around it."""
    image = measurements.image
    flux = measurements.flux_jy / gain[image]
    sigma = np.hypot(measurements.error_jy, flux * error[image]) / gain[image]
    block = np.floor((mjd - mjd.min(initial=0.0)) / limits.chi2_days).astype(np.int64)
    key = measurements.source * (block.max(initial=0) + 1) + block
    number = pd.factorize(key)[0]
    weight = sigma**-2
    mean = np.bincount(number, weight * flux) / np.bincount(number, weight)
    square = np.bincount(number, weight * (flux - mean[number]) ** 2)
    count = np.bincount(number)
    return (square / np.maximum(count - 1, 1) > limits.max_chi2_nu)[number]
