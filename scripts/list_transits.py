"""What could calibrate a date: every transit of a calibrator through the beam, ranked."""

import json
import logging
from pathlib import Path
from typing import Any

from contimg.inventory import Inventory
from contimg.report.pages import write_page
from contimg.report.transits import transits_content
from contimg.script import run
from contimg.status import write_json
from contimg.transit_list import transit_list

logger = logging.getLogger(__name__)


def main(*, transits: Path, page: Path, settings: dict[str, Any], date: str) -> None:
    """Write cal/DATE/transits.json and the page that shows it.

    settings: blocks of the configuration (on the command line YAML text); date: YYYY-MM-DD.
    """
    found = transit_list(Inventory(settings), date)
    write_json(transits, found)
    write_page(page, "transits.html.j2", transits_content(json.loads(transits.read_text())))
    chosen = [one["name"] for one in found["transits"] if one["chosen"]]
    logger.info("%d transits; solved on: %s", len(found["transits"]), ", ".join(chosen) or "none")


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
