"""Rows of radio surveys: from the tables that the surveys publish to one form.

What a column is called is told by the config, or known of the published releases
(`contimg.releases`); its unit is told by the config, or by the file, or known of the release.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.releases import POSITION_AND_FLUX, Release, plain_name, release_of, releases
from contimg.status import InputError
from contimg.table_files import TableFile, open_table
from contimg.units import factor_to

logger = logging.getLogger(__name__)

ROLES = (
    "ra_deg",
    "dec_deg",
    "flux",
    "flux_if_zero",
    "peak",
    "rms",
    "major",
    "minor",
    "size",
    "size_minor",
    "size_limit",
    "size_minor_limit",
)
FLUXES = ("flux", "flux_if_zero", "peak", "rms")
SIZES = ("major", "minor", "size", "size_minor")
LIMITS = ("size_limit", "size_minor_limit")
AS_CONFIGURED = "columns as configured"

_EXPECTED = {
    **dict.fromkeys(FLUXES, (u.Jy, "a flux density, as mJy")),
    **dict.fromkeys(SIZES, (u.arcsec, "an angle, as arcsec")),
    **dict.fromkeys(("ra_deg", "dec_deg"), (u.deg, "an angle, as deg")),
}
_SEXAGESIMAL = r"^\s*([+-]?)(\d+)[ :hd°]\s*(\d+)[ :m']\s*(\d+(?:\.\d*)?)\s*[s\"]?\s*$"


@dataclass(frozen=True)
class Survey:
    """A survey's file as read.

    Attributes
    ----------
    name : nvss, first, vlass, racs or tgss.
    path : the file.
    release : which published form it is, or that the config tells its columns.
    n_rows : rows of the file, before `keep` and with those that stand there twice.
    rows : ra_deg, dec_deg, flux_jy, peak_jy, rms_jy, major_arcsec, minor_arcsec, size_arcsec and
        beam_arcsec; NaN where the survey does not say. NVSS's flux is the peak and its sizes are
        the fitted ones, whichever form the file has; of the others flux is integrated.
    """

    name: str
    path: Path
    release: str
    n_rows: int
    rows: pd.DataFrame


def read_survey(path: Path, survey: Mapping[str, Any]) -> Survey:
    """Read one survey's table by its config block.

    Parameters
    ----------
    path : a FITS table, VOTable or delimited text, plain or gzipped.
    survey : `name`; `columns`, which may name the file's column for each of `ROLES` and the
        `unit` of the fluxes and `size_unit` of the sizes. Roles: ra_deg, dec_deg (numbers, or
        hours and degrees in sexagesimal text), flux, flux_if_zero (used where flux is 0), peak,
        rms, major, minor (fitted, the beam included), size, size_minor (deconvolved),
        size_limit, size_minor_limit ("<" where that size is an upper limit). Beside it:
        `default_rms_jy` (where rms is missing, or not above 0), `beam_arcsec`, `flux_scale`, and
        `keep`, a mapping of column to accepted values.

    Raises
    ------
    ValueError
        When the file is no table or has no rows, a column is missing, a unit cannot be
        converted, a position is off the sky, or two NVSS sources have the same position.
    """
    path = Path(path)
    table = open_table(path)
    names, release = _columns(path, table, survey)
    keep = {**(release.keep if release else {}), **survey.get("keep", {})}
    keep = {_found(table, column) or column: accepted for column, accepted in keep.items()}
    _require(path, table, survey, [*names.values(), *keep])
    values = table.read(sorted({*names.values(), *keep}))
    kept = _kept(path, values, keep)
    n_rows = len(kept)
    columns = {
        role: _numbers(path, table, survey, release, role, name, values[name][kept])
        for role, name in names.items()
        if role not in LIMITS
    }
    limits = {role: _is_limit(values[names[role]][kept]) for role in LIMITS if role in names}
    rows = _rows(columns, limits, survey, release)
    _check(path, rows, survey["name"], np.flatnonzero(kept))
    told = release.name if release else AS_CONFIGURED
    return Survey(survey["name"], path, told, n_rows, _once(path, rows))


def _columns(
    path: Path, table: TableFile, survey: Mapping[str, Any]
) -> tuple[dict[str, str], Release | None]:
    """Return the file's column of each role, and the release that those not configured are of."""
    given = survey.get("columns", {})
    mapped = {role: given[role] for role in ROLES if role in given}
    if all(role in mapped for role in POSITION_AND_FLUX):
        return mapped, None
    release = release_of(survey["name"], table.names)
    if release is None:
        known = "; ".join(
            f"{one.name}: {', '.join(one.required())}" for one in releases(survey["name"])
        )
        raise InputError(
            f"{path}: columns of no known release of {survey['name']}; found "
            f"{', '.join(table.names)}; expected those of one ({known}), or the config's columns "
            f"of survey {survey['name']} to name {', '.join(POSITION_AND_FLUX)}"
        )
    known_columns = {role: _found(table, name) for role, name in release.columns.items()}
    return {**{role: name for role, name in known_columns.items() if name}, **mapped}, release


