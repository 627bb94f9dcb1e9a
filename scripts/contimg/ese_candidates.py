"""The list of candidate extreme scattering events, with the reason for each in words.

A candidate is a source whose best event (`contimg.ese_search`) has a false-alarm probability of
at most `max_false_alarm`: of its class, for one source. Events with a wing on both sides come
before incomplete ones; among each, the smaller false-alarm probability comes first, then the larger
likelihood ratio. A source that a person flags (a verdict of one of the words `FLAGS`) and that is
no candidate follows after all of them. Verdicts change nothing else: what a person calls an
artefact keeps its rank, and shows the verdict.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contimg.annotations import joined_verdicts
from contimg.backgrounds import DRW, WHITE
from contimg.epochs import Epochs, of_known_frequency, usable_epochs
from contimg.schemas import ESE_CANDIDATES, WHOLE_BAND
from contimg.status import InputError
from contimg.tables import options_from, searched_band, subband_of

# First words of verdicts that make a source one to show, whatever the search says.
FLAGS = ("candidate", "ese", "event", "flag", "flagged", "interesting", "maybe", "possible")
SEARCH, PERSON = "search", "person"
_ALARMS = (
    "null_class",
    "n_nulls",
    "ese_false_alarm",
    "ese_false_alarm_archive",
    "flipped_false_alarm",
    "n_flipped",
)
_LEAST_TOLD = 1e-9  # tails are measured down to some 1e-3


@dataclass(frozen=True)
class CandidateOptions:
    """What is a candidate.

    Attributes
    ----------
    max_false_alarm : largest false-alarm probability of a candidate.
    """

    max_false_alarm: float = 1e-3


def searched_epochs(curves: pd.DataFrame, name: object = "light curves") -> Epochs:
    """Return the light curves that are searched: of the whole band, else of each frequency.

    Parameters
    ----------
    curves : columns as `contimg.epochs.usable_epochs` takes them.
    name : of the table, for errors.
    """
    return usable_epochs(of_known_frequency(searched_band(curves), name), name)


def require_same_sources(
    table: pd.DataFrame, epochs: Epochs, path: object, lightcurves: object
) -> None:
    """Refuse a table of other sources than the light curves', or in another order."""
    found = table["source_id"].tolist() if "source_id" in table else None
    if found != epochs.sources["source_id"].tolist():
        raise InputError(
            f"{path}: not the sources of {lightcurves}, in its order; make it of this table"
        )


def compared_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the light curves that tell chromaticity: of subband images or all frequencies."""
    rows = curves[subband_of(curves) != WHOLE_BAND] if "subband" in curves else curves
    rows = rows[rows["freq_hz"].notna()] if "freq_hz" in rows else rows
    return rows.astype({"source_id": str})


def find_candidates(
    searched: pd.DataFrame,
    false_alarms: pd.DataFrame,
    sources: pd.DataFrame,
    verdicts: pd.DataFrame,
    options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return the candidates, the best first, then the sources that a person flags.

    Parameters
    ----------
    searched : as `contimg.ese_search.search` returns it.
    false_alarms : ese_false_alarm and what else is known of it, by source (and frequency).
    sources : ra_deg, dec_deg and ese_score, by source (and frequency).
    verdicts : as `contimg.annotations.read_annotations` returns them.
    options : keys of `CandidateOptions`.

    Returns
    -------
    candidates : columns of the candidate schema, without the words.
    """
    settings = options_from(CandidateOptions, options)
    keys = [name for name in ("source_id", "freq_hz") if name in searched]
    known = [name for name in _ALARMS if name in false_alarms]
    table = searched.merge(false_alarms[[*keys, *known]], "left", keys, validate="one_to_one")
    told = [name for name in ("ra_deg", "dec_deg", "ese_score") if name in sources]
    table = table.merge(sources[[*keys, *told]], "left", keys, validate="one_to_one")
    table = table.merge(joined_verdicts(verdicts), "left", left_on="source_id", right_index=True)
    for name in ("verdict", "verdict_who", "verdict_note"):
        table[name] = table[name].fillna("").astype(object)
    passes = (table["template"] != "") & (table["ese_false_alarm"] <= settings.max_false_alarm)
    flagged = table["source_id"].isin(flagged_sources(verdicts))
    flagged &= ~table["source_id"].isin(table["source_id"][passes])
    table = table.assign(found_by=np.where(passes, SEARCH, PERSON))[passes | flagged]
    table = table.assign(by_person=table["found_by"] == PERSON, other_way=-table["ese_llr"])
    order = ["by_person", "incomplete", "ese_false_alarm", "other_way", *keys]
    table = table.sort_values(order, ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1, dtype=np.int64)
    names = [column.name for column in ESE_CANDIDATES if column.name in table]
    return table[names]


def flagged_sources(verdicts: pd.DataFrame) -> list[str]:
    """Return the sources that a person wants to see: a verdict begins with one of `FLAGS`."""
    first = verdicts["verdict"].map(lambda text: re.split(r"\W+", text.strip().lower())[0])
    return sorted(set(verdicts["id"][first.isin(FLAGS)]))


