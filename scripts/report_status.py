"""Write report/status.json and report/status.html: how far each group of each date has come."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from contimg.configuration import ConfigurationError
from contimg.progress import Archive
from contimg.report.status_page import status_content, write_status_page
from contimg.rule_times import rule_times
from contimg.run_traces import is_live
from contimg.settings import settings_of
from contimg.status import write_json


def main() -> None:
    """Look at the working directory once; a run may be in progress."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(), help="the working directory")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="as for Snakemake")
    parser.add_argument("--dates", nargs="*", default=[], help="only these (default: all)")
    asked = parser.parse_args()
    if not asked.directory.is_dir():
        sys.exit(f"report_status.py: {asked.directory}: no such directory")
    try:
        config = settings_of(asked.configfile)
    except (ConfigurationError, OSError) as error:
        sys.exit(f"report_status.py: {error}")
    live = is_live(asked.directory)
    archive = Archive(asked.directory, config, live, asked.dates)
    dates = archive.dates()
    content = status_content(
        [archive.progress_of(date) for date in dates],
        rule_times(asked.directory, dates),
        datetime.now(UTC),
        live,
    )
    write_json(asked.directory / "report" / "status.json", content)
    write_status_page(asked.directory / "report" / "status.html", content)


if __name__ == "__main__":
    main()
