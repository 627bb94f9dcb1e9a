"""A picture of a quick image, for a look before anything else is made."""

from pathlib import Path

from contimg.fits import read_image
from contimg.image_beam import beam_of
from contimg.quick import picture_of, picture_of_reason
from contimg.script import run
from contimg.status import read_status, written_whole


def main(*, image: Path, calibrated_status: Path, picture: Path, beam: dict) -> None:
    """Draw an image with the primary beam's half-power contour, a scale and its figures.

    image: FITS, not corrected for the primary beam
    calibrated_status: of the visibilities that it was made of
    picture: output, PNG
    beam: this block of the configuration
    """
    found = read_image(image)
    seen = read_status(calibrated_status).figures
    write(picture, picture_of(found, beam_of(found, seen, beam), seen["group"]))


def write(path: Path, content: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def reject(reason: str, *, picture: Path) -> None:
    write(picture, picture_of_reason(reason))


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
