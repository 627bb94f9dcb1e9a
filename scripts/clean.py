"""Remove bulky products of old dates, as `retention:` of the configuration says, or of one date."""

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from contimg import retention
from contimg.configuration import ConfigurationError
from contimg.locks import Held, Locks
from contimg.script import LOG_FORMAT
from contimg.settings import settings_of

EPILOG = """
Nothing is removed without --yes. Only visibilities and images ever go; what a page or a publication
names stays, and so does everything of dates that a living run writes. Snakemake does not make again
what was removed, until something is asked for that needs it.
"""


def main() -> int:
    """Show what would go, and with --yes remove it; return the exit status."""
    asked = arguments()
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    if not asked.directory.is_dir():
        return failed(f"{asked.directory}: no such directory")
    try:
        keep_days = settings_of(asked.configfile).get("retention", {})
        chosen = chosen_dates(asked, keep_days)
        named = retention.named_by_publications(asked.directory)
        named |= retention.named_by_pages(asked.directory, chosen)
    except (ConfigurationError, OSError, ValueError) as error:
        return failed(str(error))
    failures = [clean_date(asked, date, kinds, named) for date, kinds in chosen.items()]
    if not chosen:
        say("Nothing is old enough.")
    elif not asked.yes:
        say("Nothing was removed; --yes removes it.")
    return max(failures, default=0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG)
    parser.add_argument("--directory", type=Path, default=Path(), help="the working directory")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="as for Snakemake")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--date", type=a_date, help="everything bulky of this DATE, however young")
    what.add_argument("--older-than-policy", action="store_true", help="what `retention:` says")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=list(retention.KINDS),
        default=list(retention.INTERMEDIATE),
        help="with --date: what of it (default: %(default)s)",
    )
    parser.add_argument(
        "--today", type=a_date, help="the DATE that ages are counted to (default: the clock's)"
    )
    parser.add_argument("--yes", action="store_true", help="remove, do not only show")
    return parser.parse_args()


def a_date(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} found, YYYY-MM-DD expected") from None


def chosen_dates(asked: argparse.Namespace, keep_days: dict[str, int | None]) -> dict:
    """Return the kinds to remove of each date."""
    if asked.date:
        return {asked.date: asked.kinds}
    today = asked.today or datetime.now(UTC).date().isoformat()
    found = {
        date: retention.expired_kinds(keep_days, date, today)
        for date in retention.dates_with_products(asked.directory)
    }
    old = {date: kinds for date, kinds in found.items() if kinds}
    for date in [date for date in old if not retention.is_finished(asked.directory, date)]:
        say(f"{date}: kept, it has no page yet and so may still need it; --date {date} removes it")
        del old[date]
    return old


def clean_date(asked: argparse.Namespace, date: str, kinds: list[str], named: set[str]) -> int:
    """Show what goes of a date, and remove it when asked to."""
    if not asked.yes:
        show(asked.directory, date, retention.plan_for_date(asked.directory, date, kinds, named))
        return 0
    try:
        locks = Locks(asked.directory, [date])
    except (Held, OSError) as error:
        return failed(str(error))
    try:
        if any(not run.ended for run in locks.runs()):
            return failed(f"{date}: a run that wrote it died; recover first: make resume")
        plan = retention.plan_for_date(asked.directory, date, kinds, named)
        show(asked.directory, date, plan)
        for item in plan.items:
            retention.remove_item(asked.directory, item)
        say(f"{date}  removed" if plan.items else f"{date}  left as it is")
    except OSError as error:
        return failed(f"{date}: {error}; the rest of it is left, run this again")
    finally:
        locks.release()
    return 0


def show(directory: Path, date: str, plan: retention.Plan) -> None:
    """Print what goes by kind, what stays, and what follows."""
    if not plan.items:
        say(f"{date}  nothing to remove")
    summed = retention.totals(plan.items)
    for kind, (n_items, n_files, n_bytes) in summed.items():
        size = retention.size_text(n_bytes)
        say(f"{date}  {kind:<15} {n_items:>6} products {n_files:>8} files {size:>9}")
        for item in plan.items if len(plan.items) <= 12 else ():
            if item.kind == kind:
                say(f"    {item.path}")
    total = retention.size_text(sum(item.n_bytes for item in plan.items))
    if plan.items:
        say(f"{date}  {'total':<15} {len(plan.items):>6} products {'':>14} {total:>9}")
    reasons = sorted({reason for _, reason in plan.kept})
    for reason in reasons:
        names = [name for name, why in plan.kept if why == reason]
        say(f"{date}  kept: {len(names)} ({reason}): {names[0]}{' …' if names[1:] else ''}")
    if plan.items and not retention.is_finished(directory, date):
        say(f"{date}  has no page yet: what that still needs will be made again from raw files")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def failed(line: str) -> int:
    sys.stderr.write(f"clean.py: {line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
