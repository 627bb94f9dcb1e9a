"""Rounds of self-calibration: how good each one's image is, which to try next, which to use.

Round 0 is the calibrated set as it is. All rounds of a group are imaged in the same way, and
judged at the same place: where round 0 is brightest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contimg.fits import read_image
from contimg.noise import robust_rms
from contimg.status import Rejected

NEAR_BMAJ = 15.0
"""Half the side of the box around the brightest source that the dynamic range is measured in."""

PEAK_BMAJ = 2.0
"""How far from its place in round 0 the brightest source is looked for."""


@dataclass(frozen=True)
class Quality:
    """What an image of a round is worth.

    Attributes
    ----------
    peak_jy : of the brightest source of round 0, Jy/beam.
    rms_jy : robust rms of the residual image.
    near_rms_jy : rms of the residual image around that source.
    row, column : its place in round 0.
    """

    peak_jy: float
    rms_jy: float
    near_rms_jy: float
    row: int
    column: int

    @property
    def snr(self) -> float:
        """Peak over the noise of the whole residual image."""
        return self.peak_jy / self.rms_jy

    @property
    def dynamic_range(self) -> float:
        """Peak over the noise around it, where what gain errors leave is largest."""
        return self.peak_jy / self.near_rms_jy

    def figures(self) -> dict[str, float]:
        return {
            "snr": self.snr,
            "dynamic_range": self.dynamic_range,
            "peak_jy": self.peak_jy,
            "rms_jy": self.rms_jy,
        }


def quality_of(image: Path, residual: Path, start: Quality | None) -> Quality:
    """Measure a round's image.

    Parameters
    ----------
    image, residual : WSClean's.
    start : of round 0; None for round 0 itself.

    Raises
    ------
    Rejected
        When there is no such round, or its image is empty.
    """
    restored, left = read_image(image), read_image(residual).data
    row, column = (
        divmod(int(np.argmax(restored.data)), restored.data.shape[1])
        if start is None
        else (start.row, start.column)
    )
    beam_pixels = restored.beam.bmaj_deg / restored.pixel_scale_deg
    peak = float(around(restored.data, row, column, PEAK_BMAJ * beam_pixels).max())
    near = around(left, row, column, NEAR_BMAJ * beam_pixels)
    found = Quality(peak, robust_rms(left), float(near.std()), row, column)
    if not (found.peak_jy > 0 and found.rms_jy > 0 and found.near_rms_jy > 0):
        raise Rejected(
            f"nothing to see: peak {found.peak_jy:.3g} Jy/beam, rms {found.rms_jy:.3g} Jy/beam"
        )
    return found


def around(data: np.ndarray, row: int, column: int, half_side: float) -> np.ndarray:
    """Pixels of a box about a place, cut off at the image's edges."""
    half = max(1, round(half_side))
    return data[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]


def qualities_of(images: Sequence[Path], residuals: Sequence[Path]) -> list[Quality | None]:
    """Measure the rounds' images in order; None for a round that gave none.

    Raises
    ------
    Rejected
        When round 0 has no image: there is nothing to begin with.
    """
    found: list[Quality | None] = [quality_of(images[0], residuals[0], None)]
    for image, residual in zip(images[1:], residuals[1:], strict=True):
        try:
            found.append(quality_of(image, residual, found[0]))
        except Rejected:
            found.append(None)
    return found


def best_round(qualities: Sequence[Quality | None]) -> int:
    """Return the round whose S/N is highest; of equals the earliest."""
    scores = [-np.inf if one is None else one.snr for one in qualities]
    return int(np.argmax(scores))


def gains_in_snr(qualities: Sequence[Quality | None]) -> list[float]:
    """S/N of each round over the best before it, less 1; NaN for one without an image.

    Parameters
    ----------
    qualities : from round 0 on.

    Returns
    -------
    One number for each round from 1 on.
    """
    gains, best = [], qualities[0].snr if qualities[0] else np.nan
    for one in qualities[1:]:
        gains.append(np.nan if one is None else one.snr / best - 1.0)
        best = best if one is None else max(best, one.snr)
    return gains


def require_worth_trying(
    rounds: Sequence[Mapping[str, Any]],
    qualities: Sequence[Quality | None],
    min_improvement: float,
    fixed_model: bool = False,
) -> None:
    """Check that the next round may bring something.

    Parameters
    ----------
    rounds : of the configuration; the first is round 1.
    qualities : of the rounds done, from 0 on.
    min_improvement : least gain in S/N of a round after which its mode is tried again.
    fixed_model : the model does not come out of the rounds, so that a mode is tried once.

    Raises
    ------
    Rejected
        When the last round of the same mode brought less than that, or would be repeated.
    """
    number = len(qualities)
    mode = rounds[number - 1]["mode"]
    same = [n for n in range(1, number) if rounds[n - 1]["mode"] == mode]
    if not same:
        return
    if fixed_model:
        raise Rejected(f"not tried: with a fixed model it would repeat round {same[-1]}")
    gain = gains_in_snr(qualities)[same[-1] - 1]
    if not gain >= min_improvement:
        raise Rejected(f"not tried: round {same[-1]}, the last of mode {mode}, {told(gain)}")


def told(gain: float) -> str:
    """Say what a round did to the S/N."""
    if np.isnan(gain):
        return "gave no image"
    if gain <= 0:
        return f"lowered the S/N by {-gain:.1%}"
    return f"raised the S/N by {gain:.1%}"


@dataclass(frozen=True)
class Outcome:
    """What came of the rounds.

    Attributes
    ----------
    round : which is used; 0 is the set without self-calibration.
    converged : the last round that was tried brought less than the least improvement, or it was
        solved against a fixed model, so that another would change nothing.
    reason : one line for people.
    """

    round: int
    converged: bool
    reason: str

    @property
    def fell_back(self) -> bool:
        return self.round == 0


def outcome_of(
    qualities: Sequence[Quality | None],
    reasons: Sequence[str],
    min_improvement: float,
    fixed_model: bool = False,
) -> Outcome:
    """Choose the round that is used. One that does not raise the S/N is not.

    Parameters
    ----------
    qualities : from round 0 on; None without an image.
    reasons : why round 1 and those after it have none, "" where they have one.
    min_improvement : gain in S/N below which a round says that there is no more to gain.
    fixed_model : the model does not come out of the rounds.
    """
    chosen, gains = best_round(qualities), gains_in_snr(qualities)
    tried = [n for n, gain in enumerate(gains, 1) if np.isfinite(gain)]
    if not tried:
        why = reasons[0] if reasons else "no rounds are configured"
        return Outcome(0, False, f"fell back on the calibrated set: {why}")
    last = gains[tried[-1] - 1]
    if chosen == 0:
        best = max((gains[n - 1], n) for n in tried)
        return Outcome(
            0, False, f"fell back on the calibrated set: at best, round {best[1]} {told(best[0])}"
        )
    start, end = qualities[0], qualities[chosen]
    assert start is not None and end is not None
    text = f"round {chosen}: S/N {start.snr:.0f} -> {end.snr:.0f}; "
    if fixed_model:
        return Outcome(chosen, True, f"{text}converged: the model is fixed")
    converged = last < min_improvement
    text += "converged" if converged else "still rising"
    return Outcome(chosen, converged, f"{text}: round {tried[-1]} {told(last)}")
