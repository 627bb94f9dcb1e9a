"""The digest of code: of what it does and what it imports, not of what is said about it."""

import textwrap
from pathlib import Path

import pytest

from contimg.codedigest import code_digest

SCRIPT = '''
"""A script."""
from lib import measure
from lib.sub import other


def main(x):
    """Do it."""
    return measure.flux(x) + other(1)
'''
MEASURE = '''
"""Measuring."""
import numpy as np


class Thing:
    """A thing."""

    limit = 3


def flux(x):
    """Return the flux."""
    # doubled
    return 2 * x
'''


def digest(
    folder: Path, script: str = SCRIPT, measure: str = MEASURE, late: str = "", **more: str
) -> str:
    """Digest a script in a small library of its own (files are parsed once a process)."""
    files = {
        "script.py": script, "lib/__init__.py": "", "lib/measure.py": measure,
        "lib/sub/__init__.py": "from lib.sub.deep import other\n",
        "lib/sub/deep.py": "def other(x):\n    from lib import late\n    return x\n",
        "lib/late.py": late, "lib/stranger.py": more.get("stranger", ""),
        "lib/sub/templates/page.html": more.get("template", ""),
    }  # fmt: skip
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_digest(folder / "script.py", folder)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return digest(tmp_path / "base")


def test_the_same_code_elsewhere_has_the_same_digest(tmp_path: Path, base: str) -> None:
    assert digest(tmp_path / "some" / "where") == base


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# doubled", "# a new remark\n    # and one more"),
        ('"""Measuring."""', '"""Measuring, in other words.\n\nAnd more of them.\n"""'),
        ('    """Return the flux."""\n', ""),
        ('    """A thing."""\n', '    """Some thing."""\n'),
        ("2 * x", "2*x"),
        ("return 2 * x", "return (\n        2 * x\n    )"),
    ],
)
def test_words_and_spacing_do_not_count(tmp_path: Path, base: str, old: str, new: str) -> None:
    assert old in MEASURE
    assert digest(tmp_path / "new", measure=MEASURE.replace(old, new)) == base


@pytest.mark.parametrize(
    ("old", "new"), [("2 * x", "3 * x"), ("limit = 3", "limit = 4"), ("flux(x)", "flux(x, y=1)")]
)
def test_what_the_code_does_counts(tmp_path: Path, base: str, old: str, new: str) -> None:
    assert digest(tmp_path / "new", measure=MEASURE.replace(old, new)) != base


def test_a_module_imported_inside_a_function_of_a_package_counts(tmp_path: Path, base: str) -> None:
    assert digest(tmp_path / "new", late="value = 1\n") != base


def test_a_module_that_nothing_imports_does_not_count(tmp_path: Path, base: str) -> None:
    assert digest(tmp_path / "new", stranger="value = 1\n") == base


def test_a_page_template_counts(tmp_path: Path, base: str) -> None:
    assert digest(tmp_path / "new", template="<p>new</p>") != base


def test_text_that_is_used_counts(tmp_path: Path) -> None:
    """A string at the start of a body is its docstring; anywhere else it is data."""
    source = textwrap.dedent("""
        def main(x):
            word = "one"
            return word
    """)
    first = digest(tmp_path / "a", script=source)
    assert digest(tmp_path / "b", script=source.replace('"one"', '"two"')) != first
