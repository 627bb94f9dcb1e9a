"""The last transits of a calibrator: which have data, and what their tables are worth."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from contimg.checkout import CHECKOUT
from contimg.configuration import ConfigurationError
from contimg.groups import mjd_of_group
from contimg.inventory import Inventory
from contimg.settings import settings_of
from contimg.status import plain
from contimg.transit_history import PastTransit, end_of_data, past_transits, place_of


def main() -> None:
    asked = parsed()
    try:
        config = settings_of([path.resolve() for path in asked.configfile])
        os.chdir(asked.directory)
        inventory = Inventory(config)
        calibrator = place_of(asked.calibrator, config, CHECKOUT)
        before_mjd = asked.before if asked.before is not None else end_of_data(inventory)
        found = list(past_transits(inventory, calibrator, before_mjd, asked.last, Path()))
    except (ConfigurationError, LookupError, OSError) as error:
        sys.exit(f"transits.py: {error.args[0] if isinstance(error, LookupError) else error}")
    if asked.json:
        name, ra_deg, dec_deg = calibrator
        answer = {"calibrator": name, "ra_deg": ra_deg, "dec_deg": dec_deg}
        answer["transits"] = [one.record() for one in found]
        sys.stdout.write(json.dumps(plain(answer), indent=1) + "\n")
    else:
        sys.stdout.write(table(calibrator[0], found))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrator", required=True, help="as the VLA list has it, or 3C196")
    parser.add_argument("--last", type=positive, default=10, help="how many (10)")
    parser.add_argument("--directory", type=Path, default=Path(), help="the working directory")
    parser.add_argument("--before", type=start_of, metavar="DATE", help="those before this date "
                        "(default: up to the last date that has raw files)")  # fmt: skip
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="as for Snakemake")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args()


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 is expected")
    return int(text)


def start_of(text: str) -> float:
    try:
        return mjd_of_group(f"{text}T00:00:00")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: give YYYY-MM-DD") from None


def table(name: str, found: Sequence[PastTransit]) -> str:
    """Return the transits as text, a line each."""
    rows = [("transit (UTC)", "group", "beam", "Jy", "solved", "tables")]
    for one in found:
        group = one.group or one.data
        if one.group and one.data:
            group += f" (rejected: {one.data})"
        rows.append((
            one.utc, group, "-" if one.beam is None else f"{one.beam:.3f}",
            "-" if one.apparent_jy is None else f"{one.apparent_jy:.2f}",
            "yes" if one.solved else "no",
            one.verdict if one.tables is None else f"{one.tables}: {one.verdict}",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    with_data = sum(one.group is not None and not one.data for one in found)
    head = f"{name}: the last {len(found)} transits, {with_data} with data\n"
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
