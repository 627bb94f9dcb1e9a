"""The list of candidate extreme scattering events, with the reason for each in words."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contimg.epochs import Epochs
from contimg.ese import DipOptions, fit_dips
from contimg.schemas import ESE_CANDIDATES
from contimg.tables import options_from


def find_candidates(epochs: Epochs, options: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the sources whose best dip passes, the best first.

    Parameters
    ----------
    epochs : light curves.
    options : keys of `contimg.ese.DipOptions`.

    Returns
    -------
    candidates : columns of the candidate schema, by falling score, then log-likelihood ratio.
    """
    settings = options_from(DipOptions, options)
    dips = pd.concat([epochs.sources, fit_dips(epochs, options)], axis=1)
    passes = (dips.ese_score > settings.min_score) & (
        dips.ese_false_alarm <= settings.max_false_alarm
    )
    best_first = dips[passes].sort_values(
        ["ese_score", "ese_llr", "source_id"], ascending=[False, False, True], ignore_index=True
    )
    best_first = best_first.rename(columns={"timescale_days": "fwhm_days"})
    best_first["rank"] = best_first.index.to_numpy(dtype="int64") + 1
    reasons = [reason(dip) for _, dip in best_first.iterrows()]
    best_first["reason"] = pd.Series(reasons, best_first.index, dtype=object)  # text, if none too
    names = [column.name for column in ESE_CANDIDATES if column.name in best_first]
    return best_first[names]


def reason(dip: pd.Series) -> str:
    """Say in words why a dip is a candidate."""
    text = (
        f"flux fell by {100 * dip.depth:.0f} % for about {dip.fwhm_days:.0f} days around MJD "
        f"{dip.centre_mjd:.1f}, {dip.n_epochs_in_dip} epochs in the dip; chance that noise does "
        f"this at most {dip.ese_false_alarm:.1g}"
    )
    return text + ("; the light curve covers one side of it only" if dip.incomplete else "")
