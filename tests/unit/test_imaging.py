"""WSClean's command line, as text."""

import re
import subprocess

import pytest
import yaml

from contimg.checkout import CHECKOUT
from contimg.imaging import quick_options, wsclean_arguments

OPTIONS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())["imaging"]
EVERY = {
    "taper_arcsec": 60, "min_uv_lambda": 50, "max_uv_lambda": 9000, "multiscale": True,
    "parallel_deconvolution": 1200, "local_rms": True, "circular_beam": True,
}  # fmt: skip


def test_the_documented_defaults() -> None:
    assert " ".join(wsclean_arguments(OPTIONS)) == (
        "-no-update-model-required -no-dirty -size 4800 4800 -scale 3.0asec -padding 1.2 "
        "-wgridder-accuracy 0.001 -weight briggs 0.5 -niter 30000 -gain 0.1 -mgain 0.8 "
        "-auto-mask 5.0 -auto-threshold 1.0 -pol I"
    )


def test_options_reach_the_command() -> None:
    found = wsclean_arguments({**OPTIONS, **EVERY, "weight": "natural", "niter": 0})
    text = " ".join(found)
    assert "-weight natural -taper-gaussian 60 -minuv-l 50 -maxuv-l 9000 -niter 0" in text
    assert "-multiscale -parallel-deconvolution 1200" in text
    assert "-local-rms -circular-beam" in text


def test_subbands_are_cleaned_together() -> None:
    text = " ".join(wsclean_arguments({**OPTIONS, "subbands": 4}))
    assert text.endswith("-channels-out 4 -join-channels")


def test_a_mask_from_the_catalogue_takes_the_place_of_the_one_that_wsclean_makes() -> None:
    found = wsclean_arguments({**OPTIONS, "mask": "catalogue"})
    assert "-auto-mask" not in found
    assert found[found.index("-fits-mask") + 1] == "mask.fits.gz"
    assert "-auto-threshold" in found


def test_a_quick_look_is_small_and_short_and_needs_no_catalogue() -> None:
    found = wsclean_arguments(quick_options({**OPTIONS, "mask": "catalogue"}))
    text = " ".join(found)
    assert "-size 1024 1024 -scale 14.0asec" in text
    assert "-niter 1000 " in text
    assert "-fits-mask" not in text
    field = OPTIONS["size"] * OPTIONS["scale_arcsec"]
    quick = OPTIONS["quick"]["size"] * OPTIONS["quick"]["scale_arcsec"]
    assert quick == pytest.approx(field, rel=0.02)  # the same field


@pytest.mark.parametrize("mask", ["auto", "catalogue"])
def test_wsclean_knows_every_option(mask: str) -> None:
    help_text = subprocess.run(["wsclean"], capture_output=True, text=True, check=False).stdout
    options = wsclean_arguments({**OPTIONS, **EVERY, "mask": mask})
    for option in (word for word in options if re.match(r"-[a-z]", word)):
        assert f"\n{option} " in help_text or f"\n{option}\n" in help_text, option
