"""Headers of raw visibility files, read in about a millisecond.

Two dialects of UVH5 arrive. `dsa` is what the telescope's correlator writes: "drift" in name, yet
fringe-stopped toward hour angle 0 at one apparent declination. `standard` is a projected file as
pyuvdata writes it, of any telescope, with its phase centre in a catalogue.

Nothing heavy is imported here, so that the graph can be planned from headers.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from contimg.status import Rejected

DSA = "dsa"
STANDARD = "standard"

# Of the `Header` group.
PHASE_TYPE = "phase_type"
DSA_PHASE_TYPE = "drift"
DSA_APPARENT_DEC = "phase_center_app_dec"
PHASE_CENTRES = "phase_center_catalog"
PHASE_CENTRE_IDS = "phase_center_id_array"
TIMES = "time_array"
NEEDED = (
    TIMES,
    "integration_time",
    "freq_array",
    "channel_width",
    "ant_1_array",
    "ant_2_array",
    "polarization_array",
    "telescope_name",
    "antenna_names",
    "antenna_numbers",
)
VISIBILITIES = "Data/visdata"

JD_OF_MJD_ZERO = 2400000.5


class UnreadableFile(Rejected):
    """A raw file from which nothing can be taken; the message names it, and the remedy."""

    def __init__(self, path: Path, found: str, expected: str, remedy: str) -> None:
        self.found = found
        super().__init__(f"{path}: {found}; expected {expected}; {remedy}")


@dataclass(frozen=True)
class Header:
    """What the header of a raw file says.

    Attributes
    ----------
    path : the file.
    dialect : `DSA` or `STANDARD`.
    first_mjd, last_mjd : UTC of the centres of the first and the last integration.
    n_times : number of integrations.
    integration_s : length of an integration.
    low_hz, high_hz : centres of the lowest and the highest channel.
    n_channels : number of channels.
    channel_width_hz : width of a channel, positive.
    descending : whether the frequencies fall along the file.
    apparent_dec_deg : declination of date that the fringes are stopped at; None when standard.
    ra_deg, dec_deg : ICRS phase centre of a standard file; None for the DSA dialect.
    telescope_name : as the file has it.
    dish_diameter_m : the dishes' (median) diameter; None when the file does not say.
    n_antennas_data : distinct antennas with data.
    n_antennas_telescope : antennas in the file's table.
    n_baselines : distinct baselines, autos included.
    polarizations : AIPS codes (-5 XX, -6 YY, -1 RR, -2 LL).
    """

    path: Path
    dialect: str
    first_mjd: float
    last_mjd: float
    n_times: int
    integration_s: float
    low_hz: float
    high_hz: float
    n_channels: int
    channel_width_hz: float
    descending: bool
    apparent_dec_deg: float | None
    ra_deg: float | None
    dec_deg: float | None
    telescope_name: str
    dish_diameter_m: float | None
    n_antennas_data: int
    n_antennas_telescope: int
    n_baselines: int
    polarizations: tuple[int, ...]

    @property
    def mid_mjd(self) -> float:
        """UTC of the middle of the observation."""
        return 0.5 * (self.first_mjd + self.last_mjd)


def read_header(path: Path) -> Header:
    """Read the header of a raw file, without its visibilities.

    Parameters
    ----------
    path : an HDF5 file of either dialect.

    Raises
    ------
    UnreadableFile
        When the file is empty, cut short, not HDF5, or lacks what a header must have.
    FileNotFoundError, PermissionError
        When it cannot be opened at all.
    """
    path = Path(path)
    if path.stat().st_size == 0:
        raise UnreadableFile(path, "the file is empty", "UVH5", "copy it again, or remove it")
    try:
        with h5py.File(path, "r") as file:
            return header_of(path, file)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, RuntimeError, KeyError) as error:  # HDF5's own complaints
        raise UnreadableFile(
            path, what_hdf5_says(error), "a whole UVH5 file", "copy it again, or remove it"
        ) from error


def what_hdf5_says(error: Exception) -> str:
    """Put HDF5's message into plain words."""
    text = " ".join(str(error).split())
    if "truncated" in text:
        return f"the file is cut short ({text})"
    if "signature not found" in text:
        return "this is not an HDF5 file"
    return f"HDF5 cannot read it ({text})"


def header_of(path: Path, file: h5py.File) -> Header:
    """Read the header of an open file; see `read_header`."""
    try:
        header, shape = file["Header"], file[VISIBILITIES].shape
        stored = {name: header[name] for name in NEEDED}
    except KeyError as error:
        missing = [f"Header/{name}" for name in NEEDED if f"Header/{name}" not in file]
        missing += [VISIBILITIES] * (VISIBILITIES not in file)
        raise UnreadableFile(
            path,
            f"there is no {', '.join(missing)}",
            "all that UVH5 has",
            "look at what wrote it, or remove it",
        ) from error
    dialect = dialect_of(path, header)
    times = stored[TIMES][:]
    freqs = stored["freq_array"][:].reshape(-1)
    polarizations = tuple(stored["polarization_array"][:].tolist())
    check_axes(path, shape, times, freqs, len(polarizations))
    n_times, n_baselines, antennas = baselines_of(
        times, stored["ant_1_array"], stored["ant_2_array"]
    )
    is_dsa = dialect == DSA
    ra_deg, dec_deg = (None, None) if is_dsa else phase_centre_deg(path, header)
    return Header(
        path=path,
        dialect=dialect,
        first_mjd=float(times.min() - JD_OF_MJD_ZERO),
        last_mjd=float(times.max() - JD_OF_MJD_ZERO),
        n_times=n_times,
        integration_s=float(np.ravel(stored["integration_time"][...])[0]),
        low_hz=float(freqs.min()),
        high_hz=float(freqs.max()),
        n_channels=freqs.size,
        channel_width_hz=abs(float(np.ravel(stored["channel_width"][...])[0])),
        descending=bool(freqs[-1] < freqs[0]),
        apparent_dec_deg=float(np.rad2deg(header[DSA_APPARENT_DEC][()])) if is_dsa else None,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        telescope_name=text_of(stored["telescope_name"]),
        dish_diameter_m=dish_diameter_m(header),
        n_antennas_data=antennas.size,
        n_antennas_telescope=stored["antenna_numbers"].size,
        n_baselines=n_baselines,
        polarizations=polarizations,
    )


