"""The master catalogue is made: NVSS sources with their counterparts in other surveys, as SQLite.

Columns of `sources` (fluxes in Jy, though the existing pipeline's names carry no unit):

- `s_nvss`: the NVSS flux that forced photometry is compared with: the peak for unresolved
  sources, peak x (major x minor) / beam^2 for those that NVSS resolves; `snr_nvss`: peak / rms.
- `s_first`, `s_vlass`, `s_racs`, `s_tgss`: sum of the components within `match_radius_arcsec`,
  NULL where the survey has none there.
- `alpha`: spectral index between NVSS and VLASS, S ~ nu^alpha, NULL without a VLASS flux;
  `alpha_tgss`: the same between TGSS and NVSS.
- `resolved_flag`: NVSS's fitted major axis exceeds the beam by more than `resolved_sigma`
  standard errors and by more than `resolved_excess`; or FIRST's deconvolved major axis, or the
  extent that FIRST's or VLASS's integrated flux over its peak tells, exceeds
  `resolved_size_arcsec`. A survey that does not say gives 0.
- `confusion_flag`: another NVSS source, or a FIRST or VLASS component beyond the match radius,
  within `confusion_radius_arcsec` has more than `confusion_fraction` of the source's flux.

The thresholds of the two views live in `meta`, where the views read them. It is read with
`contimg.catalog`; they are two modules, so that what reads the catalogue does not depend on the
code that makes it.
"""

import hashlib
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contimg.catalog import COLUMN_TYPES, ZONE, ZONES_PER_DEG
from contimg.crossmatch import confused, counterparts, nvss_resolved
from contimg.source_names import unique_source_names
from contimg.status import written_whole
from contimg.surveys import Survey
from contimg.version import workflow_version


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
    racs_freq_hz: float = 887.5e6
    tgss_freq_hz: float = 147.5e6
    good_min_snr: float = 50.0
    final_min_snr: float = 80.0
    min_alpha: float = -1.2
    max_alpha: float = 0.2
    stable_ids: Sequence[str] = ()
    materialise: bool = False


def build_sources(surveys: Mapping[str, pd.DataFrame], options: CatalogOptions) -> pd.DataFrame:
    """Match the surveys' rows into one table of sources.

    Parameters
    ----------
    surveys : rows by survey name, as `read_survey` gives them; `nvss` must be there; `first`,
        `vlass`, `racs` and `tgss` may.

    Returns
    -------
    sources : the columns of the `sources` table, sorted by RA, then dec. It does not depend on
        the order of the surveys' rows.
    """
    ordered = {
        name: rows.sort_values(["ra_deg", "dec_deg", "flux_jy"], ignore_index=True)
        for name, rows in surveys.items()
    }
    nvss = ordered["nvss"]
    resolved = nvss_resolved(nvss, options.resolved_sigma, options.resolved_excess)
    area = nvss.major_arcsec * nvss.minor_arcsec / nvss.beam_arcsec**2
    s_nvss = np.where(resolved, nvss.flux_jy * np.maximum(area, 1.0), nvss.flux_jy)
    first, vlass, racs, tgss = (
        counterparts(nvss, ordered.get(name, nvss.iloc[:0]), options.match_radius_arcsec)
        for name in ("first", "vlass", "racs", "tgss")
    )
    sizes = (first.size_arcsec, first.extent_arcsec, vlass.extent_arcsec)
    resolved |= np.maximum.reduce(sizes) > options.resolved_size_arcsec
    confused_flag = confused(
        nvss,
        s_nvss,
        [ordered[name] for name in ("first", "vlass") if name in ordered],
        options.confusion_radius_arcsec,
        options.match_radius_arcsec,
        options.confusion_fraction,
    )
    return pd.DataFrame(
        {
            "source_id": unique_source_names(nvss.ra_deg, nvss.dec_deg),
            "ra_deg": nvss.ra_deg,
            "dec_deg": nvss.dec_deg,
            "s_nvss": s_nvss,
            "snr_nvss": nvss.flux_jy / nvss.rms_jy,
            "s_first": first.flux_jy,
            "s_vlass": vlass.flux_jy,
            "alpha": spectral_index(
                s_nvss, vlass.flux_jy, options.nvss_freq_hz, options.vlass_freq_hz
            ),
            "resolved_flag": resolved.astype(int),
            "confusion_flag": confused_flag.astype(int),
            "s_racs": racs.flux_jy,
            "s_tgss": tgss.flux_jy,
            "alpha_tgss": spectral_index(
                s_nvss, tgss.flux_jy, options.nvss_freq_hz, options.tgss_freq_hz
            ),
        }
    )