def _found(table: TableFile, wanted: str) -> str | None:
    """Return the table's name of a column: the very name, or one that differs in punctuation."""
    if wanted in table.names:
        return wanted
    same = (name for name in table.names if plain_name(name) == plain_name(wanted))
    return next(same, None)


def _require(path: Path, table: TableFile, survey: Mapping[str, Any], wanted: list[str]) -> None:
    missing = sorted({name for name in wanted if name not in table.names})
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; found {', '.join(table.names)}; "
            f"correct the columns of survey {survey['name']} in the config"
        )


def _kept(
    path: Path, values: Mapping[str, NDArray[Any]], keep: Mapping[str, Any]
) -> NDArray[np.bool_]:
    kept = np.ones(len(next(iter(values.values()))), dtype=bool)
    if not len(kept):
        raise InputError(f"{path}: a table without rows; give the survey's whole catalogue")
    for column, accepted in keep.items():
        kept &= np.isin(values[column], list(accepted))
    if not kept.any():
        raise InputError(
            f"{path}: none of {len(kept)} rows has {', '.join(keep)} as accepted "
            f"({', '.join(str(list(accepted)) for accepted in keep.values())}); correct keep in "
            f"the config"
        )
    return kept


def _numbers(
    path: Path,
    table: TableFile,
    survey: Mapping[str, Any],
    release: Release | None,
    role: str,
    name: str,
    values: NDArray[Any],
) -> NDArray[np.float64]:
    """Return a column in degrees (positions), Jy or arcsec."""
    if role in ("ra_deg", "dec_deg") and values.dtype.kind in "OSU":
        return sexagesimal_deg(values, hours=role == "ra_deg")
    try:
        numbers = np.asarray(values, dtype=float)
    except ValueError as error:
        raise InputError(
            f"{path}: column {name} has what is not a number ({error}); correct the file, or name "
            f"another column for {role} in the config"
        ) from error
    return numbers * _scale(path, table, survey, release, role, name)


def _scale(
    path: Path,
    table: TableFile,
    survey: Mapping[str, Any],
    release: Release | None,
    role: str,
    name: str,
) -> float:
    """Return what a column is multiplied by; units are the config's, the file's, the release's."""
    unit, meaning = _EXPECTED[role]
    key = {"flux": "unit", "size": "size_unit"}.get(_kind(role), "")
    fallback = getattr(release, key) if release and key else ("deg" if not key else None)
    if fallback is None and key == "size_unit":
        fallback = "arcsec"
    text = survey.get("columns", {}).get(key) or table.units.get(name) or fallback
    if text is None:
        raise InputError(
            f"{path}: column {name} has no unit; expected {meaning}; give {key} in the config's "
            f"columns of survey {survey['name']}"
        )
    try:
        factor = factor_to(unit, text)
    except ValueError as error:
        raise InputError(
            f"{path}: column {name} is in {text!r}; expected {meaning}; give "
            f"{key or 'a column in degrees'} in the config's columns of survey {survey['name']}"
        ) from error
    return factor * (float(survey.get("flux_scale", 1.0)) if key == "unit" else 1.0)


def _kind(role: str) -> str:
    return "flux" if role in FLUXES else "size" if role in SIZES else "position"


