"""Compare the strategies of self-calibration on the same groups."""

import logging
from pathlib import Path
from typing import Any

from contimg.schemas import SELFCAL_COMPARISON
from contimg.script import run
from contimg.selfcal_compare import comparison, run_of, summed_up
from contimg.status import read_status
from contimg.tables import empty_table, write_table

logger = logging.getLogger(__name__)


def main(*, chosen: list[Path], output: Path, options: dict[str, Any]) -> None:
    """Write a row a strategy and group.

    chosen: selfcal/STRATEGY/DATE/GROUP.ms.json, the status of the set that a strategy chose
    output: selfcal/comparison.parquet
    options: the configuration's selfcal block, which goes into the metadata
    """
    statuses = {run_of(path): read_status(path) for path in chosen}
    table = comparison(statuses) if statuses else empty_table(SELFCAL_COMPARISON)
    write_table(output, table, SELFCAL_COMPARISON, {"options": options})
    for one in summed_up(table):
        logger.info("%s: S/N %.0f -> %.0f", one["strategy"], one["snr_initial"], one["snr_final"])


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
