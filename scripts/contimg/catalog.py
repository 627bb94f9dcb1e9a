"""The master catalogue: NVSS sources with their FIRST and VLASS counterparts, as SQLite.

Columns of `sources` (fluxes in Jy, though the existing pipeline's names carry no unit):

- `s_nvss`: the NVSS flux that forced photometry is compared with: the peak for unresolved
  sources, peak x (major x minor) / beam^2 for those that NVSS resolves; `snr_nvss`: peak / rms.
- `s_first`, `s_vlass`: sum of the components within `match_radius_arcsec`, NULL where the survey
  has none there.
- `alpha`: spectral index between NVSS and VLASS, S ~ nu^alpha, NULL without a VLASS flux.
- `resolved_flag`: NVSS's fitted major axis exceeds the beam by more than `resolved_sigma`
  standard errors and by more than `resolved_excess`, or FIRST's deconvolved major axis exceeds
  `resolved_size_arcsec`. A survey row without sizes gives 0.
- `confusion_flag`: another NVSS source, or a FIRST or VLASS component beyond the match radius,
  within `confusion_radius_arcsec` has more than `confusion_fraction` of the source's flux.

The thresholds of the two views live in `meta`, where the views read them.
"""

import hashlib
import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from contimg.source_names import unique_source_names
from contimg.status import written_whole
from contimg.version import workflow_version

ARCSEC = math.pi / 180 / 3600
TO_JY = {"Jy": 1.0, "mJy": 1e-3, "uJy": 1e-6}
TO_ARCSEC = {"arcsec": 1.0, "arcmin": 60.0, "deg": 3600.0}
COLUMN_TYPES = {  # told, because an empty or all-NULL column has no type of its own
    "source_id": object,
    **dict.fromkeys(
        ("ra_deg", "dec_deg", "s_nvss", "snr_nvss", "s_first", "s_vlass", "alpha"), float
    ),
    "resolved_flag": int,
    "confusion_flag": int,
}
VIEWS = ("good_references", "final_references")


@dataclass(frozen=True)
class CatalogOptions:
    """How surveys become one catalogue; `surveys` are blocks as `read_survey` takes them."""

    surveys: Sequence[Mapping[str, Any]] = ()
    match_radius_arcsec: float = 7.5
    duplicate_radius_arcsec: float = 5.0
    resolved_sigma: float = 3.0
    resolved_excess: float = 0.05
    resolved_size_arcsec: float = 10.0
    confusion_radius_arcsec: float = 60.0
    confusion_fraction: float = 0.1
    nvss_freq_hz: float = 1.4e9
    vlass_freq_hz: float = 3.0e9
    good_min_snr: float = 50.0
    final_min_snr: float = 80.0
    min_alpha: float = -1.2
    max_alpha: float = 0.2
    stable_ids: Sequence[str] = ()
    materialise: bool = False


