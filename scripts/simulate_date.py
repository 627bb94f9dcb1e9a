"""Simulate the raw observations of one date, with their truth beside them."""

from pathlib import Path
from typing import Any

from contimg.script import run
from simulator.campaign import simulate
from simulator.settings import Calibrator, Simulation


def main(
    *,
    antennas: Path,
    surveys: list[Path],
    calibrator: dict[str, Any],
    simulation: dict[str, Any],
    date: str,
    incoming: str,
    truth: Path,
    truth_h5: Path,
) -> None:
    """Write a date's raw subband files to `incoming`, then truth_h5 and truth.

    antennas: CSV of the stations; surveys: CSVs of the sky (ra_deg, dec_deg, peak_jy);
    calibrator: {name, ra_deg, dec_deg, flux_jy}; simulation: the settings that
    config/demo.yaml explains (on the command line both are YAML text);
    date: YYYY-MM-DD.
    """
    simulate(
        date,
        Simulation.from_mapping(simulation),
        Calibrator(**calibrator),
        antennas,
        surveys,
        Path(incoming),
        truth,
        truth_h5,
    )


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
