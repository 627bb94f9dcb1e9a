"""What a release says about its making: commit, versions, measures tables."""

import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from contimg.checkout import CHECKOUT, identity_of_container, located
from contimg.release.members import Made
from contimg.version import workflow_version

PROGRAMS = {"wsclean": ["wsclean", "-version"], "aoflagger": ["aoflagger", "--version"]}
VERSION_LINE = re.compile(r"(?:version|AOFlagger) v?(\d[\w.]*)", re.IGNORECASE)
MEASURES = ("IERSeop97", "IERSeop2000", "IERSpredict", "TAI_UTC", "Observatories")
# What the workflow is made of. The working directory may be the checkout: products are no change.
SOURCES = ("Snakefile", "rules", "scripts", "config", "envs", "profiles", "pyproject.toml")
SECONDS_OF_A_VERSION = 30


@dataclass(frozen=True)
class Commit:
    """Where the checkout stands.

    Attributes
    ----------
    commit : hash; None outside of git.
    dirty : whether the workflow's files differ from the commit; None outside of git.
    date : day of the commit, YYYY-MM-DD; None outside of git.
    """

    commit: str | None = None
    dirty: bool | None = None
    date: str | None = None


def commit_of(checkout: Path = CHECKOUT) -> Commit:
    """Return the commit of a checkout."""
    if not (checkout / ".git").exists():
        return Commit()
    commit, date = git(checkout, "show", "--no-patch", "--format=%H %cs", "HEAD").split()
    return Commit(commit, bool(git(checkout, "status", "--porcelain", "--", *SOURCES)), date)


def git(checkout: Path, *arguments: str) -> str:
    """Return what git prints about a checkout.

    Raises
    ------
    RuntimeError
        When git refuses, with its own words.
    """
    done = subprocess.run(
        ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def software(container: str) -> dict[str, Any]:
    """Return the versions of this environment.

    Parameters
    ----------
    container : the image that the configuration names; its digest is told when it is here.
    """
    image = str(located(container))
    here = "://" in image or Path(image).is_file()
    packages = {
        found.metadata["Name"]: found.version for found in importlib.metadata.distributions()
    }
    return {
        "workflow": workflow_version(),
        "python": platform.python_version(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "programs": {name: program_version(command) for name, command in PROGRAMS.items()},
        "container": {
            "image": container,
            "digest": identity_of_container(image) if here else None,
        },
        "measures": measures(),
        "iers": f"astropy-iers-data {importlib.metadata.version('astropy-iers-data')}",
    }


def other_software(published: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return what differs between two records of `software`, a line each."""
    found = []
    for name in sorted({*published, *here}):
        one, two = published.get(name), here.get(name)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            found += [f"{name} {line}" for line in other_software(one, two)]
        elif one != two:
            found.append(f"{name}: {one} in the release, {two} here")
    return found


def program_version(command: list[str]) -> str | None:
    """Return what a program says its version is; None when it is not on the PATH."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS_OF_A_VERSION
        )
    except FileNotFoundError:
        return None
    found = VERSION_LINE.search(done.stdout + done.stderr)
    return found[1] if found else None


def measures() -> dict[str, Any]:
    """Return the versions of the measures tables that CASA and python-casacore use."""
    import casacore
    import casadata

    return {
        "casa": {
            "package": f"casadata {importlib.metadata.version('casadata')}",
            "tables": table_versions(Path(casadata.datapath) / "geodetic"),
        },
        "python-casacore": {
            "package": f"python-casacore {importlib.metadata.version('python-casacore')}",
            "tables": table_versions(Path(casacore.__file__).parent / "data" / "geodetic"),
        },
    }


def table_versions(folder: Path) -> dict[str, str]:
    """Return version and date of each measures table in a folder."""
    import casacore.tables

    found = {}
    for name in MEASURES:
        if (folder / name).is_dir():
            with casacore.tables.table(str(folder / name), ack=False) as table:
                keywords = table.getkeywords()
            found[name] = f"{keywords.get('VS_VERSION')} of {keywords.get('VS_DATE')}"
    return found


def stated_versions(made: Iterable[Made], directory: Path) -> dict[str, list[str]]:
    """Return what the products themselves tell: versions, and digests of containers."""
    told: dict[str, set[str]] = {"workflow": set(), "wsclean": set(), "container": set()}
    for one in made:
        if one.path.endswith(".image.fits"):
            told["wsclean"].add(fits.getheader(directory / one.path).get("WSCVERSI", ""))
        elif one.path.endswith(".json"):
            content = json.loads((directory / one.path).read_text())
            told["workflow"].add(content.get("version", ""))
            told["container"].add(content.get("container", ""))
    return {name: sorted(found - {""}) for name, found in told.items()}
