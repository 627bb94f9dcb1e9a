"""Judge the workflow's products by the simulator's truth: pure functions on arrays and tables.

    PYTHONPATH=scripts python tests/validation/judge.py WORKING_DIRECTORY

prints the figures of `docs/validation.md` for a simulated and reduced working directory.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from contimg.fits import Image, read_image
from contimg.noise import background_and_rms, robust_rms
from contimg.photometry import fit_free_positions, measure_fluxes
from contimg.tables import read_table, whole_band

MIN_SNR = 20.0
HALF_POWER = 0.5
MIN_BEAM = 0.3
MATCH_ARCSEC = 1.0
MAX_CONTAMINATION = 0.003
"""A source counts as lone when truth's neighbours add less than this to its forced flux."""

AWAY_BMAJ = 1.5
"""Away from sources is farther than this from every one of them, in BMAJ."""


@dataclass(frozen=True)
class Positions:
    """Offsets of free fits from the truth, in units of sqrt(BMAJ BMIN); errors are standard."""

    n: int
    median_offset: float
    dra: float
    dra_err: float
    ddec: float
    ddec_err: float


@dataclass(frozen=True)
class Fluxes:
    """Measured over true flux.

    `median_err` is 1.4826 MAD / sqrt(n) x 1.25; `mean` is weighted by 1 / error^2; `slope` is that
    of a weighted straight line in the beam response, so times 1 the change from edge to centre.
    """

    n: int
    median: float
    median_err: float
    mean: float
    mean_err: float
    slope: float
    slope_err: float


@dataclass(frozen=True)
class Noise:
    """Noise away from sources, Jy/beam: standard deviation, and 1.4826 MAD."""

    std_jy: float
    mad_jy: float
    fraction_of_pixels: float


def read_sources(truth_h5: Path, group: str) -> pd.DataFrame:
    """Sources of a group: name, ra_deg, dec_deg, flux_jy, beam, is_variable, ..."""
    with h5py.File(truth_h5) as file:
        table = pd.DataFrame(file[group]["sources"][:])
    return table.assign(name=table["name"].str.decode("ascii"))


