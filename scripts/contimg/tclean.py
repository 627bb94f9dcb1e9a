"""CASA's tclean as the imager: WSClean's options in its words, and its images as WSClean's.

The steps are WSClean's auto-mask: CLEAN everywhere to `auto_mask` sigma, then within the
components that were found to `auto_threshold`. The set is opened for reading only and gets no
model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from contimg.casa import casatasks
from contimg.status import remove

PRODUCTS = ("image", "residual", "model", "psf")
W_PLANES = 128
COMPONENTS_LARGEST_SCALE_BEAMS = (0, 5, 15)

Product = tuple[NDArray[np.float32], fits.Header]


def tclean_arguments(imaging: Mapping[str, Any]) -> dict[str, Any]:
    """Return tclean's arguments: all but the set, the image's name, the mask, niter and the steps.

    Parameters
    ----------
    imaging : options of the `imaging` block of the configuration.
    """
    weighting, *robust = str(imaging["weight"]).split()
    low, high = imaging["min_uv_lambda"], imaging["max_uv_lambda"]
    uv_range = f"{low}~{high}lambda" if high else f">{low}lambda" if low else ""
    taper = imaging["taper_arcsec"]
    return {
        "datacolumn": "data",
        "imsize": [imaging["size"], imaging["size"]],
        "cell": f"{imaging['scale_arcsec']}arcsec",
        "specmode": "mfs",
        "gridder": "wproject",
        "wprojplanes": W_PLANES,
        "pblimit": -1e-6,  # no mask where it takes the primary beam to end
        "deconvolver": "multiscale" if imaging["multiscale"] else "hogbom",
        "scales": list(COMPONENTS_LARGEST_SCALE_BEAMS) if imaging["multiscale"] else [],
        "weighting": weighting,
        **({"robust": float(robust[0])} if robust else {}),
        "uvtaper": [f"{taper}arcsec"] if taper else [],
        "uvrange": uv_range,
        "gain": imaging["gain"],
        "minpsffraction": 1.0 - imaging["mgain"],
        "restoringbeam": "",
        "savemodel": "none",
        "interactive": False,
    }


def clean(ms: Path, name: Path, imaging: Mapping[str, Any], mask: Path | None) -> list[Product]:
    """Image a set.

    Parameters
    ----------
    ms : calibrated set; read only.
    name : what the names of tclean's images begin with, in a folder for temporary files.
    imaging : options of the `imaging` block of the configuration; both steps together make at
        most `niter` iterations.
    mask : FITS file, 1 where components may be, or None: found as CLEAN goes.

    Returns
    -------
    pixels and header of each of `PRODUCTS`.
    """
    tclean = casatasks().tclean
    common = {"vis": str(ms), "imagename": str(name), **tclean_arguments(imaging)}
    left = imaging["niter"]
    if mask is not None:
        tclean(**common, niter=0)
        inside = write_mask(name, fits.getdata(mask) > 0)
    else:
        done = tclean(**common, niter=left, nsigma=imaging["auto_mask"])
        left -= done["iterdone"]
        inside = write_mask(name, pixels_of(name, "model") != 0)
    tclean(
        **common, niter=left, nsigma=imaging["auto_threshold"], usemask="user", mask=inside,
        calcpsf=False, calcres=False,
    )  # fmt: skip
    return [exported(name, product) for product in PRODUCTS]


def pixels_of(name: Path, product: str) -> NDArray[np.float32]:
    """Read the pixels of one of tclean's images, (ny, nx)."""
    import casatools

    image = casatools.image()
    image.open(f"{name}.{product}")
    try:
        return np.asarray(image.getchunk())[:, :, 0, 0].T
    finally:
        image.close()


def write_mask(name: Path, inside: NDArray[np.bool_]) -> str:
    """Write a mask in CASA's form, with the coordinates of the residual image; return its path."""
    import casatools

    path = f"{name}.inside"
    image = casatools.image()
    image.open(f"{name}.residual")
    coordinates = image.coordsys().torecord()
    image.close()
    remove(Path(f"{name}.mask"))  # tclean keeps to the one of its first step otherwise
    image.fromarray(path, inside.T[:, :, None, None].astype(float), csys=coordinates)
    image.close()
    return path


def exported(name: Path, product: str) -> Product:
    """Return an image of tclean's with the header of its FITS form, beam included."""
    path = Path(f"{name}.{product}.fits")
    casatasks().exportfits(
        imagename=f"{name}.{product}", fitsimage=str(path), history=False, overwrite=True
    )
    with fits.open(path, memmap=False) as hdus:
        data, header = hdus[0].data, hdus[0].header.copy()
    if product != "image":
        restored = fits.getheader(f"{name}.image.fits")
        for card in ("BMAJ", "BMIN", "BPA"):
            header[card] = restored[card]
    return data.reshape(data.shape[-2:]), header
