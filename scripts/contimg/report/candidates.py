"""The table of candidates, with those columns that the candidates' table has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contimg.report.text import MISSING, fixed, number, percent

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Heading:
    """A column of the page's table.

    Attributes
    ----------
    text, title : heading, and what it means.
    needs : columns of the table of which a candidate must have one for the column to be shown.
    cell : the cell's text, given a candidate.
    is_number : set to the right.
    of_event : it says nothing of a source that was not searched.
    """

    text: str
    title: str
    needs: tuple[str, ...]
    cell: Callable[[Row], str]
    is_number: bool = True
    of_event: bool = True


def is_told(value: Any) -> bool:
    """Whether a cell of a table says anything."""
    return not (value is None or value == "" or (isinstance(value, float) and np.isnan(value)))


def first_of(row: Row, *names: str) -> Any:
    """Return the first of these columns that says anything, else None."""
    return next((row[name] for name in names if name in row and is_told(row[name])), None)


def has_event(row: Row) -> bool:
    """Whether a row is of an event: a source that only a person flags may not be searched."""
    return first_of(row, "centre_mjd") is not None


def words(*names: str) -> Callable[[Row], str]:
    """Return the function that gives a cell of text."""
    return lambda row: str(first_of(row, *names) or MISSING)


def chromatic(row: Row) -> str:
    """Return the outcome, or else how the depth goes with wavelength."""
    outcome = first_of(row, "chromaticity")
    if outcome is not None:
        return str(outcome)
    if first_of(row, "depth_exponent") is None:
        return MISSING
    return f"x = {fixed(row['depth_exponent'], 1)} ± {fixed(row['depth_exponent_err'], 1)}"


def background(row: Row) -> str:
    """Return the background beside which the event was found: kernel, rms, timescale."""
    kernel = first_of(row, "background")
    if kernel is None or kernel == "white":
        return str(kernel or MISSING)
    return f"{kernel}, {percent(row.get('modulation'))}, {number(row.get('timescale_days'), 2)} d"


def verdict(row: Row) -> str:
    """Return what people say, and who; empty when nobody says anything."""
    if first_of(row, "verdict") is None:
        return ""
    who, note = first_of(row, "verdict_who"), first_of(row, "verdict_note")
    return f"{row['verdict']}{f' ({who})' if who else ''}{f': {note}' if note else ''}"


FREQUENCY = Heading(
    "Frequency (MHz)", "of the light curve in which the event is", ("freq_hz",),
    lambda row: f"{row['freq_hz'] / 1e6:.6g}" if is_told(row["freq_hz"]) else MISSING,
    of_event=False,
)  # fmt: skip
HEADINGS: Sequence[Heading] = (
    Heading(
        "Log-likelihood ratio", "event against none", ("ese_llr",),
        lambda row: fixed(row["ese_llr"], 1),
    ),
    Heading(
        "By chance: simulated",
        "probability that a source of its class without an event reaches the same",
        ("ese_false_alarm",), lambda row: number(row["ese_false_alarm"], 2),
    ),
    Heading(
        "in this archive", "the same, for the number of sources that were searched",
        ("ese_false_alarm_archive",), lambda row: number(row["ese_false_alarm_archive"], 2),
    ),
    Heading(
        "observed", "rate among the archive's own light curves turned upside down",
        ("flipped_false_alarm",), lambda row: number(row["flipped_false_alarm"], 2),
    ),
    Heading("Score", "documented score, 0 to 1", ("ese_score",),
            lambda row: fixed(row["ese_score"], 2), of_event=False),
    Heading("Template", "which lens", ("template",), words("template"), False),
    Heading("Depth (%)", "of the baseline", ("depth",), lambda row: fixed(row["depth"], 0, 100)),
    Heading("Centre (MJD)", "of the dip", ("centre_mjd",),
            lambda row: fixed(row["centre_mjd"], 1).replace(",", "")),
    Heading("Full width (d)", "at half depth", ("fwhm_days",),
            lambda row: fixed(row["fwhm_days"], 0)),
    Heading("Epochs in dip", "within half of the width from the centre", ("n_epochs_in_dip",),
            lambda row: number(row["n_epochs_in_dip"])),
    Heading("Background", "kernel, rms and timescale of what varies beside the event",
            ("background",), background, False),
    Heading("Chromaticity", "of the event over the subbands; x: depth ∝ λ^x",
            ("chromaticity", "depth_exponent"), chromatic, False),
)  # fmt: skip


@dataclass(frozen=True)
class CandidateTable:
    """What the page shows of the candidates.

    Attributes
    ----------
    headings : of the columns.
    rows : a candidate, its cells, and what people say of it; empty when nobody says anything.
    """

    headings: Sequence[Heading]
    rows: Sequence[tuple[Row, Sequence[str], str]]


def candidate_table(candidates: Sequence[Row]) -> CandidateTable:
    """Return the table of candidates; a column that no candidate fills is left out.

    The frequency is shown where candidates differ in it.

    Parameters
    ----------
    candidates : rows of the candidate table, by rank; columns beyond the first ones may be
        missing, as in the tables of earlier versions.
    """
    frequencies = {first_of(row, "freq_hz") for row in candidates}
    headings = [FREQUENCY, *HEADINGS] if len(frequencies) > 1 else HEADINGS
    shown = [
        heading
        for heading in headings
        if any(first_of(row, *heading.needs) is not None for row in candidates)
    ]
    rows = []
    for row in candidates:
        told = has_event(row)
        cells = [one.cell(row) if told or not one.of_event else MISSING for one in shown]
        rows.append((row, cells, verdict(row)))
    return CandidateTable(shown, rows)
