"""Visibilities of point sources, and the private Measurement Set that is solved on.

With the UVW of a Measurement Set (metres) and offsets (l, m, n - 1) from its phase centre, CASA and
WSClean have V = sum of S exp(2 pi i (u l + v m + w (n - 1)) / lambda), and XX = YY = I for an
unpolarized source.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import casacore.tables as casatables
import numpy as np
from numpy.typing import NDArray
from scipy.constants import speed_of_light

from contimg.calibration_table import parallel_hands
from contimg.digests import Digest
from contimg.status import Rejected

logger = logging.getLogger(__name__)

MAX_PHASE_ERROR_RAD = 1e-3
"""Largest error that antenna positions may put into the phase of a source."""

COPIED_ROWS = 2048
"""Rows copied at a time."""

BLOCK_PHASORS = 2**22
"""Phasors held at a time when each baseline is predicted by itself."""

GRIDDING_ERROR = 3e-6
"""Accuracy asked of ducc0, in double precision: in single it gives 1e-5 and is no faster."""


def antenna_positions(
    uvw_m: NDArray[np.float64], antenna1: NDArray[np.int32], antenna2: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], float]:
    """Solve baselines' UVW of one integration for one UVW an antenna, by least squares.

    Parameters
    ----------
    uvw_m : (n_baselines, 3) metres.
    antenna1, antenna2 : (n_baselines,) ids.

    Returns
    -------
    position_m : (n_antennas, 3) of the antennas that occur, with uvw = position(1) - position(2)
        and a mean of 0.
    first, second : (n_baselines,) rows of `position_m`.
    residual_m : largest difference between a baseline and its antennas, metres.
    """
    found, rows = np.unique(np.concatenate([antenna1, antenna2]), return_inverse=True)
    first, second = rows[: len(antenna1)], rows[len(antenna1) :]
    n = len(found)
    normal, sums = np.zeros((n, n)), np.zeros((n, 3))
    for one, other, sign in ((first, second, 1.0), (second, first, -1.0)):
        np.add.at(normal, (one, one), 1.0)
        np.add.at(normal, (one, other), -1.0)
        np.add.at(sums, one, sign * uvw_m)
    # The common position is free: its eigenvalue is 0 but for rounding, the others are 1 and more.
    position = np.linalg.pinv(normal, rcond=1e-9, hermitian=True) @ sums
    residual = np.abs(position[first] - position[second] - uvw_m).max(initial=0.0)
    return position, first, second, float(residual)


def predict_visibilities(
    uvw_m: NDArray[np.float64],
    antenna1: NDArray[np.int32],
    antenna2: NDArray[np.int32],
    lmn: NDArray[np.float64],
    flux_jy: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
) -> NDArray[np.complex64]:
    """Visibilities of point sources in one integration.

    Parameters
    ----------
    uvw_m : (n_baselines, 3) metres.
    antenna1, antenna2 : (n_baselines,) ids.
    lmn : (n_sources, 3) direction cosines l, m, n - 1.
    flux_jy : (n_chan, n_sources) apparent Stokes I.
    freq_hz : (n_chan,) channel centres.

    Returns
    -------
    (n_baselines, n_chan) complex64, Jy.

    Notes
    -----
    The phasor of a baseline is the product of its antennas' phasors, so a channel is the matrix
    product E diag(S) E^H. Where UVW is not a difference of antenna positions (time averaging, other
    writers) to a phase error of 1e-3 rad, each baseline gets phasors of its own.
    """
    position, first, second, residual = antenna_positions(uvw_m, antenna1, antenna2)
    # Positions are no better than the float rounding of UVW itself; the sources' offsets scale it.
    reach = np.sqrt((lmn**2).sum(axis=1)).max(initial=0.0)
    error = 2 * np.pi * residual * reach * freq_hz.max() / speed_of_light
    if error > MAX_PHASE_ERROR_RAD:
        logger.info("UVW of baselines and antennas differ by %.2g m", residual)
        return by_baseline(uvw_m, lmn, flux_jy, freq_hz)
    visibilities = np.empty((len(freq_hz), len(uvw_m)), dtype=np.complex64)
    phasors = Phasors(position, lmn, freq_hz)
    for channel, flux in enumerate(flux_jy):
        phasor = phasors.at(channel).astype(np.complex64)
        product = (phasor * flux.astype(np.float32)) @ phasor.conj().T
        visibilities[channel] = product[first, second]
    return visibilities.T


def by_baseline(
    uvw_m: NDArray[np.float64],
    lmn: NDArray[np.float64],
    flux_jy: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
) -> NDArray[np.complex64]:
    """Visibilities as `predict_visibilities` gives them, a phasor for each baseline and source."""
    visibilities = np.empty((len(uvw_m), len(freq_hz)), dtype=np.complex64)
    step = max(1, BLOCK_PHASORS // max(len(lmn), 1))
    for start in range(0, len(uvw_m), step):
        block = slice(start, start + step)
        phasors = Phasors(uvw_m[block], lmn, freq_hz)
        for channel, flux in enumerate(flux_jy):
            visibilities[block, channel] = phasors.at(channel) @ flux
    return visibilities


class Phasors:
    """exp(2 pi i nu x.(l, m, n - 1) / c) at each channel in turn.

    Where channels are evenly spaced, a channel's phasors are the last one's times a constant,
    which saves the exponentials (in double precision 768 products lose 1e-13).
    """

    def __init__(
        self,
        position_m: NDArray[np.float64],
        lmn: NDArray[np.float64],
        freq_hz: NDArray[np.float64],
    ) -> None:
        self.delay_rad = 2.0 * np.pi / speed_of_light * (position_m @ lmn.T)
        self.freq_hz = freq_hz
        spacing = np.diff(freq_hz)
        self.even = bool(len(spacing) and np.ptp(spacing) < 1e-3)
        self.now = np.exp(1j * self.delay_rad * freq_hz[0])
        self.step = np.exp(1j * self.delay_rad * spacing[0]) if self.even else None

    def at(self, channel: int) -> NDArray[np.complex128]:
        """Phasors of a channel; channels are asked for in ascending order, none left out."""
        if self.step is None:
            return np.exp(1j * self.delay_rad * self.freq_hz[channel])
        if channel:
            self.now *= self.step
        return self.now


def copy_without_autos(ms: Path, copy: Path) -> None:
    """Copy a Measurement Set without autocorrelations, its files writable whatever `ms`'s are.

    Raises
    ------
    Rejected
        When the Measurement Set has no cross-correlations.
    """
    with casatables.table(str(ms), ack=False) as source:
        cross = source.getcol("ANTENNA1") != source.getcol("ANTENNA2")
        if not cross.any():
            raise Rejected(f"{ms.name}: {source.nrows()} rows, none of them of two antennas")
        with source.query("ROWNUMBER() < 0") as none:
            none.copy(str(copy), deep=True).close()
        for path in [copy, *copy.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        with casatables.table(str(copy), readonly=False, ack=False) as target:
            target.addrows(int(cross.sum()))
            for name in set(source.colnames()) - {"FLAG_CATEGORY"}:
                copy_column(source, target, name, cross)


def copy_column(
    source: casatables.table, target: casatables.table, name: str, kept: NDArray[np.bool_]
) -> None:
    """Copy a column's rows that are kept, a portion after the other."""
    memory, place = None, 0
    for start in range(0, len(kept), COPIED_ROWS):
        part = kept[start : start + COPIED_ROWS]
        if memory is None or len(memory) != len(part):
            memory = source.getcol(name, start, len(part))
        else:  # new pages cost more than the reading
            source.getcolnp(name, memory, start, len(part))
        target.putcol(name, memory[part], place, int(part.sum()))
        place += int(part.sum())


