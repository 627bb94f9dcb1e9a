"""CASA tasks without a network. A process that imports this never imports python-casacore."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any


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
