"""The configuration: the defaults pass, mistakes are told in one line each."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from contimg.checkout import CHECKOUT, located
from contimg.configuration import ConfigurationError, validated

SCHEMA = CHECKOUT / "config" / "schema.yaml"
DEFAULTS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the defaults with one key (dots between levels) changed."""
    config = copy.deepcopy(DEFAULTS)
    *blocks, last = path.split(".")
    block = config
    for name in blocks:
        block = block[name]
    block[last] = value
    return config


def laid_over(config: dict, more: dict) -> dict:
    """Return configurations merged as Snakemake merges them."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            laid_over(config[key], value)
        else:
            config[key] = value
    return config


def test_the_defaults_are_valid() -> None:
    assert validated(DEFAULTS, SCHEMA) == DEFAULTS


@pytest.mark.parametrize("name", sorted(path.name for path in (CHECKOUT / "config").glob("*.yaml")))
def test_the_configurations_in_the_checkout_are_valid(name: str) -> None:
    if name != "schema.yaml":
        more = yaml.safe_load((CHECKOUT / "config" / name).read_text())
        validated(laid_over(copy.deepcopy(DEFAULTS), more), SCHEMA)


def test_every_default_can_be_misspelled_only_once() -> None:
    """Each block refuses a key that it does not know, and says which one may be meant."""
    blocks = [name for name, value in DEFAULTS.items() if isinstance(value, dict)]
    for block in set(blocks) - {"simulation", "threads"}:
        known = next(iter(DEFAULTS[block]))
        with pytest.raises(ConfigurationError) as caught:
            validated(changed(f"{block}.{known}x", 1), SCHEMA)
        assert str(caught.value) == (
            f"configuration: {block}.{known}x: unknown key; did you mean {known}?"
        )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("imaging.mgain", 1.5, "imaging.mgain: 1.5 found, at most 1 expected"),
        ("imaging.mgain", 0, "imaging.mgain: 0 found, more than 0 expected"),
        ("imaging.size", 2049, "imaging.size: 2049 found, a multiple of 2 expected"),
        ("imaging.niter", "many", "imaging.niter: 'many' found, a whole number expected"),
        ("imaging.weight", "robust 0.5", "imaging.weight: 'robust 0.5' found, text like"),
        ("imaging.mask", "nvss", "imaging.mask: 'nvss' found, one of auto, catalogue expected"),
        ("imaging.auto_mask", 1.0, "imaging.auto_mask: 1.0 is not more than imaging.auto_thresh"),
        ("imaging.padding", 0.5, "imaging.padding: 0.5 found, at least 1 expected"),
        ("imaging.quick.size", 2, "imaging.quick.size: 2 found, at least 64 expected"),
        ("imaging.checks.beam_area_range", [2, 1], "imaging.checks.beam_area_range: [2, 1] is not"),
        ("imaging.checks.max_rms_over_thermal", 0.5,
         "imaging.checks.min_rms_over_thermal: not less than max_rms_over_thermal"),
        ("telescope.sefd_jy", 0, "telescope.sefd_jy: 0 found, more than 0 expected"),
        ("beam.model", "gauss", "beam.model: 'gauss' found, one of airy, gaussian, table expected"),
        ("beam.model", "table", "beam.table: empty, but beam.model is table; name a CSV file"),
        ("ingest.min_subbands", 17, "ingest.min_subbands: 17 is more than ingest.n_subbands, 16"),
        ("photometry.ratio_range", [2, 1], "photometry.ratio_range: [2, 1] is not ascending"),
        ("ese.min_fwhm_days", 200, "ese.min_fwhm_days: 200 found, at most max_fwhm_days (180)"),
        ("calibration.pinned_calibrators", [{"name": "3C286", "ra_deg": 1, "dec_deg": 2}],
         "calibration.pinned_calibrators.0"),
        ("calibration.pinned_tables", ["../secret"], "calibration.pinned_tables.0: '../secret'"),
        ("calibration.bandpass", {"solint": "inf"}, "calibration.bandpass: no key min_snr; add it"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_told_with_key_found_and_expected(
    path: str, value: Any, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validated(changed(path, value), SCHEMA)
    assert str(caught.value).startswith(f"configuration: {expected}")
    assert len(str(caught.value).splitlines()) == 1


def test_all_mistakes_are_told_at_once() -> None:
    config = laid_over(changed("imaging.niter", -1), {"imagin": {}})
    with pytest.raises(ConfigurationError) as caught:
        validated(config, SCHEMA)
    assert len(str(caught.value).splitlines()) == 2


def test_dates_without_quotes_are_dates() -> None:
    config = {**DEFAULTS, "dates": yaml.safe_load('[2025-10-01, "2025-10-02"]')}
    assert validated(config, SCHEMA)["dates"] == ["2025-10-01", "2025-10-02"]


def test_files_are_found_in_the_checkout_or_else_where_one_works() -> None:
    assert located("config/config.yaml") == CHECKOUT / "config" / "config.yaml"
    assert located("mine/survey.csv") == Path("mine/survey.csv")
    assert located("/data/survey.csv") == Path("/data/survey.csv")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"min_uv_lambda": 500, "max_uv_lambda": 400}, "imaging.max_uv_lambda: 400 leaves nothing"),
        ({"backend": "tclean", "local_rms": True}, "imaging.local_rms: True, but tclean has no"),
        ({"backend": "tclean", "circular_beam": True}, "imaging.circular_beam: True, but tclean"),
    ],
)
def test_options_of_imaging_that_cannot_go_together_are_told(
    changes: dict[str, Any], expected: str
) -> None:
    config = laid_over(copy.deepcopy(DEFAULTS), {"imaging": changes})
    with pytest.raises(ConfigurationError, match=expected):
        validated(config, SCHEMA)
