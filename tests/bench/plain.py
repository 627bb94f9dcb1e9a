"""The plain way of each step: what a careful user of the same tools would type, and no more.

    python tests/bench/plain.py STEP PATH...

A step is a process of its own, as it is in the workflow, so that its time holds the same start-up
and its memory can be read off. Flagging and imaging are plain commands and need no function.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

PIXELS, SCALE_ARCSEC = 4800, 3.0
DISH_M, SPEED_OF_LIGHT = 4.65, 299792458.0
REFERENCE, SNR = "DSA-028", 3.0


def convert(ms: Path, *files: Path) -> None:
    """Read all files, phase, write_ms."""
    from bench_convert import plain

    plain(list(files), ms)


def predict(solve_ms: Path) -> None:
    """Predict a model image onto all rows and channels with ducc0's w-gridder: MODEL_DATA."""
    from casacore import tables
    from ducc0.wgridder.experimental import dirty2vis

    with tables.table(f"{solve_ms}::SPECTRAL_WINDOW", ack=False) as window:
        freq_hz = window.getcell("CHAN_FREQ", 0)
    model = np.zeros((PIXELS, PIXELS), dtype=np.float32)
    model[tuple(np.random.default_rng(1).integers(0, PIXELS, (2, 40)))] = 1.0
    pixel_rad = np.radians(SCALE_ARCSEC / 3600)
    with tables.table(str(solve_ms), readonly=False, ack=False) as table:
        visibilities = dirty2vis(
            uvw=table.getcol("UVW"), freq=freq_hz, dirty=model,
            pixsize_x=pixel_rad, pixsize_y=pixel_rad,
            epsilon=1e-4, do_wgridding=True, divide_by_n=False, nthreads=2,
        )  # fmt: skip
        column = tables.makecoldesc("MODEL_DATA", table.getcoldesc("DATA"))
        table.addcols(column, {**table.getdminfo("DATA"), "NAME": "TiledModel"})
        for start in range(0, len(visibilities), 4096):
            part = visibilities[start : start + 4096, :, None]
            table.putcol("MODEL_DATA", np.repeat(part, 2, axis=2), start, len(part))


def bandpass(solve_ms: Path, phases: Path, bcal: Path) -> None:
    """gaincal of 30 s phases, and bandpass on top of them."""
    tasks = casa()
    tasks.gaincal(
        vis=str(solve_ms), caltable=str(phases), gaintype="G", calmode="p", solint="30s",
        minsnr=SNR, refant=reference(solve_ms),
    )  # fmt: skip
    tasks.bandpass(
        vis=str(solve_ms), caltable=str(bcal), bandtype="B", solint="inf", combine="scan",
        minsnr=SNR, refant=reference(solve_ms), gaintable=[str(phases)],
    )  # fmt: skip


def gains(solve_ms: Path, phases: Path, bcal: Path, gcal: Path) -> None:
    """gaincal of amplitude and phase over the group, on top of the bandpass and the phases."""
    casa().gaincal(
        vis=str(solve_ms), caltable=str(gcal), gaintype="G", calmode="ap", solint="inf",
        minsnr=SNR, refant=reference(solve_ms), gaintable=[str(bcal), str(phases)],
        interp=["nearest,linearflag", "nearest"],
    )  # fmt: skip


def apply(ms: Path, tables: Path, calibrated: Path) -> None:
    """Mstransform with calibration on the fly, 4 channels to 1."""
    library = calibrated.with_suffix(".callib")
    library.write_text(
        f"caltable='{tables}.bcal' calwt=False tinterp='nearest' finterp='linearflag'\n"
        f"caltable='{tables}.gcal' calwt=False tinterp='nearest'\n"
    )
    casa().mstransform(
        vis=str(ms), outputvis=str(calibrated), datacolumn="corrected", antenna="*&",
        docallib=True, callib=str(library), keepflags=True, usewtspectrum=True,
        chanaverage=True, chanbin=4,
    )  # fmt: skip


