"""Plots of a calibrator transit: S/N and flags of each antenna's solutions, phases in time."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from contimg.report import figures
from contimg.report.pages import Picture, Plot


def quality_plot(
    antennas: Sequence[str],
    snr: Mapping[str, NDArray[np.float64]],
    flag: Mapping[str, NDArray[np.bool_]],
) -> Plot | None:
    """Draw S/N and flagged fraction of each antenna's solutions.

    Parameters
    ----------
    antennas : names, of the first axis.
    snr, flag : (n_antennas, n_solutions, n_polarizations) by kind of table. Antennas whose
        solutions are all flagged in all tables are shown by their flags alone.
    """
    kinds = [kind for kind in snr if (snr[kind][~flag[kind]] > 0).any()]
    if not kinds:
        return None
    return Plot(
        "",
        Picture(snr_and_flags(antennas, snr, flag, kinds), "S/N and flags of the solutions"),
        "Above: S/N of the solutions, the median of each antenna and polarization; circles: "
        f"{kinds[0]}{', crosses: ' + kinds[1] if kinds[1:] else ''}. Below: the flagged part of "
        "the bandpass; antennas that are not in the array are left out.",
    )


@matplotlib.rc_context(figures.STYLE)
def snr_and_flags(
    antennas: Sequence[str],
    snr: Mapping[str, NDArray[np.float64]],
    flag: Mapping[str, NDArray[np.bool_]],
    kinds: Sequence[str],
) -> bytes:
    """Draw the two panels of `quality_plot`."""
    figure = figures.canvas(1160, 300)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    place = np.arange(len(antennas))
    for kind, marker in zip(kinds, "ox", strict=False):
        kept = np.ma.array(snr[kind], mask=flag[kind] | ~(snr[kind] > 0))
        median = np.ma.median(kept, axis=1).filled(np.nan)
        for pol in range(median.shape[1]):
            colour = figures.POLARIZATION_COLOURS[pol % len(figures.POLARIZATION_COLOURS)]
            shift = 0.2 * (pol - (median.shape[1] - 1) / 2)
            upper.plot(place + shift, median[:, pol], marker, color=colour, alpha=0.8, mew=0.7)
    share = 100 * flag[kinds[0]].mean(axis=1)
    for pol in range(share.shape[1]):
        colour = figures.POLARIZATION_COLOURS[pol % len(figures.POLARIZATION_COLOURS)]
        lower.bar(
            place + 0.35 * (pol - (share.shape[1] - 1) / 2), share[:, pol], 0.35, color=colour
        )
    upper.set(ylabel="S/N", yscale="log")
    figures.plain_numbers(upper.yaxis)
    lower.set(ylabel="flagged (%)", ylim=(0, 100), xlabel="antenna")
    lower.set_xlim(-0.8, len(antennas) - 0.2)
    step = 1 + len(antennas) // 120
    ticks = list(range(0, len(antennas), step))
    lower.set_xticks(ticks, [antennas[tick][:10] for tick in ticks], rotation=90, fontsize=6.5)
    for axes in (upper, lower):
        axes.grid(axis="x", color=figures.PALE, linewidth=0.4)
    return figures.encoded(figure)


def phases_plot(phases: Mapping[str, Any]) -> Plot | None:
    """Draw the short phases of each antenna against time.

    Parameters
    ----------
    phases : of the gains' status: mjd (n_times,), and deg, by antenna (n_times, n_polarizations),
        null where flagged.
    """
    if not phases or not phases["deg"]:
        return None
    mjd = np.array(phases["mjd"])
    deg = np.array(list(phases["deg"].values()), dtype=float)
    minutes = (mjd.max() - mjd.min()) * 1440
    return Plot(
        "",
        Picture(
            figures.bandpass_panels(
                list(phases["deg"]), mjd * 86400, deg, (-180.0, 180.0), points=True
            ),
            alt="Phase of each antenna against time",
        ),
        f"Phases of {phases['solint']} within the group, which are taken out before amplitudes are "
        f"solved and are not carried to other hours: {minutes:.1f} min across each panel, −180 to "
        "180 deg upwards. Gaps are flagged.",
    )
