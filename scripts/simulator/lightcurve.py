"""Light curves: how a source's flux differs from its catalogue value on a day."""

from collections.abc import Callable

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from simulator.settings import Settings

REFERENCE_HZ = 1.4e9


def flux_factor(mjd: float | NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    """Return flux / catalogue flux at the times `mjd`.

    Parameters
    ----------
    mjd : any shape, days.
    spec : `kind` and its parameters; dates are `X_date` (YYYY-MM-DD) or `X_mjd`.

        - constant: `factor` (1).
        - step: 1 before `at_date`, then `factor`.
        - sine: `amplitude`, `period_days`, `phase_deg` (0), of MJD 0.
        - table: `mjd` and `factor` lists, linear between, constant outside.
        - ese: see `extreme_scattering_event`.
        With `chromatic: x` this is the factor at 1.4 GHz; see `chromatic_factor`.

    Raises
    ------
    ValueError
        When the kind is unknown.
    """
    times = np.asarray(mjd, dtype=float)
    kind = spec["kind"]
    if kind not in SHAPES:
        raise ValueError(f"light curve kind is {kind!r}; known are {sorted(SHAPES)}")
    return SHAPES[kind](times, spec)


def chromatic_factor(
    factor: NDArray[np.float64], freq_hz: NDArray[np.float64], spec: Settings
) -> NDArray[np.float64]:
    """Return flux / catalogue flux at frequencies: 1 + (factor - 1) (nu / 1.4 GHz)^-x.

    Parameters
    ----------
    factor : what `flux_factor` gave, any shape.
    freq_hz : of a shape that broadcasts against it.
    spec : the light curve, whose x is `chromatic` (0: the same at all frequencies). A lens of
        plasma bends as wavelength squared.
    """
    return 1 + (factor - 1) * (freq_hz / REFERENCE_HZ) ** -float(spec.get("chromatic", 0.0))


def is_variable(spec: Settings | None) -> bool:
    """Whether a light curve changes at all."""
    return spec is not None and spec["kind"] != "constant"


def extreme_scattering_event(times: NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    """Return a dip with a flat floor between two caustic spikes.

    Parameters
    ----------
    times : MJD.
    spec : `depth` (fraction of the flux lost at the floor), `centre_date`, `fwhm_days` (width at
        half the depth), `caustic` (0; height of the spikes just outside the dip, as a part of the
        flux), `ingress_days` (fwhm / 10) and `recovery_days` (`ingress_days`): time scales of the
        two edges, for a sharp fall with a slow recovery or the reverse.

    Notes
    -----
    The shape follows that of a plasma lens (Fiedler et al. 1994; Clegg, Fey & Lazio 1998):
    defocused behind the lens, with light heaped up where the edges' rays cross.
    """
    centre = moment(spec, "centre")
    half = spec["fwhm_days"] / 2
    ingress = spec.get("ingress_days", spec["fwhm_days"] / 10)
    recovery = spec.get("recovery_days", ingress)
    into = (times - (centre - half)) / ingress
    out_of = (times - (centre + half)) / recovery
    dip = 0.5 * (np.tanh(into) - np.tanh(out_of))
    spikes = np.exp(-0.5 * (into + 2) ** 2) + np.exp(-0.5 * (out_of - 2) ** 2)
    return 1 - spec["depth"] * dip + spec.get("caustic", 0.0) * spikes


def constant(times: NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    return np.full_like(times, spec.get("factor", 1.0))


def step(times: NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    return np.where(times < moment(spec, "at"), 1.0, spec["factor"])


def sine(times: NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    phase = 2 * np.pi * times / spec["period_days"] + np.deg2rad(spec.get("phase_deg", 0.0))
    return 1 + spec["amplitude"] * np.sin(phase)


def table(times: NDArray[np.float64], spec: Settings) -> NDArray[np.float64]:
    return np.asarray(np.interp(times, spec["mjd"], spec["factor"]))


def moment(spec: Settings, name: str) -> float:
    """Return the MJD given as `name_mjd`, or as `name_date`."""
    if f"{name}_mjd" in spec:
        return float(spec[f"{name}_mjd"])
    return float(Time(str(spec[f"{name}_date"]), scale="utc").mjd)


SHAPES: dict[str, Callable[[NDArray[np.float64], Settings], NDArray[np.float64]]] = {
    "constant": constant,
    "ese": extreme_scattering_event,
    "sine": sine,
    "step": step,
    "table": table,
}
