"""Each conda environment by itself: its rules run in it, with its own packages and no others.

The channels of conda are no part of the tests, so `conda` is a stand-in that makes a clean virtual
environment of a file's pip part (stand_in_conda.py). The rest is Snakemake's `--sdm conda`.
"""

import json
import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import stand_in_conda

from conftest import ROOT, snakemake
from contimg.tables import read_table
from workflow import SMALL, SMALL_DATE, SMALL_PROOF, rules_in, status

FILES = sorted((ROOT / "envs").glob("*.yaml"))
# With these every rule has a job, and few more than one: delays are solved, setjy gives the
# calibrator's flux, flagdata flags, tclean images what the catalogue's mask allows; subband images
# are WSClean's.
CONFIG = """
flagging: {backend: casa}
imaging: {backend: tclean, mask: catalogue, size: 256, niter: 100}
calibration:
  delay: {enabled: true}
  pinned_calibrators:
    - {name: 3C196, ra_deg: 123.4002158, dec_deg: 48.2172950, standard: Perley-Butler 2017}
selfcal:
  rounds: [{mode: p, solint: inf, min_snr: 3}]
  imaging: {size: 512, scale_arcsec: 20.0, niter: 500}
  compare: {strategies: [catalogue_1mjy]}
simulation:
  observation:
    fields:
      - {name: 0813+482, n_groups: 1}
      - {name: science, ra_deg: 227.5, n_groups: 1}
"""
SUBBANDS = "imaging: {backend: wsclean, mask: auto, subbands: 2}\n"


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A date made from nothing to the archive's page; its folder, and that of the environments."""
    folder = tmp_path_factory.mktemp("envs")
    config = folder / "all_rules.yaml"
    config.write_text(CONFIG)
    conda = stand_in_conda.install(folder / "conda")
    archive = ("--profile", str(ROOT / "profiles" / "archive"))
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as prefix:
        patch.setenv("PATH", str(conda), prepend=":")
        for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):  # each module is compiled once
            patch.delenv(name, raising=False)
        how = ("--sdm", "conda", "--conda-prefix", prefix)
        truth = f"simulated/{SMALL_DATE}/truth.json"
        first = ("--", truth, "catalogs/vla_calibrators.sqlite3")
        snakemake(folder, *how, *first, configs=[*SMALL, config])
        group = json.loads((folder / truth).read_text())["groups"][-1]["group"]
        for options in (
            (
                "--",
                f"report/{SMALL_DATE}/index.html",
                "report/selfcal.html",
                f"quick/{SMALL_DATE}/{group}.png",
            ),
            (*archive, "--", "report/index.html", "variability/external.parquet"),
        ):
            snakemake(folder, *how, *options, configs=[*SMALL, config])
        source_id = read_table(folder / "variability" / "variability.parquet")[0]["source_id"][0]
        page = f"source/{source_id}/index.html"
        snakemake(folder, *how, *archive, "--", page, configs=[*SMALL, config])
        snakemake(folder, *how, "--", "validation/ese/index.html", configs=[SMALL_PROOF])
        subbands = folder / "subbands.yaml"
        subbands.write_text(SUBBANDS)
        parts = f"images/{SMALL_DATE}/{group}.subbands.json"
        snakemake(folder, *how, "--", parts, configs=[*SMALL, config, subbands])
        yield folder, Path(prefix)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def environment(reduced: tuple[Path, Path], file: Path) -> Path:
    """What was made of a file: Snakemake keeps a copy of that beside it."""
    copies = [copy for copy in reduced[1].glob("*.yaml") if copy.read_bytes() == file.read_bytes()]
    assert len(copies) == 1
    return copies[0].with_suffix("")


def rules_of(file: Path) -> set[str]:
    """The rules that name an environment."""
    rules = [rule for path in (ROOT / "rules").glob("*.smk") for rule in rules_in(path)]
    return {name for name, body in rules if f'"../envs/{file.name}"' in body}


def test_every_rule_of_the_family_ran_in_its_environment(file: Path, environment: Path) -> None:
    assert {path.name for path in (environment / "ran").iterdir()} == rules_of(file)


def test_environment_holds_what_its_file_names_and_nothing_else(
    file: Path, environment: Path
) -> None:
    (packages,) = environment.glob("lib/python3*/site-packages")
    found = {
        re.sub(r"[-_.]+", "-", one.name).lower() + f"=={one.version}"
        for one in distributions(path=[str(packages)])
    }
    assert found == set(stand_in_conda.pip_part(file))


def test_nothing_was_rejected(reduced: tuple[Path, Path]) -> None:
    found = [path for name in ("cal", "images") for path in (reduced[0] / name).rglob("*.json")]
    statuses = [path for path in found if path.name != "transits.json"]
    assert len(statuses) == 9
    assert [path.name for path in statuses if status(path)["status"] != "ok"] == []