def reason(row: Mapping[str, Any]) -> str:
    """Say in a few words why a row is in the list."""
    if row["found_by"] == PERSON:
        text = f"flagged by a person: {row['verdict']} ({row['verdict_who']})"
        searched = f"the search: {_event(row)}" if row["template"] else f"not searched{_at(row)}"
        return f"{text}; {searched}"
    return f"{_event(row)}; {_chance(row)}"


def explanation(row: Mapping[str, Any], n_searched: int) -> str:
    """Say in words which template, when, how deep, in how many epochs and against what.

    Parameters
    ----------
    row : a candidate, and `not_searched`, why it was not (`contimg.ese_search.why_not_searched`);
        with `named_hz` the frequency is named.
    n_searched : sources that were searched beside it.
    """
    if not row["template"]:
        return f"Not searched{_at(row)}: {row['not_searched']}."
    track = f", passed at {row['impact']:.2g} radii from its axis"
    is_sheet = bool(np.isnan(row["impact"]))
    where = "at 1.4 GHz" if np.isfinite(row.get("freq_hz", np.nan)) else "in its own band"
    lens = (
        f"Template: {'a sheet' if is_sheet else 'a round lens'} of plasma of strength "
        f"{row['alpha']:.3g} {where}{'' if is_sheet else track}, before a source of "
        f"{row['beta_s']:.2g} of its radius; {100 * row['lensed_fraction']:.0f} % of the flux is "
        "lensed."
    )
    day = pd.Timestamp("1858-11-17") + pd.Timedelta(days=float(row["centre_mjd"]))
    event = (
        f"F{_event(row)[1:]}, from a baseline of {_digits(1000 * row['baseline_jy'])} mJy; "
        f"{_wings(row)}. The centre is on {day:%Y-%m-%d}."
    )
    against = (
        f"Against {_background(row, '')}. Without an event: {_background(row, 'null_')}. "
        f"With the event it is exp({row['ese_llr']:.1f}) times as likely, priors included."
    )
    return " ".join([event, lens, against, _chances(row, n_searched)])


def _digits(value: float) -> str:
    """Three digits, and no exponent where a person expects none."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{float(f'{value:.3g}'):.0f}"


def _probability(value: float) -> str:
    """One digit, two above a tenth; no more than that below what a tail can be trusted for."""
    if value < _LEAST_TOLD:
        return f"less than {_LEAST_TOLD:.0g}"
    return f"{value:.1g}" if value < 0.1 else f"{value:.2g}"


def _source_of(row: Mapping[str, Any]) -> str:
    n_nulls = row.get("n_nulls", 0)
    if not (n_nulls > 0 and row["ese_false_alarm"] * n_nulls < 1):
        return "by simulation"
    return f"by extrapolation of the {n_nulls} that were simulated"


def _event(row: Mapping[str, Any]) -> str:
    return (
        f"flux{_at(row)} fell by {100 * row['depth']:.0f} % for {row['fwhm_days']:.0f} days "
        f"around MJD {row['centre_mjd']:.1f}, {row['n_epochs_in_dip']} of {row['n_epochs']} epochs "
        "in the dip"
    )


def _at(row: Mapping[str, Any]) -> str:
    if "named_hz" not in row:
        return ""
    if np.isnan(row["named_hz"]):
        return " at an unknown frequency"
    return f" at {row['named_hz'] / 1e6:.6g} MHz"


def _wings(row: Mapping[str, Any]) -> str:
    if row["wings"] == "both":
        return "there are epochs on both sides"
    bare = {"before": "after it", "after": "before it"}
    return f"incomplete, there are too few epochs {bare.get(row['wings'], 'on either side')}"


def _background(row: Mapping[str, Any], prefix: str) -> str:
    kernel = row[f"{prefix}background"]
    parts = [
        "noise that is white"
        if kernel == WHITE
        else f"{'a damped random walk' if kernel == DRW else 'a smooth background'} of "
        f"{100 * row[f'{prefix}modulation']:.2g} % rms and "
        f"{_digits(row[f'{prefix}timescale_days'])} days"
    ]
    if row[f"{prefix}jitter"] > 0:
        parts.append(f"jitter of {100 * row[f'{prefix}jitter']:.2g} %")
    if row[f"{prefix}outliers"] > 0:
        parts.append(f"{row[f'{prefix}outliers']} epochs left out as outliers")
    return ", ".join(parts)


def _chance(row: Mapping[str, Any]) -> str:
    text = f"chance that its background does this {_probability(row['ese_false_alarm'])}"
    return text + ("" if row["wings"] == "both" else f"; {_wings(row)}")


def _chances(row: Mapping[str, Any], n_searched: int) -> str:
    text = (
        "The probability that a source of its class without an event reaches this is "
        f"{_probability(row['ese_false_alarm'])} {_source_of(row)}"
    )
    if np.isfinite(row.get("ese_false_alarm_archive", np.nan)):
        text += f", that one of the {n_searched} that were searched does "
        text += _probability(row["ese_false_alarm_archive"])
    if np.isfinite(row.get("flipped_false_alarm", np.nan)):
        counted = f"the {row['n_flipped']} " if "n_flipped" in row else ""
        text += f". Of {counted}light curves turned upside down, counting one more, "
        text += f"{row['flipped_false_alarm']:.2g} do"
    return text + "."
