"""Light curves drawn and searched, in pieces of work that processes share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.ese_nulls import Group, NullOptions, NullTask, simulate, tasks_of
from contimg.ese_search import search_batch
from contimg.false_alarm import Nulls, Tail, common_bend, fit_tail
from proof.truth import (
    CALIBRATED,
    LARGEST_MODULATION,
    LENSES,
    REQUIRED,
    Background,
    Setting,
    Sizes,
    backgrounds_of,
    seed_of,
)
from simulator.backgrounds import light_curves
from simulator.lenses import event_factor

Floats = NDArray[np.float64]
Work = TypeVar("Work")

FITTED = (
    "null_background", "null_modulation", "null_timescale_days", "null_jitter", "null_chi2_nu",
)  # fmt: skip
# Fluxes in a piece of work.
_PIECE = 200_000


def shared(
    do: Callable[[Work], pd.DataFrame], work: Sequence[Work], processes: int
) -> pd.DataFrame:
    """Do pieces of work; the rows are in their order, however many processes there are."""
    if processes <= 1:
        return pd.concat([do(piece) for piece in work], ignore_index=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        return pd.concat(list(pool.map(do, work)), ignore_index=True)


def group_of(setting: Setting) -> Group:
    """Return the library's group of sources of a setting."""
    return Group(tuple(setting.mjd.tolist()), tuple(setting.errors.tolist()), LARGEST_MODULATION)


def null_options(sizes: Sizes) -> NullOptions:
    return NullOptions(n_nulls=sizes.n_calibration, n_class=sizes.n_class)


def calibrate(
    setting: Setting,
    backgrounds: Iterable[Background],
    sizes: Sizes,
    search: Mapping[str, Any],
    processes: int,
) -> pd.DataFrame:
    """Simulate and search nulls of the library: rows of the schema CALIBRATION.

    Parameters
    ----------
    backgrounds : those of which the library's own rate is measured, if it has them.
    """
    group = group_of(setting)
    tasks = list(tasks_of(group, null_options(sizes), search))
    known = [""] * len(tasks)
    for one in backgrounds:
        if one.calibrated:
            modulation = (one.modulation, one.modulation) if one.modulation else (0.0, 0.0)
            tasks.append(
                NullTask(
                    group, CALIBRATED[one.process], one.timescale_days, modulation,
                    (1e-9, 1e-9), sizes.n_calibration, search,
                )
            )  # fmt: skip
            known.append(one.words)
    found = [
        table[["ese_llr", *FITTED]].assign(setting=setting.name, known=name)
        for table, name in zip(simulate(tasks, processes), known, strict=True)
    ]
    return pd.concat(found, ignore_index=True)


class Judge:
    """The library's probabilities of one setting.

    Parameters
    ----------
    setting : as in the rows.
    rows : of the calibration table.
    """

    def __init__(self, setting: Setting, rows: pd.DataFrame, n_class: int) -> None:
        mine = rows[rows["setting"] == setting.name]
        self.nulls = Nulls(group_of(setting), mine[mine["known"] == ""], n_class)
        known = {
            name: one["ese_llr"].to_numpy() for name, one in mine.groupby("known") if name != ""
        }
        bend = common_bend(np.concatenate([_excesses(one) for one in known.values()] or [[]]))
        self.tails: dict[str, Tail] = {name: fit_tail(one, bend) for name, one in known.items()}

    def judged(self, found: pd.DataFrame, background: Background) -> pd.DataFrame:
        """Return p_inferred and p_known of searched light curves of one background."""
        inferred = self.nulls.probabilities(found)["ese_false_alarm"].to_numpy()
        tail = self.tails.get(background.words)
        known = (
            tail.probability(found["ese_llr"].to_numpy()) if tail else np.full(len(found), np.nan)
        )
        return found.assign(p_inferred=inferred, p_known=known)


def _excesses(statistics: Floats) -> Floats:
    """Return how far half of the statistics of a class are above q of the rest, in scales."""
    tail = fit_tail(statistics[::2])
    return (statistics[1::2] - tail.start) / tail.scale


