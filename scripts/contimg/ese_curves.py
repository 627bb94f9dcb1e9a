"""Light curves of the same times and errors, as the search asks about them."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contimg.backgrounds import Floats, Grid, Integers, fitted
from contimg.ese_templates import Events, Placement, Templates, admissible, lay_templates
from contimg.shared_covariances import Block, SharedCovariances

# Light curves times templates held in memory at once.
_AT_ONCE = 1_000_000


class SharedCurves:
    """Light curves that have the same times and errors.

    In all methods `flux` and `dips` are (S, N) of the light curves meant, fractions of the
    baseline, and `points` (S,) one background of the grid for each.

    Parameters
    ----------
    days, error : (N,) times, and errors as fractions of the baseline.
    grid : the backgrounds.
    placement : where templates may lie.
    """

    def __init__(self, days: Floats, error: Floats, grid: Grid, placement: Placement) -> None:
        self.grid, self.placement, self.n_epochs = grid, placement, len(days)
        self._days = days
        self._covariances = SharedCovariances(days, error, grid)
        self._norms: dict[int, Floats] = {}
        self._diagonals: dict[int, Floats] = {}

    @cached_property
    def templates(self) -> Templates:
        """The coarse templates."""
        return lay_templates(self._days, self.placement)

    def take(self, rows: Integers) -> "SharedCurves":
        """Return some of the light curves: they share all that there is."""
        return self

    def dips(self, events: Events) -> Floats:
        """Return the templates of events, (S, N) or (S, K, N)."""
        return events.dips(self._days)

    def admissible(self, events: Events) -> NDArray[np.bool_]:
        """Whether the events have enough epochs in them and beside them."""
        return admissible(self._days, events.centre_days, events.fwhm_days, self.placement)

    def evidence(self, flux: Floats) -> Floats:
        """Return the log posterior of each background without an event, (S, Ngrid)."""
        return self._covariances.evidence(flux)

    def gains(self, flux: Floats, dips: Floats) -> Floats:
        """Return what the template of each light curve adds to it, (S, Ngrid)."""
        return self._covariances.gains(flux, dips)

    def scan(self, flux: Floats, points: Integers) -> Events:
        """Return the best coarse template of each light curve."""
        best = np.zeros(len(flux), dtype=np.int64)
        values = self.templates.values
        step = max(1, _AT_ONCE // max(1, len(values)))
        for number, block, point, here in self._by_point(points):
            one = block.solved(np.ones((1, len(self._days))), point)[0]
            norms = self._norms_of(number, block)[:, point]
            one_t = values @ one
            for first in range(0, len(here), step):
                some = here[first : first + step]
                solved = block.solved(flux[some], point)
                gain, _, _ = fitted(
                    one.sum(), solved.sum(axis=1)[:, None], one_t, solved @ values.T, norms
                )
                best[some] = gain.argmax(axis=1)
        return self.templates.events.take(best)

    def fit(self, flux: Floats, points: Integers, events: Events) -> tuple[Floats, Floats, Floats]:
        """Fit (S, K) events, K to a light curve: gain, baseline and fraction, (S, K)."""
        dips = events.dips(self._days)
        n_templates = dips.shape[1]
        result = np.zeros((3, len(flux), n_templates))
        for _, block, point, here in self._by_point(points):
            weight = block.weight[point]
            one = block.transformed(np.ones(len(self._days)))
            y = block.transformed(flux[here])
            t = block.transformed(dips[here].reshape(-1, len(self._days)))
            t = t.reshape(len(here), n_templates, -1)
            result[:, here] = fitted(
                one**2 @ weight,
                ((y * one) @ weight)[:, None],
                t @ (one * weight),
                np.einsum("skn,sn->sk", t, y * weight),
                t**2 @ weight,
            )
        return result[0], result[1], result[2]

    def baselines(self, flux: Floats, points: Integers) -> Floats:
        """Return the best baselines without an event, (S,)."""
        result = np.empty(len(flux))
        for _, block, point, here in self._by_point(points):
            one = block.solved(np.ones((1, len(self._days))), point)[0]
            result[here] = flux[here] @ one / one.sum()
        return result

    def left_out(
        self, flux: Floats, points: Integers, dips: Floats | None
    ) -> tuple[Floats, Floats]:
        """Return how far each epoch is from what the others predict, and the variance of that.

        Baseline and template are fitted to the others too.

        Returns
        -------
        residual, variance : (S, N).
        """
        residual, variance = np.empty_like(flux), np.empty_like(flux)
        for number, block, point, here in self._by_point(points):
            if number not in self._diagonals:
                self._diagonals[number] = block.diagonals()
            solved = [block.solved(np.ones((1, len(self._days))), point)]
            columns = [np.ones_like(flux[here])]
            if dips is not None:
                columns.append(dips[here])
                solved.append(block.solved(dips[here], point))
            residual[here], variance[here] = predicted_by_others(
                columns, solved, block.solved(flux[here], point), self._diagonals[number][point]
            )
        return residual, variance

    def _norms_of(self, number: int, block: Block) -> Floats:
        """Return t' C^-1 t of the coarse templates under the backgrounds of a block."""
        if number not in self._norms:
            self._norms[number] = block.transformed(self.templates.values) ** 2 @ block.weight.T
        return self._norms[number]

    def _by_point(self, points: Integers) -> Iterator[tuple[int, Block, int, Integers]]:
        """Go through the backgrounds: block, number in it, and the light curves meant."""
        order = np.argsort(points, kind="stable")
        starts = np.flatnonzero(np.diff(points[order], prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
            number = self._covariances.block_of(points[order[first]])
            block = self._covariances.blocks[number]
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
