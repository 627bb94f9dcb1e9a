"""Light curves each with its own times and errors, as the search asks about them."""

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from contimg.background_filter import Noise, inner_products, whitened
from contimg.backgrounds import (
    KERNELS,
    SMOOTH,
    Floats,
    Grid,
    Integers,
    correlation,
    fitted,
    gains,
    log_posterior,
)
from contimg.ese_curves import predicted_by_others
from contimg.ese_templates import (
    Events,
    Layout,
    Placement,
    admissible,
    counts,
    joined,
    lay_templates,
    millidays,
)

# Epochs that are left out are predicted from the others of a stretch of at most so many.
_STRETCH = 512


class SeparateCurves:
    """Light curves each with its own times and errors.

    In all methods `points` are (S,) backgrounds of the grid, one for each light curve, and `dips`
    (S, N) templates. Backgrounds are tried on every second modulation and jitter of the grid
    first, then on all around the best.

    Parameters
    ----------
    days, flux, error : (S, N) times, and fluxes and errors as fractions of the baseline; where an
        epoch is not there the time is that of the last, the flux 0 and the error infinite.
    grid : the backgrounds.
    placement : where templates may lie.
    """

    def __init__(
        self, days: Floats, flux: Floats, error: Floats, grid: Grid, placement: Placement
    ) -> None:
        self.days, self.flux, self.error = days, flux, error
        self.grid, self.placement = grid, placement
        self.n_epochs: Integers = np.isfinite(error).sum(axis=1)

    def replaced(self, rows: Integers, flux: Floats) -> "SeparateCurves":
        """Return some of the light curves with other fluxes."""
        return SeparateCurves(self.days[rows], flux, self.error[rows], self.grid, self.placement)

    def searchable(self) -> NDArray[np.bool_]:
        """Whether there is a template that is admissible, (S,)."""
        return np.array(
            [len(self._layout(row).events.shape) > 0 for row in range(len(self.flux))], dtype=bool
        )

    def _layout(self, row: int) -> Layout:
        return lay_templates(millidays(self._days(row)), self.placement)

    def dips(self, events: Events) -> Floats:
        """Return the templates of (S,) or (S, K) events, (S, N) or (S, K, N)."""
        return events.dips(self.days if events.shape.ndim == 1 else self.days[:, None])

    def counts(self, events: Events) -> tuple[Integers, Integers, Integers]:
        """Return how many epochs are in the dips of events, and in their wings."""
        found = [
            counts(self._days(row), events.centre_days[row], events.fwhm_days[row])
            for row in range(len(self.flux))
        ]
        in_dip, before, after = (np.array(one) for one in zip(*found, strict=True))
        return in_dip, before, after

    def admissible(self, events: Events) -> NDArray[np.bool_]:
        """Whether the events have enough epochs in them and beside them."""
        return np.array(
            [
                admissible(
                    self._days(row),
                    events.centre_days[row],
                    events.fwhm_days[row],
                    self.placement,
                )
                for row in range(len(self.flux))
            ]
        )

    def best(self, dips: Floats | None = None) -> tuple[Floats, Integers]:
        """Return the largest log posterior, without an event or with one, and its background."""
        values, points = self._best_of_kinds(dips)
        at = values.argmax(axis=1)
        line = np.arange(len(at))
        return values[line, at], points[line, at]

    @cached_property
    def starts(self) -> Integers:
        """The best background of each kernel without an event, (S, 3)."""
        return self._best_of_kinds(None)[1]

    def _best_of_kinds(self, dips: Floats | None) -> tuple[Floats, Integers]:
        """Return the largest log posterior for each kernel, and the backgrounds, (S, 3) each."""
        values, points = [], []
        for kind, name in enumerate(KERNELS):
            coarse = _every_second(self.grid, kind)
            found = self._posterior_of(np.tile(coarse, (len(self.flux), 1)), name, dips)
            near = np.stack([_around(self.grid, int(one)) for one in coarse[found.argmax(axis=1)]])
            found = self._posterior_of(near, name, dips)
            at = found.argmax(axis=1)[:, None]
            values.append(np.take_along_axis(found, at, axis=1)[:, 0])
            points.append(np.take_along_axis(near, at, axis=1)[:, 0])
        return np.stack(values, axis=1), np.stack(points, axis=1)

    def _posterior_of(self, points: Integers, kernel: str, dips: Floats | None) -> Floats:
        """Return the log posterior of (S, P) backgrounds of one kernel."""
        columns = [np.ones_like(self.flux), self.flux] + ([] if dips is None else [dips])
        noise = self._noise(points, kernel == SMOOTH)
        products, log_det = inner_products(noise, self.days, self.error, columns)
        one_one, one_y, y_y = products[0, 0], products[0, 1], products[1, 1]
        left = y_y - one_y**2 / one_one
        prior, n_epochs = self.grid.log_prior[points], self.n_epochs[:, None]
        result = log_posterior(left, one_one, log_det, prior, n_epochs)
        if dips is not None:
            t_one, t_y, t_t = products[2]
            result += gains(one_one, one_y, t_one, t_y, t_t)[0]
        return result

    def _noise(self, points: Integers | int, smooth: bool) -> Noise:
        days = np.array([days for _, days in self.grid.kernels])[self.grid.kernel[points]]
        return Noise(
            smooth,
            np.where(np.isnan(days), 1.0, days),
            self.grid.modulation[points],
            self.grid.jitter[points],
        )

    def _is_smooth(self, point: int) -> bool:
        return self.grid.kernels[self.grid.kernel[point]][0] == SMOOTH

    def _days(self, row: int) -> Floats:
        return self.days[row, : self.n_epochs[row]]

    def _whitened(self, row: int, point: int, columns: Floats) -> Floats:
        """Return (N, C) columns, of the epochs that are there, as independent noise."""
        count = self.n_epochs[row]
        noise = self._noise(point, self._is_smooth(point))
        return whitened(noise, self.days[row, :count], self.error[row, :count], columns)

    def _constant_and_flux(self, row: int) -> Floats:
        flux = self.flux[row, : self.n_epochs[row]]
        return np.stack([np.ones_like(flux), flux], axis=1)

    def scan(self, points: Integers) -> Events:
        """Return the best coarse template of each light curve under its background."""
        found = []
        for row, point in enumerate(points):
            layout = self._layout(row)
            base = self._whitened(row, point, self._constant_and_flux(row))
            found_gains = [
                _fit_columns(base, self._whitened(row, point, dips.T))[0]
                for _, dips in layout.dips()
            ]
            found.append(layout.events.take([int(np.concatenate(found_gains).argmax())]))
        return joined(found)

    def fit(self, points: Integers, events: Events) -> tuple[Floats, Floats, Floats]:
        """Fit (S, K) events, K to a light curve: gain, baseline and fraction, (S, K)."""
        result = np.empty((3, *events.shape.shape))
        for row, point in enumerate(points):
            dips = events.take(row).dips(self._days(row))
            columns = np.concatenate([self._constant_and_flux(row), dips.T], axis=1)
            values = self._whitened(row, point, columns)
            result[:, row] = _fit_columns(values[:, :2], values[:, 2:])
        return result[0], result[1], result[2]

    def baselines(self, points: Integers) -> Floats:
        """Return the best baselines without an event, (S,)."""
        result = np.empty(len(self.flux))
        for row, point in enumerate(points):
            one, y = self._whitened(row, point, self._constant_and_flux(row)).T
            result[row] = one @ y / (one @ one)
        return result

    def left_out(self, points: Integers, dips: Floats | None) -> tuple[Floats, Floats]:
        """Return how far each epoch is from what the others predict, and the variance of that.

        Baseline and template are fitted to the others too. Where there is no epoch the variance
        is 0.

        Returns
        -------
        residual, variance : (S, N).
        """
        residual, variance = np.zeros_like(self.flux), np.zeros_like(self.flux)
        for row, point in enumerate(points):
            name, timescale = self.grid.kernels[self.grid.kernel[point]]
            n_parts = -(-self.n_epochs[row] // _STRETCH)
            for part in np.array_split(np.arange(self.n_epochs[row]), n_parts):
                days, y = self.days[row, part], self.flux[row, part]
                signal = self.grid.modulation[point] ** 2
                covariance = signal * correlation(name, timescale, days[:, None] - days)
                noise = self.error[row, part] ** 2 + self.grid.jitter[point] ** 2
                inverse = np.linalg.inv(covariance + np.diag(noise))
                columns = [np.ones((1, len(part)))]
                if dips is not None and np.ptp(dips[row, part]) > 0:
                    columns.append(dips[row, part][None])
                residual[row, part], variance[row, part] = predicted_by_others(
                    columns,
                    [column @ inverse for column in columns],
                    y[None] @ inverse,
                    np.diag(inverse),
                )
        return residual, variance


def _fit_columns(base: Floats, dips: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit whitened (N, K) templates to the whitened (N, 2) constant and light curve."""
    one, y = base.T
    return fitted(one @ one, one @ y, one @ dips, y @ dips, np.einsum("nk,nk->k", dips, dips))


@lru_cache(maxsize=256)
def _every_second(grid: Grid, kind: int) -> Integers:
    """Return the backgrounds of a kernel at every second jitter and modulation (white: all)."""
    points = np.arange(*grid.ranges[kind])
    if kind == 0:
        return points
    return points.reshape(-1, grid.n_jitters, grid.n_modulations)[:, ::2, ::2].ravel()


@lru_cache(maxsize=16384)
def _around(grid: Grid, point: int) -> Integers:
    """Return a background and those a step of timescale, jitter and modulation up and down.

    At the edges of the grid some stand twice. White ones are one jitter up and down.
    """
    steps = np.arange(-1, 2)
    kind = int(np.searchsorted([last for _, last in grid.ranges], point, side="right"))
    first, last = grid.ranges[kind]
    if kind == 0:
        return np.clip(point + steps, first, last - 1)
    shape = ((last - first) // (grid.n_jitters * grid.n_modulations), grid.n_jitters)
    size = (*shape, grid.n_modulations)
    at = np.unravel_index(point - first, size)
    near = [np.clip(one + steps, 0, most - 1) for one, most in zip(at, size, strict=True)]
    return first + np.ravel_multi_index(np.meshgrid(*near, indexing="ij"), size).ravel()
