"""Forced photometry of 10,000 sources on a 4800 x 4800 image, beside a plain loop, in one run.

    PYTHONPATH=scripts python tests/bench/bench_photometry.py [--document docs/performance.md]

makes an image (noise that is correlated as the beam, sources of 2 mJy and more at random places),
and measures it both ways, each in a process of its own, one thread each: wall time from the open
image, its background and its noise to the table (the quickest of three), and the process's peak
memory. Then the steps of the rule `measure_photometry` at the number of sources that NVSS has in
such a field.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

SIZE, CELL_DEG = 4800, 3.0 / 3600
N_SOURCES, N_CATALOGUE = 10_000, 220
BEAMS = {"68 x 36": (68.0, 36.0, 30.0), "20 x 15": (20.0, 15.0, 30.0)}
NOISE_JY = 1e-3
MARKS = "<!-- table of bench_photometry -->", "<!-- end of bench_photometry -->"

logger = logging.getLogger("bench_photometry")


def make(folder: Path, beam: tuple[float, float, float]) -> None:
    """Write image.fits, and the positions of its sources."""
    rng = np.random.default_rng(5)
    axis = np.sqrt(beam[0] * beam[1]) / 3600 / CELL_DEG / np.sqrt(8 * np.log(2))
    data = gaussian_filter(rng.normal(size=(SIZE, SIZE)).astype("f4"), axis / np.sqrt(2))
    data *= NOISE_JY / data.std()
    header = fits.Header()
    header["BMAJ"], header["BMIN"], header["BPA"] = beam[0] / 3600, beam[1] / 3600, beam[2]
    for i, (name, value, step) in enumerate(
        (("RA---SIN", 227.0, -CELL_DEG), ("DEC--SIN", 46.5, CELL_DEG)), start=1
    ):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = name, value, step
        header[f"CRPIX{i}"], header[f"CUNIT{i}"] = SIZE // 2 + 1, "deg"
    x, y = rng.uniform(0, SIZE - 1, (2, N_SOURCES))
    half = round(1.5 * header["BMAJ"] / CELL_DEG)
    for one_x, one_y, flux in zip(x, y, 0.002 * (1 + rng.pareto(1.2, N_SOURCES)), strict=True):
        rows, columns = around(one_x, one_y, half)
        seen = (rows >= 0) & (rows < SIZE) & (columns >= 0) & (columns < SIZE)
        data[rows[seen], columns[seen]] += (
            flux * gaussian(header, columns - one_x, rows - one_y)[seen]
        )
    fits.PrimaryHDU(data, header).writeto(folder / "image.fits")
    np.save(folder / "positions.npy", np.array(WCS(header).all_pix2world(x, y, 0)))


def around(x: float, y: float, half: int) -> np.ndarray:
    reach = np.arange(-half, half + 1)
    return np.array(np.meshgrid(round(y) + reach, round(x) + reach, indexing="ij"))


def gaussian(header: fits.Header, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The restoring beam at offsets in pixels."""
    angle = np.radians(header["BPA"])
    along = dy * np.cos(angle) - dx * np.sin(angle)
    across = dy * np.sin(angle) + dx * np.cos(angle)
    square = (along / header["BMAJ"]) ** 2 + (across / header["BMIN"]) ** 2
    return np.exp(-4 * np.log(2) * CELL_DEG**2 * square)


def ours(folder: Path) -> dict[str, float]:
    from contimg.fits import read_image
    from contimg.noise import background_and_rms
    from contimg.photometry import measure_fluxes

    image = read_image(folder / "image.fits")
    background, rms = background_and_rms(image.data, boxes_of(image))
    ra, dec = np.load(folder / "positions.npy")
    table, wall_s = quickest(measure_fluxes, image, ra, dec, background, rms)
    np.save(folder / "ours.npy", table["flux_jy"])
    return {"wall_s": wall_s, "n_blended": int(table["blended"].sum())}


def quickest(function: Callable, *arguments) -> tuple[Any, float]:
    """What a function gives, and the shortest wall time of three calls."""
    walls = []
    for _ in range(3):
        start = time.perf_counter()
        result = function(*arguments)
        walls.append(time.perf_counter() - start)
    return result, min(walls)


def plain(folder: Path) -> dict[str, float]:
    from contimg.fits import read_image
    from contimg.noise import background_and_rms

    image = read_image(folder / "image.fits")
    background, rms = background_and_rms(image.data, boxes_of(image))
    ra, dec = np.load(folder / "positions.npy")
    flux, wall_s = quickest(loop, image, ra, dec, background, rms)
    np.save(folder / "plain.npy", flux)
    return {"wall_s": wall_s}


