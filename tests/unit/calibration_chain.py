"""Run the scripts of a calibration, one after the other.

    python calibration_chain.py FOLDER [--delay]

pytest's own process has python-casacore loaded, so the tests start this one. In FOLDER:
sci.ms, solve.ms and their status files, and chain.yaml with calibration, averaging and flagging.
"""

import contextlib
import sys
from pathlib import Path

import yaml

SCRIPTS = Path(__file__).parents[2] / "scripts"
TABLES = Path("cal/2025-10-19")
LIMITS = {"min_change_jy": 0.0, "min_response": 0.02, "n_parts": 1}
GROUP = "2025-10-19T02:24:00"


def chain(delay: bool) -> None:
    """Solve, choose and apply in the working directory."""
    import choose_calibration
    import solve_bandpass
    import solve_delay
    import solve_gains
    from contimg.casa import away_from_casatools

    options = yaml.safe_load(Path("chain.yaml").read_text())
    calibration = options["calibration"]
    solve_on = {"solve_ms": Path("solve.ms"), "solve_status": Path("solve.ms.json")}
    kcal, bcal, gcal = (TABLES / f"{GROUP}.{kind}" for kind in ("kcal", "bcal", "gcal"))
    scratch = Path("scratch")
    scratch.mkdir()
    common = {**solve_on, "calibration": calibration, "scratch": scratch}
    delays = {}
    if delay:
        solve_delay.main(kcal=kcal, status=status_of(kcal), **common)
        delays = {"kcal": kcal, "kcal_status": status_of(kcal)}
    solve_bandpass.main(bcal=bcal, status=status_of(bcal), threads=2, **delays, **common)
    solve_gains.main(
        bcal=bcal, bcal_status=status_of(bcal), gcal=gcal, status=status_of(gcal),
        **delays, **common,
    )  # fmt: skip
    choose_calibration.main(
        solutions=[status_of(gcal)], status=TABLES / "calibration.json", date="2025-10-19",
        declinations_deg=[46.5], calibration=calibration,
    )  # fmt: skip
    away_from_casatools(apply, options)


def apply(options: dict) -> None:
    """Apply the tables, in a process without casatools."""
    import apply_calibration

    apply_calibration.main(
        ms=Path("sci.ms"), ms_status=Path("sci.ms.json"),
        calibration_status=TABLES / "calibration.json", calibrated_ms=Path("calibrated.ms"),
        status=Path("calibrated.ms.json"), averaging=options["averaging"],
        flagging=options["flagging"], catalog=Path("none"), drift={"enabled": False, **LIMITS},
        beam={"model": "airy", "table": ""},
    )  # fmt: skip


def status_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    with contextlib.chdir(sys.argv[1]):
        chain("--delay" in sys.argv)
