"""Covariances of light curves one by one, in a time that grows as the number of epochs.

Both kernels are those of Markov processes: the damped random walk of its value, the Matern 3/2
kernel of its value and derivative. A Kalman filter predicts each epoch from those before it; what
is left, divided by its standard deviation, is independent noise ("whitened"), and sums over it are
inner products with the inverse covariance. Several columns (a constant, the light curve,
templates) go through one filter. Epochs with infinite errors count for nothing.

State and its prediction over dt (Hartikainen & Sarkka 2010), l = sqrt(3) / tau:

    drw      phi = exp(-dt / tau)
    smooth   exp(-l dt) [[1 + l dt, dt], [-l^2 dt, 1 - l dt]], stationary: m^2 diag(1, l^2)
"""

from dataclasses import dataclass

import numpy as np

from contimg.backgrounds import Floats

# The product of so many variances is formed before its logarithm is taken.
_FACTORS = 16


@dataclass(frozen=True)
class Noise:
    """Backgrounds of one kernel: arrays that broadcast against each other, (S, P) say.

    Attributes
    ----------
    smooth : the kernel: Matern 3/2, or damped random walk (white if the modulation is 0).
    timescale_days, modulation, jitter : of the backgrounds.
    """

    smooth: bool
    timescale_days: Floats
    modulation: Floats
    jitter: Floats


def inner_products(
    noise: Noise, days: Floats, error: Floats, columns: list[Floats]
) -> tuple[Floats, Floats]:
    """Return inner products of columns with the inverse covariances.

    Parameters
    ----------
    noise : (S, P) backgrounds of each light curve.
    days, error : (S, N) times and errors, infinite where there is no epoch.
    columns : (S, N) each.

    Returns
    -------
    products : (C, C, S, P), symmetric in the first two.
    log_det : (S, P) of the covariances.
    """
    shape = noise.modulation.shape
    count = len(columns)
    products = np.zeros((count, count, *shape))
    log_det, factor = np.zeros(shape), np.ones(shape)
    there = np.isfinite(error)
    state = _Filter(noise, (count, *shape))
    jitter2 = noise.jitter**2
    for epoch in range(days.shape[1]):
        if epoch:
            state.predict(days[:, epoch, None] - days[:, epoch - 1, None])
        variance = state.variance + (error[:, epoch, None] ** 2 + jitter2)
        left = np.stack(
            [
                column[:, epoch, None] - mean
                for column, mean in zip(columns, state.mean, strict=True)
            ]
        )
        inverse = 1 / variance
        scaled = left * inverse
        for one in range(count):
            products[one, : one + 1] += left[one] * scaled[: one + 1]
        factor *= (
            variance if there[:, epoch].all() else np.where(there[:, epoch, None], variance, 1)
        )
        if epoch % _FACTORS == 0:
            log_det += np.log(factor)
            factor[:] = 1.0
        state.update(scaled, inverse)
    for one in range(count):
        products[:one, one] = products[one, :one]
    return products, log_det + np.log(factor)


def whitened(noise: Noise, days: Floats, error: Floats, columns: Floats) -> Floats:
    """Return (N, C) columns as independent noise of unit variance under one background.

    Parameters
    ----------
    noise : one background: numbers.
    days, error : (N,).
    """
    state = _Filter(noise, (columns.shape[1],))
    result = np.empty(columns.shape)
    for epoch in range(len(days)):
        if epoch:
            state.predict(days[epoch] - days[epoch - 1])
        variance = state.variance + error[epoch] ** 2 + noise.jitter**2
        left = columns[epoch] - state.mean
        result[epoch] = left / np.sqrt(variance)
        state.update(left / variance, 1 / variance)
    return result


class _Filter:
    """Mean and covariance of the background at an epoch, given the epochs before it."""

    def __init__(self, noise: Noise, shape: tuple[int, ...]) -> None:
        self._tau, self._smooth = noise.timescale_days, noise.smooth
        self.variance = noise.modulation**2 + 0.0
        self.mean = np.zeros(shape)
        self._stationary = self.variance
        if self._smooth:
            self._rate = np.sqrt(3) / self._tau
            self._slope = np.zeros(shape)
            self._covariance = np.zeros_like(self.variance)
            self._slope_variance = self._rate**2 * self.variance
            self._slope_stationary = self._slope_variance
        self._step: Floats | float = np.nan
        self._factors: tuple[Floats, ...] = ()

    def predict(self, step: Floats | float) -> None:
        """Go on by a time step."""
        if not np.all(step == self._step):
            self._step = step
            self._factors = self._factors_of(step)
        if not self._smooth:
            (phi,) = self._factors
            self.mean = self.mean * phi
            self.variance = self._stationary + (self.variance - self._stationary) * phi**2
            return
        a, b, c, d = self._factors
        self.mean, self._slope = a * self.mean + b * self._slope, c * self.mean + d * self._slope
        # What is known beyond the stationary covariance fades: V = S + F (V - S) F'.
        p = self.variance - self._stationary
        q = self._covariance
        r = self._slope_variance - self._slope_stationary
        self.variance = self._stationary + a * a * p + 2 * a * b * q + b * b * r
        self._covariance = a * c * p + (a * d + b * c) * q + b * d * r
        self._slope_variance = self._slope_stationary + c * c * p + 2 * c * d * q + d * d * r

    def _factors_of(self, step: Floats | float) -> tuple[Floats, ...]:
        if not self._smooth:
            return (np.exp(-step / self._tau),)
        ratio = self._rate * step
        fade = np.exp(-ratio)
        return (
            fade * (1 + ratio),
            fade * step,
            -fade * self._rate * ratio,
            fade * (1 - ratio),
        )

    def update(self, scaled: Floats, inverse: Floats) -> None:
        """Take an epoch in.

        Parameters
        ----------
        scaled : its difference from the prediction over its variance.
        inverse : one over that variance.
        """
        self.mean = self.mean + self.variance * scaled
        gain = self.variance * inverse
        if self._smooth:
            self._slope = self._slope + self._covariance * scaled
            self._slope_variance = self._slope_variance - self._covariance**2 * inverse
            self._covariance = self._covariance * (1 - gain)
        self.variance = self.variance * (1 - gain)