def sexagesimal_deg(values: Any, *, hours: bool = False) -> NDArray[np.float64]:
    """Turn text into degrees: "hh mm ss.s" (with `hours`), "+dd:mm:ss", or decimal degrees.

    Parameters
    ----------
    values : (N,) str or bytes.

    Returns
    -------
    degrees : (N,) NaN where the text is neither.
    """
    text = pd.Series(values, dtype=object).map(lambda v: v.decode() if isinstance(v, bytes) else v)
    parts = text.astype(str).str.extract(_SEXAGESIMAL)
    units = parts[1].astype(float) + parts[2].astype(float) / 60 + parts[3].astype(float) / 3600
    degrees = units * (15.0 if hours else 1.0) * np.where(parts[0] == "-", -1.0, 1.0)
    return degrees.fillna(pd.to_numeric(text, errors="coerce")).to_numpy(dtype=float)


def _is_limit(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([str(value).strip("b' ").startswith("<") for value in values], dtype=bool)


def _rows(
    columns: Mapping[str, NDArray[np.float64]],
    limits: Mapping[str, NDArray[np.bool_]],
    survey: Mapping[str, Any],
    release: Release | None,
) -> pd.DataFrame:
    n_rows = len(columns["flux"])
    nothing = np.full(n_rows, np.nan)
    flux = columns["flux"]
    if "flux_if_zero" in columns:
        flux = np.where(flux == 0, columns["flux_if_zero"], flux)
    beam = float(survey.get("beam_arcsec", release.beam_arcsec if release else np.nan))
    default_rms = survey.get("default_rms_jy", release.default_rms_jy if release else np.nan)
    rms = columns.get("rms", nothing)
    rows = pd.DataFrame(
        {
            "ra_deg": np.where(np.abs(columns["ra_deg"]) <= 360, columns["ra_deg"] % 360.0, np.nan),
            "dec_deg": columns["dec_deg"],
            "flux_jy": flux,
            "peak_jy": columns.get("peak", nothing),
            "rms_jy": np.where(rms > 0, rms, default_rms),
            "major_arcsec": columns.get("major", nothing),
            "minor_arcsec": columns.get("minor", nothing),
            "size_arcsec": columns.get("size", nothing),
            "beam_arcsec": np.full(n_rows, beam),
        }
    )
    if survey["name"] == "nvss" and "size" in columns and "major" not in columns:
        return _fitted(rows, columns.get("size_minor", columns["size"]), limits)
    return rows


def _fitted(
    rows: pd.DataFrame, size_minor: NDArray[np.float64], limits: Mapping[str, NDArray[np.bool_]]
) -> pd.DataFrame:
    """Return NVSS's peaks and fitted sizes, of integrated fluxes and deconvolved sizes.

    A round beam b widens an axis to sqrt(size^2 + b^2), and peak = flux b^2 / (major minor). A
    size that is an upper limit counts as none.
    """
    beam = rows.beam_arcsec.to_numpy()
    none = np.zeros(len(rows), dtype=bool)

    def widened(size: NDArray[np.float64], limit: str) -> NDArray[np.float64]:
        known = np.isfinite(size) & ~limits.get(limit, none)
        return np.hypot(beam, np.where(known, size, 0.0))

    major = widened(rows.size_arcsec.to_numpy(), "size_limit")
    minor = widened(size_minor, "size_minor_limit")
    return rows.assign(
        flux_jy=rows.flux_jy * beam**2 / (major * minor),
        major_arcsec=major,
        minor_arcsec=minor,
        size_arcsec=np.nan,
    )


def _check(path: Path, rows: pd.DataFrame, name: str, at: NDArray[np.intp]) -> None:
    """Refuse rows that cannot be matched; `at` is where each stands in the file."""
    bad = ~(np.isfinite(rows.ra_deg) & (rows.dec_deg.abs() <= 90) & np.isfinite(rows.flux_jy))
    if bad.any():
        raise InputError(
            f"{path}: {bad.sum()} rows without a sky position or a flux, the first at data row "
            f"{at[int(np.flatnonzero(bad)[0])] + 1}; remove them from the file"
        )
    values = rows.drop_duplicates()
    twice = values.duplicated(["ra_deg", "dec_deg"], keep=False) if name == "nvss" else ()
    if any(twice):
        first = values.index[twice][:2]
        raise InputError(
            f"{path}: two sources at one position, data rows "
            f"{' and '.join(str(at[row] + 1) for row in first)}; remove one of them from the file"
        )


def _once(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows that repeat another one in all that is read of them."""
    kept = rows.drop_duplicates(ignore_index=True)
    if len(kept) < len(rows):
        logger.warning("%s: %d rows stand there twice; once is used", path, len(rows) - len(kept))
    return kept