def phase_centre_deg(ms: Path) -> tuple[float, float]:
    """Right ascension and declination of the one field's phase centre, degrees.

    Raises
    ------
    ValueError
        When the Measurement Set has several fields.
    """
    with casatables.table(f"{ms}::FIELD", ack=False) as field:
        if field.nrows() != 1:
            raise ValueError(f"{ms}: {field.nrows()} fields, one expected; run convert_group again")
        ra, dec = np.degrees(field.getcell("PHASE_DIR", 0)[0])
    return float(ra % 360.0), float(dec)


def fill_model(
    ms: Path,
    lmn: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
    apparent_jy: Callable[[float], NDArray[np.float64]],
) -> str:
    """Add MODEL_DATA to a Measurement Set and fill it, an integration at a time.

    Parameters
    ----------
    ms : a private copy, of one field and spectral window.
    lmn : (n_sources, 3) direction cosines l, m, n - 1.
    freq_hz : (n_chan,) channel centres.
    apparent_jy : function of a time (MJD) that gives (n_chan, n_sources) fluxes through the beam.

    Returns
    -------
    Digest of the model's values.
    """
    parallel = parallel_hands(ms)
    digest, model = Digest(), np.zeros((0, len(freq_hz), len(parallel)), dtype=np.complex64)
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        add_model_column(table)
        for part in table.iter("TIME"):
            uvw, first, second = (part.getcol(name) for name in ("UVW", "ANTENNA1", "ANTENNA2"))
            flux = apparent_jy(part.getcell("TIME", 0) / 86400.0)
            stokes_i = predict_visibilities(uvw, first, second, lmn, flux, freq_hz)
            stokes_i = np.ascontiguousarray(stokes_i)
            digest.add("I", stokes_i)
            if len(model) != len(stokes_i):
                model = np.zeros((len(stokes_i), *model.shape[1:]), dtype=np.complex64)
            for correlation in np.flatnonzero(parallel):
                model[:, :, correlation] = stokes_i
            part.putcol("MODEL_DATA", model)
    return digest.hex()


