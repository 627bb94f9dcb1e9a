"""The notebook of docs/ runs from its first cell to its last, and what it shows is there."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import ROOT

NOTEBOOK = ROOT / "docs" / "looking-at-a-source.ipynb"


@pytest.fixture(scope="module")
def cells(observation: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """The cells after running them in a folder of their own."""
    folder = tmp_path_factory.mktemp("notebook") / "docs"
    folder.mkdir()
    (folder.parent / "scripts").symlink_to(ROOT / "scripts")
    (folder.parent / "demo").symlink_to(observation)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not stored"
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute().cells


def outputs_of(cells: list, code: str) -> list:
    """The outputs of the cell that holds this code, by their MIME types."""
    (cell,) = [cell for cell in cells if cell.cell_type == "code" and code in cell.source]
    return [output.get("data", {}) for output in cell.outputs]


@pytest.mark.parametrize(
    "code", ["figure = source.lightcurve()", "source.cutouts()", "upper_limit"]
)
def test_the_notebook_draws(cells: list, code: str) -> None:
    assert any("image/png" in data for data in outputs_of(cells, code))


def test_the_notebook_shows_tables_and_the_interactive_light_curve(cells: list) -> None:
    (metrics,) = outputs_of(cells, "source.metrics()")
    assert "chi2_nu" in metrics["text/plain"]
    (fluxes,) = outputs_of(cells, "source.measurements")
    assert "2025-10-01" in fluxes["text/html"]
    shown = outputs_of(cells, "interactive_lightcurve(")
    assert any("application/vnd.bokehjs_exec.v0+json" in data for data in shown)
