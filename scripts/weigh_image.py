"""What a group's image can be, from weights and baselines alone: its thermal noise and its beam."""

from pathlib import Path

from contimg.imaging_weights import effective_visibilities, expected_beam_deg, read_sampled
from contimg.script import run
from contimg.status import Rejected, read_status, write_status


def main(*, calibrated_ms: Path, calibrated_status: Path, status: Path, imaging: dict) -> None:
    """Count the visibilities as the image weighs them.

    calibrated_ms, calibrated_status: the set that will be imaged
    status: output, JSON
    imaging: size, scale_arcsec, weight, min_uv_lambda and max_uv_lambda of the configuration
    """
    seen = read_sampled(calibrated_ms)
    effective = effective_visibilities(seen, imaging)
    if not effective > 0:
        raise Rejected("no visibilities between imaging.min_uv_lambda and max_uv_lambda")
    write_status(
        status,
        inputs={"calibrated": read_status(calibrated_status).digest},
        figures={
            "effective_visibilities": effective,
            "natural_beam_arcsec": expected_beam_deg(seen) * 3600,
        },
    )


def reject(reason: str, *, status: Path) -> None:
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
