"""The configuration as a run of Snakemake has it, for the programs beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from contimg.checkout import CHECKOUT
from contimg.configuration import validated


def settings_of(configfiles: Iterable[Path], base: Path = CHECKOUT) -> dict[str, Any]:
    """Return the checkout's configuration with files laid over it, checked.

    Parameters
    ----------
    configfiles : YAML files, the later ones over the earlier.
    base : the checkout.

    Raises
    ------
    ConfigurationError
        With one line for each fault.
    """
    config: dict[str, Any] = {}
    for path in [base / "config" / "config.yaml", *configfiles]:
        config = laid_over(config, yaml.safe_load(Path(path).read_text()) or {})
    return validated(config, base / "config" / "schema.yaml")


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with another laid over it, block by block; lists are replaced."""
    merged = dict(below)
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = laid_over(merged[name], value)
        else:
            merged[name] = value
    return merged
