"""How the subbands of a light curve differ from each other, whatever they have in common.

Fluxes are F_kj = B_k (c_j + difference), k the subband and j the epoch. In units of their errors,
all that a value c_j an epoch and a factor B_k a subband can take up is projected out of F; what is
left has no other scale than the noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.epochs import Epochs

Floats = NDArray[np.float64]

# Mid-times of a transit differ between subbands by an image that one of them lacks.
_SAME_TRANSIT_DAYS = 0.25
# Residuals of fewer whole epochs are too few to draw from.
_MIN_DONORS = 20


@dataclass(frozen=True)
class Transits:
    """Subband fluxes of one source by transit; NaN without a measurement.

    Attributes
    ----------
    mjd : (Nepochs,) mean time.
    freq_hz : (n,).
    flux, error : (n, Nepochs), each subband divided by its baseline.
    common, common_err : (Nepochs,) what the subbands have in common.
    """

    mjd: Floats
    freq_hz: Floats
    flux: Floats
    error: Floats
    common: Floats
    common_err: Floats


def by_transit(subbands: Epochs) -> Transits:
    """Arrange subband light curves by transit and take the baselines off.

    Parameters
    ----------
    subbands : a row a subband of one source, with column freq_hz.

    Returns
    -------
    transits : those seen in two subbands at least, of subbands with a positive flux.
    """
    row, column = np.nonzero(np.isfinite(subbands.flux_jy))
    order = np.argsort(subbands.mjd[row, column], kind="stable")
    row, column = row[order], column[order]
    days = subbands.mjd[row, column]
    transit = np.cumsum(np.diff(days, prepend=-np.inf) > _SAME_TRANSIT_DAYS) - 1
    shape = (len(subbands.sources), int(transit.max(initial=-1)) + 1)
    mjd, flux, error = np.full((3, *shape), np.nan)
    mjd[row, transit] = days
    flux[row, transit] = subbands.flux_jy[row, column]
    error[row, transit] = subbands.error_jy[row, column]
    with np.errstate(invalid="ignore"):
        bright = np.nansum(flux / error**2, axis=1) > 0
    mjd, flux, error = mjd[bright], flux[bright], error[bright]
    seen = np.isfinite(flux).sum(axis=0) >= 2
    mjd, flux, error = mjd[:, seen], flux[:, seen], error[:, seen]
    freq_hz = subbands.sources["freq_hz"].to_numpy(dtype=float)[bright]
    if not seen.any():
        return Transits(np.empty(0), freq_hz, flux, error, np.empty(0), np.empty(0))
    base, common, common_err = _baselines(flux, error)
    base = base[:, None]
    return Transits(np.nanmean(mjd, axis=0), freq_hz, flux / base, error / base, common, common_err)


def _baselines(flux: Floats, error: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit flux = B_k c_j by turns; return B, c (of median 1) and the error of c."""
    weight = np.where(np.isfinite(flux), error, np.inf) ** -2.0
    value = np.where(np.isfinite(flux), flux, 0.0)
    base = (weight * value).sum(1) / weight.sum(1)
    for _ in range(20):
        common = (weight * value * base[:, None]).sum(0) / (weight * base[:, None] ** 2).sum(0)
        base = (weight * value * common).sum(1) / (weight * common**2).sum(1)
    middle = float(np.median(common))
    base, common = base * middle, common / middle
    return base, common, (weight * base[:, None] ** 2).sum(0) ** -0.5


class Differences:
    """The projection of fluxes (n, Nepochs) onto differences between subbands.

    Attributes
    ----------
    degrees : degrees of freedom that are left.
    """

    def __init__(self, transits: Transits) -> None:
        self._there = np.isfinite(transits.flux)
        self._root = np.where(self._there, transits.error, np.inf) ** -1.0
        self._epoch = self._root / np.sqrt((self._root**2).sum(axis=0))
        n_subbands = len(transits.flux)
        scaled = np.eye(n_subbands)[:, :, None] * (self._root * transits.common)[:, None, :]
        scaled -= self._epoch * (self._epoch * scaled).sum(axis=1, keepdims=True)
        flat = scaled.reshape(n_subbands, -1)
        left, size, _ = np.linalg.svd(flat.T, full_matrices=False)
        self._baseline = left[:, size > 1e-6 * size.max(initial=0.0)]
        within = int(self._there.sum()) - self._there.shape[1]
        self.degrees = max(within - self._baseline.shape[1], 1)
        self._inflation = np.sqrt(within / self.degrees)

    def of(self, flux: Floats) -> Floats:
        """Return differences in units of their errors; 0 without a measurement.

        Parameters
        ----------
        flux : (..., n, Nepochs).
        """
        return self._projected(np.where(self._there, flux, 0.0) * self._root)

    def _projected(self, scaled: Floats) -> Floats:
        scaled = scaled - self._epoch * (self._epoch * scaled).sum(axis=-2, keepdims=True)
        flat = scaled.reshape(*scaled.shape[:-2], -1)
        flat = flat - (flat @ self._baseline) @ self._baseline.T
        return np.asarray(flat.reshape(scaled.shape))

    def simulated(
        self, left: Floats, scale: float, count: int, random: np.random.Generator
    ) -> Floats:
        """Return noise as it is seen in residuals.

        Parameters
        ----------
        left : (n, Nepochs) differences after the best model, in units of their errors.
        scale : of the errors, where whole epochs are too few to draw from.
        count : of simulations.

        Returns
        -------
        noise : (count, n, Nepochs).
        """
        donors = np.flatnonzero(self._there.all(axis=0))
        n_epochs = left.shape[1]
        if len(donors) < _MIN_DONORS:
            noise = scale * random.standard_normal((count, *left.shape))
        else:
            drawn = donors[random.integers(len(donors), size=(count, n_epochs))]
            sign = random.choice([-1.0, 1.0], size=(count, 1, n_epochs))
            noise = self._inflation * left[:, drawn].transpose(1, 0, 2) * sign
        return self._projected(np.where(self._there, noise, 0.0))


class LensTest:
    """The likelihood ratio of lens and achromatic variation for differences between subbands.

    Parameters
    ----------
    weight : (Nlenses,) their probabilities, of sum 1.
    predicted : (Nlenses, M) differences of each, in units of their errors.
    degrees : degrees of freedom of the M differences.
    """

    def __init__(self, weight: Floats, predicted: Floats, degrees: int) -> None:
        self._log_weight = np.log(weight)
        self._predicted = predicted
        self._half = 0.5 * (predicted**2).sum(axis=1)
        self._degrees = degrees

    def __call__(self, seen: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return ln of the Bayes factor, scale of the errors, and the best lens.

        Parameters
        ----------
        seen : (m, M) differences.

        Returns
        -------
        log_bf, scale, best : (m,); best is -1 where no lens is better than none.
        """
        gain = seen @ self._predicted.T - self._half
        best = np.where(gain.max(axis=1) > 0, gain.argmax(axis=1), -1)
        chi2 = (seen**2).sum(axis=1) - 2 * np.maximum(gain.max(axis=1), 0.0)
        variance = np.maximum(1.0, chi2 / self._degrees)
        log_bf = np.logaddexp.reduce(self._log_weight + gain / variance[:, None], axis=1)
        return log_bf, np.sqrt(variance), best
