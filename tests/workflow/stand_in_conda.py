"""As much of conda as Snakemake asks for, without channels: the pip part of an environment.

`conda env create` makes a virtual environment that holds exactly the pip part and can import
nothing else, and records the scripts that run in it. Python is the one that runs this.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

import yaml

ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'
# Snakemake puts its own packages at the end of a script's path, for the modules in which it hands
# over the job. Nothing else may come from there, or an environment could lack what its rules need.
ONLY_THIS_ENVIRONMENT = """
import sys
from importlib.machinery import PathFinder
from pathlib import Path

OF_SNAKEMAKE = ("snakemake", "tenacity")


class OnlyThisEnvironment(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if path is None and not name.startswith(OF_SNAKEMAKE):
            path = [p for p in sys.path if "site-packages" not in p or p.startswith(sys.prefix)]
        return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyThisEnvironment
if "/.snakemake/scripts/" in sys.orig_argv[-1]:
    Path(sys.prefix, "ran", sys.orig_argv[-1].split(".")[-2]).touch()
"""


def install(folder: Path) -> Path:
    """Put `conda` and its `activate` into a folder's bin; return that."""
    (folder / "bin").mkdir(parents=True)
    conda = folder / "bin" / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__)}" "{folder}" "$@"\n')
    conda.chmod(0o755)
    (folder / "bin" / "activate").write_text(ACTIVATE)
    return conda.parent


def pip_part(file: Path) -> list[str]:
    """What an environment's file has pip install."""
    parts = yaml.safe_load(file.read_text())["dependencies"]
    return next(part["pip"] for part in parts if isinstance(part, dict))


def create(file: Path, prefix: Path) -> None:
    """Make the environment of a file.

    Raises
    ------
    CalledProcessError
        When pip cannot install the pip part, or when a package lacks another that it needs.
    """
    venv.create(prefix, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-compile", *pip_part(file)], check=True
    )
    subprocess.run([*pip, "check"], check=True)
    (prefix / "ran").mkdir()
    (packages,) = prefix.glob("lib/python3*/site-packages")
    (packages / "only_this_environment.py").write_text(ONLY_THIS_ENVIRONMENT)
    (packages / "only_this_environment.pth").write_text("import only_this_environment\n")


def main(folder: str, *arguments: str) -> None:
    match arguments:
        case ["--version"]:
            answer = "conda 24.7.1"
        case ["info", "--json"]:
            answer = json.dumps({"conda_prefix": folder, "platform": "linux-64"})
        case ["config", "--get", "channel_priority", "--json"]:
            answer = json.dumps({"get": {"channel_priority": "strict"}})
        case ["env", "create", *_, "--file", file, "--prefix", prefix]:
            create(Path(file), Path(prefix))
            answer = f"made {prefix}"
        case ["clean", *_]:
            answer = "nothing to clean"
        case _:
            sys.exit(f"the stand-in for conda does not know {arguments}")
    sys.stdout.write(f"{answer}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
