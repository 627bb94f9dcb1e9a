"""Where the visibilities of a raw file are phased, and what moves them to one ICRS centre.

pyuvdata does the geometry, on metadata alone: the visibilities are multiplied later, portion by
portion, by exp(-2 pi i nu/c delta_w).
"""

import csv
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray
from pyuvdata import Telescope, UVData

from contimg.meridian import meridian_icrs
from contimg.site import OVRO_MMA_HEIGHT_M, OVRO_MMA_LATITUDE_DEG, OVRO_MMA_LONGITUDE_DEG
from contimg.status import Rejected
from contimg.uvh5 import JD_OF_MJD_ZERO, Header, text_of

XX, YY, XY, YX = -5, -6, -7, -8
CASA_ORDER = (XX, XY, YX, YY)
DISH_DIAMETERS_M = {"VLA": 25.0, "EVLA": 25.0}
LINEAR_OF_CIRCULAR = {-1: XX, -2: YY, -3: XY, -4: YX}


@dataclass(frozen=True)
class Antennas:
    """The antenna table: numbers (from 1), stations, whether active, (n, 3) geocentric metres."""

    numbers: list[str]
    stations: list[str]
    active: NDArray[np.bool_]
    position_m: NDArray[np.float64]

    def rows_of(self, names: list[str], path: Path) -> list[int]:
        """Return the rows of a raw file's antennas, which are named by number."""
        row_of = {name: row for row, name in enumerate(self.numbers)}
        unknown = [name for name in names if name not in row_of]
        if unknown:
            raise ValueError(
                f"{path}: antennas {unknown} are not in the antenna table; expected its numbers; "
                "add them to the table that telescope.antennas of the configuration names"
            )
        return [row_of[name] for name in names]


@dataclass(frozen=True)
class Polarizations:
    """Which polarizations the MS has, and where the raw file has them.

    Attributes
    ----------
    codes : AIPS codes in CASA's order (XX, XY, YX, YY).
    places : place of each in the raw file.
    places_swapped : the same for a baseline turned round, where XY is the other's YX.
    """

    codes: tuple[int, ...]
    places: list[int]
    places_swapped: list[int]


@dataclass(frozen=True)
class Geometry:
    """The rows of an MS, and how raw visibilities become its visibilities.

    Attributes
    ----------
    metadata : phased to the centre; see `measurement_set.create`.
    raw_rows : (n_rows,) row in the raw file of each row of the MS, ascending.
    swapped : (n_rows,) whether the raw file has the baseline the other way round.
    delta_w_m : (n_rows,) new w minus the w that the raw visibilities are phased by, metres.
    polarizations : the MS's polarizations.
    """

    metadata: UVData
    raw_rows: NDArray[np.int64]
    swapped: NDArray[np.bool_]
    delta_w_m: NDArray[np.float64]
    polarizations: Polarizations

    @property
    def times_mjd(self) -> NDArray[np.float64]:
        """Centres of the integrations, ascending."""
        return np.unique(self.metadata.time_array) - JD_OF_MJD_ZERO

    @property
    def centre_deg(self) -> tuple[float, float]:
        """ICRS right ascension in [0, 360) and declination of the phase centre."""
        (centre,) = self.metadata.phase_center_catalog.values()
        return float(np.rad2deg(centre["cat_lon"]) % 360.0), float(np.rad2deg(centre["cat_lat"]))


def read_antennas(path: Path) -> Antennas:
    """Read the antenna table.

    Parameters
    ----------
    path : CSV with number, station, latitude_deg, longitude_deg, elevation_m (WGS84), active.
    """
    with Path(path).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = EarthLocation.from_geodetic(
        [float(row["longitude_deg"]) for row in rows] * u.deg,
        [float(row["latitude_deg"]) for row in rows] * u.deg,
        [float(row["elevation_m"]) for row in rows] * u.m,
    )
    return Antennas(
        numbers=[row["number"].strip() for row in rows],
        stations=[row["station"].strip() for row in rows],
        active=np.array([row["active"].strip().lower() in ("true", "1") for row in rows]),
        position_m=geocentric_m(places),
    )


def geocentric_m(place: EarthLocation) -> NDArray[np.float64]:
    """Return geocentric x, y, z in metres, on the last axis."""
    return np.stack([axis.to_value(u.m) for axis in place.geocentric], axis=-1)


