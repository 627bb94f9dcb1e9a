"""Raw files to one Measurement Set: one spectral window, one field, one ICRS phase centre."""

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.constants import speed_of_light

from contimg import bad_data, measurement_set
from contimg.digests import Digest
from contimg.geometry import Geometry, dsa_geometry, read_antennas, standard_geometry
from contimg.meridian import meridian_icrs
from contimg.status import Rejected, remove
from contimg.subbands import Subbands, select_subbands
from contimg.uvh5 import STANDARD, VISIBILITIES, Header, UnreadableFile, read_header
from contimg.version import workflow_version

logger = logging.getLogger(__name__)

FLAGS, WEIGHTS = "Data/flags", "Data/nsamples"


class BrokenSubband(Exception):  # noqa: N818  (met on reading; the group may do without it)
    """A raw file whose header is whole and whose visibilities are not."""

    def __init__(self, number: int, reason: str) -> None:
        self.number, self.reason = number, reason
        super().__init__(f"subband {number}: {reason}")


@dataclass(frozen=True)
class Converted:
    """What was converted: digests of the MS and of each file, and the figures of the status."""

    digest: str
    inputs: dict[str, str]
    figures: dict[str, Any]


def convert(
    paths: Sequence[Path],
    ms: Path,
    *,
    antennas: Path,
    telescope: Mapping[str, Any],
    ingest: Mapping[str, Any],
    group: str,
    limits: Mapping[str, float] | None = None,
) -> Converted:
    """Convert a group's raw files.

    Parameters
    ----------
    paths : its subbands in the DSA dialect, or one standard file.
    ms : path of the MS, that does not exist yet.
    antennas : the antenna table (CSV).
    telescope, ingest : these parts of the configuration.
    group : `YYYY-MM-DDTHH:MM:SS`.
    limits : of bad antennas and values (`flagging.bad_data`); None: not looked for.

    Raises
    ------
    Rejected
        When too few subbands can be used, or no visibility is left.
    """
    header = standard_header(paths)
    if header is not None:
        subbands = Subbands({0: header}, wanted=1, needed=1)
        geometry = standard_geometry(header)
        return fill(ms, geometry, subbands, group, limits)
    subbands = select_subbands(paths, group, ingest)
    table = read_antennas(antennas)
    while True:
        freq_hz = subbands.freq_hz()
        geometry = dsa_geometry(subbands.reference, freq_hz, table, telescope, group)
        try:
            return fill(ms, geometry, subbands, group, limits)
        except BrokenSubband as broken:
            logger.warning("%s; begun again without it", broken)
            subbands = subbands.without(broken.number, broken.reason)
            remove(ms)


def standard_header(paths: Sequence[Path]) -> Header | None:
    """Return the header of a lone file of the standard dialect, None for anything else."""
    if len(paths) != 1:
        return None
    try:
        header = read_header(paths[0])
    except UnreadableFile as unreadable:
        raise Rejected(f"{paths[0].name}: {unreadable.found}") from unreadable
    return header if header.dialect == STANDARD else None


def fill(
    ms: Path,
    geometry: Geometry,
    subbands: Subbands,
    group: str,
    limits: Mapping[str, float] | None = None,
) -> Converted:
    """Make the MS and fill it, portion after portion; see `convert`.

    Raises
    ------
    BrokenSubband
        When a file's visibilities cannot be read.
    Rejected
        When none of the visibilities is usable.
    """
    metadata = geometry.metadata
    measurement_set.create(ms, metadata, f"made from raw files by contimg {workflow_version()}")
    shape = metadata.Nfreqs, len(geometry.polarizations.codes)
    n_usable = np.zeros(metadata.Nblts, dtype=np.int64)
    watch = bad_data.Watch.of(geometry)
    pending: list[Future[None]] = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        files = [
            stack.enter_context(RawFile(number, subbands, geometry)) for number in subbands.headers
        ]
        writer = stack.enter_context(measurement_set.VisibilityWriter(ms))
        for start, count in measurement_set.row_chunks(metadata.Nblts):
            rows = slice(start, start + count)
            portion = Portion.empty((count, *shape))
            reading = [file.read_into(portion, rows, pool) for file in files]
            portion.flag_unusable()
            watch.look(rows, portion.visibilities)
            n_usable[rows] = portion.flags[0].size - np.count_nonzero(portion.flags, axis=(1, 2))
            rotate(portion.visibilities, geometry.delta_w_m[rows], metadata.freq_array)
            writing = writer.put(start, *portion.arrays, pool)
            wait(pending)
            pending = [*reading, writing]
        wait(pending)
        digest = writer.digest.hex()
        inputs = {file.path.name: file.digest.hex() for file in files}
    found = watch.flag(ms, limits) if limits else bad_data.NOTHING
    if found.n_flagged.any():
        n_usable -= found.n_flagged
        digest = measurement_set.ms_digest(ms)
    if not n_usable.any():
        raise Rejected("no usable visibilities: all are zero, not finite or flagged")
    figures = figures_of(geometry, subbands, group, n_usable)
    return Converted(digest, inputs, figures | found.figures(metadata.telescope.antenna_names))


