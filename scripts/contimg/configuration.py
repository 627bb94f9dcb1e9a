"""The configuration, checked before anything is planned."""

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
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
        With one line for each fault: the key, what was found and what was expected.
    """
    config = with_text_dates(config)
    checker = jsonschema.Draft202012Validator(yaml.safe_load(schema.read_text()))
    faults = [line for fault in checker.iter_errors(config) for line in explained(fault)]
    if not faults:
        faults = list(contradictions(config))
    if faults:
        raise ConfigurationError("configuration: " + "\nconfiguration: ".join(sorted(set(faults))))
    return config


def block_faults(
    name: str, given: Mapping[str, Any], schema: Path, more: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what is wrong with one block of the configuration, a line each.

    Parameters
    ----------
    name : of the block, such as "ese".
    given : keys and values; keys that are not given have their defaults.
    schema : JSON schema of the configuration, as YAML.
    more : keys that may be there beside the block's own, with the schema of each.
    """
    whole = yaml.safe_load(schema.read_text())
    block = whole["properties"][name]
    rules = {
        **block,
        "properties": {**block["properties"], **(more or {})},
        "$defs": whole["$defs"],
    }
    faults = jsonschema.Draft202012Validator(rules).iter_errors(given)
    return sorted({line for fault in faults for line in explained(fault)})


def with_text_dates(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the dates that YAML made of unquoted ones back into text."""
    days = config.get("dates")
    if not isinstance(days, list):
        return dict(config)
    return {**config, "dates": [str(day) if isinstance(day, date) else day for day in days]}


# What is expected where a rule of the schema is broken, by the rule's name.
EXPECTED = {
    "type": "{}",
    "enum": "one of {}",
    "pattern": "text like {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}

# The schema's types in words.
TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}


def explained(fault: jsonschema.ValidationError) -> Iterator[str]:
    """Yield what is wrong in lines that name the key, what was found and what is expected."""
    path = [str(part) for part in fault.absolute_path]
    key = ".".join(path) or "the configuration"
    rule, limit, found = fault.validator, fault.validator_value, fault.instance
    if rule == "additionalProperties":
        known = sorted(fault.schema.get("properties", {}))
        for name in sorted(set(found) - set(known)):
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            yield f"{'.'.join([*path, name])}: unknown key; {hint}"
    elif rule == "required":
        missing = [name for name in limit if name not in found]
        yield f"{key}: no key {', '.join(missing)}; add it"
    elif rule in EXPECTED:
        limits = limit if isinstance(limit, list) else [limit]
        words = [TYPES[one] if rule == "type" else str(one) for one in limits]
        text = (" or " if rule == "type" else ", ").join(words)
        yield f"{key}: {found!r} found, {EXPECTED[rule].format(text)} expected"
    else:
        yield f"{key}: {fault.message.splitlines()[0][:300]}"


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
    yield from selfcal_contradictions(config["selfcal"])
    low, high = config["photometry"]["ratio_range"]
    if low >= high:
        yield f"photometry.ratio_range: [{low}, {high}] is not ascending"
    yield from contradictions_of_imaging(config["imaging"])
    for line in contradictions_of_search(config["ese"]):
        yield f"ese.{line}"


def selfcal_contradictions(selfcal: Mapping[str, Any]) -> Iterator[str]:
    """Yield what cannot be meant in the block of self-calibration."""
    known = selfcal["strategies"]
    for name, strategy in known.items():
        key, model, seeded = f"selfcal.strategies.{name}", strategy["model"], "min_mjy" in strategy
        if model == "calibrator" and seeded:
            yield (
                f"{key}: a calibrator model and catalogue seeding (min_mjy) together: the "
                "catalogue has the calibrator, which would count twice; leave min_mjy out, or "
                "take model: catalogue"
            )
        elif model == "clean" and seeded:
            yield f"{key}.min_mjy: of no use to model: clean; leave it out"
        elif model == "catalogue" and not seeded:
            yield f"{key}: no key min_mjy, which model: catalogue needs; add it"
    if "none" in known:
        yield "selfcal.strategies.none: the name means no self-calibration; take another"
    chosen = [("strategy", selfcal["strategy"])] if selfcal["strategy"] != "none" else []
    chosen += [("compare.strategies", name) for name in selfcal["compare"]["strategies"]]
    for key, name in chosen:
        if name not in known:
            yield f"selfcal.{key}: {name!r} found, none or one of {', '.join(known)} expected"
    lists = {"selfcal.rounds": selfcal["rounds"]} | {
        f"selfcal.strategies.{name}.rounds": strategy["rounds"]
        for name, strategy in known.items()
        if "rounds" in strategy
    }
    for key, rounds in lists.items():
        modes = [one["mode"] for one in rounds]
        if modes != sorted(modes, reverse=True):
            yield f"{key}: modes {', '.join(modes)}; phases (p) come before amplitudes (ap)"
        for number, one in enumerate(rounds, 1):
            if (one["mode"] == "ap") != ("phase_solint" in one):
                yield f"{key}: round {number}: phase_solint goes with mode ap and no other"


def contradictions_of_search(ese: Mapping[str, Any]) -> Iterator[str]:
    """Yield what cannot be meant in the options of the search for events, all of them given."""
    least, most = ese["min_fwhm_days"], ese["max_fwhm_days"]
    if least > most:
        yield f"min_fwhm_days: {least:g} found, at most max_fwhm_days ({most:g}) expected"


def contradictions_of_imaging(imaging: Mapping[str, Any]) -> Iterator[str]:
    low, high = imaging["min_uv_lambda"], imaging["max_uv_lambda"]
    if 0 < high <= low:
        yield f"imaging.max_uv_lambda: {high} leaves nothing beside imaging.min_uv_lambda, {low}"
    if imaging["mask"] == "auto" and imaging["auto_mask"] <= imaging["auto_threshold"]:
        yield (
            f"imaging.auto_mask: {imaging['auto_mask']} is not more than imaging.auto_threshold, "
            f"{imaging['auto_threshold']}"
        )
    checks = imaging["checks"]
    if checks["min_rms_over_thermal"] >= checks["max_rms_over_thermal"]:
        yield "imaging.checks.min_rms_over_thermal: not less than max_rms_over_thermal"
    low, high = checks["beam_area_range"]
    if low >= high:
        yield f"imaging.checks.beam_area_range: [{low}, {high}] is not ascending"
    only_wsclean = {
        "parallel_deconvolution": 0, "local_rms": False, "circular_beam": False, "subbands": 0
    }  # fmt: skip
    for key, neutral in only_wsclean.items():
        if imaging["backend"] == "tclean" and imaging[key] != neutral:
            yield f"imaging.{key}: {imaging[key]}, but tclean has no such option; use wsclean"
