"""Covariances of light curves that have the same times and errors, of all backgrounds at once.

With D = diag(sigma_i^2 + j^2) and D^-1/2 k D^-1/2 = U diag(l) U', the covariance is
D^1/2 U (1 + m^2 diag(l)) U' D^1/2: one decomposition serves all modulations, and all jitters too
where the errors are equal. What is left are products of matrices, over all light curves.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from contimg.backgrounds import Floats, Grid, correlation


@dataclass(frozen=True)
class Block:
    """Backgrounds that one change of basis makes independent noise.

    Attributes
    ----------
    points : where they stand in the grid.
    scale : (N,) factor of each epoch before the change of basis.
    vectors : (N, N) the change of basis.
    weight : (points, N) inverse variances in it.
    log_det : (points,) of the covariance.
    """

    points: slice
    scale: Floats
    vectors: Floats
    weight: Floats
    log_det: Floats

    def transformed(self, values: Floats) -> Floats:
        """Return (S, N) light curves or templates in the basis."""
        return (values * self.scale) @ self.vectors

    def solved(self, values: Floats, number: int) -> Floats:
        """Return C^-1 of (S, N) light curves for one background of the block."""
        return (self.transformed(values) * self.weight[number]) @ self.vectors.T * self.scale

    def diagonals(self) -> Floats:
        """Return the (points, N) diagonals of the inverse covariances."""
        return (self.weight @ self.vectors.T**2) * self.scale**2


class SharedCovariances:
    """Covariances of all backgrounds of a grid.

    Parameters
    ----------
    days, error : (N,) times, and errors as fractions of the baseline.
    grid : the backgrounds.
    """

    def __init__(self, days: Floats, error: Floats, grid: Grid) -> None:
        self.days, self.error, self.grid = days, error, grid
        equal = float(np.ptp(error)) <= 1e-9 * float(error[0])
        differ = np.diff(grid.kernel) != 0
        if not equal:
            differ |= np.diff(grid.jitter) != 0
        edges = [0, *(np.flatnonzero(differ) + 1).tolist(), len(grid.kernel)]
        self.blocks = [self._block(slice(first, last), equal) for first, last in pairwise(edges)]

    def _block(self, points: slice, equal: bool) -> Block:
        name, timescale = self.grid.kernels[self.grid.kernel[points.start]]
        k = correlation(name, timescale, self.days[:, None] - self.days)
        noise = self.error**2 + self.grid.jitter[points, None] ** 2
        scale = np.ones(len(self.days)) if equal else noise[0] ** -0.5
        values, vectors = np.linalg.eigh(k * scale[:, None] * scale)
        signal = self.grid.modulation[points, None] ** 2 * np.maximum(values, 0.0)
        variance = signal + (noise if equal else 1.0)
        log_det = np.log(variance).sum(axis=1) - 2 * np.log(scale).sum()
        return Block(points, scale, vectors, 1 / variance, log_det)

    def block_of(self, point: int) -> int:
        """Return the number of the block that a background is in."""
        starts = [block.points.start for block in self.blocks]
        return int(np.searchsorted(starts, point, side="right")) - 1