def read_survey(path: Path, survey: Mapping[str, Any]) -> pd.DataFrame:
    """Read one survey's CSV by its config block.

    Parameters
    ----------
    path : the file.
    survey : `columns` names the file's columns for ra_deg, dec_deg, flux and, where there are
        any, rms, major, minor, size (deconvolved major axis) and flux_if_zero (used where flux
        is 0, as in VLASS's empty islands); `unit` of the fluxes and `size_unit` of the sizes are
        in the same block. Beside it: `default_rms_jy`, `beam_arcsec` (of a survey with fitted
        sizes), `flux_scale`, and `keep`, a mapping of column to accepted values.

    Returns
    -------
    rows : ra_deg, dec_deg, flux_jy, rms_jy, major_arcsec, minor_arcsec, size_arcsec and
        beam_arcsec; NaN where the survey does not say.

    Raises
    ------
    ValueError
        When a column is missing or a position is off the sky.
    """
    table = pd.read_csv(path)
    names = dict(survey["columns"])
    unit = TO_JY[names.pop("unit")] * float(survey.get("flux_scale", 1.0))
    size_unit = TO_ARCSEC[names.pop("size_unit", "arcsec")]
    wanted = [*names.values(), *survey.get("keep", {})]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; found {', '.join(table.columns)}; "
            f"correct the columns of survey {survey['name']} in the config"
        )
    for name, accepted in survey.get("keep", {}).items():
        table = table[table[name].isin(accepted)]

    def column(key: str, scale: float = 1.0) -> NDArray[np.float64]:
        if key not in names:
            return np.full(len(table), np.nan)
        return table[names[key]].to_numpy(dtype=float) * scale

    flux_jy = column("flux", unit)
    if "flux_if_zero" in names:
        flux_jy = np.where(flux_jy == 0, column("flux_if_zero", unit), flux_jy)
    rms_jy = column("rms", unit)
    rows = pd.DataFrame(
        {
            "ra_deg": column("ra_deg") % 360.0,
            "dec_deg": column("dec_deg"),
            "flux_jy": flux_jy,
            "rms_jy": np.where(np.isnan(rms_jy), survey.get("default_rms_jy", np.nan), rms_jy),
            "major_arcsec": column("major", size_unit),
            "minor_arcsec": column("minor", size_unit),
            "size_arcsec": column("size", size_unit),
            "beam_arcsec": np.full(len(table), float(survey.get("beam_arcsec", np.nan))),
        }
    )
    bad = ~(np.isfinite(rows.ra_deg) & (rows.dec_deg.abs() <= 90) & np.isfinite(rows.flux_jy))
    if bad.any():
        raise ValueError(
            f"{path}: {bad.sum()} rows without a sky position or a flux, the first at data row "
            f"{int(np.flatnonzero(bad)[0]) + 1}; remove them from the file"
        )
    return rows


def build_sources(surveys: Mapping[str, pd.DataFrame], options: CatalogOptions) -> pd.DataFrame:
    """Match the surveys' rows into one table of sources.

    Parameters
    ----------
    surveys : rows by survey name, as `read_survey` gives them; `nvss` must be there, `first`
        and `vlass` may.

    Returns
    -------
    sources : the columns of the `sources` table, sorted by RA, then dec.
    """
    nvss = surveys["nvss"].sort_values(["ra_deg", "dec_deg"], ignore_index=True)
    empty = nvss.iloc[:0]
    first, vlass = surveys.get("first", empty), surveys.get("vlass", empty)
    resolved = nvss_resolved(nvss, options)
    area = nvss.major_arcsec * nvss.minor_arcsec / nvss.beam_arcsec**2
    s_nvss = np.where(resolved, nvss.flux_jy * np.maximum(area, 1.0), nvss.flux_jy)
    s_first, first_size = _matched(nvss, first, options.match_radius_arcsec)
    s_vlass, _ = _matched(nvss, vlass, options.match_radius_arcsec)
    octave = math.log(options.vlass_freq_hz / options.nvss_freq_hz)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.log(s_vlass / s_nvss) / octave
    resolved |= first_size > options.resolved_size_arcsec
    return pd.DataFrame(
        {
            "source_id": unique_source_names(nvss.ra_deg, nvss.dec_deg),
            "ra_deg": nvss.ra_deg,
            "dec_deg": nvss.dec_deg,
            "s_nvss": s_nvss,
            "snr_nvss": nvss.flux_jy / nvss.rms_jy,
            "s_first": s_first,
            "s_vlass": s_vlass,
            "alpha": np.where(np.isfinite(alpha), alpha, np.nan),
            "resolved_flag": resolved.astype(int),
            "confusion_flag": _confused(nvss, (first, vlass), s_nvss, options).astype(int),
        }
    )


def nvss_resolved(nvss: pd.DataFrame, options: CatalogOptions) -> NDArray[np.bool_]:
    """Whether NVSS's fitted major axis is significantly larger than its beam.

    The standard error of a fitted axis is theta sqrt(2) / S/N (Condon 1997, PASP 109, 166,
    for a source matched to the beam).
    """
    snr = nvss.flux_jy / nvss.rms_jy
    error = nvss.beam_arcsec * math.sqrt(2) / snr
    margin = np.maximum(options.resolved_sigma * error, options.resolved_excess * nvss.beam_arcsec)
    return (nvss.major_arcsec > nvss.beam_arcsec + margin).to_numpy(dtype=bool)


