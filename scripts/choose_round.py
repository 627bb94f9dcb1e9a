"""Choose the round of self-calibration whose set is imaged."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from contimg import selfcal
from contimg.fits import write_rejected_set
from contimg.script import run
from contimg.status import (
    Status,
    read_status,
    require_ok,
    write_status,
    written_whole,
)

logger = logging.getLogger(__name__)


def main(
    *,
    calibrated_ms: Path,
    calibrated_status: Path,
    round_sets: list[Path],
    solutions: list[Path],
    images: list[Path],
    residuals: list[Path],
    chosen_ms: Path,
    status: Path,
    strategy: str,
    fixed_model: bool,
    min_improvement: float,
) -> None:
    """Write the set of the best round, and which that is, with the figures of all.

    round_sets, solutions: the rounds' corrected sets, and the status of their gains, from round 1
    images, residuals: WSClean's of the rounds, from round 0
    chosen_ms: output, linked to the files of the round's set, or of calibrated_ms
    strategy: its name; fixed_model: whether its model does not come out of the rounds
    min_improvement: gain in S/N below which a round has nothing more to bring
    """
    calibrated = require_ok(calibrated_status)
    solved = [read_status(path) for path in solutions]
    qualities = selfcal.qualities_of(images, residuals)
    reasons = [one.reason for one in solved]
    outcome = selfcal.outcome_of(qualities, reasons, min_improvement, fixed_model)
    logger.info("%s", outcome.reason)
    digest = calibrated.digest
    if not outcome.fell_back:
        digest = read_status(Path(f"{round_sets[outcome.round - 1]}.json")).digest
    with written_whole(chosen_ms) as temporary:
        link_set([calibrated_ms, *round_sets][outcome.round], temporary)
    figures = {
        "strategy": strategy,
        "round": outcome.round,
        "converged": outcome.converged,
        "fell_back": outcome.fell_back,
        "reason": outcome.reason,
        "rounds": [
            told(number, quality, one)
            for number, (quality, one) in enumerate(
                zip(qualities, [calibrated, *solved], strict=True)
            )
        ],
    }
    write_status(
        status,
        digest=digest,
        inputs={**calibrated.inputs, "calibrated": calibrated.digest},
        figures={**calibrated.figures, "selfcal": figures},
    )


def told(number: int, quality: selfcal.Quality | None, solved: Status) -> dict[str, Any]:
    """Return what there is to say of a round; round 0 has no solution of its own."""
    about: dict[str, Any] = {"round": number, "reason": solved.reason if number else ""}
    about |= quality.figures() if quality else {}
    return about | (solved.figures if number else {})


def link_set(source: Path, target: Path) -> None:
    """Make a set of hard links to another's files; copies, where the file system has no links."""

    def linked(one: str, other: str) -> str:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)
        return other

    ignored = shutil.ignore_patterns(".snakemake_timestamp")
    shutil.copytree(source, target, ignore=ignored, copy_function=linked)


def reject(reason: str, *, chosen_ms: Path, status: Path) -> None:
    """Write the labelled empty set, with the image that imaging passes on."""
    write_rejected_set(chosen_ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
