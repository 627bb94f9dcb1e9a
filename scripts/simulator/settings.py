"""What a simulation can be told, its defaults, and the checks on it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

INTEGRATION_S = 12.884902
BAND_TOP_HZ = 1498.75e6
BAND_BOTTOM_HZ = 1311.25e6
N_SUBBANDS = 16
SEFD_JY = 5800.0
LINEAR_POLS = (-5, -6)
ALL_POLS = (-5, -7, -8, -6)

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Calibrator:
    """A point source of known flux: name, ICRS position, flux density (flat in frequency)."""

    name: str
    ra_deg: float
    dec_deg: float
    flux_jy: float


@dataclass(frozen=True)
class Simulation:
    """One simulated campaign; `config/demo.yaml` says what each key means."""

    seed: int
    pointing_dec_deg: float
    fields: tuple[Settings, ...]
    n_integrations: int = 24
    channels_per_subband: int = 48
    polarizations: tuple[int, ...] = LINEAR_POLS
    stations: tuple[int, ...] | None = None
    record_inactive: tuple[int, ...] = ()
    dead_antennas: tuple[int, ...] = ()
    dish_diameter_m: float = 4.65
    sefd_jy: float = SEFD_JY
    noise_only: bool = False
    max_radius_deg: float = 4.0
    min_flux_jy: float = 0.0
    spectral_index_rms: float = 0.0
    light_curves: tuple[Settings, ...] = ()
    gain_amp_rms: float = 0.1
    gain_phase_deg: float = 180.0
    drift_amp_rms: float = 0.01
    drift_phase_deg: float = 3.0
    date_gain_rms: float = 0.0
    bandpass_amp_rms: float = 0.1
    bandpass_phase_deg: float = 10.0
    delay_rms_ns: float = 0.3
    rfi: tuple[Settings, ...] = ()
    missing: tuple[Settings, ...] = ()
    leave_incomplete: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        if self.polarizations not in (LINEAR_POLS, ALL_POLS):
            raise ValueError(
                f"simulation.polarizations is {list(self.polarizations)}; the telescope writes "
                f"{list(LINEAR_POLS)} or {list(ALL_POLS)}"
            )
        if not self.fields:
            raise ValueError("simulation.fields is empty: name at least one field to observe")

    @classmethod
    def from_mapping(cls, settings: Settings) -> "Simulation":
        """Read the `simulation` part of a configuration.

        Raises
        ------
        ValueError
            When a key is unknown or a needed one is missing.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"simulation has unknown keys {unknown}; known are {sorted(known)}")
        needed = [name for name in ("seed", "pointing_dec_deg", "fields") if name not in settings]
        if needed:
            raise ValueError(f"simulation lacks {needed}")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()
        }
        return cls(**values)

    @property
    def n_channels(self) -> int:
        """Channels of the whole band."""
        return N_SUBBANDS * self.channels_per_subband

    @property
    def channel_width_hz(self) -> float:
        """Width of a channel: the whole band is covered, whatever the number of channels."""
        return (BAND_TOP_HZ - BAND_BOTTOM_HZ) / self.n_channels

    @property
    def noise_sigma_jy(self) -> float:
        """Noise of the real (or imaginary) part of one visibility: SEFD / sqrt(2 dnu tau)."""
        return self.sefd_jy / (2 * self.channel_width_hz * INTEGRATION_S) ** 0.5
