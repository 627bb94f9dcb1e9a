"""The search beside the documented score and the largest deviation, on the same light curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contimg.epochs import Epochs
from contimg.ese import fit_dips
from contimg.ese_search import search_batch
from proof.truth import LENSES, Background, Setting, Sizes
from proof.work import FITTED, Draw, Floats, truths

ROC_DEPTHS = (0.0, 0.05, 0.10, 0.20)
ROC_BACKGROUNDS = (
    Background("white"),
    Background("drw", 0.01, 30.0),
    Background("drw", 0.02, 10.0),
    Background("drw", 0.02, 100.0),
    Background("smooth", 0.02, 15.0),
    Background("smooth", 0.02, 50.0),
)
STATISTICS = {
    "p_inferred": "false-alarm probability (b), -log10",
    "ese_llr": "likelihood ratio (b)",
    "ese_score": "documented score (a)",
    "deviation": "max |S - mean| / std",
}
KEPT = ("background", "depth")
# Where the existing pipelines put their thresholds.
THRESHOLDS = {"ese_score": 0.6, "deviation": 5.0, "p_inferred": 3.0}


def score_draws(sizes: Sizes, search: Mapping[str, Any]) -> list[Draw]:
    """Return light curves with and without events; lenses and backgrounds take turns."""
    each = max(1, round(sizes.n_roc / len(ROC_BACKGROUNDS) / len(LENSES)))
    draws = []
    for depth in ROC_DEPTHS:
        for background in ROC_BACKGROUNDS:
            for number, lens in enumerate(LENSES):
                named = (lens, depth, 60.0) if depth else ("", 0.0, 0.0)
                draws.append(
                    Draw(
                        Setting("daily", 0.01), background, each, 1000 + number, sizes.seed,
                        *named, search=search,
                    )
                )  # fmt: skip
    return draws


def score(draws: Sequence[Draw]) -> pd.DataFrame:
    """Draw light curves of one setting and return all statistics of them."""
    curves = [draw.curves() for draw in draws]
    flux, error = (np.concatenate([one[part] for one in curves]) for part in (0, 1))
    mjd, search = draws[0].setting.mjd, draws[0].search
    found = search_batch(mjd, flux, error, search)[["ese_llr", *FITTED]]
    names = pd.DataFrame({"source_id": [f"{number}" for number in range(len(flux))]})
    epochs = Epochs(names, np.broadcast_to(mjd, flux.shape), flux, error)
    return found.assign(
        ese_score=fit_dips(epochs, search)["ese_score"].to_numpy(),
        deviation=largest_deviation(flux),
        **{name: truth for name, truth in truths(draws).items() if name in KEPT},
    )


def largest_deviation(flux: Floats) -> Floats:
    """Return max |S - mean| / std of each light curve, (n,), of (n, Nepochs)."""
    away = np.abs(flux - flux.mean(axis=1, keepdims=True))
    return away.max(axis=1) / flux.std(axis=1, ddof=1)


def roc_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Return recovery against false-alarm rate, of each statistic and depth.

    Parameters
    ----------
    rows : depth (0: no event), and the columns `STATISTICS`, larger meaning more of an event.
    """
    curves = []
    nulls = rows[rows["depth"] == 0]
    for statistic in STATISTICS:
        without = np.sort(nulls[statistic].to_numpy())
        known = {THRESHOLDS[statistic]} if statistic in THRESHOLDS else set()
        thresholds = np.array(sorted({*np.unique(without), *known}))
        for depth in sorted(set(rows["depth"]) - {0.0}):
            with_event = np.sort(rows.loc[rows["depth"] == depth, statistic].to_numpy())
            curves.append(
                pd.DataFrame(
                    {
                        "statistic": statistic,
                        "depth": depth,
                        "threshold": thresholds,
                        "false_alarm_rate": part_above(without, thresholds),
                        "recovery": part_above(with_event, thresholds),
                    }
                )
            )
    return pd.concat(curves, ignore_index=True)


def part_above(ordered: Floats, thresholds: Floats) -> Floats:
    """Return the part of sorted values above each threshold."""
    return 1 - np.searchsorted(ordered, thresholds, side="right") / len(ordered)
