"""The options of the programs that take anybody's light curves, checked before they are used."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from numbers import Real
from pathlib import Path
from typing import Any

from contimg.ese import DipOptions
from contimg.ese_candidates import CandidateOptions
from contimg.ese_nulls import NullOptions
from contimg.ese_search import SearchOptions
from contimg.status import InputError
from contimg.variability import VariabilityOptions


def search_options(given: Any) -> dict[str, Any]:
    """Return options of the search for events, its false alarms and its list of candidates.

    They share one block, so each program takes the keys of all.

    Raises
    ------
    InputError
        When it is no mapping, a key is not known, or a value is no number (no list of numbers).
    """
    kinds = (SearchOptions, DipOptions, NullOptions, CandidateOptions)
    return _checked(given, {**_defaults(*kinds), "sentinels": ()}, "options")


def variability_options(given: Any) -> dict[str, Any]:
    """Return options of the metrics, with those of the search as block `ese`; see above."""
    known = {**_defaults(VariabilityOptions), "sentinels": (), "ese": {}}
    options = _checked(given, known, "options")
    if "ese" in options:
        search_options(options["ese"])
    return options


def require_parquet(output: Path) -> None:
    """Refuse a name of the result that promises another form, before hours of work.

    Raises
    ------
    InputError
        When the name does not end in .parquet.
    """
    if output.suffix != ".parquet":
        raise InputError(f"{output}: the result is a parquet table; give it a name in .parquet")


def _defaults(*kinds: type) -> dict[str, Any]:
    return {field.name: _default(field) for kind in kinds for field in fields(kind)}


def _default(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _checked(given: Any, known: Mapping[str, Any], name: str) -> dict[str, Any]:
    options = {} if given is None else given
    if not isinstance(options, Mapping):
        raise InputError(
            f"{name}: {options!r} found, keys with values expected; give them as text, such as "
            "'{sentinels: [-99, -999]}'"
        )
    unknown = [str(key) for key in options if key not in known]
    if unknown:
        raise InputError(f"{name}: no {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    for key, value in options.items():
        _check_value(f"{name}: {key}", value, known[key])
    return dict(options)


def _check_value(name: str, value: Any, default: Any) -> None:
    if isinstance(default, Mapping):
        return
    if isinstance(default, Real):
        if not _is_number(value):
            raise InputError(f"{name} is {value!r}, a number is expected")
    elif not (isinstance(value, list | tuple) and all(_is_number(one) for one in value)):
        raise InputError(f"{name} is {value!r}, a list of numbers is expected, such as [-99, -999]")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
