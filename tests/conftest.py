"""The small observation that workflow and validation tests share, made once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIGS = [ROOT / "config" / "demo.yaml", ROOT / "tests" / "observation.yaml"]
DATES = ["2025-10-01", "2025-10-04", "2025-10-08"]
SOURCE = "J150928.9+462528"


def snakemake(
    directory: Path,
    *arguments: str,
    root: Path = ROOT,
    configs: list[Path] | None = None,
    cores: int = 2,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run snakemake in a working directory; return its output (stderr is joined to stdout)."""
    configs = CONFIGS if configs is None else configs
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"),
               "--directory", str(directory), "--cores", str(cores),
               "--configfile", *map(str, configs), *arguments]  # fmt: skip
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=root
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-6000:]}", pytrace=False)
    return done


def make_observation(folder: Path) -> None:
    """Simulate and reduce the three dates, in ascending order, then the archive."""
    snakemake(folder, "--quiet", "rules", "--", *(f"simulated/{d}/truth.json" for d in DATES))
    for date in DATES:
        snakemake(folder, "--quiet", "rules", "--", f"report/{date}/index.html")
    archive = ["--profile", str(ROOT / "profiles" / "archive")]
    pages = ["report/index.html", f"source/{SOURCE}/index.html"]
    snakemake(folder, *archive, "--quiet", "rules", "--", *pages)


@pytest.fixture(scope="session")
def observation() -> Path:
    """The working directory of the reduced observation: read it, do not write to it.

    tools/run_tests makes it before the tests start and names it in CONTIMG_OBSERVATION.
    """
    folder = Path(os.environ.get("CONTIMG_OBSERVATION", ROOT / "build" / "observation"))
    if not (folder / "report" / "index.html").exists():
        make_observation(folder)
    return folder
