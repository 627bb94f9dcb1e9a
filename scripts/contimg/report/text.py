"""How numbers and names read on a page."""

import math
from collections.abc import Sequence
from typing import Any

MISSING = "–"
UNITS = {
    "jy": "Jy",
    "mjy": "mJy",
    "deg": "deg",
    "arcsec": "arcsec",
    "hz": "Hz",
    "mjd": "MJD",
    "days": "d",
    "s": "s",
    "db": "dB",
    "lambda": "λ",
}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number (JSON's null stands for what is not finite)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3, scale: float = 1.0) -> str:
    """Return `value * scale` with so many significant digits; a dash where there is none.

    A whole number keeps all of its digits.
    """
    if not is_number(value):
        return MISSING
    if isinstance(value, int) and scale == 1:
        return f"{value:,}"
    scaled = value * scale
    if scaled == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(scaled)))
    if places <= 0:
        return f"{scaled:,.0f}".replace("-", "−")
    if places > 6:
        return f"{scaled:.{digits - 1}e}".replace("-", "−")
    return f"{scaled:.{places}f}".replace("-", "−")


def fixed(value: Any, places: int = 2, scale: float = 1.0) -> str:
    """Return `value * scale` with so many decimal places; a dash where there is none."""
    if not is_number(value):
        return MISSING
    return f"{value * scale:,.{places}f}".replace("-", "−")


def percent(value: Any, places: int = 1) -> str:
    """Return a fraction as a percentage; a dash where there is none."""
    return MISSING if not is_number(value) else f"{fixed(value, places, 100)} %"


def value_of(value: Any) -> str:
    """Return any figure of a status file as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return number(value, 3)
    if value is None or value == "":
        return MISSING
    if isinstance(value, list | tuple):
        return listed([value_of(item) for item in value]) or MISSING
    return str(value)


def heading(name: str) -> str:
    """Return a name of the file contract as a table heading, its unit in brackets.

    `beam_major_arcsec` becomes `beam major (arcsec)`.
    """
    words = name.split("_")
    if len(words) > 1 and words[-1] in UNITS:
        return f"{' '.join(words[:-1])} ({UNITS[words[-1]]})"
    return " ".join(words)


def listed(items: Sequence[Any], limit: int = 12) -> str:
    """Return the items with commas, the last ones only counted when there are too many."""
    shown = [str(item) for item in items[:limit]]
    if len(items) > limit:
        shown.append(f"and {len(items) - limit} more")
    return ", ".join(shown)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s when there is not one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
