"""Units as files name them, in capitals too."""

import astropy.units as u

# AIPS and others write units in capitals, which the standard does not know.
_CAPITALS = {
    "JY": "Jy",
    "JY/BEAM": "Jy/beam",
    "DEGREES": "deg",
    "DEGREE": "deg",
    "DEG": "deg",
    "ARCSEC": "arcsec",
    "ARCSECS": "arcsec",
    "ARCSECONDS": "arcsec",
}


def factor_to(unit: u.UnitBase, text: str) -> float:
    """Return what numbers in the unit that a text names are multiplied by, to be in `unit`.

    A flux density a beam counts as a flux density.

    Raises
    ------
    ValueError
        When the text is no unit, or one that does not convert.
    """
    try:
        found = u.Unit(_CAPITALS.get(text.strip().upper(), text.strip()))
        if u.beam in found.bases:
            found = found * u.beam
        return float((1 * found).to_value(unit))
    except (ValueError, TypeError, u.UnitConversionError) as error:
        raise ValueError(f"{text!r} is not {unit} nor converts to it") from error