def drop_duplicates(tables: Sequence[pd.DataFrame], radius_arcsec: float) -> pd.DataFrame:
    """Join the files of one survey; a later file's row near an earlier file's is dropped."""
    joined = tables[0]
    for table in tables[1:]:
        near = _neighbours(table, joined, radius_arcsec)
        joined = pd.concat([joined, table[[not found for found in near]]], ignore_index=True)
    return joined


def write_catalog(
    path: Path, sources: pd.DataFrame, options: CatalogOptions, inputs: Mapping[Path, int]
) -> None:
    """Write `master_sources.sqlite3`, whole or not at all.

    Parameters
    ----------
    inputs : number of rows read of each input file.
    """
    meta = {
        "workflow_version": workflow_version(),
        "n_sources": str(len(sources)),
        **{name: repr(value) for name, value in vars(options).items() if name != "surveys"},
    }
    for file, rows in inputs.items():
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        meta[f"input {file.name}"] = f"{rows} rows, sha256 {checksum}"
    with written_whole(path) as temporary, closing(sqlite3.connect(temporary)) as database:
        database.executescript(_SCHEMA)
        values = sources.astype(object).where(sources.notna(), None)
        database.executemany(
            "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values.itertuples(index=False, name=None),
        )
        database.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        stable = [(source_id,) for source_id in sorted(set(options.stable_ids))]
        database.executemany("INSERT INTO stable_ids VALUES (?)", stable)
        database.executescript(_VIEWS)
        if options.materialise:
            database.execute(
                "CREATE TABLE final_references_table AS SELECT * FROM final_references"
            )
        database.commit()


def read_sources(
    path: Path,
    ra_deg: float | None = None,
    dec_deg: float | None = None,
    radius_deg: float = 180.0,
    min_jy: float = 0.0,
) -> pd.DataFrame:
    """Return the catalogue's sources within a cone, ordered by source_id.

    Parameters
    ----------
    path : master_sources.sqlite3.
    ra_deg, dec_deg : centre, ICRS degrees; the whole catalogue when None.
    radius_deg : radius of the cone.
    min_jy : smallest s_nvss.

    Returns
    -------
    sources : the `sources` table's columns, with `separation_deg` when a centre is given.

    Raises
    ------
    ValueError
        When the file is missing or is not a catalogue.
    """
    margin = radius_deg + 1e-6
    low, high = (-91.0, 91.0) if dec_deg is None else (dec_deg - margin, dec_deg + margin)
    sources = _query(
        path,
        "SELECT * FROM sources WHERE dec_deg BETWEEN ? AND ? AND s_nvss >= ? ORDER BY source_id",
        (low, high, min_jy),
    )
    if ra_deg is None or dec_deg is None:
        return sources
    separation = separation_deg(ra_deg, dec_deg, sources.ra_deg, sources.dec_deg)
    near = sources.assign(separation_deg=separation)
    return near[near.separation_deg <= radius_deg].reset_index(drop=True)


def read_references(path: Path, view: str = "good_references") -> pd.DataFrame:
    """Return the sources of one of the catalogue's views, ordered by source_id."""
    queries = {name: f"SELECT * FROM {name} ORDER BY source_id" for name in VIEWS}
    return _query(path, queries[view], ())


def separation_deg(
    ra_deg: float, dec_deg: float, other_ra_deg: pd.Series, other_dec_deg: pd.Series
) -> NDArray[np.float64]:
    """Return great-circle separations in degrees, exact for small and large angles."""
    chord = np.linalg.norm(
        unit_vectors(other_ra_deg, other_dec_deg) - unit_vectors([ra_deg], [dec_deg]), axis=1
    )
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0)))


