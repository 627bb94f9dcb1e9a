"""Small raw files in the correlator's dialect: a few antennas that look at one point source."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np
from astropy.coordinates import EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from numpy.typing import NDArray

from contimg.groups import group_of_mjd
from contimg.site import OVRO_MMA_HEIGHT_M, OVRO_MMA_LATITUDE_DEG, OVRO_MMA_LONGITUDE_DEG

iers.conf.auto_download = False

REPOSITORY = Path(__file__).resolve().parents[2]
ANTENNAS = REPOSITORY / "config" / "dsa110_antennas.csv"
TELESCOPE = {"name": "OVRO_MMA", "dish_diameter_m": 4.65}
INGEST = {"n_subbands": 16, "min_subbands": 14, "header_tolerance_s": 0.1}

INTEGRATION_S = 12.884902
TOP_HZ = 1498.75e6
SUBBAND_HZ = 11.71875e6
APPARENT_DEC_DEG = 46.81
SOURCE_DEG = (227.9, 47.3)
FLUX_JY = 2.0
STATIONS = (8, 9, 10, 11, 103, 117)  # 10 and 117 are inactive
FIRST_MJD = 60967.88009


@dataclass(frozen=True)
class RawGroup:
    """One group: what its files hold, and the settings that tests change."""

    first_mjd: float = FIRST_MJD
    n_times: int = 3
    n_channels: int = 2
    polarizations: tuple[int, ...] = (-5, -6)
    stations: tuple[int, ...] = STATIONS
    second_first: bool = False
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return group_of_mjd(self.first_mjd)

    @property
    def times_mjd(self) -> NDArray[np.float64]:
        return self.first_mjd + np.arange(self.n_times) * INTEGRATION_S / 86400

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Raw antenna numbers (from 0) of each baseline, autos too."""
        first, second = np.triu_indices(len(self.stations))
        numbers = np.array(self.stations) - 1
        pairs = np.column_stack([numbers[first], numbers[second]])
        return pairs[:, ::-1] if self.second_first else pairs

    def freq_hz(self, subband: int) -> NDArray[np.float64]:
        """Channel centres, descending."""
        width = SUBBAND_HZ / self.n_channels
        return TOP_HZ - subband * SUBBAND_HZ - (np.arange(self.n_channels) + 0.5) * width

    def visibilities(self, subband: int) -> NDArray[np.complex64]:
        """Fringe-stopped visibilities of the source, (rows, 1, channels, polarizations)."""
        enu = enu_m()[self.pairs]
        baseline_m = enu[:, 1] - enu[:, 0]
        shift = source_enu(self.times_mjd) - meridian_enu()
        delay_s = np.einsum("bk,tk->tb", baseline_m, shift) / 299792458.0
        phase = 2 * np.pi * delay_s[:, :, None] * self.freq_hz(subband)
        intensity = FLUX_JY * np.exp(1j * phase)
        values = np.zeros((*intensity.shape, len(self.polarizations)))
        parallel = [code in (-5, -6) for code in self.polarizations]
        values = intensity[..., None] * np.array(parallel)
        return values.reshape(-1, 1, *values.shape[2:]).astype(np.complex64)

    def uvw_m(self) -> NDArray[np.float64]:
        """Baselines toward the meridian, second antenna less first."""
        zenith_angle = np.deg2rad(APPARENT_DEC_DEG - OVRO_MMA_LATITUDE_DEG)
        cosine, sine = np.cos(zenith_angle), np.sin(zenith_angle)
        turned = enu_m() @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]).T
        ends = turned[self.pairs]
        return ends[:, 1] - ends[:, 0]

    def write(self, folder: Path, subband: int, **datasets: Any) -> Path:
        """Write one file; `datasets` replace those of the same name, None leaves one out."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}_sb{subband:02d}.hdf5"
        visibilities = self.visibilities(subband)
        content = {
            **{f"Header/{name}": value for name, value in self.header_values(subband).items()},
            "Data/visdata": visibilities,
            "Data/flags": np.zeros(visibilities.shape, dtype=bool),
            "Data/nsamples": np.ones(visibilities.shape, dtype=np.float32),
            **datasets,
        }
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                if value is not None:
                    file[name] = value
        return path

    def write_all(self, folder: Path, subbands: range = range(16)) -> list[Path]:
        return [self.write(folder, subband) for subband in subbands]

    def header_values(self, subband: int) -> dict[str, Any]:
        """The header, quirks included."""
        n_baselines, n_rows = len(self.pairs), len(self.pairs) * self.n_times
        return {
            "latitude": OVRO_MMA_LATITUDE_DEG,
            "longitude": OVRO_MMA_LONGITUDE_DEG,
            "altitude": OVRO_MMA_HEIGHT_M,
            "telescope_name": np.bytes_("OVRO_MMA"),
            "instrument": np.bytes_("DSA"),
            "object_name": np.bytes_("search"),
            "history": np.bytes_(""),
            "phase_type": np.bytes_("drift"),
            "phase_center_app_dec": np.deg2rad(APPARENT_DEC_DEG),
            "Nants_data": len(self.stations),
            "Nants_telescope": 117,
            "Nbls": n_baselines,
            "Nblts": n_rows,
            "Nfreqs": self.n_channels,
            "Npols": len(self.polarizations),
            "Nspws": 1,
            "Ntimes": self.n_times,
            "antenna_diameters": np.full(117, 4.65),
            "antenna_names": np.array([str(number) for number in range(1, 118)], dtype="S"),
            "antenna_numbers": np.arange(117),
            "antenna_positions": ecef_m(),
            "ant_1_array": np.tile(self.pairs[:, 0], self.n_times),
            "ant_2_array": np.tile(self.pairs[:, 1], self.n_times),
            "uvw_array": np.tile(self.uvw_m(), (self.n_times, 1)).astype(np.float32),
            "time_array": np.repeat(self.times_mjd + 2400000.5, n_baselines),
            "integration_time": np.full(n_rows, INTEGRATION_S),
            "freq_array": self.freq_hz(subband)[None, :],
            "channel_width": SUBBAND_HZ / self.n_channels,
            "spw_array": np.array([1]),
            "polarization_array": np.array(self.polarizations),
            "vis_units": np.bytes_("Jy"),
            **self.header,
        }


def location() -> EarthLocation:
    return EarthLocation.from_geodetic(
        OVRO_MMA_LONGITUDE_DEG * u.deg, OVRO_MMA_LATITUDE_DEG * u.deg, OVRO_MMA_HEIGHT_M * u.m
    )


def ecef_m() -> NDArray[np.float64]:
    """All 117 antennas, Earth-fixed metres from the array centre."""
    with ANTENNAS.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = EarthLocation.from_geodetic(
        *([float(row[name]) for row in rows] for name in ("longitude_deg", "latitude_deg")),
        [float(row["elevation_m"]) for row in rows],
    )
    axes = [
        (place - centre).to_value(u.m)
        for place, centre in zip(places.geocentric, location().geocentric, strict=True)
    ]
    return np.stack(axes, axis=-1)


def enu_m() -> NDArray[np.float64]:
    """All 117 antennas, metres east, north and up of the array centre."""
    lon, lat = np.deg2rad([OVRO_MMA_LONGITUDE_DEG, OVRO_MMA_LATITUDE_DEG])
    east = [-np.sin(lon), np.cos(lon), 0]
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return ecef_m() @ np.array([east, np.cross(up, east), up]).T


def direction_enu(hour_angle_deg: NDArray, dec_deg: NDArray) -> NDArray[np.float64]:
    """Unit vectors east, north, up of hour angles and declinations."""
    ha, dec = np.deg2rad(hour_angle_deg), np.deg2rad(dec_deg)
    lat = np.deg2rad(OVRO_MMA_LATITUDE_DEG)
    return np.stack(
        [
            -np.cos(dec) * np.sin(ha),
            np.sin(dec) * np.cos(lat) - np.cos(dec) * np.cos(ha) * np.sin(lat),
            np.sin(dec) * np.sin(lat) + np.cos(dec) * np.cos(ha) * np.cos(lat),
        ],
        axis=-1,
    )


def source_enu(times_mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where astropy sees the source, without refraction."""
    frame = HADec(obstime=Time(times_mjd, format="mjd", scale="utc"), location=location())
    seen = SkyCoord(*SOURCE_DEG, unit="deg").transform_to(frame)
    return direction_enu(seen.ha.deg, seen.dec.deg)


def meridian_enu() -> NDArray[np.float64]:
    return direction_enu(np.array(0.0), np.array(APPARENT_DEC_DEG))