def polarization_order(raw_codes: tuple[int, ...]) -> Polarizations:
    """Order polarizations as CASA does; RR, LL (and RL, LR) are taken as XX, YY (and XY, YX).

    Raises
    ------
    Rejected
        When there are others, such as Stokes parameters.
    """
    codes = [LINEAR_OF_CIRCULAR.get(code, code) for code in raw_codes]
    if len(set(codes)) < len(codes) or not set(codes) <= set(CASA_ORDER):
        raise Rejected(f"polarizations {list(raw_codes)}; expected XX, YY (-5, -6) or RR, LL")
    ordered = tuple(code for code in CASA_ORDER if code in codes)
    reverse = {XY: YX, YX: XY}
    return Polarizations(
        codes=ordered,
        places=[codes.index(code) for code in ordered],
        places_swapped=[codes.index(reverse.get(code, code)) for code in ordered],
    )


def dsa_geometry(
    header: Header,
    freq_hz: NDArray[np.float64],
    antennas: Antennas,
    telescope: Mapping[str, Any],
    name: str,
) -> Geometry:
    """Phase a group of the DSA dialect to the ICRS direction of the meridian at mid-group.

    Parameters
    ----------
    header : of a file whose rows all files of the group have.
    freq_hz : (n_channels,) of the whole group, ascending.
    antennas : the antenna table; baselines of inactive antennas are dropped, not their numbers.
    telescope : name, dish_diameter_m.
    name : of the field.

    Raises
    ------
    Rejected
        When no baseline is left.
    ValueError
        When the file has an antenna that the table lacks.

    Notes
    -----
    The correlator stops the fringes of each integration at hour angle 0 and the apparent
    declination. That is pyuvdata's `driftscan`: a place fixed in azimuth and altitude.
    """
    if header.apparent_dec_deg is None:
        raise ValueError(f"{header.path}: no apparent declination; expected the DSA dialect")
    with h5py.File(header.path, "r") as file:
        times, first, second, numbers, raw_names = (
            file["Header"][key][:]
            for key in (
                "time_array",
                "ant_1_array",
                "ant_2_array",
                "antenna_numbers",
                "antenna_names",
            )
        )
    order = np.argsort(numbers)
    rows = antennas.rows_of([text_of(raw_names[place]) for place in order], header.path)
    first, second = (np.searchsorted(numbers[order], ends) for ends in (first, second))
    active = antennas.active[rows]
    kept = np.flatnonzero(active[first] & active[second])
    if not len(kept):
        raise Rejected("no baseline of two active antennas")
    first, second = first[kept], second[kept]
    polarizations = polarization_order(header.polarizations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that UVW are computed: there are none before
        metadata = UVData.new(
            freq_array=freq_hz,
            channel_width=header.channel_width_hz,
            polarization_array=np.array(polarizations.codes),
            times=times[kept],
            integration_time=header.integration_s,
            antpairs=np.column_stack([np.minimum(first, second), np.maximum(first, second)]),
            do_blt_outer=False,
            telescope=array_of(antennas, rows, telescope, header.dish_diameter_m),
            update_telescope_from_known=False,
            vis_units="Jy",
            phase_center_catalog={0: driftscan(header.apparent_dec_deg)},
        )
    old_w_m = metadata.uvw_array[:, 2].copy()
    ra_deg, dec_deg = meridian_icrs(header.mid_mjd, header.apparent_dec_deg)[0]
    phase_to_icrs(metadata, ra_deg, dec_deg, name=name)
    return Geometry(
        metadata=metadata,
        raw_rows=kept,
        swapped=first > second,
        delta_w_m=metadata.uvw_array[:, 2] - old_w_m,
        polarizations=polarizations,
    )


def array_of(
    antennas: Antennas,
    rows: list[int],
    telescope: Mapping[str, Any],
    dish_diameter_m: float | None,
) -> Telescope:
    """Describe the array, on the meridian of CASA's OVRO_MMA, to pyuvdata."""
    location = EarthLocation.from_geodetic(
        OVRO_MMA_LONGITUDE_DEG * u.deg, OVRO_MMA_LATITUDE_DEG * u.deg, OVRO_MMA_HEIGHT_M * u.m
    )
    return Telescope.new(
        name=telescope["name"],
        instrument=telescope["name"],
        location=location,
        antenna_positions=antennas.position_m[rows] - geocentric_m(location),
        antenna_names=[antennas.stations[row] for row in rows],
        antenna_numbers=np.arange(len(rows)),
        antenna_diameters=np.full(len(rows), dish_diameter_m or telescope["dish_diameter_m"]),
        update_from_known=False,
    )


def driftscan(apparent_dec_deg: float) -> dict[str, Any]:
    """Describe the meridian at a declination as pyuvdata's catalogue of phase centres does."""
    zenith_angle_deg = apparent_dec_deg - OVRO_MMA_LATITUDE_DEG
    return {
        "cat_name": "meridian",
        "cat_type": "driftscan",
        "cat_lon": 0.0 if zenith_angle_deg > 0 else np.pi,
        "cat_lat": np.deg2rad(90.0 - abs(zenith_angle_deg)),
        "cat_frame": "altaz",
    }


def standard_geometry(header: Header) -> Geometry:
    """Turn a projected file's phase centre, whatever its frame, to the same place in ICRS.

    Parameters
    ----------
    header : of a file of the standard dialect.

    Raises
    ------
    Rejected
        When the file has several spectral windows.

    Notes
    -----
    The file's own UVW are turned, not computed anew from antenna positions: its visibilities were
    phased by them.
    """
    if header.ra_deg is None or header.dec_deg is None:
        raise ValueError(f"{header.path}: no phase centre; expected the standard dialect")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the check finds unusual in old files
        metadata = UVData.from_file(header.path, file_type="uvh5", read_data=False)
    if metadata.Nspws != 1:
        raise Rejected(f"{metadata.Nspws} spectral windows; expected one")
    swapped = metadata.ant_1_array > metadata.ant_2_array
    metadata.conjugate_bls("ant1<ant2")
    old_w_m = metadata.uvw_array[:, 2].copy()
    centre = metadata.phase_center_catalog[metadata.phase_center_id_array[0]]
    phase_to_icrs(
        metadata, header.ra_deg, header.dec_deg, name=centre["cat_name"], use_ant_pos=False
    )
    polarizations = polarization_order(header.polarizations)
    number_from_zero(metadata)
    set_diameters(metadata.telescope, header.dish_diameter_m)
    metadata.polarization_array = np.array(polarizations.codes)
    metadata.Npols = len(polarizations.codes)
    metadata.telescope.feed_array = metadata.telescope.feed_angle = None
    metadata.telescope.Nfeeds = None
    ascending = slice(None, None, -1) if header.descending else slice(None)
    metadata.freq_array = metadata.freq_array[ascending]
    metadata.channel_width = np.abs(metadata.channel_width[ascending])
    if np.any(np.diff(metadata.freq_array) <= 0):
        raise Rejected("channels in no order of frequency; expected ascending or descending")
    return Geometry(
        metadata=metadata,
        raw_rows=np.arange(metadata.Nblts),
        swapped=swapped,
        delta_w_m=metadata.uvw_array[:, 2] - old_w_m,
        polarizations=polarizations,
    )


def set_diameters(telescope: Telescope, dish_diameter_m: float | None) -> None:
    """Fill in dish diameters that a file does not give, from its telescope's name.

    Raises
    ------
    Rejected
        When neither tells.
    """
    if telescope.antenna_diameters is not None:
        return
    diameter_m = dish_diameter_m or DISH_DIAMETERS_M.get(telescope.name)
    if diameter_m is None:
        raise Rejected(f"no dish diameter in the file, and none known for '{telescope.name}'")
    telescope.antenna_diameters = np.full(telescope.Nants, diameter_m)


def phase_to_icrs(
    metadata: UVData, ra_deg: float, dec_deg: float, name: str, use_ant_pos: bool = True
) -> None:
    """Phase metadata to an ICRS direction, in place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a field's name is used twice, in two frames
        metadata.phase(
            lon=np.deg2rad(ra_deg),
            lat=np.deg2rad(dec_deg),
            phase_frame="icrs",
            cat_name=name,
            use_ant_pos=use_ant_pos,
        )


def number_from_zero(metadata: UVData) -> None:
    """Number a file's antennas by their order, so that the MS has no empty antenna."""
    order = np.argsort(metadata.telescope.antenna_numbers)
    numbers = metadata.telescope.antenna_numbers[order]
    metadata.ant_1_array = np.searchsorted(numbers, metadata.ant_1_array)
    metadata.ant_2_array = np.searchsorted(numbers, metadata.ant_2_array)
    for name in ("antenna_names", "antenna_positions", "antenna_diameters"):
        values = getattr(metadata.telescope, name)
        if values is not None:
            setattr(metadata.telescope, name, np.asarray(values)[order])
    metadata.telescope.antenna_numbers = np.arange(len(order))