def loop(image, ra, dec, background, rms) -> np.ndarray:
    """Source by source: stamp, weights, a least-squares fit with the neighbours.

    The neighbours of a source are those within 1.5 BMAJ of it, not those of its neighbours too.
    """
    half = int(np.ceil(1.5 * image.header["BMAJ"] / CELL_DEG))
    x, y = image.wcs.all_world2pix(ra, dec, 0)
    flux = np.full(len(x), np.nan)
    for i in range(len(x)):
        rows, columns = around(x[i], y[i], half)
        seen = (rows >= 0) & (rows < SIZE) & (columns >= 0) & (columns < SIZE)
        rows, columns = rows[seen], columns[seen]
        noise = rms[rows, columns]
        values = (image.data[rows, columns] - background[rows, columns]) / noise
        near = np.hypot(x - x[i], y - y[i]) < 1.5 * image.header["BMAJ"] / CELL_DEG
        members = [i, *(j for j in np.flatnonzero(near) if j != i)]
        kernels = [gaussian(image.header, columns - x[j], rows - y[j]) / noise for j in members]
        flux[i] = np.linalg.lstsq(np.array(kernels).T, values, rcond=None)[0][0]
    return flux


def steps(folder: Path) -> dict[str, float]:
    """Seconds in the steps of the rule, with as many sources as NVSS has in the field."""
    from contimg.fits import pixel_digest, read_image
    from contimg.noise import background_and_rms
    from contimg.photometry import fit_free_positions, measure_fluxes

    seconds = {}

    def timed(name: str, function: Callable, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        seconds[name] = time.perf_counter() - start
        return result

    paths = [folder / "image.fits"] * 3
    image = timed("reading image, beam and noise", lambda: [read_image(p) for p in paths])[0]
    background, rms = timed("background", background_and_rms, image.data, boxes_of(image))
    ra, dec = np.load(folder / "positions.npy")[:, :N_CATALOGUE]
    timed("forced fluxes", measure_fluxes, image, ra, dec, background, rms)
    timed("positions", fit_free_positions, image, ra, dec, background, rms)
    timed("digest of the pixels", pixel_digest, image.data)
    return seconds


def boxes_of(image) -> int:
    return round(30 * image.header["BMAJ"] / CELL_DEG)


WAYS = {"ours": ours, "plain": plain, "steps": steps}


def measured(way: str, folder: Path) -> dict[str, float]:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(scratch: Path) -> str:
    """Both ways with each beam, and the rule's steps, as text for people."""
    lines = [
        "| restoring beam, arcsec | sources with a neighbour | ours, s | plain loop, s | ratio "
        "| ours, peak GB | plain, peak GB | difference, % of the error |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, beam in BEAMS.items():
        folder = scratch / name.replace(" ", "")
        folder.mkdir()
        make(folder, beam)
        mine, theirs = (measured(way, folder) for way in ("ours", "plain"))
        fluxes = [np.load(folder / f"{way}.npy") for way in ("ours", "plain")]
        apart = np.nanmedian(np.abs(fluxes[0] - fluxes[1])) / NOISE_JY / np.sqrt(4 / 3)
        lines.append(
            f"| {name} | {mine['n_blended'] / N_SOURCES:.0%} | {mine['wall_s']:.2f} "
            f"| {theirs['wall_s']:.1f} | {mine['wall_s'] / theirs['wall_s']:.2f} "
            f"| {mine['peak_gb']:.2f} | {theirs['peak_gb']:.2f} | {100 * apart:.2g} |"
        )
    shares = measured("steps", scratch / next(iter(BEAMS)).replace(" ", ""))
    peak_gb = shares.pop("peak_gb")
    told = "; ".join(f"{name} {seconds:.2f}" for name, seconds in shares.items())
    lines += ["", f"Steps of `measure_photometry`, {N_CATALOGUE} sources, seconds: {told}. "
              f"Peak {peak_gb:.2f} GB. One thread."]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=sorted(WAYS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--scratch", type=Path, help="where the images are made for a while")
    parser.add_argument("--document", type=Path, help="where the table is put between its marks")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.way:
        figures = WAYS[options.way](options.folder)
        figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        text = table(Path(scratch))
    logger.info("%s", text)
    if options.document:
        before, rest = options.document.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        options.document.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
