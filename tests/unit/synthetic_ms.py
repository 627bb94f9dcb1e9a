"""A small Measurement Set of a transit array with known gains, written by pyuvdata.

The visibilities are the plain Fourier sum in pyuvdata's convention (uvw = position 2 - position 1,
V = sum of S exp(2 pi i uvw.lmn / lambda)), so they judge the library's own convention.
"""

from dataclasses import dataclass, field
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from astropy.utils import iers
from pyuvdata import Telescope, UVData
from scipy.constants import speed_of_light

iers.conf.auto_download = False

SITE = EarthLocation.from_geodetic(-118.283 * u.deg, 37.2334 * u.deg, 1188.0 * u.m)
CENTRE_DEG = (227.0, 46.5)


@dataclass
class Observation:
    """What is observed: sources (l, m, n - 1 follow from the positions), gains and noise."""

    n_antennas: int = 12
    absent: tuple[int, ...] = (3,)
    n_times: int = 4
    n_chan: int = 12
    integration_s: float = 12.884902
    mjd: float = 60967.1
    sources: list[tuple[float, float, float]] = field(
        default_factory=lambda: [(227.0, 46.5, 5.0), (227.9, 47.1, 1.0)]
    )
    gains: np.ndarray | None = None  # (n_antennas, n_chan, 2)
    noise_jy: float = 0.0
    seed: int = 1

    @property
    def freq_hz(self) -> np.ndarray:
        return 1.4e9 + 0.25e6 * np.arange(self.n_chan)

    @property
    def integration_mjd(self) -> np.ndarray:
        return self.mjd + np.arange(self.n_times) * self.integration_s / 86400.0

    @property
    def present(self) -> list[int]:
        return [a for a in range(self.n_antennas) if a not in self.absent]

    def figures(self) -> dict:
        """The figures of the set's status file, for a dish that tracks the phase centre."""
        return {
            "group": "2025-10-19T02:24:00",
            "mid_mjd": float(self.integration_mjd.mean()),
            "integration_mjd": self.integration_mjd,
            "integration_s": self.integration_s,
            "freq_hz": self.freq_hz,
            "channel_width_hz": 0.25e6,
            "ra_deg": CENTRE_DEG[0],
            "dec_deg": CENTRE_DEG[1],
            "apparent_dec_deg": CENTRE_DEG[1],
            "pointing": [CENTRE_DEG] * self.n_times,
            "telescope": "OVRO_MMA",
            "dish_diameter_m": 4.65,
            "n_antennas": len(self.present),
            "antennas": [f"DSA-{a + 1:03d}" for a in self.present],
            "dialect": "dsa",
        }


def plain_cosines(sources: list[tuple[float, float, float]]) -> np.ndarray:
    """(l, m, n - 1) by the textbook formula, with nothing done about rounding."""
    ra, dec = np.radians([s[0] for s in sources]), np.radians([s[1] for s in sources])
    ra0, dec0 = np.radians(CENTRE_DEG)
    east = np.cos(dec) * np.sin(ra - ra0)
    north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0)
    return np.column_stack([east, north, np.sqrt(1 - east**2 - north**2) - 1])


def write(path: Path, observed: Observation) -> None:
    """Write the Measurement Set."""
    rng = np.random.default_rng(observed.seed)
    east, north = rng.uniform(-400, 400, (2, observed.n_antennas))
    uvd = UVData.new(
        freq_array=observed.freq_hz,
        channel_width=np.full(observed.n_chan, 0.25e6),
        polarization_array=np.array([-5, -6]),
        telescope=telescope(east, north),
        times=observed.integration_mjd + 2400000.5,
        integration_time=np.full(observed.n_times, observed.integration_s),
        antpairs=[(a, b) for a in observed.present for b in observed.present if a <= b],
        do_blt_outer=True,
        empty=True,
        vis_units="Jy",
    )
    ra0, dec0 = np.radians(CENTRE_DEG)
    uvd.phase(lon=ra0, lat=dec0, cat_type="sidereal", phase_frame="icrs", cat_name="meridian")
    wavelengths = uvd.uvw_array[:, None, :] * observed.freq_hz[None, :, None] / speed_of_light
    total = np.zeros((uvd.Nblts, observed.n_chan), dtype=complex)
    for lmn, (_, _, flux_jy) in zip(plain_cosines(observed.sources), observed.sources, strict=True):
        total += flux_jy * np.exp(2j * np.pi * (wavelengths @ lmn))
    data = np.repeat(total[:, :, None], 2, axis=2)
    if observed.gains is not None:
        data *= observed.gains[uvd.ant_1_array] * observed.gains[uvd.ant_2_array].conj()
    noise = rng.normal(size=(2, *data.shape)) * observed.noise_jy
    uvd.data_array = (data + noise[0] + 1j * noise[1]).astype(np.complex64)
    uvd.flag_array[:] = False
    uvd.write_ms(str(path), clobber=True, force_phase=False, fix_autos=True)


def telescope(east: np.ndarray, north: np.ndarray) -> Telescope:
    """A flat array of dishes named as the DSA-110's."""
    n = len(east)
    longitude, latitude = SITE.lon.rad, SITE.lat.rad
    turned = np.column_stack([
        -np.sin(longitude) * east - np.sin(latitude) * np.cos(longitude) * north,
        np.cos(longitude) * east - np.sin(latitude) * np.sin(longitude) * north,
        np.cos(latitude) * north,
    ])  # fmt: skip
    return Telescope.new(
        name="OVRO_MMA",
        location=SITE,
        antenna_positions=dict(enumerate(turned)),
        antenna_names=[f"DSA-{a + 1:03d}" for a in range(n)],
        antenna_numbers=np.arange(n),
        instrument="DSA",
        mount_type="alt-az",
        antenna_diameters=np.full(n, 4.65),
        feed_array=np.tile(["x", "y"], (n, 1)),
        feed_angle=np.tile([np.pi / 2, 0.0], (n, 1)),
    )
