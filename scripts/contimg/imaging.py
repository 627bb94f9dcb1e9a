"""WSClean's command line, built from the configuration, and the names of what it makes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

IMAGE_PRODUCTS = ("image", "residual", "model", "psf")
SELFCAL_PRODUCTS = ("image", "residual", "model")
SUBBAND_PRODUCTS = ("image", "residual")
MAX_SUBBANDS = 16


def subband_product(subband: int, product: str) -> str:
    """Return what stands between GROUP and .fits in the name of a subband's product: s0.image.

    Parameters
    ----------
    subband : from 0, the lowest in frequency.
    product : image, residual, pb, pbcor or rms.
    """
    return f"s{subband}.{product}"


def subband_paths(product: str, subbands: int) -> list[str]:
    """Return the path of a product in each subband image, with the wildcards date and group."""
    return [
        f"images/{{date}}/{{group}}.{subband_product(subband, product)}.fits"
        for subband in range(subbands)
    ]


def products_of_wsclean(subbands: int = 0, products: Sequence[str] = IMAGE_PRODUCTS) -> list[str]:
    """Return what WSClean calls its images and what we do, `MFS-image:image`.

    Parameters
    ----------
    subbands : how many subband images it makes beside that of the whole band; 0: none.
    products : of the whole band.
    """
    prefix = "MFS-" if subbands else ""
    whole_band = [f"{prefix}{product}:{product}" for product in products]
    return whole_band + [
        f"{subband:04d}-{product}:{subband_product(subband, product)}"
        for subband in range(subbands)
        for product in SUBBAND_PRODUCTS
    ]


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
        "-no-dirty",
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
        *subband_images(options["subbands"]),
    ]  # fmt: skip


def round_arguments(options: Mapping[str, Any], of_rounds: Mapping[str, Any]) -> list[str]:
    """Return WSClean's arguments for a round of self-calibration: coarse, and quick.

    Parameters
    ----------
    options : the `imaging` block of the configuration.
    of_rounds : `selfcal.imaging`, which is laid over it.
    """
    return [
        *wsclean_arguments({**options, **of_rounds, "mask": "auto", "subbands": 0}),
        "-nmiter", str(of_rounds["major_iterations"]),
        *given("-baseline-averaging", of_rounds["baseline_averaging_lambda"]),
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
    fast = {"mask": "auto", "mgain": 0.8, "multiscale": False, "parallel_deconvolution": 0,
            "subbands": 0}  # fmt: skip
    return {**options, **fast, **options["quick"]}


def subband_images(subbands: int) -> list[str]:
    """Return the options that split the band, and clean its parts together.

    Peaks are sought in the image of the whole band and taken off each subband by its own height,
    with the weights of the whole band, so that this image stays what it is without subbands.
    """
    return ["-channels-out", str(subbands), "-join-channels"] if subbands else []


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
