"""What SIMBAD, NED and Gaia know at a source's place.

Nothing depends on it: it is off unless the configuration names services, a service without an
answer gives a row that says so, and answers are kept in files, so that they are asked for once.
"""

import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from contimg.external_query import SERVICES
from contimg.schemas import EXTERNAL_MATCHES
from contimg.status import InputError, write_json
from contimg.tables import empty_table

logger = logging.getLogger(__name__)

MATCHED, NONE, UNREACHABLE = "matched", "none", "unreachable"
NUMBERS = (
    "ra_deg",
    "dec_deg",
    "match_ra_deg",
    "match_dec_deg",
    "separation_arcsec",
    "magnitude",
    "redshift",
)


class Unreachable(Exception):  # noqa: N818  (a result, not an error)
    """A service gave no answer; the message says why."""


@dataclass(frozen=True)
class ExternalOptions:
    """Keys of the configuration's `catalog.external`."""

    services: Sequence[str] = ()
    radius_arcsec: float = 10.0
    timeout_s: float = 30.0


def external_matches(
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float,
    services: Sequence[str],
    cache: Path,
    timeout_s: float = 30.0,
) -> pd.DataFrame:
    """Return what services have within a radius of a position.

    Parameters
    ----------
    ra_deg, dec_deg : ICRS degrees.
    services : of simbad, ned, gaia.
    cache : folder where answers are kept, one file each, and looked for.
    timeout_s : time that a service has for its answer.

    Returns
    -------
    rows : EXTERNAL_MATCHES without source_id: one a match, nearest first, and one for a service
        that has none there or does not answer.

    Raises
    ------
    ValueError
        When a service is unknown.
    """
    unknown = sorted(set(services) - set(SERVICES))
    if unknown:
        raise InputError(
            f"catalog.external.services: unknown {', '.join(unknown)}; expected some of "
            f"{', '.join(SERVICES)}"
        )
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)):
        told = {"status": UNREACHABLE, "reason": "the source has no position"}
        return _table([{"service": service, **told} for service in services])
    place = {"ra_deg": ra_deg, "dec_deg": dec_deg}
    rows: list[dict[str, Any]] = []
    for service in services:
        about = {**place, "service": service}
        try:
            matches = _answer(service, ra_deg, dec_deg, radius_arcsec, cache, timeout_s)
        except Unreachable as reason:
            logger.warning("%s at %.5f %+.5f: %s", service, ra_deg, dec_deg, reason)
            rows.append({**about, "status": UNREACHABLE, "reason": str(reason)})
            continue
        rows += [{**about, "status": MATCHED, **_named(match)} for match in matches]
        if not matches:
            rows.append({**about, "status": NONE})
    return _table(rows)


def match_sources(sources: pd.DataFrame, options: ExternalOptions, cache: Path) -> pd.DataFrame:
    """Ask services for each of some sources; a service that fails once is not asked again.

    Parameters
    ----------
    sources : source_id, ra_deg, dec_deg.

    Returns
    -------
    rows : EXTERNAL_MATCHES, in the order of the sources.
    """
    failed: dict[str, str] = {}
    tables = []
    for source in sources.itertuples():
        place = (float(source.ra_deg), float(source.dec_deg))
        for service in options.services:
            limit = 0.0 if service in failed else options.timeout_s
            found = external_matches(*place, options.radius_arcsec, [service], cache, limit)
            if math.isfinite(sum(place)) and (found.status == UNREACHABLE).any():
                failed.setdefault(service, found.reason[0])
                found["reason"] = failed[service]
            tables.append(found.assign(source_id=source.source_id))
    return pd.concat(tables, ignore_index=True) if tables else empty_table(EXTERNAL_MATCHES)


def cache_path(
    cache: Path, service: str, ra_deg: float, dec_deg: float, radius_arcsec: float
) -> Path:
    """Return the file of one answer: of a service, a position and a radius."""
    return cache / service / f"{ra_deg:.6f}{dec_deg:+.6f}_{radius_arcsec:g}arcsec.json"


def _answer(
    service: str, ra_deg: float, dec_deg: float, radius_arcsec: float, cache: Path, timeout_s: float
) -> list[Mapping[str, Any]]:
    """Return a service's matches, from the file when there is one; written once."""
    path = cache_path(cache, service, ra_deg, dec_deg, radius_arcsec)
    if path.is_file():
        return json.loads(path.read_text())["matches"]
    if timeout_s <= 0:
        raise Unreachable("not asked")
    matches = _ask(service, ra_deg, dec_deg, radius_arcsec, timeout_s)
    place = {"ra_deg": ra_deg, "dec_deg": dec_deg, "radius_arcsec": radius_arcsec}
    write_json(path, {"service": service, **place, "matches": matches})
    return matches


def _ask(
    service: str, ra_deg: float, dec_deg: float, radius_arcsec: float, timeout_s: float
) -> list[Mapping[str, Any]]:
    numbers = [repr(float(value)) for value in (ra_deg, dec_deg, radius_arcsec)]
    library = str(Path(__file__).resolve().parents[1])
    paths = [library, *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "contimg.external_query", service, *numbers],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"no answer within {timeout_s:g} s") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines() or [f"exit code {error.returncode}"]
        raise Unreachable(said[-1][:200]) from error
    return json.loads(done.stdout.splitlines()[-1])


def _named(match: Mapping[str, Any]) -> dict[str, Any]:
    """Return a match with our names of its position."""
    renamed = {"ra_deg": "match_ra_deg", "dec_deg": "match_dec_deg"}
    return {renamed.get(name, name): value for name, value in match.items()}


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = [column.name for column in EXTERNAL_MATCHES if column.name != "source_id"]
    table = pd.DataFrame(rows, columns=names)
    for name in names:
        if name in NUMBERS:
            table[name] = table[name].astype(float)
        else:
            table[name] = table[name].astype(object).where(table[name].notna(), "")
    return table
