"""What imaging makes of a set's visibilities: the weights, and what follows from them alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import casacore.tables
import numpy as np
from numpy.typing import NDArray
from scipy.constants import speed_of_light

from contimg.calibration_table import channel_freq_hz
from contimg.status import Rejected

CHANNELS = 32
"""So many channels of the band, evenly spaced, stand for all."""


class Sampled(NamedTuple):
    """Visibilities of some channels of a set.

    Attributes
    ----------
    uv_lambda : (n, 2) u and v.
    weight : (n,) of both polarizations together, 1 for one of which nothing was flagged before
        averaging; 0 where one polarization is flagged.
    share : visibilities of the set over those that are here.
    """

    uv_lambda: NDArray[np.float64]
    weight: NDArray[np.float64]
    share: float


def read_sampled(ms: Path, channels: int = CHANNELS) -> Sampled:
    """Read UVW, flags and weights of a set's cross-correlations."""
    freq_hz = channel_freq_hz(ms)
    step = max(1, len(freq_hz) // channels)
    first, last = [step // 2, 0], [len(freq_hz) - 1, -1]
    with casacore.tables.table(str(ms), ack=False) as table:
        uvw = table.getcol("UVW")
        crossed = table.getcol("ANTENNA1") != table.getcol("ANTENNA2")
        flag = table.getcolslice("FLAG", first, last, [step, 1]).any(axis=2)
        if "WEIGHT_SPECTRUM" in table.colnames():
            weight = table.getcolslice("WEIGHT_SPECTRUM", first, last, [step, 1]).sum(axis=2)
        else:
            weight = table.getcol("WEIGHT").sum(axis=1)[:, None]
    chosen = freq_hz[step // 2 :: step]
    uv = uvw[:, None, :2] * (chosen / speed_of_light)[None, :, None]
    used = np.where(flag | ~crossed[:, None], 0.0, weight)
    used /= used.max(initial=0) or 1.0
    return Sampled(uv.reshape(-1, 2), used.ravel().astype(float), len(freq_hz) / len(chosen))


def briggs_effective_visibilities(
    uv_lambda: NDArray[np.float64], weight: NDArray[np.float64], cell_lambda: float, robust: float
) -> float:
    """(sum w)^2 / sum w^2 of imaging weights w by Briggs (1995, PhD thesis, eq. 3.19).

    Parameters
    ----------
    uv_lambda : (n, 2) u and v of each visibility.
    weight : (n,) of each visibility: 1 over its variance, in units of that of a whole one.
    cell_lambda : side of the cells in which weights are counted, 1 / the image's width in radians.
    robust : -2 nearly uniform ... 2 nearly natural; inf for natural, -inf for uniform.
    """
    if np.isposinf(robust):
        imaging = weight
    else:
        both = np.vstack([uv_lambda, -uv_lambda])
        cells = np.floor(both / cell_lambda + 0.5).astype(np.int64)
        cells -= cells.min(axis=0)
        key = cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]
        density = np.bincount(key, np.tile(weight, 2))
        mean = (density**2).sum() / (2 * weight.sum())
        own = density[key[: len(weight)]] / mean
        imaging = weight / (own if np.isneginf(robust) else 1 + own * (5 * 10.0**-robust) ** 2)
    return float(imaging.sum() ** 2 / (imaging**2 / weight).sum())


def effective_visibilities(seen: Sampled, imaging: Mapping[str, Any]) -> float:
    """(Sum w)^2 / sum w^2 of the weights that a set is imaged with.

    Parameters
    ----------
    seen : of the set.
    imaging : the `imaging` block of the configuration; a taper is not taken into account.

    Returns
    -------
    The number of visibilities (both polarizations together) that would make the same noise with
    natural weights; 0 when none is left.
    """
    length = np.hypot(*seen.uv_lambda.T)
    longest = imaging["max_uv_lambda"] or np.inf
    keep = (seen.weight > 0) & (length >= imaging["min_uv_lambda"]) & (length <= longest)
    if not keep.any():
        return 0.0
    width_rad = np.radians(imaging["size"] * imaging["scale_arcsec"] / 3600)
    robust = {"natural": np.inf, "uniform": -np.inf}
    kind, *number = str(imaging["weight"]).split()
    found = briggs_effective_visibilities(
        seen.uv_lambda[keep],
        seen.weight[keep],
        1 / width_rad,
        float(number[0]) if number else robust[kind],
    )
    return seen.share * found


def expected_beam_deg(seen: Sampled) -> float:
    """Geometric mean of the widths of the beam that visibilities make with natural weights.

    Parameters
    ----------
    seen : of the set.

    Returns
    -------
    Full width at half power, degrees.

    Raises
    ------
    Rejected
        When all baselines are on one line, or there are none.

    Notes
    -----
    Near its peak the point-spread function is 1 - 2 pi^2 <(u l + v m)^2>, which is a Gaussian of
    full width sqrt(2 ln 2) / (pi u_rms) along each principal axis of <uv>.
    """
    uv = seen.uv_lambda
    moments = (uv * seen.weight[:, None]).T @ uv / max(seen.weight.sum(), 1e-300)
    determinant = np.linalg.det(moments)
    if not determinant > 1e-9 * np.trace(moments) ** 2:
        raise Rejected("the baselines are on one line, or there are none: they make no beam")
    return float(np.degrees(np.sqrt(2 * np.log(2)) / (np.pi * determinant**0.25)))