def baselines_of(
    times: NDArray[np.float64], first: h5py.Dataset, second: h5py.Dataset
) -> tuple[int, int, NDArray[np.integer]]:
    """Count integrations and baselines, and list the antennas with data.

    Where each integration lists its baselines in turn, the first one tells all.
    """
    n_first = int(np.count_nonzero(times == times[0]))
    in_turn = times.size % n_first == 0 and np.array_equal(
        times, np.repeat(times[::n_first], n_first)
    )
    if in_turn:
        antennas = np.unique(np.concatenate([first[:n_first], second[:n_first]]))
        return times.size // n_first, n_first, antennas
    pairs = np.stack([first[:], second[:]], axis=1)
    return np.unique(times).size, len(np.unique(pairs, axis=0)), np.unique(pairs)


def dialect_of(path: Path, header: h5py.Group) -> str:
    """Tell the correlator's own dialect from standard UVH5."""
    phase_type = text_of(header[PHASE_TYPE]) if PHASE_TYPE in header else ""
    if phase_type == DSA_PHASE_TYPE and DSA_APPARENT_DEC in header:
        return DSA
    if PHASE_CENTRES in header:
        return STANDARD
    raise UnreadableFile(
        path,
        f"{PHASE_TYPE} is '{phase_type}', without {DSA_APPARENT_DEC} or {PHASE_CENTRES}",
        f"{PHASE_TYPE} '{DSA_PHASE_TYPE}' with {DSA_APPARENT_DEC} (DSA-110), or {PHASE_CENTRES}",
        "read it with pyuvdata and write it again as UVH5",
    )


def check_axes(
    path: Path,
    shape: tuple[int, ...],
    times: NDArray[np.float64],
    freqs: NDArray[np.float64],
    n_pols: int,
) -> None:
    """Refuse a file whose arrays do not fit each other, or that holds no integration."""
    expected = (times.size, freqs.size, n_pols)
    if (shape[0], *shape[-2:]) != expected:
        raise UnreadableFile(
            path,
            f"{VISIBILITIES} is {shape}",
            f"{expected} (baseline-times, channels, polarizations) as in Header",
            "look at what wrote it, or remove it",
        )
    if 0 in expected or not (np.isfinite(times).all() and np.isfinite(freqs).all()):
        raise UnreadableFile(
            path,
            f"{VISIBILITIES} is {shape}, with times or frequencies that are no numbers",
            "at least one integration and one channel, all finite",
            "look at what wrote it, or remove it",
        )


def phase_centre_deg(path: Path, header: h5py.Group) -> tuple[float, float]:
    """Return the ICRS right ascension and declination of a projected file's phase centre."""
    catalogue = header[PHASE_CENTRES]
    names = list(catalogue)
    if len(names) > 1 and PHASE_CENTRE_IDS in header:
        used = {str(number) for number in np.unique(header[PHASE_CENTRE_IDS][:])}
        names = [name for name in names if name in used]
    if len(names) != 1:
        raise UnreadableFile(
            path, f"{len(names)} phase centres", "one", "write a file for each field"
        )
    centre = catalogue[names[0]]
    kind = text_of(centre["cat_type"])
    if kind != "sidereal":
        raise UnreadableFile(
            path, f"a phase centre of type '{kind}'", "'sidereal'", "phase it with pyuvdata first"
        )
    epoch = float(centre["cat_epoch"][()]) if "cat_epoch" in centre else None
    frame = text_of(centre["cat_frame"])
    return icrs_deg(float(centre["cat_lon"][()]), float(centre["cat_lat"][()]), frame, epoch)


def icrs_deg(
    lon_rad: float, lat_rad: float, frame: str, epoch: float | None
) -> tuple[float, float]:
    """Turn a catalogue position (icrs, fk5, fk4) into ICRS degrees."""
    if frame == "icrs":
        return float(np.rad2deg(lon_rad) % 360.0), float(np.rad2deg(lat_rad))
    from astropy.coordinates import FK4, FK5, SkyCoord  # slow to import, and seldom needed

    frames = {
        "fk4": lambda: FK4(equinox=f"B{epoch or 1950.0}"),
        "fk5": lambda: FK5(equinox=f"J{epoch or 2000.0}"),
    }
    if frame not in frames:
        raise Rejected(f"phase centre in frame '{frame}'; expected icrs, fk5 or fk4")
    icrs = SkyCoord(lon_rad, lat_rad, unit="rad", frame=frames[frame]()).icrs
    return float(icrs.ra.deg), float(icrs.dec.deg)


def dish_diameter_m(header: h5py.Group) -> float | None:
    """Return the median of the dishes' diameters, or None when the file does not say."""
    if "antenna_diameters" not in header:
        return None
    diameters = np.atleast_1d(header["antenna_diameters"][...]).astype(float)
    diameters = diameters[diameters > 0]
    return float(np.median(diameters)) if diameters.size else None


def text_of(value: h5py.Dataset | bytes | str) -> str:
    """Return text that is stored as bytes or as text, in a scalar dataset or already read."""
    item = np.ravel(value[()])[0] if isinstance(value, h5py.Dataset) else value
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
