"""Interference flagged with CASA's `flagdata`, the other strategy next to AOFlagger's.

The visibilities are not calibrated yet and have no model, so `tfcrop` it is and not `rflag`: it
fits time and frequency piece by piece and flags what stands out, then `extend` grows the flags.
"""

from collections.abc import Mapping
from pathlib import Path

from contimg.casa import casatasks

CROSSES = "antenna='*&*'"


def flagdata_commands(options: Mapping[str, float]) -> list[str]:
    """Return the commands, in flagdata's own form, in their order.

    Parameters
    ----------
    options : `flagging.casa` of the configuration.
    """
    tfcrop = (
        f"{CROSSES} mode='tfcrop' datacolumn='DATA' flagdimension='freqtime' "
        f"timecutoff={float(options['time_cutoff'])} freqcutoff={float(options['freq_cutoff'])} "
        "timefit='line' freqfit='poly' extendflags=False"
    )
    extend = (
        f"{CROSSES} mode='extend' extendpols=True "
        f"growtime={float(options['grow_time'])} growfreq={float(options['grow_freq'])}"
    )
    return [tfcrop, extend]


def flag_interference(ms: Path, options: Mapping[str, float]) -> None:
    """Flag interference in the cross-correlations of a Measurement Set, in place, in one pass.

    Parameters
    ----------
    options : `flagging.casa` of the configuration.
    """
    casatasks().flagdata(
        vis=str(ms), mode="list", inpfile=flagdata_commands(options), flagbackup=False
    )
