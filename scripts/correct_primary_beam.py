"""The drifting beam, the corrected image and the local noise of one group, and its quality."""

from pathlib import Path

import numpy as np
from astropy.io.fits import Header

from contimg.beam import beam_image, dish_of
from contimg.fits import Image, pixel_digest, read_image, write_image, write_rejected_image
from contimg.imaging import container_of
from contimg.noise import background_and_rms, image_figures
from contimg.script import run
from contimg.status import Rejected, read_status, write_status


def main(
    *,
    image: Path,
    residual: Path,
    calibrated_status: Path,
    pb: Path,
    pbcor: Path,
    rms: Path,
    status: Path,
    beam: dict,
    imaging: dict,
    background_box_beams: float,
) -> None:
    """Divide an image by the beam as it drifted over the sky, and judge the image.

    The beam is averaged over integrations and channels with the weights that were imaged.
    """
    restored, left = read_image(image), read_image(residual)
    figures = quality(restored, left, imaging["max_dynamic_residual"])
    observation = read_status(calibrated_status).figures
    response = beam_of(restored, observation, beam)
    box = round(background_box_beams * restored.beam.bmaj_deg / restored.pixel_scale_deg)
    _, noise = background_and_rms(left.data, box)
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
        container=container,
    )


def dimensionless(header: Header) -> Header:
    """Return a header for pixels without a unit."""
    bare = header.copy()
    bare["BUNIT"] = ("", "power response, 1 on the axis")
    return bare


def beam_of(restored: Image, observation: dict, beam: dict) -> np.ndarray:
    """Return the averaged beam on the image's pixels."""
    return beam_image(
        restored.wcs,
        restored.data.shape,
        np.array(observation["pointing"]),
        observation["weight_time"],
        np.array(observation["freq_hz"]),
        observation["weight_freq"],
        dish_of(beam, observation["dish_diameter_m"]),
    )


def quality(restored: Image, residual: Image, max_residual: float) -> dict[str, float]:
    """Return the image's key figures.

    Raises
    ------
    Rejected
        When the image is not finite, or imaging diverged.
    """
    if not np.isfinite(restored.data).all():
        raise Rejected("the image holds values that are no numbers")
    figures = image_figures(restored.data)
    left = float(np.abs(residual.data).max())
    if not figures["peak_jy"] > 0 or left > max_residual * figures["peak_jy"]:
        raise Rejected(
            f"imaging diverged: the residuals reach {left:.3g} Jy/beam beside a peak of "
            f"{figures['peak_jy']:.3g} Jy/beam (imaging.max_dynamic_residual {max_residual:g})"
        )
    beam = restored.beam
    return {
        **figures,
        "rms_jy": image_figures(residual.data)["rms_jy"],
        "residual_peak_jy": left,
        "freq_hz": restored.freq_hz,
        "beam_major_arcsec": beam.bmaj_deg * 3600,
        "beam_minor_arcsec": beam.bmin_deg * 3600,
        "beam_pa_deg": beam.bpa_deg,
    }


def reject(reason: str, *, pb: Path, pbcor: Path, rms: Path, status: Path) -> None:
    for path in (pb, pbcor, rms):
        write_rejected_image(path, reason)
    write_status(status, status="rejected", reason=reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
