"""Each script is a program of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
# With this as the first thing that Python imports, asking for CASA ends the program.
NO_CASA = """
import sys
class NoCasa:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("casatasks", "casatools"):
            sys.exit(f"{name} was imported")
sys.meta_path.insert(0, NoCasa())
"""


@pytest.fixture(scope="module")
def without_casa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(NO_CASA)
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_tells_what_the_script_does(script: Path, without_casa: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        capture_output=True, text=True, check=False, cwd=without_casa,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(without_casa)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.startswith(f"usage: {script.name}")
    assert len(text.split("options:")[0].split()) > 5, "no description"
