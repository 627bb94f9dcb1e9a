"""Light curves of the same times and errors, as the search asks about them."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Grid, Integers, fitted, gains, log_posterior
from contimg.ese_templates import (
    Events,
    Placement,
    admissible,
    counts,
    lay_templates,
    millidays,
)
from contimg.shared_covariances import Block, SharedCovariances

# Light curves times templates held in memory at once.
_AT_ONCE = 1_000_000


class Setting:
    """Times and errors that light curves share, and what follows from them.

    Parameters
    ----------
    days, error : (N,) times, and errors as fractions of the baseline.
    grid : the backgrounds.
    placement : where templates may lie.
    """

    def __init__(self, days: Floats, error: Floats, grid: Grid, placement: Placement) -> None:
        self.days, self.grid, self.placement = days, grid, placement
        self.covariances = SharedCovariances(days, error, grid)
        self._norms: dict[int, Floats] = {}
        self._diagonals: dict[int, Floats] = {}
        self.layout = lay_templates(millidays(days), placement)

    def norms(self, number: int) -> Floats:
        """Return t' C^-1 t of the coarse templates under the backgrounds of a block."""
        if number not in self._norms:
            block = self.covariances.blocks[number]
            self._norms[number] = block.transformed(self.layout.all_dips) ** 2 @ block.weight.T
        return self._norms[number]

    def diagonals(self, number: int) -> Floats:
        """Return the diagonals of the inverse covariances of a block."""
        if number not in self._diagonals:
            self._diagonals[number] = self.covariances.blocks[number].diagonals()
        return self._diagonals[number]


