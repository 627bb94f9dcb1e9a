"""Compare solved calibration tables with the gains that a simulation put in.

    PYTHONPATH=scripts python tests/validation/gains.py BCAL GCAL truth.h5 truth.json GROUP

Depends on the tables, and on the simulator's truth, only.
"""

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from contimg.calibration_table import read_bandpass, read_gains


@dataclass(frozen=True)
class Comparison:
    """How solved gains differ from true ones; phases after removing the reference's.

    Biases are the median over antennas and channels of solved over true, 1 and 0 at best.
    Scatters are 1.4826 x the median absolute deviation, a channel and antenna each, over what
    thermal noise allows.
    """

    n_antennas: int
    amplitude_bias: float
    phase_bias_deg: float
    worst_antenna_amplitude_bias: float
    worst_antenna_phase_bias_deg: float
    amplitude_scatter: float
    phase_scatter_deg: float
    amplitude_over_thermal: float
    phase_over_thermal: float
    dead_unflagged: tuple[str, ...]
    live_flagged: tuple[str, ...]


def station_number(name: str) -> int:
    """Number of an antenna named "38" or "DSA-038"."""
    found = re.search(r"(\d+)$", name)
    if found is None:
        raise ValueError(f"antenna {name!r}: no station number in its name")
    return int(found.group(1))


def compare_gains(
    bcal: Path, gcal: Path, truth_h5: Path, group: str, apparent_jy: float, noise_jy: float
) -> Comparison:
    """Compare bandpass times gain with the truth of a simulated group.

    Parameters
    ----------
    bcal, gcal : solved tables.
    truth_h5 : the simulator's arrays.
    group : the group that was solved on.
    apparent_jy : calibrator through the beam, mean over band and time.
    noise_jy : thermal noise of each of the parts of a visibility.
    """
    bandpass, gains = read_bandpass(bcal), read_gains(gcal)
    numbers = [station_number(name) for name in bandpass.antennas]
    with h5py.File(truth_h5) as file:
        part = file[group]
        stations, live = part["station_number"][:], part["live"][:]
        n_times = len(part["time_mjd"])
        true = part["gains"][:][:, None, :] * part["bandpass"][:]
        assert np.allclose(part["freq_hz"][:], bandpass.freq_hz, atol=1.0)
    rows = np.array([numbers.index(int(station)) for station in stations])
    solved = (bandpass.gain * gains.gain[:, :1])[rows]
    flag = (bandpass.flag | gains.flag[:, :1])[rows]
    whole = flag.all(axis=(1, 2))
    names = [bandpass.antennas[i] for i in rows]
    use = live & ~whole
    # A Measurement Set holds the conjugates of the raw visibilities, and UVW of the other sign.
    ratio = np.ma.array(solved[use] / true[use].conj(), mask=flag[use])
    # The phase of a channel and polarization is defined up to that of the reference antenna.
    common = np.ma.mean(ratio / np.abs(ratio), axis=0)
    ratio = ratio / (common / np.abs(common))
    amplitude, phase = np.abs(ratio), np.degrees(np.ma.array(np.angle(ratio), mask=ratio.mask))
    power = np.abs(true[use]) ** 2
    others = power.sum(axis=0) - power
    thermal = noise_jy / (apparent_jy * np.sqrt(power * others * n_times))
    excess = (amplitude - np.ma.median(amplitude, axis=1)[:, None]) / thermal
    turned = (phase - np.ma.median(phase, axis=1)[:, None]) / np.degrees(thermal)
    return Comparison(
        n_antennas=int(use.sum()),
        amplitude_bias=float(np.ma.median(amplitude)),
        phase_bias_deg=float(np.ma.median(phase)),
        worst_antenna_amplitude_bias=float(np.abs(np.ma.median(amplitude, axis=1) - 1).max()),
        worst_antenna_phase_bias_deg=float(np.abs(np.ma.median(phase, axis=1)).max()),
        amplitude_scatter=robust_std(amplitude),
        phase_scatter_deg=robust_std(phase),
        amplitude_over_thermal=robust_std(excess),
        phase_over_thermal=robust_std(turned),
        dead_unflagged=tuple(names[i] for i in np.flatnonzero(~live & ~whole)),
        live_flagged=tuple(names[i] for i in np.flatnonzero(live & whole)),
    )


def robust_std(values: np.ma.MaskedArray) -> float:
    """1.4826 x the median absolute deviation."""
    return float(1.4826 * np.ma.median(np.abs(values - np.ma.median(values))))


def main(bcal: str, gcal: str, truth_h5: str, truth_json: str, group: str) -> None:
    """Compare, and write the figures as JSON."""
    figures = json.loads(Path(f"{gcal}.json").read_text())["figures"]
    noise_jy = json.loads(Path(truth_json).read_text())["noise_sigma_jy"]
    found = compare_gains(
        Path(bcal), Path(gcal), Path(truth_h5), group, figures["apparent_jy"], noise_jy
    )
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
