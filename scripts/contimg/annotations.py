"""What people say of candidates: `annotations/candidates.csv`, which no rule ever writes.

One line a verdict, columns `id` (the source_id), `verdict`, `who` and `note`; the words are free.
Lines may be added for ever: of one person's verdicts on a source the last line counts.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pandas as pd

from contimg.status import InputError

COLUMNS = ("id", "verdict", "who", "note")
NEEDED = ("id", "verdict", "who")


def read_annotations(path: Path | None) -> pd.DataFrame:
    """Read people's verdicts.

    Parameters
    ----------
    path : a CSV file with a header line; None, where there is none, gives no verdict.

    Returns
    -------
    verdicts : id, verdict, who and note as text, in the order of the file, without what a later
        line of the same person replaces.

    Raises
    ------
    ValueError
        Naming file and line, when a column is missing or unknown, when a line has another number
        of fields than the header, when its id, verdict or who is empty, or when a quotation mark
        is not closed: all that follows would be a note.
    """
    if path is None:
        return pd.DataFrame(columns=list(COLUMNS), dtype=object)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(_rows(stream, path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(
            f"{path}: {error}; a quotation mark is missing, or one too many"
        ) from error
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    return table.drop_duplicates(["id", "who"], keep="last").reset_index(drop=True)


def joined_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row a source: verdict, verdict_who and verdict_note, people joined by "; ".

    Parameters
    ----------
    verdicts : as `read_annotations` returns them.

    Returns
    -------
    joined : with source_id as index. A note has its writer's name where several judge.
    """
    one_of_many = verdicts["id"].duplicated(keep=False) & (verdicts["note"] != "")
    signed = verdicts["who"] + ": " + verdicts["note"]
    verdicts = verdicts.assign(note=verdicts["note"].mask(one_of_many, signed))
    by_source = verdicts.groupby("id", sort=True)[["verdict", "who", "note"]]
    joined = by_source.agg(lambda texts: "; ".join(text for text in texts if text))
    return joined.rename(columns={"who": "verdict_who", "note": "verdict_note"}).rename_axis(
        "source_id"
    )


def _rows(stream: TextIO, path: Path) -> Iterator[dict[str, str]]:
    """Yield each line's fields by name; blank lines are none."""
    lines = csv.reader(stream, strict=True)
    header = [name.strip() for name in next(lines, [])]
    missing = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown or len(set(header)) != len(header):
        raise InputError(
            f"{path}: line 1 is {','.join(header) or 'empty'}; expected {','.join(COLUMNS)}"
        )
    for fields in lines:
        if not any(field.strip() for field in fields):
            continue
        where = f"{path}: line {lines.line_num}"
        if len(fields) != len(header):
            raise InputError(
                f"{where} has {len(fields)} fields, the header {len(header)}; "
                "quote a text that holds a comma"
            )
        row = {name: field.strip() for name, field in zip(header, fields, strict=True)}
        empty = [name for name in NEEDED if not row[name]]
        if empty:
            raise InputError(f"{where} has no {', '.join(empty)}; fill it in or remove the line")
        yield {"note": "", **row}