class SharedCurves:
    """Light curves that have the same times and errors.

    In all methods `points` are (S,) backgrounds of the grid, one for each light curve, and `dips`
    (S, N) templates.

    Parameters
    ----------
    setting : times, errors, backgrounds and templates.
    flux : (S, N) as fractions of the baseline.
    """

    def __init__(self, setting: Setting, flux: Floats) -> None:
        self.setting, self.flux = setting, flux
        self.n_epochs = np.full(len(flux), flux.shape[1])
        self._blocks = setting.covariances.blocks
        self._one = np.ones((1, flux.shape[1]))

    def replaced(self, rows: Integers, flux: Floats) -> "SharedCurves":
        """Return some of the light curves with other fluxes."""
        return SharedCurves(self.setting, flux)

    def searchable(self) -> NDArray[np.bool_]:
        """Whether there is a template that is admissible, (S,)."""
        return np.full(len(self.flux), len(self.setting.layout.events.shape) > 0)

    @property
    def grid(self) -> Grid:
        """The backgrounds."""
        return self.setting.grid

    @property
    def placement(self) -> Placement:
        """Where templates may lie."""
        return self.setting.placement

    def dips(self, events: Events) -> Floats:
        """Return the templates of (S,) or (S, K) events, (S, N) or (S, K, N)."""
        return events.dips(self.setting.days)

    def counts(self, events: Events) -> tuple[Integers, Integers, Integers]:
        """Return how many epochs are in the dips of events, and in their wings."""
        return counts(self.setting.days, events.centre_days, events.fwhm_days)

    def admissible(self, events: Events) -> NDArray[np.bool_]:
        """Whether the events have enough epochs in them and beside them."""
        days = self.setting.days
        return admissible(days, events.centre_days, events.fwhm_days, self.placement)

    @cached_property
    def _transformed(self) -> list[Floats]:
        return [block.transformed(self.flux) for block in self._blocks]

    @cached_property
    def evidence(self) -> Floats:
        """The log posterior of each background without an event, (S, Ngrid)."""
        result = np.empty((len(self.flux), len(self.grid.kernel)))
        for block, y in zip(self._blocks, self._transformed, strict=True):
            one, weight = block.transformed(self._one), block.weight.T
            one_one, one_y = one**2 @ weight, (y * one) @ weight
            result[:, block.points] = log_posterior(
                (y**2) @ weight - one_y**2 / one_one,
                one_one,
                block.log_det,
                self.grid.log_prior[block.points],
                self.flux.shape[1],
            )
        return result

    def best(self, dips: Floats | None = None) -> tuple[Floats, Integers]:
        """Return the largest log posterior, without an event or with one, and its background."""
        total = self.evidence if dips is None else self.evidence + self._gains(dips)
        return total.max(axis=1), total.argmax(axis=1)

    @cached_property
    def starts(self) -> Integers:
        """The best background of each kernel without an event, (S, 3)."""
        best = [
            first + self.evidence[:, first:last].argmax(axis=1) for first, last in self.grid.ranges
        ]
        return np.stack(best, axis=1)

    def _gains(self, dips: Floats) -> Floats:
        """Return what templates add to the evidence, (S, Ngrid)."""
        result = np.empty((len(self.flux), len(self.grid.kernel)))
        for block, y in zip(self._blocks, self._transformed, strict=True):
            one, t, weight = block.transformed(self._one), block.transformed(dips), block.weight.T
            result[:, block.points] = gains(
                one**2 @ weight,
                (y * one) @ weight,
                (t * one) @ weight,
                (t * y) @ weight,
                (t**2) @ weight,
            )[0]
        return result

    def scan(self, points: Integers) -> Events:
        """Return the best coarse template of each light curve under its background."""
        templates = self.setting.layout.all_dips
        best = np.zeros(len(self.flux), dtype=np.int64)
        step = max(1, _AT_ONCE // len(templates))
        for number, block, point, here in self._by_point(points):
            one = block.solved(self._one, point)[0]
            norms = self.setting.norms(number)[:, point]
            one_t = templates @ one
            for first in range(0, len(here), step):
                some = here[first : first + step]
                solved = block.solved(self.flux[some], point)
                one_y = solved.sum(axis=1)[:, None]
                gain, _ = gains(one.sum(), one_y, one_t, solved @ templates.T, norms)
                best[some] = gain.argmax(axis=1)
        return self.setting.layout.events.take(best)

    def fit(self, points: Integers, events: Events) -> tuple[Floats, Floats, Floats]:
        """Fit (S, K) events, K to a light curve: gain, baseline and fraction, (S, K)."""
        dips = self.dips(events)
        count, n_epochs = dips.shape[1:]
        result = np.zeros((3, len(self.flux), count))
        for _, block, point, here in self._by_point(points):
            weight = block.weight[point]
            one, y = block.transformed(self._one), block.transformed(self.flux[here])
            t = block.transformed(dips[here].reshape(-1, n_epochs)).reshape(-1, count, n_epochs)
            result[:, here] = fitted(
                one**2 @ weight,
                ((y * one) @ weight)[:, None],
                t @ (one[0] * weight),
                np.einsum("skn,sn->sk", t, y * weight),
                t**2 @ weight,
            )
        return result[0], result[1], result[2]

    def baselines(self, points: Integers) -> Floats:
        """Return the best baselines without an event, (S,)."""
        result = np.empty(len(self.flux))
        for _, block, point, here in self._by_point(points):
            one = block.solved(self._one, point)[0]
            result[here] = self.flux[here] @ one / one.sum()
        return result

    def left_out(self, points: Integers, dips: Floats | None) -> tuple[Floats, Floats]:
        """Return how far each epoch is from what the others predict, and the variance of that.

        Baseline and template are fitted to the others too.

        Returns
        -------
        residual, variance : (S, N).
        """
        residual, variance = np.empty_like(self.flux), np.empty_like(self.flux)
        for number, block, point, here in self._by_point(points):
            columns, solved = [self._one], [block.solved(self._one, point)]
            if dips is not None:
                columns.append(dips[here])
                solved.append(block.solved(dips[here], point))
            residual[here], variance[here] = predicted_by_others(
                columns,
                solved,
                block.solved(self.flux[here], point),
                self.setting.diagonals(number)[point],
            )
        return residual, variance

    def _by_point(self, points: Integers) -> Iterator[tuple[int, Block, int, Integers]]:
        """Go through the backgrounds: block, number in it, and the light curves meant."""
        order = np.argsort(points, kind="stable")
        starts = np.flatnonzero(np.diff(points[order], prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
            number = self.setting.covariances.block_of(points[order[first]])
            block = self._blocks[number]
            yield number, block, int(points[order[first]] - block.points.start), order[first:last]


def predicted_by_others(
    columns: list[Floats], solved: list[Floats], solved_y: Floats, diagonal: Floats
) -> tuple[Floats, Floats]:
    """Return the residual of each epoch from what all others predict, and its variance.

    With Q = C^-1 - C^-1 X (X' C^-1 X)^-1 X' C^-1, X the columns that are fitted, these are
    (Q y)_i / Q_ii and 1 / Q_ii.

    Parameters
    ----------
    columns, solved : X (one or two) and C^-1 X, (S, N) each.
    solved_y : C^-1 y, (S, N).
    diagonal : of C^-1, (S, N) or (N,).
    """
    one, s_one = columns[0], solved[0]
    norm = (one * s_one).sum(axis=1)[:, None]
    q_y = solved_y - s_one * ((one * solved_y).sum(axis=1)[:, None] / norm)
    q_diagonal = diagonal - s_one**2 / norm
    if len(columns) == 2:
        t, s_t = columns[1], solved[1]
        s_t = s_t - s_one * ((t * s_one).sum(axis=1)[:, None] / norm)
        norm = (t * s_t).sum(axis=1)[:, None]
        q_y = q_y - s_t * ((t * q_y).sum(axis=1)[:, None] / norm)
        q_diagonal = q_diagonal - s_t**2 / norm
    # An epoch that alone tells a column is predicted by nothing.
    q_diagonal = np.maximum(q_diagonal, 1e-9 * diagonal)
    return q_y / q_diagonal, 1 / q_diagonal
