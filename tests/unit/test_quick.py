"""The picture of a quick look."""

import io

import numpy as np
from PIL import Image as Pixels
from synthetic_images import beam_noise, image_of, inject, sin_header

from contimg import quick
from contimg.fits import Image


def observed(n: int = 1024) -> tuple[Image, np.ndarray]:
    header = sin_header(shape=(n, n), cell_arcsec=12.0)
    header["BMAJ"], header["BMIN"] = 60 / 3600, 40 / 3600
    data = beam_noise((n, n), 1e-3, 4.0, seed=1)
    inject(data, header, np.array([700.0]), np.array([900.0]), np.array([0.5]))
    rows, columns = np.indices((n, n))
    response = np.exp(-((rows - n / 2) ** 2 + (columns - n / 2) ** 2) / (0.3 * n) ** 2)
    return image_of(data, header), response.astype(np.float32)


def drawn(content: bytes) -> np.ndarray:
    return np.asarray(Pixels.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_the_source_is_dark_in_its_place_with_north_up() -> None:
    pixels = drawn(quick.picture_of(*observed(), "2025-10-01T22:17:16"))
    assert max(pixels.shape) <= quick.SIZE + quick.MARGIN
    block = 2
    assert pixels[512 - 1 - 900 // block, 700 // block].max() < 80


def test_the_half_power_contour_is_where_the_beam_is_a_half() -> None:
    pixels = drawn(quick.picture_of(*observed(), "name"))[:512, :512]
    rows, columns = np.nonzero((pixels == quick.BLUE).all(axis=2))
    radius = np.hypot(rows - 255.5, columns - 255.5)
    expected = 0.3 * 512 * np.sqrt(np.log(2))
    assert len(radius) > 500
    assert np.abs(radius - expected).max() < 3


def test_equal_images_give_equal_files_and_a_reason_has_a_picture_too() -> None:
    image, response = observed(256)
    assert quick.picture_of(image, response, "a") == quick.picture_of(image, response, "a")
    assert drawn(quick.picture_of_reason("all visibilities are flagged")).min() < 60