@dataclass(frozen=True)
class Portion:
    """Some rows of the MS, (n_rows, n_channels, n_pols): what no file fills is zero and flagged."""

    visibilities: NDArray[np.complex64]
    flags: NDArray[np.bool_]
    weights: NDArray[np.float32]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Portion":
        return cls(
            np.zeros(shape, dtype=np.complex64),
            np.ones(shape, dtype=bool),
            np.zeros(shape, dtype=np.float32),
        )

    @property
    def arrays(self) -> tuple[NDArray[np.complex64], NDArray[np.bool_], NDArray[np.float32]]:
        return self.visibilities, self.flags, self.weights

    def flag_unusable(self) -> None:
        """Flag what is exactly zero or not finite, and make the latter zero."""
        finite = np.isfinite(self.visibilities)
        if not finite.all():
            self.visibilities[~finite] = 0
        np.logical_or(self.flags, self.visibilities == 0, out=self.flags)


class RawFile:
    """A raw file's visibilities, as they are asked for by rows of the MS.

    `digest` is of the visibilities, flags and weights that were read.
    """

    def __init__(self, number: int, subbands: Subbands, geometry: Geometry) -> None:
        header = subbands.headers[number]
        self.path, self.digest = header.path, Digest()
        self._number, self._geometry = number, geometry
        self._place = subbands.place(number)
        self._channels = slice(None, None, -1) if header.descending else slice(None)
        self._reference = subbands.reference.path

    def __enter__(self) -> "RawFile":
        self._file = h5py.File(self.path, "r")
        self._columns = [self._file[name] for name in (VISIBILITIES, FLAGS, WEIGHTS)]
        if self.path != self._reference and not self._has_rows_of(self._reference):
            raise BrokenSubband(self._number, f"its rows are not those of {self._reference.name}")
        self._descriptor = os.open(self.path, os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._file.close()

    def _has_rows_of(self, other: Path) -> bool:
        with h5py.File(other, "r") as reference:
            return all(
                np.array_equal(self._file["Header"][name][:], reference["Header"][name][:])
                for name in ("ant_1_array", "ant_2_array", "time_array")
            )

    def read_into(self, portion: Portion, rows: slice, pool: Executor) -> Future[None]:
        """Read the raw file's share of a portion.

        Parameters
        ----------
        portion : filled in the channels of this file.
        rows : of the MS.
        pool : of one thread, which takes what was read into the digest meanwhile.

        Raises
        ------
        BrokenSubband
            When it cannot be read.
        """
        wanted = self._geometry.raw_rows[rows]
        span = slice(int(wanted[0]), int(wanted[-1]) + 1)
        try:
            read = [self._read(column, span) for column in self._columns]
        except OSError as error:
            raise BrokenSubband(
                self._number, f"its visibilities cannot be read: {error}"
            ) from error
        digesting = pool.submit(self._add, read)
        swapped = np.flatnonzero(self._geometry.swapped[rows])
        polarizations = self._geometry.polarizations
        for values, column in zip(read, portion.arrays, strict=True):
            block = values.reshape(len(values), -1, values.shape[-1])
            if len(block) != len(wanted):
                block = block[wanted - wanted[0]]
            block = block[:, self._channels]
            target = column[:, self._place]
            if np.array_equal(polarizations.places, np.arange(block.shape[-1])):
                target[...] = block
            else:
                for pol, place in enumerate(polarizations.places):
                    target[..., pol] = block[..., place]
            if len(swapped):
                target[swapped] = block[swapped][..., polarizations.places_swapped].conj()
        return digesting

    def _read(self, column: h5py.Dataset, rows: slice) -> NDArray:
        """Read rows; past HDF5, which takes five times as long, where they lie in one piece."""
        offset = column.id.get_offset()
        if offset is None or not column.dtype.isnative:
            return column[rows]
        values = np.empty((rows.stop - rows.start, *column.shape[1:]), column.dtype)
        start = offset + rows.start * (values.nbytes // len(values))
        left = values.reshape(-1).view(np.uint8).data
        while len(left):  # a read may return fewer bytes than asked for
            n_read = os.preadv(self._descriptor, [left], start)
            if not n_read:
                raise OSError("the file ends too early")
            left, start = left[n_read:], start + n_read
        return values

    def _add(self, read: list[NDArray]) -> None:
        for name, values in zip((VISIBILITIES, FLAGS, WEIGHTS), read, strict=True):
            self.digest.add(name, values)


def rotate(
    visibilities: NDArray[np.complex64],
    delta_w_m: NDArray[np.float64],
    freq_hz: NDArray[np.float64],
) -> None:
    """Move visibilities to the new phase centre, in place.

    Parameters
    ----------
    visibilities : (n_rows, n_channels, n_pols), in pyuvdata's convention.
    delta_w_m : (n_rows,) new w minus old w, metres.
    freq_hz : (n_channels,).

    Notes
    -----
    V exp(-2 pi i w nu/c), pyuvdata's `phase`. Whole turns are taken off in double precision.
    """
    delay_s = delta_w_m / speed_of_light
    spacing_hz = np.diff(freq_hz)
    step = max(number for number in range(1, 65) if len(freq_hz) % number == 0)
    if len(freq_hz) > 1 and np.ptp(spacing_hz) < 1e-3:
        # Of evenly spaced channels: products of a few phasors, which are cheaper than each alone.
        phasor = phasors(delay_s, freq_hz[::step])[:, :, None]
        phasor = phasor * phasors(delay_s, freq_hz[:step] - freq_hz[0])[:, None, :]
        phasor = phasor.reshape(len(delay_s), -1)
    else:
        phasor = phasors(delay_s, freq_hz)
    visibilities *= phasor[..., None]


def phasors(delay_s: NDArray[np.float64], freq_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
    """exp(-2 pi i delay nu), (n_delays, n_channels)."""
    turns = np.multiply.outer(delay_s, freq_hz)
    turns -= np.rint(turns)
    angle = (-2 * np.pi * turns).astype(np.float32)
    phasor = np.empty(angle.shape, dtype=np.complex64)
    np.cos(angle, out=phasor.real)
    np.sin(angle, out=phasor.imag)
    return phasor


def figures_of(
    geometry: Geometry, subbands: Subbands, group: str, n_usable: NDArray[np.int64]
) -> dict[str, Any]:
    """Return what the status file says of an MS; see docs on file formats.

    Parameters
    ----------
    n_usable : (n_rows,) unflagged visibilities of each row.
    """
    header, metadata = subbands.reference, geometry.metadata
    times_mjd = geometry.times_mjd
    ra_deg, dec_deg = geometry.centre_deg
    cross = metadata.ant_1_array != metadata.ant_2_array
    ends = np.stack([metadata.ant_1_array, metadata.ant_2_array])[:, cross & (n_usable > 0)]
    antennas = [str(metadata.telescope.antenna_names[number]) for number in np.unique(ends)]
    n_of_row = metadata.Nfreqs * len(geometry.polarizations.codes)
    return {
        "group": group,
        "dialect": header.dialect,
        "telescope": metadata.telescope.name,
        "dish_diameter_m": float(np.median(metadata.telescope.antenna_diameters)),
        "mid_mjd": 0.5 * (times_mjd[0] + times_mjd[-1]),
        "integration_s": header.integration_s,
        "integration_mjd": times_mjd,
        "freq_hz": metadata.freq_array,
        "channel_width_hz": float(np.median(metadata.channel_width)),
        "ra_deg": ra_deg,
        "dec_deg": dec_deg,
        "apparent_dec_deg": header.apparent_dec_deg,
        "pointing": pointing_deg(header, times_mjd),
        "n_antennas": len(antennas),
        "antennas": antennas,
        "subbands": list(subbands.headers),
        "missing": subbands.missing,
        "excluded": [{"file": name, "reason": reason} for name, reason in subbands.excluded],
        "files": [header.path.name for header in subbands.headers.values()],
        "flagged_fraction": 1.0 - float(n_usable.mean()) / n_of_row,
        "flagged_fraction_crosses": 1.0 - float(n_usable[cross].mean()) / n_of_row,
    }


def pointing_deg(header: Header, times_mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the dishes point in each integration: (n_times, 2), ICRS."""
    if header.apparent_dec_deg is None:
        return np.tile([header.ra_deg, header.dec_deg], (len(times_mjd), 1))
    return meridian_icrs(times_mjd, header.apparent_dec_deg)
