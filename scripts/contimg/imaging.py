"""WSClean's command line, built from the configuration."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

IMAGE_PRODUCTS = ("image", "residual", "model", "psf")
SELFCAL_PRODUCTS = ("image", "residual", "model")


def wsclean_arguments(options: Mapping[str, Any]) -> list[str]:
    """Return WSClean's arguments: all but the gridder, threads, folders, name and input.

    Those depend on the program's version, the machine and the group, and are added by the rule.

    Parameters
    ----------
    options : the `imaging` block of the configuration.
    """
    size = str(options["size"])
    return [
        "-no-update-model-required",
        "-size", size, size,
        "-scale", f"{options['scale_arcsec']}asec",
        "-weight", *str(options["weight"]).split(),
        "-niter", str(options["niter"]),
        "-mgain", str(options["mgain"]),
        "-auto-mask", str(options["auto_mask"]),
        "-auto-threshold", str(options["auto_threshold"]),
        "-pol", "I",
        *minimum_uv(options["min_uv_lambda"]),
    ]  # fmt: skip


def round_arguments(options: Mapping[str, Any], of_rounds: Mapping[str, Any]) -> list[str]:
    """Return WSClean's arguments for a round of self-calibration: coarse, and quick.

    Parameters
    ----------
    options : the `imaging` block of the configuration.
    of_rounds : `selfcal.imaging`, which is laid over it.
    """
    return [
        *wsclean_arguments({**options, **of_rounds}),
        "-nmiter", str(of_rounds["major_iterations"]),
        "-wgridder-accuracy", str(of_rounds["gridding_accuracy"]),
        "-baseline-averaging", str(of_rounds["baseline_averaging_lambda"]),
    ]  # fmt: skip


def minimum_uv(min_uv_lambda: float) -> list[str]:
    return ["-minuv-l", str(min_uv_lambda)] if min_uv_lambda > 0 else []


def container_of(history: Iterable[str]) -> str:
    """Return what names the container that WSClean ran in, empty without one.

    Parameters
    ----------
    history : HISTORY cards of its image: the command line in pieces of 72 characters, of which
        FITS has cut off the spaces. The rule names the container in the scratch folder's path.
    """
    command = "".join(line.ljust(72) for line in history)
    found = re.search(r"-temp-dir container/(\S+)/scratch ", command)
    return found[1] if found else ""
