"""Digest of the code that a product depends on.

A rule carries, as a parameter, the digest of its script and of every library module that the
script imports, directly or not. Comments and docstrings are left out, so that only a change in
what the code does makes products stale. Files in a folder `templates` beside a module count too.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def code_digest(source: Path, root: Path) -> str:
    """Return the digest of a Python file and of the modules below `root` that it imports.

    Parameters
    ----------
    source : the script or module.
    root : the folder that holds the packages (`scripts/`).
    """
    digest = hashlib.blake2b(digest_size=10)
    for module in sorted(closure(source.resolve(), root.resolve())):
        digest.update(module.relative_to(root.resolve()).as_posix().encode())
        digest.update(parsed(module)[0].encode())
        for template in templates_beside(module):
            digest.update(template.read_bytes())
    return digest.hexdigest()


def templates_beside(module: Path) -> list[Path]:
    """Return the files in the folder `templates` of a package, given its `__init__`."""
    if module.name != "__init__.py":
        return []
    return sorted(path for path in (module.parent / "templates").glob("*") if path.is_file())


def closure(source: Path, root: Path) -> frozenset[Path]:
    """Return `source` and all modules below `root` that it leads to."""
    seen: set[Path] = set()
    waiting = [source]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in parsed(module)[1]:
            waiting.extend(files_of(name, root))
        waiting.extend(packages_of(module, root))
    return frozenset(seen)


def packages_of(module: Path, root: Path) -> list[Path]:
    """Return the `__init__` of each package that a module lies in (importing it runs them)."""
    folders = [folder for folder in module.parents if root in folder.parents]
    return [folder / "__init__.py" for folder in folders if (folder / "__init__.py").is_file()]


@cache
def parsed(module: Path) -> tuple[str, tuple[str, ...]]:
    """Return a module's code without comments and docstrings, and the names it imports."""
    tree = ast.parse(module.read_text(), filename=str(module))
    strip_docstrings(tree)
    return ast.dump(tree), tuple(imported_names(tree))


def strip_docstrings(tree: ast.AST) -> None:
    """Take the docstrings out of a syntax tree, in place."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) or not isinstance(body, list):
            continue
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            del body[0]


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a syntax tree imports (`from a import b` gives a and a.b)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def files_of(name: str, root: Path) -> tuple[Path, ...]:
    """Return the file below `root` that a dotted name means: none, a module, or a package."""
    path = root.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return tuple(candidate for candidate in candidates if candidate.is_file())
