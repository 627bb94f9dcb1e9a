"""Light curves of the same times and errors, as the search asks about them."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Grid, Integers, gains, log_posterior
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
# Taken off the fluxes where single precision is enough: to choose templates.
_LEVEL = 1.0


class Setting:
    """Times and errors that light curves share, and what follows from them.

    Parameters
    ----------
    days, error : (N,) times, and errors as fractions of the baseline.
    grid : the backgrounds.
    placement : where templates may lie.
    """

    def __init__(self, days: Floats, error: Floats, grid: Grid, placement: Placement) -> None:
        self.days, self.error, self.grid, self.placement = days, error, grid, placement
        self.covariances = SharedCovariances(days, error, grid)
        self._norms: dict[int, NDArray[np.float32]] = {}
        self._diagonals: dict[int, Floats] = {}
        self.layout = lay_templates(millidays(days), placement)

    @cached_property
    def quick_dips(self) -> NDArray[np.float32]:
        """The coarse templates in single precision, (T, N)."""
        return self.layout.all_dips.astype(np.float32)

    def norms(self, number: int) -> NDArray[np.float32]:
        """Return t' C^-1 t of the coarse templates under the backgrounds of a block."""
        if number not in self._norms:
            block = self.covariances.blocks[number]
            squares: NDArray[np.float32] = np.square(self.quick_dips @ block.quick)
            self._norms[number] = np.matmul(squares, block.quick_weight.T)
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
    def days(self) -> Floats:
        """Times, (S, N)."""
        return np.broadcast_to(self.setting.days, self.flux.shape)

    @property
    def error(self) -> Floats:
        """Errors as fractions of the baseline, (S, N)."""
        return np.broadcast_to(self.setting.error, self.flux.shape)

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
    def evidence(self) -> Floats:
        """The log posterior of each background without an event, (S, Ngrid)."""
        result = np.empty((len(self.flux), len(self.grid.kernel)))
        for block in self._blocks:
            y, one = block.transformed(self.flux), block.transformed(self._one)
            weight = block.weight.T
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
        if dips is None:
            return self.evidence.max(axis=1), self.evidence.argmax(axis=1)
        point = (self.evidence + self._gains(dips)).argmax(axis=1)
        best = np.take_along_axis(self.evidence, point[:, None], axis=1)[:, 0]
        return best + self._exact_gain(point, dips), point

    @cached_property
    def starts(self) -> Integers:
        """The best background of each kernel without an event, (S, 3)."""
        best = [
            first + self.evidence[:, first:last].argmax(axis=1) for first, last in self.grid.ranges
        ]
        return np.stack(best, axis=1)

    def _gains(self, dips: Floats) -> NDArray[np.float32]:
        """Return what templates add to the evidence, in single precision, (S, Ngrid)."""
        result = np.empty((len(self.flux), len(self.grid.kernel)), dtype=np.float32)
        one, quick = self._one.astype(np.float32), dips.astype(np.float32)
        for block, y in zip(self._blocks, self._quick, strict=True):
            ones, t, weight = one @ block.quick, quick @ block.quick, block.quick_weight.T
            result[:, block.points] = gains(
                ones**2 @ weight,
                (y * ones) @ weight,
                (t * ones) @ weight,
                (t * y) @ weight,
                (t**2) @ weight,
                _LEVEL,
            )[0]
        return result

    @cached_property
    def _quick(self) -> list[NDArray[np.float32]]:
        level_off = (self.flux - _LEVEL).astype(np.float32)
        return [level_off @ block.quick for block in self._blocks]

    def _exact_gain(self, points: Integers, dips: Floats) -> Floats:
        """Return what templates add under one background each, (S,)."""
        result = np.empty(len(self.flux))
        for _, block, point, here in self._by_point(points):
            weight = block.weight[point]
            one, t = block.transformed(self._one), block.transformed(dips[here])
            y = block.transformed(self.flux[here] - _LEVEL)
            sums = (one**2, y * one, t * one, t * y, t**2)
            one_one, one_y, one_t, t_y, t_t = (one_sum @ weight for one_sum in sums)
            result[here] = gains(one_one, one_y, one_t, t_y, t_t, _LEVEL)[0]
        return result

    def scan(self, points: Integers) -> Events:
        """Return the best coarse template of each light curve under its background."""
        layout = self.setting.layout
        best = np.zeros(len(self.flux), dtype=np.int64)
        step = max(1, _AT_ONCE // len(layout.events.shape))
        flux = self.flux - _LEVEL
        for number, block, point, here in self._by_point(points):
            one = block.solved(self._one, point)[0]
            norms, one_t = self.setting.norms(number)[:, point], self.setting.quick_dips @ one
            for first in range(0, len(here), step):
                some = here[first : first + step]
                solved = block.solved(flux[some], point).astype(np.float32)
                one_y, t_y = solved.sum(axis=1)[:, None], solved @ self.setting.quick_dips.T
                sums = (np.float32(one.sum()), one_y, one_t.astype(np.float32), t_y, norms)
                best[some] = gains(*sums, _LEVEL)[0].argmax(axis=1)
        return layout.events.take(best)

    def gains_of(self, points: Integers, events: Events) -> Floats:
        """Return what (S, K) events, K to a light curve, add to the log posterior, (S, K)."""
        dips = self.dips(events).astype(np.float32)
        count, n_epochs = dips.shape[1:]
        result = np.zeros((len(self.flux), count))
        for _, block, point, here in self._by_point(points):
            weight = block.quick_weight[point]
            one = np.ones((1, n_epochs), dtype=np.float32) @ block.quick
            y = (self.flux[here] - _LEVEL).astype(np.float32) @ block.quick
            t = (dips[here].reshape(-1, n_epochs) @ block.quick).reshape(-1, count, n_epochs)
            result[here] = gains(
                one**2 @ weight,
                ((y * one) @ weight)[:, None],
                t @ (one[0] * weight),
                (t @ (y * weight)[:, :, None])[:, :, 0],
                t**2 @ weight,
                _LEVEL,
            )[0]
        return result

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
