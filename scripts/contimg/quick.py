"""The picture of a quick look: grey image, half-power contour, scale bar, figures in words."""

import textwrap

import contourpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pixels
from PIL import ImageDraw, ImageFont

from contimg.fits import Image
from contimg.noise import image_figures
from contimg.report.thumbnails import HALF_POWER, block_of, brightest, encoded, grey, sampled

SIZE = 720
MARGIN = 64
SCALES_ARCMIN = (1, 2, 5, 10, 20, 30, 60, 120, 300)
BLUE = (0, 90, 200)
INK = (20, 20, 20)


def picture_of(image: Image, response: NDArray[np.float32], name: str, size: int = SIZE) -> bytes:
    """Draw an image.

    Parameters
    ----------
    image : not corrected for the primary beam, so that its noise is even.
    response : (ny, nx) primary beam; its half-power contour is drawn.
    name : of the group, in the caption.
    size : pixels of the picture's longer side, at most.

    Returns
    -------
    A PNG file; the same pixels give the same bytes.
    """
    block = block_of(image.data.shape, size)
    small = brightest(image.data, block)
    levels = grey(small)
    height, width = levels.shape
    canvas = Pixels.new("RGB", (width, height + MARGIN), (255, 255, 255))
    canvas.paste(Pixels.fromarray(levels).convert("RGB"), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for line in contourpy.contour_generator(z=sampled(response, block)).lines(HALF_POWER):
        points = np.array(line, dtype=float)
        draw.line([(x, height - 1 - y) for x, y in points], fill=BLUE, width=2)
    arcmin = image.pixel_scale_deg * 60 * block
    draw_scale(draw, width, height, arcmin)
    figures = image_figures(image.data)
    beam = image.beam
    draw.text(
        (8, height + 8),
        f"{name}   rms {figures['rms_jy'] * 1e3:.3g} mJy/beam   peak {figures['peak_jy']:.3g} "
        f"Jy/beam\nbeam {beam.bmaj_deg * 3600:.0f} x {beam.bmin_deg * 3600:.0f} arcsec   "
        f"blue: half power   north up, east left",
        fill=INK,
        font=ImageFont.load_default(15),
        spacing=6,
    )
    return encoded(np.asarray(canvas), "PNG", optimize=True)


def draw_scale(draw: ImageDraw.ImageDraw, width: int, height: int, arcmin: float) -> None:
    """Draw a bar of a round angle, up to a quarter of the picture, at its lower right.

    arcmin: of a pixel of the picture.
    """
    fitting = [one for one in SCALES_ARCMIN if one / arcmin <= width / 4]
    length = max(fitting, default=SCALES_ARCMIN[0])
    right, y = width - 16, height - 16
    left = right - length / arcmin
    draw.rectangle((left - 8, y - 26, right + 8, y + 8), fill=(255, 255, 255))
    draw.line([(left, y), (right, y)], fill=INK, width=3)
    text = f"{length} arcmin" if length < 60 else f"{length // 60} deg"
    draw.text(
        ((left + right) / 2, y - 5), text, fill=INK, anchor="ms", font=ImageFont.load_default(14)
    )


def picture_of_reason(reason: str, size: int = SIZE) -> bytes:
    """Draw why there is no image."""
    canvas = Pixels.new("RGB", (size, size // 3), (255, 255, 255))
    ImageDraw.Draw(canvas).multiline_text(
        (16, 16),
        "\n".join(["rejected:", *textwrap.wrap(reason, 80)]),
        fill=INK,
        font=ImageFont.load_default(16),
    )
    return encoded(np.asarray(canvas), "PNG", optimize=True)
