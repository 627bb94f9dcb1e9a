"""CASA tasks without a network. A process that imports this never imports python-casacore."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def casatasks() -> ModuleType:
    """Import casatasks with this package's site configuration.

    CASA reads its configuration at import, so it is named just before; it also parses the
    program's command line, which is not meant for it, and a configuration in the home directory.
    Its messages go to the terminal, that is to the job's log, and to no file of its own.

    Raises
    ------
    RuntimeError
        When python-casacore is loaded: together the two have crashed.
    """
    if "casacore.tables" in sys.modules:
        raise RuntimeError("python-casacore is loaded: use casatools in a process of its own")
    os.environ["CASASITECONFIG"] = str(Path(__file__).with_name("casasiteconfig.py").resolve())
    given, sys.argv = sys.argv, [sys.argv[0], "--noconfig"]
    try:
        import casatasks
    finally:
        sys.argv = given
    casatasks.casalog.showconsole(True)
    return casatasks


def load_casatasks() -> None:
    """Make this process one of casatools, before any table is read.

    `contimg.calibration_table` reads with what is loaded, and with python-casacore otherwise.
    """
    casatasks()


def away_from_casatools(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that uses python-casacore in a process of its own, and return its result.

    For large columns: casatools copies them several times and doubles their precision, and is
    eight times slower. Function, arguments and result are pickled.
    """
    with processes(1) as pool:
        return pool.submit(function, *arguments).result()


def processes(number: int) -> ProcessPoolExecutor:
    """Processes that have loaded neither casatools nor python-casacore."""
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def casa_table(path: Path, *, write: bool = False) -> Iterator[Any]:
    """Open a table with casatools; closed when the block ends."""
    casatasks()
    import casatools

    table = casatools.table()
    table.open(str(path), nomodify=not write)
    try:
        yield table
    finally:
        table.close()
