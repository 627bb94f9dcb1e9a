"""Strategies of self-calibration side by side: a row a strategy and group."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contimg.status import Status

NONE = "none"
"""The strategy that leaves the calibrated set as it is."""


class Run(NamedTuple):
    """A strategy on a group."""

    strategy: str
    group: str


def run_of(path: Path) -> Run:
    """Return what selfcal/STRATEGY/DATE/GROUP.ms.json is about."""
    return Run(path.parts[-3], path.name.removesuffix(".ms.json"))


def comparison(statuses: Mapping[Run, Status]) -> pd.DataFrame:
    """Return the columns of `contimg.schemas.SELFCAL_COMPARISON`.

    Parameters
    ----------
    statuses : of the set that each strategy chose for each group. Round 0, which is the same for
        all, gives the rows of the strategy "none".
    """
    rows: dict[Run, dict[str, Any]] = {}
    for run, status in sorted(statuses.items()):
        if not status.ok:
            rows[run] = rejected_row(run, status.reason)
            rows.setdefault(Run(NONE, run.group), rejected_row(Run(NONE, run.group), status.reason))
            continue
        found = status.figures["selfcal"]
        rows[run] = row_of(run, found)
        start = {"rounds": found["rounds"][:1], "round": 0, "converged": False, "fell_back": False}
        none = Run(NONE, run.group)
        rows.setdefault(none, row_of(none, {**start, "reason": "no self-calibration"}))
    order = sorted(rows, key=lambda run: (run.group, run.strategy != NONE, run.strategy))
    return pd.DataFrame([rows[run] for run in order])


def row_of(run: Run, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a strategy that has something to choose from."""
    start, end = found["rounds"][0], found["rounds"][found["round"]]
    both = {
        f"{name}_{when}{unit}": float(one[f"{name}{unit}"])
        for name, unit in (("snr", ""), ("dynamic_range", ""), ("peak", "_jy"), ("rms", "_jy"))
        for when, one in (("initial", start), ("final", end))
    }
    return {
        **named(run),
        **both,
        "snr_improvement": both["snr_final"] / both["snr_initial"],
        "n_rounds": sum("snr" in one for one in found["rounds"][1:]),
        "round": int(found["round"]),
        "converged": bool(found["converged"]),
        "fell_back": bool(found["fell_back"]),
        "status": "ok",
        "reason": found["reason"],
    }


def rejected_row(run: Run, reason: str) -> dict[str, Any]:
    """Return the row of a group that has no calibrated set."""
    missing = {
        f"{name}_{when}{unit}": np.nan
        for name, unit in (("snr", ""), ("dynamic_range", ""), ("peak", "_jy"), ("rms", "_jy"))
        for when in ("initial", "final")
    }
    return {
        **named(run), **missing, "snr_improvement": np.nan, "n_rounds": 0, "round": 0,
        "converged": False, "fell_back": True, "status": "rejected", "reason": reason,
    }  # fmt: skip


def named(run: Run) -> dict[str, str]:
    return {"strategy": run.strategy, "date": run.group[:10], "group": run.group}


def summed_up(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Sum up the strategies: one mapping each, in the table's order, medians over groups."""
    good = table[table["status"] == "ok"]
    return [
        {
            "strategy": strategy,
            "n_groups": len(rows),
            **{
                name: float(rows[name].median())
                for name in (
                    "snr_initial", "snr_final", "snr_improvement", "dynamic_range_initial",
                    "dynamic_range_final", "rms_initial_jy", "rms_final_jy", "n_rounds",
                )
            },
            "least_improvement": float(rows["snr_improvement"].min()),
            "n_converged": int(rows["converged"].sum()),
            "n_fell_back": int(rows["fell_back"].sum()),
        }
        for strategy, rows in good.groupby("strategy", sort=False)
    ]  # fmt: skip
