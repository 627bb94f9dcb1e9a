"""The page of the proof of the search for events."""

import json
import logging
from pathlib import Path

from contimg.report.pages import write_page
from contimg.script import run
from contimg.status import plain
from contimg.tables import read_table
from proof.page import content, read_chain, seconds_of

logger = logging.getLogger(__name__)


def main(
    *,
    calibration: Path,
    nulls: Path,
    injections: Path,
    roc: Path,
    page: Path,
    chain: list[Path] | None = None,
    benchmarks: list[Path] | None = None,
) -> None:
    """Write the page from its tables.

    calibration, nulls, injections, roc: tables of calibrate_ese_validation, simulate_ese_nulls,
        inject_ese_events, compare_ese_scores
    page: output, one self-contained HTML file
    chain: files of verdicts that tests/validation/ese.py wrote, if there are any
    benchmarks: of the rules before, for the time they took
    """
    paths = {"calibration": calibration, "nulls": nulls, "injections": injections, "roc": roc}
    read = {name: read_table(path) for name, path in paths.items()}
    tables = {name: table for name, (table, _) in read.items()}
    filled = content(**tables, chain=read_chain(chain or []), times=seconds_of(benchmarks or []))
    filled |= {
        "digests": {name: about.get("digest", "") for name, (_, about) in read.items()},
        "sizes": json.dumps(read["nulls"][1].get("options", {}), sort_keys=True),
        "data": plain(filled["data"]),
    }
    write_page(page, "ese_validation.html.j2", filled)
    logger.info("%s: %.1f MB", page, page.stat().st_size / 1e6)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
