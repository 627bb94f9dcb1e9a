"""The one way in which a script becomes a program: under Snakemake or by itself.

A script has a `main` with keyword arguments only, named as the rule names its inputs, outputs
and params, and, when its input can be bad, a `reject(reason, ...)` that writes the labelled
empty products. It ends in::

    if __name__ == "__main__":
        run(main, globals().get("snakemake"), reject=reject)
"""

import argparse
import inspect
import logging
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml

from contimg import time_limit
from contimg.status import InputError, Rejected, directory_of, require_ok, require_whole, status_of

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def run(
    main: Callable[..., None],
    snakemake: Any = None,
    *,
    reject: Callable[..., None] | None = None,
) -> None:
    """Run `main` with the arguments of the Snakemake job, or of the command line.

    Before that, each argument named `*_status` (the JSON of an input) is read: if it tells of a
    rejected product, or if `main` raises `Rejected`, then `reject(reason, **arguments)` is
    called instead and the job succeeds. Without a `reject`, the reason ends the program. So does
    an `InputError`, or an input that is not there, on the command line; a job's log has it all.
    A directory among the inputs that is not whole is an error. A job ends before its rule's
    runtime does.

    Parameters
    ----------
    main : function with keyword-only arguments; annotations say their types.
    snakemake : the object that Snakemake gives to a script, or None.
    reject : function that writes the labelled empty products.
    """
    if snakemake is None:
        arguments = from_command_line(main)
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    else:
        if snakemake.log:
            send_output_to(Path(str(snakemake.log[0])))
        if runtime_min := snakemake.resources.get("runtime"):
            time_limit.start(time_limit.seconds_of(runtime_min))
        arguments = from_snakemake(main, snakemake)
    try:
        for path in upstream_statuses(arguments):
            require_ok(path)
        for directory in directories_with_status(arguments):
            require_whole(directory)
        main(**arguments)
    except (InputError, FileNotFoundError) as error:
        words = str(error) if isinstance(error, InputError) else missing_input(error, arguments)
        if snakemake is not None or not words:
            raise
        sys.exit(f"{program_of(main)}: {words}")
    except Rejected as rejected:
        if reject is None:
            sys.exit(f"{program_of(main)}: {rejected}")
        logger.warning("rejected: %s", rejected)
        wanted = inspect.signature(reject).parameters
        reject(str(rejected), **{name: arguments[name] for name in wanted if name in arguments})


def program_of(main: Callable[..., None]) -> str:
    return Path(inspect.getfile(main)).name


def missing_input(error: FileNotFoundError, arguments: dict[str, Any]) -> str:
    """Say which of the files given is not there; nothing when the error is of another file."""
    named = [path for path in paths_of(arguments) if not path.exists() and str(path) in str(error)]
    return f"{named[0]}: no such file; correct the path" if named else ""


def paths_of(arguments: dict[str, Any]) -> list[Path]:
    """Return the arguments that are paths, those of lists too."""
    values = [
        v for value in arguments.values() for v in (value if type(value) is list else [value])
    ]
    return [value for value in values if isinstance(value, Path)]


def upstream_statuses(arguments: dict[str, Any]) -> list[Path]:
    """Return the status files of the inputs: the arguments named `*_status`."""
    return [
        value
        for name, value in arguments.items()
        if name.endswith("_status") and isinstance(value, Path)
    ]


def directories_with_status(arguments: dict[str, Any]) -> list[Path]:
    """Return the inputs that are directories with a status beside them.

    The directory whose status is written, the argument `status`, is an output.
    """
    own = arguments.get("status")
    made = directory_of(own) if isinstance(own, Path) else None
    return [
        path
        for path in paths_of(arguments)
        if path != made and path.is_dir() and status_of(path).is_file()
    ]


def send_output_to(log: Path) -> None:
    """Send logging and everything that the process and its children print to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("w") as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)


def from_snakemake(main: Callable[..., None], snakemake: Any) -> dict[str, Any]:
    """Pick `main`'s arguments by name from the job's output, input, params and the job itself.

    Raises
    ------
    TypeError
        When the rule lacks an argument that `main` needs.
    """
    sources = [snakemake.output, snakemake.input, snakemake.params, snakemake.wildcards]
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(main).parameters.items():
        found = [source for source in sources if name in source.keys()]  # noqa: SIM118
        if found:
            arguments[name] = converted(found[0][name], parameter.annotation)
        elif name == "threads":
            arguments[name] = snakemake.threads
        elif name == "scratch":
            arguments[name] = Path(snakemake.resources.tmpdir)
        elif parameter.default is inspect.Parameter.empty:
            raise TypeError(f"rule {snakemake.rule} gives no '{name}', which its script needs")
    return arguments


def converted(value: Any, annotation: Any) -> Any:
    """Give paths their type; leave the rest as Snakemake has it."""
    if is_list_of_paths(annotation):
        items = [value] if isinstance(value, str | Path) else value
        return [Path(str(item)) for item in items]
    if takes(annotation, Path) and isinstance(value, str):
        return Path(value)
    return value


def from_command_line(main: Callable[..., None]) -> dict[str, Any]:
    """Parse the command line by `main`'s signature; its docstring is the help."""
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(main), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        flag = "--" + name.replace("_", "-")
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        if is_list_of_paths(parameter.annotation):
            parser.add_argument(flag, type=Path, nargs="*", required=required, default=default)
        else:
            parser.add_argument(
                flag, type=parser_of(parameter.annotation), required=required, default=default
            )
    return vars(parser.parse_args())


def parser_of(annotation: Any) -> Callable[[str], Any]:
    """Return the function that turns a command-line word into the annotated type."""
    for plain_type in (Path, int, float, str):
        if takes(annotation, plain_type):
            return plain_type
    return read_yaml


def read_yaml(text: str) -> Any:
    """Read a word of the command line as YAML; 1e30 and 1e-3 are numbers in it, as in JSON."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not readable"
        raise argparse.ArgumentTypeError(f"{text!r} is no YAML or JSON: {problem}") from error


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML has it wants 1.0e+30 for a number; 1e30 is text to it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def is_list_of_paths(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_list_of_paths(one) for one in get_args(annotation))
    return get_origin(annotation) is list and get_args(annotation) == (Path,)


def takes(annotation: Any, wanted: type) -> bool:
    """Whether an annotation is `wanted`, or a union with it."""
    if get_origin(annotation) in (Union, types.UnionType):
        return wanted in get_args(annotation)
    return annotation is wanted
