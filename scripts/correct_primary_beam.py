"""The drifting beam, the corrected image and the local noise of one group, and its quality."""

from pathlib import Path

import numpy as np
from astropy.io.fits import Header
from numpy.typing import NDArray

from contimg.fits import Image, pixel_digest, read_image, write_image, write_rejected_image
from contimg.image_beam import beam_of
from contimg.image_check import (
    beam_area_ratio,
    check_figures,
    dirty_peak,
    failed_checks,
    thermal_noise_jy,
)
from contimg.imaging import container_of
from contimg.noise import background_and_rms
from contimg.script import run
from contimg.status import Rejected, read_status, write_status


def main(
    *,
    image: Path,
    residual: Path,
    model: Path,
    psf: Path,
    calibrated_status: Path,
    weights_status: Path,
    pb: Path,
    pbcor: Path,
    rms: Path,
    status: Path,
    beam: dict,
    checks: dict,
    sefd_jy: float,
    integrations: int,
    background_box_beams: float,
) -> None:
    """Divide an image by the beam as it drifted over the sky, and judge the image.

    The beam is averaged over integrations and channels with the weights that were imaged.

    checks: the config's imaging.checks; sefd_jy: of an antenna; integrations: averaged into one
    before imaging.
    """
    restored, left = read_image(image), read_image(residual).data
    require_an_image(restored)
    observation = read_status(calibrated_status).figures
    box = round(background_box_beams * restored.beam.bmaj_deg / restored.pixel_scale_deg)
    background, noise = background_and_rms(left, box)
    thermal_jy = thermal_noise_jy(
        sefd_jy,
        read_status(weights_status).figures["effective_visibilities"],
        observation["channel_width_hz"],
        observation["integration_s"] * integrations,
    )
    figures = check_figures(restored, left, background, noise, thermal_jy)
    figures |= clean_figures(restored, left, model, psf) | {"freq_hz": restored.freq_hz}
    del left, background
    response = beam_of(restored, observation, beam)
    corrected = np.where(response >= beam["min_response"], restored.data / response, np.nan)
    container = container_of(restored.header.get("HISTORY", []))
    if container:
        restored.header["CONTAINR"] = (container, "image of the container")
    for path, data in ((pbcor, corrected), (rms, noise)):
        write_image(path, data, restored.header)
    write_image(pb, response, dimensionless(restored.header))
    write_status(
        status,
        digest=pixel_digest(corrected),
        inputs={"image": pixel_digest(restored.data)},
        figures={name: observation[name] for name in ("group", "mid_mjd", "ra_deg", "dec_deg")}
        | figures,
        failed_checks=failed_checks(figures, checks),
        container=container,
    )


def dimensionless(header: Header) -> Header:
    """Return a header for pixels without a unit."""
    bare = header.copy()
    bare["BUNIT"] = ("", "power response, 1 on the axis")
    return bare


def require_an_image(restored: Image) -> None:
    """Raise `Rejected` when there is nothing to measure in an image."""
    if not np.isfinite(restored.data).all():
        raise Rejected("the image holds values that are no numbers")
    if not restored.data.max() > 0:
        raise Rejected("the image has no positive pixel: it is empty, or imaging diverged")
    if not min(restored.beam.bmaj_deg, restored.beam.bmin_deg) > 0:
        raise Rejected(
            f"the image has a restoring beam of {restored.beam.bmaj_deg:g} x "
            f"{restored.beam.bmin_deg:g} deg: the imager could fit none to its PSF"
        )


def clean_figures(
    restored: Image, residual: NDArray[np.float32], model: Path, psf: Path
) -> dict[str, float]:
    """Return the figures that need CLEAN's model and the PSF."""
    response = read_image(psf).data
    dirty = dirty_peak(read_image(model, require_beam=False).data, response, residual)
    return {
        "residual_over_dirty": float(np.abs(residual).max()) / dirty,
        "beam_area_ratio": beam_area_ratio(restored, response),
    }


def reject(reason: str, *, pb: Path, pbcor: Path, rms: Path, status: Path) -> None:
    for path in (pb, pbcor, rms):
        write_rejected_image(path, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