def spectral_index(
    flux_jy: NDArray[np.float64],
    other_jy: NDArray[np.float64],
    freq_hz: float,
    other_hz: float,
) -> NDArray[np.float64]:
    """Return alpha of S ~ nu^alpha from two fluxes; NaN where either is missing or not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.log(other_jy / flux_jy) / math.log(other_hz / freq_hz)
    return np.where(np.isfinite(alpha), alpha, np.nan)


def write_catalog(
    path: Path,
    sources: pd.DataFrame,
    options: CatalogOptions,
    inputs: Iterable[Survey] = (),
) -> None:
    """Write `master_sources.sqlite3`, whole or not at all.

    Parameters
    ----------
    sources : as `build_sources` gives them; a column that is missing is NULL.
    inputs : the surveys' files that went in.
    """
    meta = {
        "workflow_version": workflow_version(),
        "n_sources": str(len(sources)),
        **{name: repr(value) for name, value in vars(options).items() if name != "surveys"},
        **_provenance(inputs),
    }
    rows = sources.reindex(columns=list(COLUMN_TYPES))
    zone = np.floor((rows.dec_deg + 90) * ZONES_PER_DEG)
    rows = rows.iloc[np.lexsort((rows.ra_deg, zone))]  # neighbours on the sky, and in the file
    with written_whole(path) as temporary, closing(sqlite3.connect(temporary)) as database:
        database.executescript(_SCHEMA)
        values = (
            column.astype(object).where(column.notna(), None).tolist() for _, column in rows.items()
        )
        marks = ", ".join("?" * len(COLUMN_TYPES))
        database.executemany(
            f"INSERT INTO sources ({', '.join(COLUMN_TYPES)}) VALUES ({marks})",
            zip(*values, strict=True),
        )
        database.execute(f"CREATE INDEX sources_sky ON sources({ZONE}, ra_deg)")
        database.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        stable = [(source_id,) for source_id in sorted(set(options.stable_ids))]
        database.executemany("INSERT INTO stable_ids VALUES (?)", stable)
        database.executescript(_VIEWS)
        if options.materialise:
            database.execute(
                "CREATE TABLE final_references_table AS SELECT * FROM final_references"
            )
        database.commit()


def _provenance(inputs: Iterable[Survey]) -> dict[str, str]:
    """Return the entries of `meta` that tell of the files: rows, SHA-256, survey and form."""
    told: dict[str, str] = {}
    for survey in inputs:
        with survey.path.open("rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        used = "" if len(survey.rows) == survey.n_rows else f" of {survey.n_rows}"
        text = f"{len(survey.rows)}{used} rows, sha256 {checksum}, {survey.name}, {survey.release}"
        key, number = f"input {survey.path.name}", 1
        while told.get(key, text) != text:  # another file of the same name
            number += 1
            key = f"input {survey.path.name} ({number})"
        told[key] = text
    return told


_SCHEMA = """
CREATE TABLE sources (
    source_id TEXT PRIMARY KEY, ra_deg REAL NOT NULL, dec_deg REAL NOT NULL,
    s_nvss REAL NOT NULL, snr_nvss REAL, s_first REAL, s_vlass REAL, alpha REAL,
    resolved_flag INTEGER NOT NULL, confusion_flag INTEGER NOT NULL,
    s_racs REAL, s_tgss REAL, alpha_tgss REAL);
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
