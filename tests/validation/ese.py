"""The demo's dozen dates with three seeds, through the real chain: is its event found, and alone?

    PYTHONPATH=scripts:tests python tests/validation/ese.py FOLDER [--seed 111 ...] [--cores 2]
        [--output VERDICTS]

FOLDER gets a working directory a seed. A finished one is judged as it is. Ends with status 1 when
the event is not the first candidate, or a constant source is one. VERDICTS, a JSON object a line,
is what the page validation/ese/index.html shows of the real chain (`validation.chain` of config).
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import judge
import pandas as pd
import yaml

from conftest import ROOT, snakemake
from contimg.tables import read_table

DEMO = ROOT / "config" / "demo.yaml"
MAX_SNR = 50.0


@dataclass(frozen=True)
class Verdict:
    """What became of the event, and of the constant sources with a light curve of 8 epochs.

    Attributes
    ----------
    event, event_snr : name, and median S/N of its forced fluxes.
    depth : fraction of the flux lost, as simulated and as found (NaN when it was not).
    """

    event: str
    event_snr: float
    n_epochs: int
    simulated_depth: float
    found_depth: float
    n_constant: int
    n_candidates: int
    is_first: bool
    constant_candidates: tuple[str, ...]

    @property
    def passes(self) -> bool:
        found = self.is_first and not self.constant_candidates
        return found and self.event_snr <= MAX_SNR and self.n_constant > 20


def reduce_demo(folder: Path, seed: int, cores: int) -> None:
    """Simulate and reduce the demo's dates with another seed, as far as the candidates."""
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "seed.yaml"
    overlay.write_text(f"simulation: {{observation: {{seed: {seed}}}}}\n")
    first, *later = yaml.safe_load(DEMO.read_text())["dates"]

    def make(*targets: str, options: tuple[str, ...] = ()) -> None:
        snakemake(folder, *options, "--", *targets, configs=[DEMO, overlay], cores=cores)

    make(*(f"simulated/{date}/truth.json" for date in (first, *later)))
    # The second date has no calibrator and borrows the first one's tables.
    make(f"photometry/{first}/photometry.parquet")
    make(*(f"photometry/{date}/photometry.parquet" for date in later))
    archive = ("--profile", str(ROOT / "profiles" / "archive"))
    make("variability/ese_candidates.parquet", options=archive)
    for name in ("incoming", "ms"):
        shutil.rmtree(folder / name)


def judge_candidates(folder: Path) -> Verdict:
    """Compare the candidates of a working directory with the truth."""
    truth = pd.concat(
        judge.read_sources(folder / f"simulated/{date}/truth.h5", group)
        for date, group in judge.science_groups(folder)
    )
    variability, _ = read_table(folder / "variability" / "variability.parquet")
    photometry = pd.concat(
        read_table(path)[0] for path in sorted(folder.glob("photometry/*/photometry.parquet"))
    )
    candidates, _ = read_table(folder / "variability" / "ese_candidates.parquet")
    judged = judge.with_truth(variability, truth.drop_duplicates("name"))
    judged = judged[judged["n_epochs"] >= 8]
    event = judged.loc[judged["true_is_variable"], "source_id"].iloc[0]
    constant = set(judged.loc[~judged["true_is_variable"], "source_id"])
    dips = 1 - truth["flux_jy"] / truth["catalogue_flux_jy"]
    rows = candidates[candidates["source_id"] == event]
    return Verdict(
        event=event,
        event_snr=float(photometry.loc[photometry["source_id"] == event, "snr"].median()),
        n_epochs=int(judged.loc[judged["source_id"] == event, "n_epochs"].iloc[0]),
        simulated_depth=float(dips.max()),
        found_depth=float(rows["depth"].iloc[0]) if len(rows) else float("nan"),
        n_constant=len(constant),
        n_candidates=len(candidates),
        is_first=bool(len(rows)) and candidates["source_id"].iloc[0] == event,
        constant_candidates=tuple(sorted(constant & set(candidates["source_id"]))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    passed, lines = True, []
    for seed in options.seed or (111, 112, 113):
        folder = (options.folder / f"seed{seed}").resolve()
        if not (folder / "variability" / "ese_candidates.parquet").exists():
            reduce_demo(folder, seed, options.cores)
        verdict = judge_candidates(folder)
        passed &= verdict.passes
        lines.append(json.dumps({f"ESE, seed {seed}": asdict(verdict)}) + "\n")
        sys.stdout.write(lines[-1])
    if options.output:
        options.output.write_text("".join(lines))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
