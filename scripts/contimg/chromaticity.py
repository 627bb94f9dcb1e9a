"""Is a dip chromatic, as plasma makes it, or achromatic? From light curves of subbands.

Two hypotheses for the flux S_kj of subband k at epoch j, each subband normalised for itself:

    achromatic   S_kj = B_k c_j                      c_j: any light curve, one value an epoch
    lens         S_kj = B_k (c_j + m_kj - <m_j>)     m_kj = 1 - f dip(t_j; alpha (nu_k/nu_0)^-2)

c_j is free in both, so what all subbands do alike decides nothing: an eclipse, a flare or an error
of the gain is achromatic whatever its shape. Across a band of 14 % the depths of a lens hardly
differ, but alpha changes by 30 %: spikes move and edges tilt. The baselines B_k are free too and
take up the spectrum of the source.

Lenses are drawn with the probability that the common light curve gives them (`contimg.lens_fit`),
w_i being the part of the draws that are lens i. It predicts the differences between subbands, d_i,
in units of their errors and with all that c_j and B_k can take up taken off. With z the observed
differences,

    ln BF = ln sum_i w_i exp((d_i z - d_i^2 / 2) / s^2),

s >= 1 being the factor by which subbands differ more than their errors say (sidelobes, say) after
the best of the models is taken off. How large ln BF is by chance follows from simulation: noise
drawn from the residuals of whole epochs with random signs (so that what subbands share in an epoch
stays shared), or Gaussian noise where there are few epochs; alone, and on top of lenses drawn by
their weights and left out of the sum, for the true lens is not among those drawn. A dip is

    chromatic    when ln BF > 0, and at most 1 % of achromatic simulations reach it,
    achromatic   when ln BF < 0, and at most 1 % of the lenses stay below it, but more than 1 % of
                 the achromatic simulations reach it,
    undecided    else: subbands that cannot tell, or that differ as neither of the two.

The source's own spectrum may change with its flux; where that goes along with the dip it can
pass for a weak lens. The lensed fraction is taken to be the same in all subbands.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.depth_spectrum import DepthSpectrum, depth_spectrum
from contimg.epochs import Epochs, usable_epochs
from contimg.lens import REFERENCE_HZ
from contimg.lens_fit import draw_lenses
from contimg.subband_differences import Differences, LensTest, by_transit

Floats = NDArray[np.float64]

_MIN_EPOCHS = 6
_LEVEL = 0.01
_N_SIMULATIONS = 2000
_N_LENSES = 400


@dataclass(frozen=True)
class Chromaticity:
    """What the subbands tell of one dip; NaN: not known.

    Attributes
    ----------
    outcome : "chromatic", "achromatic" or "undecided"; "" without two subbands or without a dip.
    n_subbands : that were compared.
    delta_chi2 : 2 ln BF, lens over achromatic.
    expected_delta_chi2 : by which lens and achromatic variation differ, if it is the fitted lens.
    achromatic_p : part of the achromatic simulations whose ln BF is as large.
    lens_p : part of the simulated lenses whose ln BF is as small.
    depths : of the subbands.
    lens : strength at 1.4 GHz, source size, impact and lensed fraction of what fits best in time
        and frequency.
    """

    outcome: str = ""
    n_subbands: int = 0
    delta_chi2: float = np.nan
    expected_delta_chi2: float = np.nan
    achromatic_p: float = np.nan
    lens_p: float = np.nan
    depths: DepthSpectrum = field(default_factory=lambda: DepthSpectrum(*np.empty((3, 0))))
    lens: dict[str, float] = field(default_factory=dict)


def with_chromaticity(
    candidates: pd.DataFrame, subband_curves: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Add what the subbands tell to candidates.

    Parameters
    ----------
    candidates : source_id, centre_mjd, fwhm_days, reason; the reason is added to. Of several rows
        of a source (frequencies) the first with a dip is judged, and all get its outcome.
    subband_curves : light curves of the subband images, or of several frequencies.

    Returns
    -------
    candidates : with n_subbands, chromaticity, delta_chi2, expected_delta_chi2, achromatic_p,
        lens_p, depth_exponent and depth_exponent_err.
    details : by source_id: freq_hz, depth and depth_err of each subband, and the lens.
    """
    curves = dict(iter(subband_curves.groupby("source_id")))
    dips = candidates[np.isfinite(candidates.centre_mjd) & np.isfinite(candidates.fwhm_days)]
    judged = {
        one.source_id: chromaticity(
            usable_epochs(curves[one.source_id]),
            one.centre_mjd,
            one.fwhm_days,
            seed_of(one.source_id),
        )
        for one in dips.drop_duplicates("source_id").itertuples()
        if one.source_id in curves
    }
    found = [judged.get(name, Chromaticity()) for name in candidates.source_id]

    def numbers(values: list[float]) -> Floats:
        return np.array(values, dtype=float)

    added = candidates.assign(
        n_subbands=np.array([one.n_subbands for one in found], dtype=np.int64),
        chromaticity=pd.Series([one.outcome for one in found], candidates.index, dtype=object),
        delta_chi2=numbers([one.delta_chi2 for one in found]),
        expected_delta_chi2=numbers([one.expected_delta_chi2 for one in found]),
        achromatic_p=numbers([one.achromatic_p for one in found]),
        lens_p=numbers([one.lens_p for one in found]),
        depth_exponent=numbers([one.depths.exponent for one in found]),
        depth_exponent_err=numbers([one.depths.exponent_err for one in found]),
    )
    reasons = [why + in_words(one) for why, one in zip(added.reason, found, strict=True)]
    details = {
        source_id: {
            "freq_hz": one.depths.freq_hz.tolist(),
            "depth": one.depths.depth.tolist(),
            "depth_err": one.depths.depth_err.tolist(),
            "lens": one.lens,
        }
        for source_id, one in zip(added.source_id, found, strict=True)
    }
    return added.assign(reason=pd.Series(reasons, added.index, dtype=object)), details


