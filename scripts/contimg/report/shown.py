"""Which sources the archive's page shows; each of them can have a page of its own."""

from pathlib import Path

import pandas as pd

from contimg.tables import read_table, whole_band


def most_variable(variability: pd.DataFrame, candidates: pd.DataFrame, count: int) -> list[str]:
    """Return the sources whose light curves are shown: candidates by rank, then by eta.

    Parameters
    ----------
    variability : source_id, eta, n_epochs.
    candidates : source_id, rank.
    count : how many sources that are no candidates are shown.
    """
    chosen = list(dict.fromkeys(candidates.sort_values("rank")["source_id"]))
    others = variability[~variability["source_id"].isin(chosen) & variability["eta"].notna()]
    others = others.sort_values(["eta", "source_id"], ascending=[False, True])
    return chosen + list(dict.fromkeys(others["source_id"]))[:count]


def shown_sources(variability: Path, candidates: Path, count: int) -> list[str]:
    """Return the sources that the archive's page shows, from its tables; see `most_variable`."""
    measured = whole_band(read_table(variability)[0])
    return most_variable(measured, read_table(candidates)[0], count)
