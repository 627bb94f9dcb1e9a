"""WSClean's command line, built from the configuration."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

IMAGE_PRODUCTS = ("image", "residual", "model", "psf")


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
        "-padding", str(options["padding"]),
        "-wgridder-accuracy", str(options["gridding_accuracy"]),
        "-weight", *str(options["weight"]).split(),
        *given("-taper-gaussian", options["taper_arcsec"]),
        *given("-minuv-l", options["min_uv_lambda"]),
        *given("-maxuv-l", options["max_uv_lambda"]),
        "-niter", str(options["niter"]),
        "-gain", str(options["gain"]),
        "-mgain", str(options["mgain"]),
        *(["-multiscale"] if options["multiscale"] else []),
        *given("-parallel-deconvolution", options["parallel_deconvolution"]),
        *mask_arguments(options),
        "-auto-threshold", str(options["auto_threshold"]),
        *(["-local-rms"] if options["local_rms"] else []),
        *(["-circular-beam"] if options["circular_beam"] else []),
        "-pol", "I",
    ]  # fmt: skip


def mask_arguments(options: Mapping[str, Any]) -> list[str]:
    """Return where CLEAN may find components; the rule links the catalogue's mask to this name."""
    if options["mask"] == "catalogue":
        return ["-fits-mask", "mask.fits.gz"]
    return ["-auto-mask", str(options["auto_mask"])]


def given(option: str, value: float) -> list[str]:
    """Return an option with its value; 0 leaves it out."""
    return [option, str(value)] if value > 0 else []


def quick_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `imaging` block for a quick look: its size, pixels, iterations; no catalogue."""
    fast = {"mask": "auto", "mgain": 0.8, "multiscale": False, "parallel_deconvolution": 0}
    return {**options, **fast, **options["quick"]}


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
