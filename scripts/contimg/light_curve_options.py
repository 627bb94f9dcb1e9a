"""The options of the programs that take anybody's light curves, checked before they are used."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contimg.checkout import CHECKOUT
from contimg.configuration import block_faults, contradictions_of_search
from contimg.ese_search import SearchOptions
from contimg.status import InputError

SCHEMA = CHECKOUT / "config" / "schema.yaml"
SENTINELS = {"sentinels": {"type": "array", "items": {"type": "number"}}}


def search_options(given: Any) -> dict[str, Any]:
    """Return options of the search for events, its false alarms and its list of candidates.

    They share the block `ese` of the configuration, so each program takes the keys of all.

    Raises
    ------
    InputError
        When it is no mapping, a key is not known, or a value is not in its range.
    """
    options = _checked(given, "ese", SENTINELS)
    _refuse(contradictions_of_search({**asdict(SearchOptions()), **options}))
    return options


def variability_options(given: Any) -> dict[str, Any]:
    """Return options of the metrics, with those of the search as block `ese`; see above."""
    options = _checked(given, "variability", {**SENTINELS, "ese": {"type": "object"}})
    if "ese" in options:
        search_options(options["ese"])
    return options


def normalisation_options(given: Any) -> dict[str, Any]:
    """Return options of the normalisation; see above."""
    return _checked(given, "normalisation", {})


def require_parquet(output: Path) -> None:
    """Refuse a name of the result that promises another form, before hours of work.

    Raises
    ------
    InputError
        When the name does not end in .parquet.
    """
    if output.suffix != ".parquet":
        raise InputError(f"{output}: the result is a parquet table; give it a name in .parquet")


def _checked(given: Any, block: str, more: Mapping[str, Any]) -> dict[str, Any]:
    options = {} if given is None else given
    if not isinstance(options, Mapping):
        raise InputError(
            f"options: {options!r} found, keys with values expected; give them as text, such as "
            "'{sentinels: [-99, -999]}'"
        )
    _refuse(block_faults(block, options, SCHEMA, more))
    return dict(options)


def _refuse(faults: Iterable[str]) -> None:
    lines = [f"options: {line}" for line in faults]
    if lines:
        raise InputError("; ".join(lines))
