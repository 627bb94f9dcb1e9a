"""What SIMBAD, NED and Gaia know of the candidates."""

import logging
from pathlib import Path

from contimg.external import ExternalOptions, match_sources
from contimg.schemas import EXTERNAL_MATCHES
from contimg.script import run
from contimg.tables import (
    options_from,
    read_table,
    require_columns,
    require_degrees,
    write_rejected_table,
    write_table,
)

logger = logging.getLogger(__name__)

WANTED = ("source_id", "ra_deg", "dec_deg")


def main(
    *, candidates: Path, output: Path, cache: Path | None = None, options: dict | None = None
) -> None:
    """Ask the services that the options name; answers are kept, and asked for once.

    candidates: ese_candidates.parquet, or a CSV with source_id, ra_deg, dec_deg
    output: external.parquet
    cache: folder of the answers; beside the output by default
    options: the config's catalog.external (on the command line YAML text):
        {services: [simbad, ned, gaia], radius_arcsec: 10, timeout_s: 30}
    """
    settings = options_from(ExternalOptions, options)
    sources, metadata = read_table(candidates, WANTED)
    about = {"options": dict(options or {})}
    if metadata["status"] != "ok":
        write_rejected_table(output, EXTERNAL_MATCHES, metadata["reason"], about)
        return
    require_columns(sources, tuple(c for c in EXTERNAL_MATCHES if c.name in WANTED), candidates)
    sources = require_degrees(sources, WANTED[1:], candidates).drop_duplicates("source_id")
    rows = match_sources(sources, settings, cache or output.with_suffix(""))
    counts = rows.groupby(["service", "status"]).source_id.nunique()
    for (service, status), number in counts.items():
        logger.info("%s: %s: %d of %d candidates", service, status, number, len(sources))
    write_table(output, rows, EXTERNAL_MATCHES, about)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
