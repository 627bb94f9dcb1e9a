"""WSClean's command line, as text."""

import re
import subprocess

import yaml

from contimg.checkout import CHECKOUT
from contimg.imaging import wsclean_arguments

OPTIONS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())["imaging"]


def test_the_documented_defaults() -> None:
    assert " ".join(wsclean_arguments(OPTIONS)) == (
        "-no-update-model-required -no-dirty -size 4800 4800 -scale 3.0asec -weight briggs 0.5 "
        "-niter 30000 -mgain 0.8 -auto-mask 5.0 -auto-threshold 1.0 -wgridder-accuracy 0.001 "
        "-pol I"
    )


def test_options_reach_the_command() -> None:
    found = wsclean_arguments({**OPTIONS, "weight": "natural", "min_uv_lambda": 50, "niter": 0})
    text = " ".join(found)
    assert "-weight natural -niter 0" in text
    assert text.endswith("-minuv-l 50")


def test_subbands_are_cleaned_together() -> None:
    text = " ".join(wsclean_arguments({**OPTIONS, "subbands": 4}))
    assert text.endswith("-channels-out 4 -join-channels")


def test_wsclean_knows_every_option() -> None:
    help_text = subprocess.run(["wsclean"], capture_output=True, text=True, check=False).stdout
    options = wsclean_arguments({**OPTIONS, "min_uv_lambda": 1, "subbands": 2})
    for option in (word for word in options if re.match(r"-[a-z]", word)):
        assert f"\n{option} " in help_text or f"\n{option}\n" in help_text, option
