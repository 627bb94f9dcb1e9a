"""The page that compares strategies of self-calibration."""

import logging
from pathlib import Path
from typing import Any

from contimg.report.pages import write_page
from contimg.report.selfcal import selfcal_content
from contimg.rule_times import last_record
from contimg.script import run
from contimg.selfcal_compare import Run, run_of
from contimg.status import plain, read_status
from contimg.tables import read_table

logger = logging.getLogger(__name__)


def main(*, comparison: Path, chosen: list[Path], page: Path, benchmarks: str) -> None:
    """Write the page; its times come from the jobs' benchmark records.

    comparison: selfcal/comparison.parquet
    chosen: selfcal/STRATEGY/DATE/GROUP.ms.json, with the figures of each round
    page: output, one self-contained HTML file
    benchmarks: the folder of the records
    """
    table, about = read_table(comparison)
    rounds = {run_of(path): rounds_of(path) for path in chosen}
    groups = sorted({one.group for one in rounds})
    times_s = {
        one: time_of_rounds(Path(benchmarks), one, len(found) - 1) for one, found in rounds.items()
    }
    others = {group: time_of_others(Path(benchmarks), group) for group in groups}
    known = {one: seconds for one, seconds in times_s.items() if seconds}
    content = selfcal_content(table, rounds, known, others)
    content |= {
        "digest": about.get("digest", ""),
        "config_digest": about.get("config_digest", ""),
        "data": plain(content["data"]),
    }
    write_page(page, "selfcal.html.j2", content)
    logger.info("%s: %.1f MB", page, page.stat().st_size / 1e6)


def rounds_of(path: Path) -> list[dict[str, Any]]:
    """Return the figures of a group's rounds, and which of them is used."""
    found = read_status(path).figures.get("selfcal", {"rounds": [], "round": 0})
    return [one | {"used": one["round"] == found["round"]} for one in found["rounds"]]


def time_of_rounds(benchmarks: Path, of: Run, n_rounds: int) -> float:
    """Return what a strategy's jobs of a group took, and the image before them, seconds."""
    of_strategy = f"{of.group}.{of.strategy}"
    names = [f"image_round/{of.group}.none.r0", f"choose_round/{of_strategy}"]
    for number in range(1, n_rounds + 1):
        names += [f"{rule}/{of_strategy}.r{number}" for rule in ("solve_round", "image_round")]
    folder = benchmarks / of.group[:10]
    return sum(last_record(folder / f"{name}.jsonl").get("s", 0.0) for name in names)


def time_of_others(benchmarks: Path, group: str) -> float:
    """Return what all other steps of a group took, seconds."""
    found = sorted((benchmarks / group[:10]).glob(f"*/{group}.jsonl"))
    return sum(last_record(path).get("s", 0.0) for path in found)


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
