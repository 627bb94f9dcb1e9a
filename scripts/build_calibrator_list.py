"""Make the SQLite form of the VLA calibrator list."""

import logging
from pathlib import Path

from contimg.script import run
from contimg.vla_calibrators import parse_vla_calibrators, write_calibrators

logger = logging.getLogger(__name__)


def main(*, calibrators_text: Path, calibrators: Path) -> None:
    """Read the VLA calibrator list and write it as SQLite.

    calibrators_text: the list, as NRAO lays it out
    calibrators: output, vla_calibrators.sqlite3
    """
    entries = parse_vla_calibrators(calibrators_text.read_text())
    write_calibrators(calibrators, entries, calibrators_text)
    logger.info("%d calibrators written", len(entries))


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
