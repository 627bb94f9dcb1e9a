"""Convert a group's raw subbands into one Measurement Set."""

from pathlib import Path
from typing import Any

from contimg.convert import convert
from contimg.script import run
from contimg.status import reject_directory, write_status, written_whole


def main(
    *,
    subbands: list[Path],
    antennas: Path,
    ms: Path,
    status: Path,
    telescope: dict[str, Any],
    ingest: dict[str, Any],
    bad_data: dict[str, float],
    group: str,
) -> None:
    """Convert a group's raw subbands into one Measurement Set: one spectral window, one field.

    Parameters
    ----------
    subbands : the group's raw files.
    antennas : antenna table (CSV).
    ms : the Measurement Set to make.
    status : its status file.
    telescope, ingest : these parts of the configuration.
    bad_data : `flagging.bad_data` of the configuration.
    group : YYYY-MM-DDTHH:MM:SS.
    """
    with written_whole(ms) as temporary:
        converted = convert(
            subbands,
            temporary,
            antennas=antennas,
            telescope=telescope,
            ingest=ingest,
            group=group,
            limits=bad_data,
        )
    write_status(
        status, digest=converted.digest, inputs=converted.inputs, figures=converted.figures
    )


def reject(reason: str, *, ms: Path, status: Path) -> None:
    """Write the labelled empty products."""
    reject_directory(ms, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
