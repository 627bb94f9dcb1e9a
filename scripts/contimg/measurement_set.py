"""The Measurement Set: made, filled and digested through python-casacore, never casatools.

pyuvdata's convention for UVW and phase is the opposite of CASA's: what it calls uvw is negated
here, and the visibilities are conjugated. Both happen in this module and nowhere else; one
without the other would mirror the sky.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
from casacore import tables
from numpy.typing import NDArray
from pyuvdata import UVData
from pyuvdata.utils.io import ms as pyuvdata_ms

from contimg.digests import Digest

SECONDS_A_DAY = 86400.0
JD_OF_MJD_ZERO = 2400000.5
CHUNK_ROWS = 4096
DIGESTED = ("DATA", "FLAG", "UVW", "TIME", "ANTENNA1", "ANTENNA2")
ICRS = "ICRS"
MOUNT = "ALT-AZ"


def row_chunks(n_rows: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, number of rows) of the portions in which an MS is written and digested."""
    for start in range(0, n_rows, CHUNK_ROWS):
        yield start, min(CHUNK_ROWS, n_rows - start)


def ms_digest(ms: Path) -> str:
    """Return the digest of visibilities, flags, UVW, times and antennas of an MS.

    It is the same for equal values, whatever the table's files look like.
    """
    digest = Digest()
    with tables.table(str(ms), ack=False) as table:
        for start, n_rows in row_chunks(table.nrows()):
            add_all(digest, {name: table.getcol(name, start, n_rows) for name in DIGESTED})
    return digest.hex()


def create(ms: Path, metadata: UVData, history: str) -> None:
    """Make an MS with everything in it but visibilities, flags and weights.

    Parameters
    ----------
    ms : path that does not exist yet.
    metadata : one phase centre, one spectral window of ascending channels, antenna numbers from 0
        without gaps; its data arrays are not looked at.
    history : one line for the HISTORY table.

    Notes
    -----
    POINTING is left empty: pyuvdata would write the zenith there.
    """
    name = str(ms)
    pyuvdata_ms.init_ms_file(name).close()
    metadata.telescope.mount_type = [MOUNT] * metadata.telescope.Nants
    pyuvdata_ms.write_ms_antenna(name, uvobj=metadata)
    pyuvdata_ms.write_ms_data_description(name, uvobj=metadata)
    pyuvdata_ms.write_ms_feed(name, uvobj=metadata)
    pyuvdata_ms.write_ms_field(name, uvobj=metadata)
    pyuvdata_ms.write_ms_observation(name, uvobj=metadata)
    pyuvdata_ms.write_ms_polarization(name, pol_order=slice(None), uvobj=metadata)
    pyuvdata_ms.write_ms_source(name, uvobj=metadata)
    pyuvdata_ms.write_ms_spectral_window(name, uvobj=metadata)
    times_s = (metadata.time_array - JD_OF_MJD_ZERO) * SECONDS_A_DAY
    put_rows(name, metadata, times_s)
    put_time_range(name, times_s, metadata.integration_time)
    put_history(name, history, times_s.min())
    with tables.table(f"{name}::SOURCE", readonly=False, ack=False) as source:
        measure = source.getcolkeyword("DIRECTION", "MEASINFO")
        source.putcolkeyword("DIRECTION", "MEASINFO", {**measure, "Ref": ICRS})


def put_rows(name: str, metadata: UVData, times_s: NDArray[np.float64]) -> None:
    """Add the rows of the main table, with all columns of one value a row."""
    with tables.table(name, readonly=False, ack=False) as table:
        table.addrows(metadata.Nblts)
        table.putcolkeyword("DATA", "QuantumUnits", "Jy")
        zeros = np.zeros(metadata.Nblts, dtype=np.int32)
        for column, values in {
            "ANTENNA1": metadata.ant_1_array.astype(np.int32),
            "ANTENNA2": metadata.ant_2_array.astype(np.int32),
            "UVW": -metadata.uvw_array,
            "TIME": times_s,
            "TIME_CENTROID": times_s,
            "INTERVAL": metadata.integration_time,
            "EXPOSURE": metadata.integration_time,
            "DATA_DESC_ID": zeros,
            "FIELD_ID": zeros,
            "SCAN_NUMBER": zeros + 1,
        }.items():
            table.putcol(column, values)


def put_time_range(
    name: str, times_s: NDArray[np.float64], integration_s: NDArray[np.float64]
) -> None:
    """Say in OBSERVATION when the observation began and ended."""
    half = 0.5 * float(integration_s[0])
    with tables.table(f"{name}::OBSERVATION", readonly=False, ack=False) as observation:
        observation.putcell("TIME_RANGE", 0, np.array([times_s.min() - half, times_s.max() + half]))


def put_history(name: str, message: str, time_s: float) -> None:
    """Write one line of history, dated by the observation: products know no clock."""
    with tables.table(f"{name}::HISTORY", readonly=False, ack=False) as history:
        history.addrows(1)
        for column, value in {
            "TIME": time_s,
            "OBSERVATION_ID": 0,
            "MESSAGE": message,
            "PRIORITY": "INFO",
            "ORIGIN": "convert_group",
            "OBJECT_ID": 0,
            "APPLICATION": "contimg",
        }.items():
            history.putcell(column, 0, value)
        for column in ("APP_PARAMS", "CLI_COMMAND"):
            history.putcell(column, 0, np.array([""]))


class VisibilityWriter:
    """Fills the visibilities of an MS made by `create`, portion after portion of `row_chunks`.

    `digest` becomes what `ms_digest` gives for the MS.
    """

    def __init__(self, ms: Path) -> None:
        self._table = tables.table(str(ms), readonly=False, ack=False)
        self.digest = Digest()

    def __enter__(self) -> "VisibilityWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def put(
        self,
        start: int,
        visibilities: NDArray[np.complex64],
        flags: NDArray[np.bool_],
        weights: NDArray[np.float32],
        pool: Executor,
    ) -> Future[None]:
        """Write a portion's rows. The arrays are the writer's from then on.

        Parameters
        ----------
        start : first row.
        visibilities : (n_rows, n_channels, n_pols), Jy, in pyuvdata's convention.
        flags, weights : of the same shape. A row's WEIGHT is the mean of its weighted channels'.
        pool : of one thread, which takes the portion into the digest meanwhile.
        """
        np.conjugate(visibilities, out=visibilities)
        n_rows = len(visibilities)
        row_weights = mean_weights(weights)
        sigma = np.zeros_like(row_weights)
        np.divide(1.0, np.sqrt(row_weights), out=sigma, where=row_weights > 0)
        written = {"DATA": visibilities, "FLAG": flags}
        known = {name: self._table.getcol(name, start, n_rows) for name in DIGESTED[2:]}
        digesting = pool.submit(add_all, self.digest, {**written, **known})
        for column, values in {
            **written,
            "WEIGHT_SPECTRUM": weights,
            "WEIGHT": row_weights,
            "SIGMA": sigma,
        }.items():
            self._table.putcol(column, values, start, n_rows)
        return digesting


def add_all(digest: Digest, columns: dict[str, NDArray]) -> None:
    """Add a portion's columns to a digest."""
    for name in DIGESTED:
        digest.add(name, columns[name])


def mean_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average weights (n_rows, n_channels, n_pols) over the channels that have any."""
    ones = np.ones(weights.shape[1], dtype=np.float32)
    n_weighted = ones @ (weights != 0).astype(np.float32)
    return (ones @ weights) / np.maximum(n_weighted, 1)
