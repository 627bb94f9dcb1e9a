"""Filling the flagged channels of a bandpass, for those who ask for it.

Left alone, a channel that is flagged in the bandpass is flagged in the data. A hole is filled from
its neighbours: the curve is fitted to the real and imaginary parts, after the delay and the mean
phase are taken out, so that no phase is ever unwrapped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from contimg.calibration_table import channel_freq_hz, read_columns
from contimg.casa import casa_table
from contimg.gates import slopes

FWHM_OF_SIGMA = np.sqrt(8 * np.log(2))


def fill_table(table: Path, options: Mapping[str, Any]) -> float:
    """Fill the holes in a private bandpass table, in place.

    Parameters
    ----------
    table : CASA table of type B.
    options : the configuration's `bandpass`: fill (none, polynomial, smooth), max_gap_channels,
        degree, width_channels, replace_unflagged.

    Returns
    -------
    Fraction of the table's solutions that were filled.
    """
    if options["fill"] == "none":
        return 0.0
    columns = read_columns(table, ["CPARAM", "FLAG"])
    gain, flag = filled(columns["CPARAM"], columns["FLAG"], channel_freq_hz(table), options)
    with casa_table(table, write=True) as bandpass:
        bandpass.putcol("CPARAM", gain.T)
        bandpass.putcol("FLAG", flag.T)
    return float((columns["FLAG"] & ~flag).mean())


def filled(
    gain: NDArray[np.complex64],
    flag: NDArray[np.bool_],
    freq_hz: NDArray[np.float64],
    options: Mapping[str, Any],
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """Return a bandpass with its holes filled, and the flags that remain.

    Parameters
    ----------
    gain, flag : (n_solutions, n_chan, n_pol).
    freq_hz : (n_chan,).
    options : as `fill_table` takes them.

    Notes
    -----
    A hole is filled that has at most `max_gap_channels` channels and solutions on both sides: the
    ends of the band stay flagged. Solved channels keep their values unless `replace_unflagged`.
    """
    holes = holes_of(flag, options["max_gap_channels"])
    used = np.where(flag, 0, gain).astype(complex)
    slope = slopes(used, freq_hz)
    straight = used * slope.conj()
    place = np.linspace(-1, 1, gain.shape[1])
    curve = np.zeros(gain.shape, dtype=complex)
    for row, pol in zip(*np.nonzero(holes.any(axis=1) | wanted(flag, options)), strict=True):
        solved = ~flag[row, :, pol]
        values = straight[row, solved, pol]
        if options["fill"] == "polynomial":
            degree = min(options["degree"], int(solved.sum()) - 1)
            fit = legendre.legfit(place[solved], np.stack([values.real, values.imag], 1), degree)
            real, imaginary = legendre.legval(place, fit)
            curve[row, :, pol] = real + 1j * imaginary
        else:
            curve[row, :, pol] = running_line(solved, values, options["width_channels"])
    take = holes | (~flag if options["replace_unflagged"] else False)
    return np.where(take, curve * slope, gain).astype(np.complex64), flag & ~holes


def wanted(flag: NDArray[np.bool_], options: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which curves are needed for their solved channels, (n_solutions, n_pol)."""
    return np.any(~flag, axis=1) & bool(options["replace_unflagged"])


def holes_of(flag: NDArray[np.bool_], max_gap_channels: int) -> NDArray[np.bool_]:
    """Mark flagged channels in runs of at most `max_gap_channels` between solved ones.

    Parameters
    ----------
    flag : (n_solutions, n_chan, n_pol).
    """
    n_chan = flag.shape[1]
    channel = np.arange(n_chan)[:, None]
    before = np.maximum.accumulate(np.where(flag, -1, channel), axis=1)
    after = np.minimum.accumulate(np.where(flag, n_chan, channel)[:, ::-1], axis=1)[:, ::-1]
    return flag & (before >= 0) & (after < n_chan) & (after - before - 1 <= max_gap_channels)


def running_line(
    solved: NDArray[np.bool_], values: NDArray[np.complex128], width_channels: float
) -> NDArray[np.complex128]:
    """Fit a straight line around each channel, with Gaussian weights, and return its value there.

    Parameters
    ----------
    solved : (n_chan,) which channels have a value.
    values : of those, in order.
    width_channels : full width at half maximum of the weights; in a hole, at least the hole's.
    """
    offset = np.flatnonzero(solved) - np.arange(len(solved))[:, None]
    left = np.where(offset <= 0, -offset, len(solved)).min(axis=1)
    right = np.where(offset >= 0, offset, len(solved)).min(axis=1)
    width = np.clip(left + right, width_channels, len(solved))[:, None]
    exponent = -((offset * FWHM_OF_SIGMA / width) ** 2) / 2
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    s0, s1, s2 = (np.sum(weight * offset**power, axis=1) for power in range(3))
    y0, y1 = weight @ values, (weight * offset) @ values
    determinant = s0 * s2 - s1**2
    line = determinant > 1e-9 * s0 * s2
    return np.where(line, (y0 * s2 - y1 * s1) / np.where(line, determinant, 1), y0 / s0)
