"""Images of parts of the band: which channels each was made of, and whether it is good."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.fits import Image
from contimg.noise import image_figures
from contimg.status import Rejected


def weights_within(image: Image, freq_hz: ArrayLike, weight_freq: ArrayLike) -> NDArray[np.float64]:
    """Weights of the channels that a subband image was made of, 0 for the others.

    Parameters
    ----------
    image : subband image; its frequency axis gives the centre and the width of its part.
    freq_hz, weight_freq : (n_chan,) channel centres of the set that was imaged, and the share of
        the unflagged weight that each has.

    Returns
    -------
    (n_chan,) of sum 1.

    Raises
    ------
    Rejected
        When all channels of the subband are flagged.
    """
    half_width_hz = abs(float(image.header["CDELT3"])) / 2
    inside = np.abs(np.asarray(freq_hz) - image.freq_hz) <= half_width_hz
    weight = np.where(inside, np.asarray(weight_freq, dtype=float), 0.0)
    if not weight.sum() > 0:
        low, high = (image.freq_hz + sign * half_width_hz for sign in (-1, 1))
        raise Rejected(f"all data from {low / 1e6:.1f} to {high / 1e6:.1f} MHz are flagged")
    return np.asarray(weight / weight.sum())


def effective_freq_hz(freq_hz: ArrayLike, weight_freq: ArrayLike) -> float:
    """Weighted mean frequency of an image's channels, Hz."""
    return float(np.average(np.asarray(freq_hz), weights=np.asarray(weight_freq)))


def subband_quality(image: Image, residual: Image) -> dict[str, float]:
    """Key figures of a subband image.

    Parameters
    ----------
    image, residual : of one subband, not corrected for the primary beam.

    Raises
    ------
    Rejected
        When the image is not finite, or the residuals reach its peak: imaging diverged.
    """
    if not np.isfinite(image.data).all():
        raise Rejected("the image holds values that are no numbers")
    peak_jy, left_jy = float(image.data.max()), float(np.abs(residual.data).max())
    if not peak_jy > 0 or left_jy > peak_jy:
        raise Rejected(
            f"imaging diverged: the residuals reach {left_jy:.3g} Jy/beam beside a peak of "
            f"{peak_jy:.3g} Jy/beam"
        )
    return {
        "rms_jy": image_figures(residual.data)["rms_jy"],
        "peak_jy": peak_jy,
        "residual_peak_jy": left_jy,
        "beam_major_arcsec": image.beam.bmaj_deg * 3600,
        "beam_minor_arcsec": image.beam.bmin_deg * 3600,
        "beam_pa_deg": image.beam.bpa_deg,
    }


def rejected_subband(subband: int, reason: str) -> Mapping[str, Any]:
    """Return what the JSON says of a subband without an image."""
    return {"subband": subband, "status": "rejected", "reason": reason}
