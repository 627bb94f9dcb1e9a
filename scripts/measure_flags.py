"""Count what is flagged in a group, and for what: the fingerprint of its flagging."""

from pathlib import Path

from contimg.flag_statistics import count_flags, statistics
from contimg.script import run
from contimg.status import require_ok, write_status


def main(*, ms: Path, ms_status: Path, flags: Path) -> None:
    """Write flags, a status file whose figures are the statistics and whose digest is of FLAG.

    ms: the flagged Measurement Set; ms_status: its status.
    """
    science = require_ok(ms_status)
    counts = count_flags(ms, science.figures)
    write_status(
        flags,
        digest=counts.digest,
        inputs={"ms": science.digest},
        figures=statistics(counts, science.figures),
    )


def reject(reason: str, *, flags: Path) -> None:
    """Write a status without figures."""
    write_status(flags, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
