"""Covariances of light curves one by one, in a time that grows as the number of epochs.

Both kernels are those of Markov processes: the damped random walk of its value, the Matern 5/2
kernel of its value and two derivatives. A Kalman filter predicts each epoch from those before it;
what is left, divided by its standard deviation, is independent noise ("whitened"), and sums over
it are inner products with the inverse covariance. Several columns (a constant, the light curve,
templates) go through one filter. Epochs with infinite errors count for nothing.

With the derivatives in units of the rate l (1 / tau, or sqrt(5) / tau), r = l dt, the state goes
to F times itself, and its stationary covariance is m^2 V (Hartikainen & Sarkka 2010):

    drw      F = exp(-r), V = 1
    smooth   F = exp(-r) [[1 + r + r^2/2,   r + r^2,       r^2/2        ],
                          [-r^2/2,          1 + r - r^2,   r - r^2/2    ],
                          [r^2/2 - r,       r^2 - 3 r,     1 - 2 r + r^2/2]],
             V = [[1, 0, -1/3], [0, 1/3, 0], [-1/3, 0, 1]]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from contimg.backgrounds import Floats

# The product of so many variances is formed before its logarithm is taken.
_FACTORS = 16
_V = {False: ((1.0,),), True: ((1.0, 0.0, -1 / 3), (0.0, 1 / 3, 0.0), (-1 / 3, 0.0, 1.0))}


@dataclass(frozen=True)
class Noise:
    """Backgrounds of one kernel: numbers, or (S, P) arrays.

    Attributes
    ----------
    smooth : the kernel: Matern 5/2, or damped random walk (white if the modulation is 0).
    timescale_days, modulation, jitter : of the backgrounds.
    """

    smooth: bool
    timescale_days: Any
    modulation: Any
    jitter: Any

    def transition(self, step_days: Any) -> list[list[Any]]:
        """Return F, rows of numbers or arrays."""
        r = step_days / self.timescale_days
        if not self.smooth:
            return [[np.exp(-r)]]
        r = np.sqrt(5) * r
        fade = np.exp(-r)
        s = r * r / 2
        return [
            [fade * (1 + r + s), fade * (r + 2 * s), fade * s],
            [-fade * s, fade * (1 + r - 2 * s), fade * (r - s)],
            [fade * (s - r), fade * (2 * s - 3 * r), fade * (1 - 2 * r + s)],
        ]

    def stationary(self) -> list[list[Any]]:
        """Return m^2 V."""
        return [[one * self.modulation**2 for one in row] for row in _V[self.smooth]]


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
    values = np.stack(columns)
    filtered = _Filter(noise, (count, *shape))
    jitter2 = noise.jitter**2
    for epoch in range(days.shape[1]):
        if epoch:
            filtered.predict(days[:, epoch, None] - days[:, epoch - 1, None])
        variance = filtered.covariance[0][0] + (error[:, epoch, None] ** 2 + jitter2)
        left = values[:, :, epoch, None] - filtered.mean[0]
        inverse = 1 / variance
        scaled = left * inverse
        for one in range(count):
            products[one, : one + 1] += left[one] * scaled[: one + 1]
        if not there[:, epoch].all():
            variance = np.where(there[:, epoch, None], variance, 1.0)
        factor *= variance
        if epoch % _FACTORS == 0:
            log_det += np.log(factor)
            factor[:] = 1.0
        filtered.update(scaled, inverse)
    for one in range(count):
        products[:one, one] = products[one, :one]
    return products, log_det + np.log(factor)


class _Filter:
    """Mean and covariance of the state at an epoch, given the epochs before it.

    Attributes
    ----------
    mean : of each state, (C, S, P).
    covariance : of each pair of states, (S, P); those above the diagonal stand for those below.
    """

    def __init__(self, noise: Noise, shape: tuple[int, ...]) -> None:
        self._noise = noise
        self._states = range(len(_V[noise.smooth]))
        self._stationary = noise.stationary()
        self.mean = [np.zeros(shape) for _ in self._states]
        self.covariance = [list(row) for row in self._stationary]
        self._step: Floats | None = None
        self._transition: list[list[Any]] = []

    def predict(self, step_days: Floats) -> None:
        """Go on by (S, 1) time steps."""
        if self._step is None or not np.array_equal(step_days, self._step):
            self._step, self._transition = step_days, self._noise.transition(step_days)
        f, states = self._transition, self._states
        self.mean = [_product(f[i], self.mean) for i in states]
        # What is known beyond the stationary covariance fades: P = S + F (P - S) F'.
        known = [
            [self.covariance[i][j] - self._stationary[i][j] if j >= i else None for j in states]
            for i in states
        ]
        half = [
            [_product(f[i], [known[min(k, j)][max(k, j)] for k in states]) for j in states]
            for i in states
        ]
        for i in states:
            for j in range(i, len(states)):
                self.covariance[i][j] = self._stationary[i][j] + _product(half[i], f[j])

    def update(self, scaled: Floats, inverse: Floats) -> None:
        """Take an epoch in.

        Parameters
        ----------
        scaled : its difference from the prediction over its variance.
        inverse : one over that variance.
        """
        first = list(self.covariance[0])
        for i in self._states:
            self.mean[i] = self.mean[i] + first[i] * scaled
            gain = first[i] * inverse
            for j in range(i, len(self._states)):
                self.covariance[i][j] = self.covariance[i][j] - gain * first[j]


def _product(row: list[Any], column: list[Any]) -> Any:
    """Return the sum of the products of two lists of arrays."""
    total = row[0] * column[0]
    for one, other in zip(row[1:], column[1:], strict=True):
        total += one * other
    return total


def whitened(noise: Noise, days: Floats, error: Floats, columns: Floats) -> Floats:
    """Return (N, C) columns as independent noise of unit variance under one background.

    Parameters
    ----------
    noise : one background: numbers.
    days, error : (N,).
    """
    stationary = np.array(noise.stationary())
    mean, covariance = np.zeros((len(stationary), columns.shape[1])), stationary
    result = np.empty(columns.shape)
    steps, variances = np.diff(days), error**2 + noise.jitter**2
    transitions = {step: np.array(noise.transition(step)) for step in set(steps.tolist())}
    for epoch in range(len(days)):
        if epoch:
            transition = transitions[steps[epoch - 1]]
            mean = transition @ mean
            covariance = stationary + transition @ (covariance - stationary) @ transition.T
        variance = covariance[0, 0] + variances[epoch]
        left = columns[epoch] - mean[0]
        result[epoch] = left / np.sqrt(variance)
        gain = covariance[0] / variance
        mean += gain[:, None] * left
        covariance = covariance - gain[:, None] * covariance[0]
    return result