def add_model_column(table: casatables.table) -> None:
    """Add MODEL_DATA, described and stored as DATA is."""
    description = table.getcoldesc("DATA")
    description["comment"] = "The apparent sky"
    manager = table.getdminfo("DATA")
    manager["NAME"] = "TiledModel"
    table.addcols(casatables.maketabdesc({"name": "MODEL_DATA", "desc": description}), manager)


def predict_image(
    uvw_m: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
    image: NDArray[np.floating],
    cell_rad: float,
    *,
    threads: int = 1,
) -> NDArray[np.complex64]:
    """Visibilities of an image of CLEAN components, flat in frequency.

    Parameters
    ----------
    uvw_m : (n_rows, 3) metres, of any number of integrations.
    freq_hz : (n_chan,) channel centres.
    image : (ny, nx) Jy a pixel in FITS order: rows to the north, columns to the west, the phase
        centre on pixel (ny // 2, nx // 2); a projection of SIN.
    cell_rad : side of a pixel, in direction cosines.
    threads : how many to use.

    Returns
    -------
    (n_rows, n_chan) complex64, Jy; XX = YY = I.

    Notes
    -----
    By ducc0's w-gridding (Arras et al. 2021, A&A 646, A58), on the rectangle that holds the
    components; right to 1e-5 of their sum. For a few hundred points `predict_visibilities` is as
    fast, and each channel and integration may have fluxes of its own there.
    """
    import ducc0

    rows, columns = np.nonzero(image)
    if not len(rows):
        return np.zeros((len(uvw_m), len(freq_hz)), dtype=np.complex64)
    (bottom, height), (left, width) = (even_span(filled) for filled in (rows, columns))
    # ducc0's sum has the other sign, which columns to the west make up for in l and a flip in m.
    part = np.zeros((width, height))
    part[columns - left, rows - bottom] = image[rows, columns]
    visibilities = ducc0.wgridder.dirty2vis(
        uvw=np.ascontiguousarray(uvw_m, dtype=float),
        freq=np.ascontiguousarray(freq_hz, dtype=float),
        dirty=part,
        pixsize_x=cell_rad,
        pixsize_y=cell_rad,
        center_x=(left + width // 2 - image.shape[1] // 2) * cell_rad,
        center_y=-(bottom + height // 2 - image.shape[0] // 2) * cell_rad,
        epsilon=GRIDDING_ERROR,
        do_wgridding=True,
        flip_v=True,
        divide_by_n=False,
        nthreads=threads,
    )
    return visibilities.astype(np.complex64)


def even_span(filled: NDArray[np.int64]) -> tuple[int, int]:
    """First index and even length, of at least 32, of a range that holds the indices."""
    length = int(filled.max() - filled.min()) + 1
    return int(filled.min()), max(32, length + length % 2)
