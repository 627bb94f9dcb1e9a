"""Acceleration of a fixed-point iteration (Anderson 1965)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Anderson:
    """Combines the last steps of x -> map(x) into a longer one.

    Where plain steps creep along few slow directions (gains of images that only a chain of others
    connects), the combination finds what these tend to: for a linear map it is GMRES.
    """

    def __init__(self, depth: int = 5) -> None:
        self._depth = depth
        self._points: list[Floats] = []
        self._steps: list[Floats] = []

    def next_point(self, point: Floats, mapped: Floats, scale: Floats) -> Floats:
        """Return where to go on from.

        Parameters
        ----------
        point, mapped : (N,) x and map(x).
        scale : (N,) what makes the steps comparable; entries of 0 are taken as mapped. That of
            the first call counts.
        """
        if not self._points:
            self._scale = scale
        free = self._scale > 0
        self._points = [*self._points[-self._depth :], point[free]]
        self._steps = [*self._steps[-self._depth :], (mapped - point)[free]]
        if len(self._steps) < 2:
            return mapped
        weight = self._scale[free]
        steps, points = np.diff(self._steps, axis=0).T, np.diff(self._points, axis=0).T
        combination = np.linalg.lstsq(
            steps * weight[:, None], self._steps[-1] * weight, rcond=1e-10
        )[0]
        found = mapped.copy()
        found[free] -= (points + steps) @ combination
        return found
