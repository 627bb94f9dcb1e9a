"""Flag a group's interference with CASA (flagging.backend: casa; AOFlagger needs no script)."""

import shutil
from pathlib import Path

from contimg.casa import load_casatasks
from contimg.flagdata import flag_interference
from contimg.script import run
from contimg.status import reject_directory, require_ok, write_status, written_whole


def main(
    *,
    raw_ms: Path,
    raw_status: Path,
    ms: Path,
    status: Path,
    options: dict[str, float],
) -> None:
    """Write ms, a flagged copy of raw_ms whose files are read-only, and its status.

    options: flagging.casa of the configuration (on the command line YAML text).
    """
    load_casatasks()
    raw = require_ok(raw_status)
    with written_whole(ms) as temporary:
        shutil.copytree(raw_ms, temporary, ignore=shutil.ignore_patterns(".snakemake_timestamp"))
        flag_interference(temporary, options)
        for path in temporary.rglob("*"):
            if path.is_file():
                path.chmod(path.stat().st_mode & ~0o222)
    write_status(status, digest=raw.digest, inputs=raw.inputs, figures=raw.figures)


def reject(reason: str, *, ms: Path, status: Path) -> None:
    """Write the labelled empty products."""
    reject_directory(ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
