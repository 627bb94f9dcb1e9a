"""Forced fluxes of many images as arrays, for the solver of gains."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Measurements:
    """Forced fluxes as arrays of shape (Nrows,).

    Attributes
    ----------
    image, source : indices from 0 below n_images and n_sources.
    flux_jy, error_jy : flux and its standard error, positive, in Jy.
    l_deg, m_deg : direction cosines from the image's centre, x 180/pi.
    """

    image: Ints
    source: Ints
    flux_jy: Floats
    error_jy: Floats
    l_deg: Floats
    m_deg: Floats
    n_images: int
    n_sources: int

    def rows(self, wanted: Bools) -> "Measurements":
        """Return some of the rows, with the numbering unchanged."""
        if wanted.all():
            return self
        names = ("image", "source", "flux_jy", "error_jy", "l_deg", "m_deg")
        return replace(self, **{name: getattr(self, name)[wanted] for name in names})

    def basis(self, n_terms: int) -> list[Floats | float]:
        """Return the 1 or 3 functions, (Nrows,), that the gain is a sum of."""
        return [1.0] if n_terms == 1 else [1.0, self.l_deg, self.m_deg]

    def gain(self, coefficients: Floats) -> Floats:
        """Return the gain at each row of images' coefficients, (Nimages, P)."""
        terms = self.basis(coefficients.shape[1])
        return np.asarray(sum(f * coefficients[self.image, p] for p, f in enumerate(terms)))

    def quadratic(self, matrices: Floats) -> Floats:
        """Return b' M b at each row of images' symmetric matrices, (Nimages, P, P)."""
        terms = self.basis(matrices.shape[1])
        total = np.zeros(len(self.flux_jy))
        for p, first in enumerate(terms):
            for q, second in enumerate(terms[: p + 1]):
                total += (1 if p == q else 2) * first * second * matrices[self.image, p, q]
        return total


def medians(index: Ints, values: Floats, length: int) -> Floats:
    """Return the median of the values at each index, 0 where there is none."""
    found = np.zeros(length)
    if len(values) == 0:
        return found
    order = np.lexsort((values, index))
    sorted_values, sorted_index = values[order], index[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_index) > 0])
    counts = np.diff(np.r_[starts, len(values)])
    low, high = starts + (counts - 1) // 2, starts + counts // 2
    found[sorted_index[starts]] = (sorted_values[low] + sorted_values[high]) / 2
    return found
