"""The primary beam of an image, from what the status of its visibilities tells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.beam import beam_image, dish_of
from contimg.fits import Image


def beam_of(
    image: Image,
    observation: Mapping[str, Any],
    beam: Mapping[str, Any],
    weight_freq: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """Average the beam over an image's drift and channels, on its pixels.

    Parameters
    ----------
    image : of the visibilities.
    observation : figures of the visibilities' status.
    beam : this block of the configuration.
    weight_freq : (n_chan,) weights of a part of the band; without, those of the whole.

    Returns
    -------
    (ny, nx) power response, 1 on the axis.
    """
    weight = np.asarray(observation["weight_freq"] if weight_freq is None else weight_freq)
    used = weight > 0
    return beam_image(
        image.wcs,
        image.data.shape,
        np.array(observation["pointing"]),
        observation["weight_time"],
        np.array(observation["freq_hz"])[used],
        weight[used],
        dish_of(beam, observation["dish_diameter_m"]),
    )