def unit_vectors(ra_deg: Any, dec_deg: Any) -> NDArray[np.float64]:
    """Return (N, 3) unit vectors of positions in degrees."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _query(path: Path, query: str, values: tuple[float, ...]) -> pd.DataFrame:
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such catalogue; make it with the rule build_catalog")
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            rows = pd.read_sql_query(query, database, params=values)
        except (pd.errors.DatabaseError, sqlite3.DatabaseError) as error:
            raise ValueError(
                f"{path}: not a master catalogue ({error}); remove it and make it again"
            ) from error
    return rows.astype({name: COLUMN_TYPES[name] for name in rows if name in COLUMN_TYPES})


def _neighbours(rows: pd.DataFrame, others: pd.DataFrame, radius_arcsec: float) -> list[list[int]]:
    """Return, for each row, the indices of the others within a radius."""
    if others.empty or rows.empty:
        return [[] for _ in range(len(rows))]
    chord = 2 * math.sin(radius_arcsec * ARCSEC / 2)
    tree = cKDTree(unit_vectors(others.ra_deg, others.dec_deg))
    found = tree.query_ball_point(
        unit_vectors(rows.ra_deg, rows.dec_deg), chord, return_sorted=True
    )
    return [list(indices) for indices in found]


def _matched(
    sources: pd.DataFrame, survey: pd.DataFrame, radius_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the summed flux (Jy) and largest size (arcsec) of the components at each source."""
    near = _neighbours(sources, survey, radius_arcsec)
    flux, size = survey.flux_jy.to_numpy(), survey.size_arcsec.fillna(0.0).to_numpy()
    return (
        np.array([math.fsum(flux[found]) if found else np.nan for found in near]),
        np.array([size[found].max() if found else 0.0 for found in near]),
    )


def _confused(
    nvss: pd.DataFrame,
    others: Sequence[pd.DataFrame],
    s_nvss: NDArray[np.float64],
    options: CatalogOptions,
) -> NDArray[np.bool_]:
    """Whether another source near each one has a noticeable fraction of its flux."""
    confused = np.zeros(len(nvss), dtype=bool)
    limit = options.confusion_fraction * s_nvss
    for index, found in enumerate(_neighbours(nvss, nvss, options.confusion_radius_arcsec)):
        flux = s_nvss[[other for other in found if other != index]]
        confused[index] = bool(np.any(flux > limit[index]))
    for survey in others:
        wide = _neighbours(nvss, survey, options.confusion_radius_arcsec)
        own = _neighbours(nvss, survey, options.match_radius_arcsec)
        flux = survey.flux_jy.to_numpy()
        for index, found in enumerate(wide):
            outside = sorted(set(found) - set(own[index]))
            confused[index] |= bool(np.any(flux[outside] > limit[index]))
    return confused


_SCHEMA = """
CREATE TABLE sources (
    source_id TEXT PRIMARY KEY, ra_deg REAL NOT NULL, dec_deg REAL NOT NULL,
    s_nvss REAL NOT NULL, snr_nvss REAL, s_first REAL, s_vlass REAL, alpha REAL,
    resolved_flag INTEGER NOT NULL, confusion_flag INTEGER NOT NULL);
CREATE INDEX sources_dec ON sources(dec_deg);
CREATE TABLE stable_ids (source_id TEXT PRIMARY KEY);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_VIEWS = """
CREATE VIEW good_references AS SELECT * FROM sources
    WHERE snr_nvss >= (SELECT CAST(value AS REAL) FROM meta WHERE key = 'good_min_snr')
      AND alpha > (SELECT CAST(value AS REAL) FROM meta WHERE key = 'min_alpha')
      AND alpha < (SELECT CAST(value AS REAL) FROM meta WHERE key = 'max_alpha')
      AND resolved_flag = 0 AND confusion_flag = 0;
CREATE VIEW final_references AS SELECT * FROM good_references
    WHERE snr_nvss >= (SELECT CAST(value AS REAL) FROM meta WHERE key = 'final_min_snr')
      AND (NOT EXISTS (SELECT 1 FROM stable_ids)
           OR source_id IN (SELECT source_id FROM stable_ids));
"""
