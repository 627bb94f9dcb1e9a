"""The configuration, checked before anything is planned."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml


class ConfigurationError(Exception):
    """What is wrong with the configuration, a line each."""


def validated(config: Mapping[str, Any], schema: Path) -> dict[str, Any]:
    """Return the configuration when it is whole and in range.

    Parameters
    ----------
    config : merged configuration.
    schema : JSON schema, as YAML.

    Raises
    ------
    ConfigurationError
        With one line for each fault: the key, what was found and what is expected.
    """
    checker = jsonschema.Draft202012Validator(yaml.safe_load(schema.read_text()))
    faults = [explained(fault) for fault in checker.iter_errors(config)]
    if not faults:
        faults = list(contradictions(config))
    if faults:
        raise ConfigurationError("configuration:\n  " + "\n  ".join(sorted(faults)))
    return dict(config)


def explained(fault: jsonschema.ValidationError) -> str:
    """Turn a schema fault into one line that names the key."""
    key = ".".join(str(part) for part in fault.absolute_path) or "the top level"
    return f"{key}: {fault.message.splitlines()[0][:300]}"


def contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is in range key by key but cannot be meant together."""
    ingest = config["ingest"]
    if ingest["min_subbands"] > ingest["n_subbands"]:
        yield (
            f"ingest.min_subbands: {ingest['min_subbands']} is more than "
            f"ingest.n_subbands, {ingest['n_subbands']}"
        )
    if config["beam"]["model"] == "table" and not config["beam"]["table"]:
        yield "beam.table: empty, but beam.model is table; name a CSV file"
    low, high = config["photometry"]["ratio_range"]
    if low >= high:
        yield f"photometry.ratio_range: [{low}, {high}] is not ascending"