def unit_vectors(ra_deg: NDArray, dec_deg: NDArray) -> NDArray[np.float64]:
    ra, dec = np.radians(np.asarray(ra_deg)), np.radians(np.asarray(dec_deg))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def with_truth(measured: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Join the truth's columns (prefix true_) to the rows of one image, by position."""
    tree = cKDTree(unit_vectors(truth["ra_deg"], truth["dec_deg"]))
    chord, nearest = tree.query(unit_vectors(measured["ra_deg"], measured["dec_deg"]))
    rows = truth.iloc[nearest].add_prefix("true_").set_index(measured.index)
    joined = pd.concat([measured, rows], axis=1)
    return joined[np.degrees(chord) * 3600 < MATCH_ARCSEC]


def contamination(image: Image, truth: pd.DataFrame) -> NDArray[np.float64]:
    """What its neighbours add to each source's forced flux, as a fraction of it.

    A forced flux is sum(d K) / sum(K^2), and K's overlap with itself at a distance d is
    exp(-d Q d / 4).
    """
    x, y = image.wcs.all_world2pix(truth["ra_deg"], truth["dec_deg"], 0)
    precision = np.linalg.inv(image.beam_covariance_pixels())
    offset = np.stack([x[:, None] - x, y[:, None] - y], axis=-1)
    overlap = np.exp(-np.einsum("ijk,kl,ijl->ij", offset, precision, offset) / 4)
    np.fill_diagonal(overlap, 0)
    apparent = (truth["flux_jy"] * truth["beam"]).to_numpy()
    return (overlap @ apparent) / apparent


def lone_sources(image: Image, truth: pd.DataFrame) -> pd.DataFrame:
    """The sources whose neighbours do not matter at the image's resolution."""
    return truth[contamination(image, truth) < MAX_CONTAMINATION]


def offsets_of(image: Image, rms: NDArray, lone: pd.DataFrame) -> pd.DataFrame:
    """Free fits, in one image, of the lone sources inside the half-power point above 20 sigma.

    Columns dra, ddec in units of sqrt(BMAJ BMIN).
    """
    bright = lone[lone["beam"] >= HALF_POWER]
    box = round(30 * image.beam.bmaj_deg / image.pixel_scale_deg)
    background, _ = background_and_rms(image.data, box)
    fits = fit_free_positions(image, bright["ra_deg"], bright["dec_deg"], background, rms)
    beam_arcsec = 3600 * np.sqrt(image.beam.bmaj_deg * image.beam.bmin_deg)
    fits = fits[fits["converged"] & (fits["snr"] > MIN_SNR)]
    return pd.DataFrame(
        {"dra": fits["dra_arcsec"] / beam_arcsec, "ddec": fits["ddec_arcsec"] / beam_arcsec}
    )


def positions(offsets: pd.DataFrame) -> Positions:
    """Summarise the offsets of all images."""
    length = np.hypot(offsets["dra"], offsets["ddec"])
    return Positions(
        len(offsets),
        float(length.median()),
        float(offsets["dra"].mean()),
        float(offsets["dra"].sem()),
        float(offsets["ddec"].mean()),
        float(offsets["ddec"].sem()),
    )


def judged_fluxes(
    measured: pd.DataFrame, lone: pd.DataFrame, min_beam: float = MIN_BEAM
) -> pd.DataFrame:
    """Photometry rows of the lone sources above 20 sigma and a beam, with ratio to the truth.

    The choice is by the truth's flux over the local noise: one by the measured flux would keep
    the lucky ones.
    """
    rows = with_truth(measured, lone)
    bright = rows["true_flux_jy"] / rows["rms_jy"] > MIN_SNR
    rows = rows[bright & (rows["status"] == "ok") & (rows["true_beam"] > min_beam)]
    return rows.assign(
        ratio=rows["flux_jy"] / rows["true_flux_jy"],
        ratio_err=rows["flux_err_jy"] / rows["true_flux_jy"],
    )


def fluxes(rows: pd.DataFrame, floor: float = 0.005) -> Fluxes:
    """Summarise ratios; `floor` is added in quadrature to the noise of each for its weight."""
    ratio, beam = rows["ratio"].to_numpy(), rows["true_beam"].to_numpy()
    weight = 1 / (rows["ratio_err"].to_numpy() ** 2 + floor**2)
    design = np.stack([np.ones_like(beam), beam - np.average(beam, weights=weight)], axis=1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    mean, slope = covariance @ design.T @ (weight * ratio)
    residual = ratio - design @ [mean, slope]
    scale = max(1.0, np.sum(weight * residual**2) / max(len(rows) - 2, 1))
    mean_err, slope_err = np.sqrt(np.diag(covariance) * scale)
    return Fluxes(
        len(rows),
        float(np.median(ratio)),
        float(1.25 * robust_rms(ratio) / np.sqrt(len(rows))),
        float(mean),
        float(mean_err),
        float(slope),
        float(slope_err),
    )


def away_from_sources(image: Image, sources: pd.DataFrame) -> NDArray[np.bool_]:
    """Which pixels are farther than 1.5 BMAJ from every source."""
    reach = AWAY_BMAJ * image.beam.bmaj_deg / image.pixel_scale_deg
    x, y = image.wcs.all_world2pix(sources["ra_deg"], sources["dec_deg"], 0)
    away = np.ones(image.data.shape, dtype=bool)
    rows, columns = np.indices(image.data.shape)
    for x0, y0 in zip(x, y, strict=True):
        low = [max(int(v - reach), 0) for v in (y0, x0)]
        near = tuple(
            slice(start, max(int(v + reach) + 2, 0)) for start, v in zip(low, (y0, x0), strict=True)
        )
        away[near] &= np.hypot(rows[near] - y0, columns[near] - x0) > reach
    return away


def noise(image: Image, sources: pd.DataFrame, inside: NDArray[np.bool_] | None = None) -> Noise:
    """Noise away from all of the truth's sources, and `inside` a region."""
    away = away_from_sources(image, sources) & np.isfinite(image.data)
    if inside is not None:
        away &= inside
    values = image.data[away]
    return Noise(float(values.std()), robust_rms(values), float(away.mean()))


def mosaic_fluxes(mosaic: Image, rms: NDArray, truth: pd.DataFrame) -> pd.DataFrame:
    """Forced fluxes in a mosaic of the truth's lone sources above 20 sigma, with ratio.

    `truth` has the sources of the tiles, with flux_jy and the beam of any of them.
    """
    lone = lone_sources(mosaic, truth)
    box = round(30 * mosaic.beam.bmaj_deg / mosaic.pixel_scale_deg)
    background, _ = background_and_rms(mosaic.data, box)
    found = measure_fluxes(mosaic, lone["ra_deg"], lone["dec_deg"], background, rms)
    found = found.assign(
        true_flux_jy=lone["flux_jy"].to_numpy(),
        true_beam=lone["beam"].to_numpy(),
        ratio=found["flux_jy"] / lone["flux_jy"].to_numpy(),
        ratio_err=found["flux_err_jy"] / lone["flux_jy"].to_numpy(),
    )
    bright = found["true_flux_jy"] / found["rms_jy"] > MIN_SNR
    return found[bright & (found["status"] == "ok") & (found["true_beam"] > MIN_BEAM)]


def mosaic_scatter(mosaic: Image, rms: NDArray, truth: pd.DataFrame) -> float:
    """Measured scatter of a mosaic away from sources, in units of its rms map; 1 is right."""
    away = away_from_sources(mosaic, truth) & np.isfinite(mosaic.data) & (rms > 0)
    return float(np.std(mosaic.data[away] / rms[away]))


def science_groups(folder: Path, field: str = "science") -> Iterable[tuple[str, str]]:
    """Each date and group of the working directory that observed a field."""
    for path in sorted(folder.glob("simulated/*/truth.json")):
        for group in json.loads(path.read_text())["groups"]:
            if group["field"] == field:
                yield path.parent.name, group["group"]


def image_positions(folder: Path, date: str, group: str) -> pd.DataFrame:
    """`offsets_of` one image of a working directory."""
    image = read_image(folder / f"images/{date}/{group}.image.fits")
    rms = read_image(folder / f"images/{date}/{group}.rms.fits").data
    truth = read_sources(folder / f"simulated/{date}/truth.h5", group)
    return offsets_of(image, rms, lone_sources(image, truth))


def image_fluxes(folder: Path, date: str, group: str, min_beam: float = MIN_BEAM) -> pd.DataFrame:
    """`judged_fluxes` of one image of a working directory."""
    image = read_image(folder / f"images/{date}/{group}.image.fits")
    truth = read_sources(folder / f"simulated/{date}/truth.h5", group)
    measured = whole_band(read_table(folder / f"photometry/{date}/{group}.parquet")[0])
    return judged_fluxes(measured, lone_sources(image, truth), min_beam)


def gain_transfer(folder: Path, date: str, group: str) -> float:
    """What the drift of the true gains since the calibrator does to an image's flux scale.

    The mean over baselines of true over applied gain, from the truth alone: 1 without a drift.
    """
    chosen = json.loads((folder / f"ms/calibrated/{date}/{group}.ms.json").read_text())
    tables = Path(chosen["figures"]["tables"]["gcal"])
    with h5py.File(folder / f"simulated/{tables.parent.name}/truth.h5") as file:
        solved = file[tables.stem]["gains"][:]
    with h5py.File(folder / f"simulated/{date}/truth.h5") as file:
        live = file[group]["live"][:]
        change = file[group]["gains"][live] / solved[live]
    first, second = np.triu_indices(len(change), 1)
    return float((change[first] * change[second].conj()).real.mean())


def mosaic_figures(folder: Path, date: str, name: str, group: str) -> tuple[pd.DataFrame, float]:
    """`mosaic_fluxes` and `mosaic_scatter` of a mosaic; `group` is one of its tiles."""
    mosaic = read_image(folder / f"mosaics/{date}/{name}.mosaic.fits")
    rms = read_image(folder / f"mosaics/{date}/{name}.rms.fits").data
    truth = read_sources(folder / f"simulated/{date}/truth.h5", group)
    return mosaic_fluxes(mosaic, rms, truth), mosaic_scatter(mosaic, rms, truth)


def main(folder: Path) -> None:
    """Print the figures of a working directory as JSON."""
    groups = list(science_groups(folder))
    figures = {
        "positions": asdict(positions(pd.concat(image_positions(folder, *g) for g in groups))),
        "fluxes": asdict(fluxes(pd.concat(image_fluxes(folder, *g) for g in groups))),
    }
    for date, group in groups:
        figures[group] = {
            "fluxes": asdict(fluxes(image_fluxes(folder, date, group))),
            "noise": asdict(
                noise(
                    read_image(folder / f"images/{date}/{group}.image.fits"),
                    read_sources(folder / f"simulated/{date}/truth.h5", group),
                )
            ),
        }
    for path in sorted(folder.glob("mosaics/*/field_transit.mosaic.fits")):
        date = path.parent.name
        tile = next(group for day, group in groups if day == date)
        rows, scatter = mosaic_figures(folder, date, "field_transit", tile)
        figures[f"mosaic {date}"] = {**asdict(fluxes(rows)), "scatter_over_rms_map": scatter}
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
