"""Choose the calibration tables that serve a date."""

import logging
from pathlib import Path
from typing import Any

from contimg.choose import NothingServes, choose
from contimg.digests import digest_of_value
from contimg.script import run
from contimg.status import write_status

logger = logging.getLogger(__name__)


def main(
    *,
    solutions: list[Path],
    status: Path,
    date: str,
    declinations_deg: list[float | None],
    calibration: dict[str, Any],
) -> None:
    """Write the choice as a status file.

    solutions: status files of the date's own gain tables; date: YYYY-MM-DD; declinations_deg:
    apparent declinations of the date's groups, each once; calibration: the configuration's block
    (both on the command line as YAML text). Earlier dates' tables are looked for in cal/ of the
    working directory.
    """
    try:
        choice = choose(date, declinations_deg, solutions, calibration)
    except NothingServes as nothing:
        logger.warning("rejected: %s", nothing)
        figures = nothing.choice.figures()  # later dates read from them what was refused
        write_status(status, status="rejected", reason=str(nothing), figures=figures)
        return
    write_status(
        status,
        digest=digest_of_value([one.digests for one in choice.tables]),
        inputs={
            f"{one.group}.{kind}": digest
            for one in choice.tables
            for kind, digest in one.digests.items()
        },
        figures=choice.figures(),
    )


def reject(reason: str, *, status: Path) -> None:
    """Say why there is no calibration."""
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