@dataclass(frozen=True)
class Draw:
    """Light curves of the simulator to search.

    Attributes
    ----------
    lens : name in `LENSES`; "" for none.
    depth, fwhm_days : of the event.
    part : number of the draw, of several alike.
    purpose : what the events are for.
    """

    setting: Setting
    background: Background
    n: int
    part: int
    seed: int
    lens: str = ""
    depth: float = 0.0
    fwhm_days: float = 0.0
    search: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = ""

    def curves(self) -> tuple[Floats, Floats, Floats]:
        """Return fluxes and errors (n, Nepochs), and centres of the events."""
        one = self.background
        what = (self.setting, one, self.lens, self.depth, self.fwhm_days, self.part)
        random = np.random.default_rng([self.seed, seed_of(*what)])
        mjd = self.setting.mjd
        centre = np.full(self.n, np.nan)
        event = None
        if self.lens:
            # Both wings lie within the epochs.
            room = 1.25 * self.fwhm_days
            centre = random.uniform(mjd[0] + room, mjd[-1] - room, self.n)
            event = event_factor(
                mjd, LENSES[self.lens], depth=self.depth, fwhm_days=self.fwhm_days,
                centre_mjd=centre,
            )  # fmt: skip
        flux, error = light_curves(
            mjd, self.n, random, background=one.process, modulation=one.modulation,
            timescale_days=one.timescale_days or 1.0, error=self.setting.errors,
            outliers=one.outliers, event=event,
        )  # fmt: skip
        return flux, error, centre


def search_draws(draws: Sequence[Draw]) -> pd.DataFrame:
    """Draw and search light curves of one setting: what was found, and what was true."""
    curves = [draw.curves() for draw in draws]
    flux, error, centre = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    found = search_batch(draws[0].setting.mjd, flux, error, draws[0].search)
    kept = found[["ese_llr", *FITTED, "template", "depth", "centre_mjd", "fwhm_days"]]
    renamed = kept.rename(
        columns={name: f"found_{name}" for name in ("depth", "centre_mjd", "fwhm_days")}
    )
    return renamed.assign(**truths(draws), centre_mjd=centre)


def truths(draws: Sequence[Draw]) -> dict[str, Any]:
    """Return what is true of each light curve of draws, by column; words are stored once a draw."""
    true = {
        "setting": [draw.setting.name for draw in draws],
        "background": [draw.background.words for draw in draws],
        "part": [draw.purpose for draw in draws],
        "lens": [draw.lens for draw in draws],
        "depth": [draw.depth for draw in draws],
        "fwhm_days": [draw.fwhm_days for draw in draws],
    }
    n = [draw.n for draw in draws]
    return {name: np.repeat(pd.Series(one).to_numpy(), n) for name, one in true.items()}


def pieces_of(draws: Sequence[Draw]) -> list[list[Draw]]:
    """Join draws of one setting to pieces of work of some hundred thousand fluxes."""
    pieces: list[list[Draw]] = []
    for draw in draws:
        fluxes = sum(one.n for one in pieces[-1]) * len(draw.setting.mjd) if pieces else 0
        if not pieces or pieces[-1][0].setting != draw.setting or fluxes > _PIECE:
            pieces.append([])
        pieces[-1].append(draw)
    return pieces


def null_settings(sizes: Sizes) -> list[Setting]:
    """Return the settings in which light curves without events are judged."""
    found = [Setting(name, 0.01) for name in sizes.n_nulls]
    if "demo" in sizes.n_nulls:
        found += [Setting("demo", 0.03), Setting("demo", 0.01, 0.4)]
    return found


def known_backgrounds(setting: Setting) -> Sequence[Background]:
    """Return the backgrounds of which the library's own rate is measured, if it has them."""
    return REQUIRED if setting.cadence == "daily" else backgrounds_of(setting.cadence)


def null_draws(setting: Setting, sizes: Sizes, search: Mapping[str, Any]) -> list[Draw]:
    """Return the light curves of a setting without events."""
    draws = []
    for background in backgrounds_of(setting.cadence):
        n = sizes.n_nulls[setting.cadence]
        if not background.calibrated:
            n = min(n, sizes.n_others)
        most = max(1, _PIECE // len(setting.mjd))
        for part, first in enumerate(range(0, n, most)):
            size = min(most, n - first)
            draws.append(Draw(setting, background, size, part, sizes.seed, search=search))
    return draws