def seed_of(source_id: str) -> int:
    """Return the seed of a source's simulations."""
    return int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:8], "big")


def in_words(found: Chromaticity) -> str:
    """Say what the subbands tell; nothing when there are none."""
    if not found.outcome:
        return ""
    text = f"; {found.outcome} over {found.n_subbands} subbands"
    if not np.isfinite(found.delta_chi2):
        return text + ": too few epochs"
    text += (
        f": lens over achromatic by {found.delta_chi2:.1f} in chi-squared where the lens that fits "
        f"would give about {found.expected_delta_chi2:.1f}"
    )
    if found.outcome == "chromatic":
        return text + f", chance of that if achromatic {found.achromatic_p:.2g}"
    if found.outcome == "achromatic":
        return text + f", chance of that behind a lens {found.lens_p:.2g}"
    if max(found.achromatic_p, found.lens_p) <= _LEVEL:
        return text + ", the subbands differ, but not as behind that lens"
    return text


def chromaticity(subbands: Epochs, centre_mjd: float, fwhm_days: float, seed: int) -> Chromaticity:
    """Compare lens and achromatic variation in the subband light curves of a source.

    Parameters
    ----------
    subbands : a row a subband of one source, with column freq_hz.
    centre_mjd, fwhm_days : of the dip in the whole band.
    seed : of the simulations.
    """
    if len(subbands.sources) < 2:
        return Chromaticity()
    transits = by_transit(subbands)
    if len(transits.mjd) < _MIN_EPOCHS:
        return Chromaticity("undecided", len(subbands.sources))
    band_hz = float(np.exp(np.mean(np.log(transits.freq_hz))))
    random = np.random.default_rng(seed)
    lenses, weight = draw_lenses(
        transits.mjd,
        transits.common,
        transits.common_err,
        (centre_mjd, fwhm_days),
        _N_LENSES,
        random,
    )
    differences = Differences(transits)
    ratio = transits.freq_hz / band_hz
    predicted = np.stack([differences.of(one.change(transits.mjd, ratio)) for one in lenses])
    flat = predicted.reshape(len(lenses), -1)
    test = LensTest(weight, flat, differences.degrees)
    observed = differences.of(transits.flux)
    log_bf, scale, best = test(observed.reshape(1, -1))
    left = observed - (predicted[best[0]] if best[0] >= 0 else 0.0)
    noise = differences.simulated(left, scale[0], _N_SIMULATIONS, random)
    noise = noise.reshape(_N_SIMULATIONS, -1)
    behind = random.choice(len(lenses), _N_SIMULATIONS, p=weight)
    achromatic_p = _part(test(noise)[0] >= log_bf[0])
    lens_p = _part(test(noise + flat[behind], behind)[0] <= log_bf[0])
    likely = lenses[max(best[0], 0)]
    common = replace(lenses[0], fraction=1.0, base=1.0)
    dip = -common.change(transits.mjd, np.ones(1))[0]
    # A dip between epochs, of which only the spikes are seen, has no depth.
    dip = dip / dip.max() if dip.max() > 0 else np.zeros_like(dip)
    return Chromaticity(
        outcome(log_bf[0], achromatic_p, lens_p),
        len(transits.freq_hz),
        round(float(2 * log_bf[0]), 3),
        round(float(weight @ np.sum(flat**2, axis=1) / scale[0] ** 2), 3),
        achromatic_p,
        lens_p,
        depth_spectrum(transits.freq_hz, transits.flux, transits.error, dip, float(scale[0])),
        {
            "alpha": likely.shape.alpha * (band_hz / REFERENCE_HZ) ** 2,
            "beta_s": likely.shape.beta_s,
            "impact": likely.shape.impact,
            "lensed_fraction": likely.fraction,
        },
    )


def _part(fulfilled: NDArray[np.bool_]) -> float:
    return float((1 + fulfilled.sum()) / (1 + len(fulfilled)))


def outcome(log_bf: float, achromatic_p: float, lens_p: float) -> str:
    """Return "chromatic", "achromatic" or "undecided"; the module's docstring tells when."""
    if log_bf > 0 and achromatic_p <= _LEVEL:
        return "chromatic"
    if log_bf < 0 and lens_p <= _LEVEL < achromatic_p:
        return "achromatic"
    return "undecided"