def beam(image: Path, residual: Path, status: Path, folder: Path) -> None:
    """Airy beam at mid-band of each pixel and integration; noise of boxes; corrected image."""
    from astropy.io import fits
    from astropy.wcs import WCS
    from scipy.special import j1

    with fits.open(image) as opened:
        data, header = opened[0].data.squeeze(), opened[0].header
    figures = json.loads(status.read_text())["figures"]
    rows, columns = np.indices(data.shape)
    ra, dec = WCS(header).celestial.all_pix2world(columns, rows, 0)
    ra, dec = np.radians(ra), np.radians(dec)
    wavelength = SPEED_OF_LIGHT / np.mean(figures["freq_hz"])
    response = np.zeros(data.shape)
    for ra_0, dec_0 in np.radians(figures["pointing"]):
        cosine = np.sin(dec) * np.sin(dec_0) + np.cos(dec) * np.cos(dec_0) * np.cos(ra - ra_0)
        x = np.pi * DISH_M / wavelength * np.sin(np.arccos(np.minimum(cosine, 1.0))) + 1e-9
        response += (2 * j1(x) / x) ** 2 / len(figures["pointing"])
    _, noise = boxes(fits.getdata(residual).squeeze(), box_pixels(header))
    for name, values in (("pb", response), ("pbcor", data / response), ("rms", noise)):
        fits.writeto(folder / f"{name}.fits", values.astype(np.float32), header, overwrite=True)


def photometry(image: Path, rms: Path, fluxes: Path) -> None:
    """A loop over sources: forced flux of each, and a free fit of those above 10 sigma.

    The positions are those that the workflow measured.
    """
    import pandas as pd
    from astropy.io import fits
    from astropy.wcs import WCS
    from scipy.optimize import curve_fit

    data, header = fits.getdata(image).squeeze(), fits.getheader(image)
    noise = fits.getdata(rms).squeeze()
    background, _ = boxes(data, box_pixels(header))
    kernel = gaussian(header)
    half = round(1.5 * header["BMAJ"] / header["CDELT2"])
    sources = pd.read_parquet(fluxes)
    wcs = WCS(header).celestial
    measured = []
    for ra, dec in zip(sources["ra_deg"], sources["dec_deg"], strict=True):
        x, y = wcs.all_world2pix(ra, dec, 0)
        rows, columns = np.mgrid[
            round(float(y)) - half : round(float(y)) + half + 1,
            round(float(x)) - half : round(float(x)) + half + 1,
        ]
        stamp = (rows.clip(0, PIXELS - 1), columns.clip(0, PIXELS - 1))
        values, weight = data[stamp] - background[stamp], noise[stamp] ** -2.0
        k = kernel((rows, columns), 1.0, x, y)
        flux = (values * k * weight).sum() / (k**2 * weight).sum()
        if flux > 10 * noise[stamp][half, half]:
            places = np.array([rows.ravel(), columns.ravel()])
            curve_fit(kernel, places, values.ravel(), [flux, x, y], noise[stamp].ravel())
        measured.append(flux)
    assert np.isfinite(measured).all()


def casa():
    """casatasks without a network."""
    from contimg.casa import casatasks

    return casatasks()


def reference(ms: Path) -> str:
    """Id of the reference antenna: CASA takes a name that is a number for an id."""
    import casatools

    table = casatools.table()
    table.open(str(ms / "ANTENNA"))
    names = list(table.getcol("NAME"))
    table.close()
    return str(names.index(REFERENCE))


def box_pixels(header) -> int:
    """Side of the boxes in which noise is estimated: 30 beams, as in the workflow."""
    return round(30 * header["BMAJ"] / header["CDELT2"])


def boxes(data: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Sigma-clipped median and deviation in boxes, interpolated."""
    from astropy.stats import sigma_clipped_stats
    from scipy.ndimage import zoom

    count = max(2, round(len(data) / side))
    parts = [np.array_split(rows, count, axis=1) for rows in np.array_split(data, count)]
    stats = np.array([[sigma_clipped_stats(part) for part in row] for row in parts])
    return tuple(
        zoom(stats[:, :, which], len(data) / count, order=1).astype(np.float32) for which in (1, 2)
    )


def gaussian(header):
    """The restoring beam as a function of (rows, columns), flux and position, in pixels."""
    angle = np.radians(header["BPA"])
    sigma = np.array([header["BMAJ"], header["BMIN"]]) / header["CDELT2"] / np.sqrt(8 * np.log(2))

    def kernel(places, flux, x, y):
        dx, dy = -(places[1] - x), places[0] - y
        along = dy * np.cos(angle) + dx * np.sin(angle)
        across = -dy * np.sin(angle) + dx * np.cos(angle)
        return flux * np.exp(-0.5 * ((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2))

    return kernel


STEPS = {
    step.__name__: step for step in (convert, predict, bandpass, gains, apply, beam, photometry)
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    STEPS[sys.argv[1]](*map(Path, sys.argv[2:]))
