"""One question to SIMBAD, NED or Gaia through astroquery, in a process of its own.

    python -m contimg.external_query SERVICE RA_DEG DEC_DEG RADIUS_ARCSEC

The last line of the output is the answer as JSON; without an answer the process fails. It is a
process because astroquery's services have no common time limit: who asks can end it.
"""

import json
import re
import sys
import warnings
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

# astroquery's own classes of these two ask an interface that NED has replaced, and for news.
NED_TAP = "https://ned.ipac.caltech.edu/tap"
GAIA_TAP = "https://gea.esac.esa.int/tap-server/tap"
CONE = "1 = CONTAINS(POINT('{0}', ra, dec), CIRCLE('{0}', {1:.7f}, {2:.7f}, {3:.7f}))"


def ask(service: str, ra_deg: float, dec_deg: float, radius_arcsec: float) -> list[dict[str, Any]]:
    """Return what a service has within a radius, nearest first.

    Returns
    -------
    matches : name, object_type, ra_deg, dec_deg, separation_arcsec, magnitude (Gaia's G) and
        redshift (NED's) of each; None where the service does not tell.
    """
    from astroquery import cache_conf

    cache_conf.cache_active = False  # answers are kept by who asks
    matches = _ASK[service](ra_deg, dec_deg, radius_arcsec)
    return sorted(matches, key=lambda one: (one["separation_arcsec"], one["name"]))


def _simbad(ra_deg: float, dec_deg: float, radius_arcsec: float) -> list[dict[str, Any]]:
    from astroquery.simbad import Simbad

    cone = CONE.format("ICRS", ra_deg, dec_deg, radius_arcsec / 3600)
    found = Simbad.query_tap(f"SELECT main_id, otype, ra, dec FROM basic WHERE {cone}")
    return _matches(found, ra_deg, dec_deg, name=["main_id"], object_type=["otype"])


def _ned(ra_deg: float, dec_deg: float, radius_arcsec: float) -> list[dict[str, Any]]:
    from astroquery.utils.tap import TapPlus

    cone = CONE.format("J2000", ra_deg, dec_deg, radius_arcsec / 3600)
    job = TapPlus(url=NED_TAP).launch_job(f"SELECT * FROM NEDTAP.objdir WHERE {cone}")
    kinds = ["prefphytype", "pretype"]
    names = {"name": ["prefname"], "object_type": kinds, "redshift": ["z"]}
    return _matches(job.get_results(), ra_deg, dec_deg, **names)


def _gaia(ra_deg: float, dec_deg: float, radius_arcsec: float) -> list[dict[str, Any]]:
    from astroquery.utils.tap import TapPlus

    cone = CONE.format("ICRS", ra_deg, dec_deg, radius_arcsec / 3600)
    columns = "designation, ra, dec, phot_g_mean_mag"
    job = TapPlus(url=GAIA_TAP).launch_job(
        f"SELECT {columns} FROM gaiadr3.gaia_source WHERE {cone}"
    )
    names = {"name": ["designation"], "magnitude": ["phot_g_mean_mag"]}
    return _matches(job.get_results(), ra_deg, dec_deg, **names)


_ASK = {"simbad": _simbad, "ned": _ned, "gaia": _gaia}
SERVICES = tuple(_ASK)


def _matches(
    found: Table, ra_deg: float, dec_deg: float, **columns: list[str]
) -> list[dict[str, Any]]:
    """Turn a service's table into matches; `columns` tells its names of ours."""
    names = {name.lower(): name for name in found.colnames}
    wanted = {"ra_deg": ["ra"], "dec_deg": ["dec"], **columns}
    places = {
        ours: next(names[theirs.lower()] for theirs in known if theirs.lower() in names)
        for ours, known in wanted.items()
    }
    empty = dict.fromkeys(("name", "object_type", "magnitude", "redshift"))
    centre = SkyCoord(ra_deg, dec_deg, unit="deg")
    matches = []
    for row in found:
        one = {**empty, **{ours: _plain(row[theirs]) for ours, theirs in places.items()}}
        position = SkyCoord(one["ra_deg"], one["dec_deg"], unit="deg")
        matches.append({**one, "separation_arcsec": float(position.separation(centre).arcsec)})
    return matches


def _plain(value: Any) -> str | float | None:
    if np.ma.is_masked(value):
        return None
    if isinstance(value, bytes):
        return value.decode().strip()
    return value.strip() if isinstance(value, str) else float(value)


def _tell(kind: type[BaseException], error: BaseException, _: Any) -> None:
    """Say in one line why there is no answer, without what differs from run to run."""
    text = " ".join(str(error).split()) or "no reason told"
    sys.stderr.write(f"\n{kind.__name__}: {re.sub(r'<[^<>]* at 0x[0-9a-f]+>:? ?', '', text)}\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.excepthook = _tell
    matches = ask(sys.argv[1], *map(float, sys.argv[2:5]))
    sys.stdout.write(f"\n{json.dumps(matches)}\n")
