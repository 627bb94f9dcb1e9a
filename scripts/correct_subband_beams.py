"""The drifting beam, the corrected image and the local noise of each subband image of one group."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import Header

from contimg.digests import digest_of_value
from contimg.fits import Image, pixel_digest, read_image, write_image, write_rejected_image
from contimg.image_beam import beam_of
from contimg.imaging import container_of
from contimg.noise import background_and_rms
from contimg.script import run
from contimg.status import Rejected, read_status, write_status
from contimg.subband_images import (
    effective_freq_hz,
    rejected_subband,
    subband_quality,
    weights_within,
)

logger = logging.getLogger(__name__)


def main(
    *,
    subband_images: list[Path],
    subband_residuals: list[Path],
    image_status: Path,
    calibrated_status: Path,
    subband_pbs: list[Path],
    subband_pbcors: list[Path],
    subband_rmss: list[Path],
    status: Path,
    beam: dict,
    background_box_beams: float,
) -> None:
    """Divide each subband image by the beam in its own channels, and judge it.

    A subband without data, or that diverged, gives the labelled empty images; the others go on.
    image_status: that of the image of the whole band; what rejects it rejects its subbands.
    """
    observation = read_status(calibrated_status).figures
    products = zip(
        subband_images, subband_residuals, subband_pbs, subband_pbcors, subband_rmss, strict=True
    )
    told: list[Mapping[str, Any]] = []
    for subband, (image, residual, *outputs) in enumerate(products):
        try:
            restored = read_image(image)
            weight = weights_within(restored, observation["freq_hz"], observation["weight_freq"])
            left = read_image(residual)
            figures = subband_quality(restored, left)
        except Rejected as rejected:
            logger.warning("%s: rejected: %s", image.name, rejected)
            told.append(rejected_subband(subband, str(rejected)))
            for path in outputs:
                write_rejected_image(path, str(rejected))
            continue
        figures["freq_hz"] = effective_freq_hz(observation["freq_hz"], weight)
        response = beam_of(restored, observation, beam, weight)
        corrected = np.where(response >= beam["min_response"], restored.data / response, np.nan)
        box = round(background_box_beams * restored.beam.bmaj_deg / restored.pixel_scale_deg)
        _, noise = background_and_rms(left.data, box)
        header = header_of(restored, figures["freq_hz"])
        for path, data in zip(outputs, (response, corrected, noise), strict=True):
            header["BUNIT"] = "" if data is response else restored.header["BUNIT"]
            write_image(path, data, header)
        told.append(
            {"subband": subband, "status": "ok", "reason": "", "digest": pixel_digest(corrected)}
            | figures
        )
    write_status(
        status,
        digest=digest_of_value([one.get("digest", "") for one in told]),
        inputs={"image": read_status(image_status).digest},
        figures={"group": observation["group"], "subbands": told},
    )


def header_of(restored: Image, freq_hz: float) -> Header:
    """Return the header of what is made of a subband image."""
    header = restored.header.copy()
    header["FREQEFF"] = (freq_hz, "[Hz] weighted mean of the channels")
    if container := container_of(header.get("HISTORY", [])):
        header["CONTAINR"] = (container, "image of the container")
    return header


def reject(
    reason: str,
    *,
    subband_pbs: list[Path],
    subband_pbcors: list[Path],
    subband_rmss: list[Path],
    status: Path,
) -> None:
    for path in (*subband_pbs, *subband_pbcors, *subband_rmss):
        write_rejected_image(path, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
