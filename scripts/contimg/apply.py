"""Calibration on the fly: a corrected, averaged set from a read-only one, by CASA's mstransform."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.calibration_table import (
    channel_freq_hz,
    read_columns,
    require_same_antennas,
    table_digest,
)
from contimg.casa import away_from_casatools, casatasks
from contimg.digests import Digest
from contimg.status import Rejected

ROWS_AT_A_TIME = 4096

PARALLEL_HANDS = {5: "RR", 8: "LL", 9: "XX", 12: "YY"}

SAME_DECLINATION_DEG = 1e-3
"""Declinations of a choice are rounded to this."""

# CASA's application of delays fails without a map of spectral windows.
INTERPOLATION = {"kcal": "tinterp='nearest' spwmap=[0]", "gcal": "tinterp='nearest'"}
# linearflag: linear interpolation bridges flagged channels and leaves them unflagged.
INTERPOLATION["bcal"] = "tinterp='nearest' finterp='linearflag'"


@dataclass(frozen=True)
class Weights:
    """What is left of a set after calibration.

    Attributes
    ----------
    freq_hz : (n_chan,) channel centres.
    mjd : (n_integrations,) of the set, after averaging.
    time : (n_integrations,) share of the unflagged weight, sum 1.
    freq : (n_chan,) share of the unflagged weight, sum 1.
    flagged_fraction : of the cross-correlations.
    silent : names of the parallel hands that are flagged altogether.
    digest : of the set's visibilities, flags, weights and UVW.
    """

    freq_hz: NDArray[np.float64]
    mjd: NDArray[np.float64]
    time: NDArray[np.float64]
    freq: NDArray[np.float64]
    flagged_fraction: float
    silent: tuple[str, ...]
    digest: str


def nearest_tables(tables: Sequence[Mapping[str, Any]], mid_mjd: float) -> Mapping[str, Any]:
    """Return the tables nearest in time to a group; of two equally near, the earlier.

    Parameters
    ----------
    tables : entries of calibration.json.
    mid_mjd : middle of the group.
    """
    return min(tables, key=lambda one: (abs(one["mid_mjd"] - mid_mjd), one["mid_mjd"]))


def strip_of(choice: Mapping[str, Any], declination_deg: float | None) -> Mapping[str, Any]:
    """Return what was chosen for a group's declination: an entry of `strips`.

    Parameters
    ----------
    choice : figures of calibration.json.
    declination_deg : apparent declination of the group; None of a telescope that tracks.

    Raises
    ------
    Rejected
        When no tables serve its declination.
    """
    own = [one for one in choice["strips"] if one["declination_deg"] == declination_deg]
    if declination_deg is not None:
        known = [one for one in choice["strips"] if one["declination_deg"] is not None]
        distance = [abs(one["declination_deg"] - declination_deg) for one in known]
        own = [one for one, off in zip(known, distance, strict=True) if off <= SAME_DECLINATION_DEG]
    if not own:
        raise Rejected(f"calibration.json has nothing for declination {declination_deg} deg")
    if not own[0]["groups"]:
        raise Rejected(
            f"no calibration for declination {declination_deg:.3f} deg: {own[0]['reason']}"
        )
    return own[0]


def paths_of(tables: Mapping[str, Any]) -> dict[str, Path]:
    """Paths of an entry's tables, in the order in which they are applied to data."""
    return {kind: Path(tables[kind]) for kind in ("kcal", "bcal", "gcal") if tables[kind]}


def check_tables(tables: Mapping[str, Any], ms: Path) -> None:
    """Check that tables are those that were chosen, and fit a set's antennas.

    Raises
    ------
    ValueError
        When a table's values changed since the choice, or its antennas are others.
    """
    for kind, path in paths_of(tables).items():
        found, chosen = table_digest(path), tables["digests"][kind]
        if found != chosen:
            raise ValueError(
                f"{path}: values have changed since they were chosen (digest {found}, {chosen} "
                f"expected): run choose_calibration of the date again"
            )
        require_same_antennas(path, ms)


def calibration_library(tables: Mapping[str, Any]) -> str:
    """Text of CASA's calibration library: a line a table, weights left as they are.

    Raises
    ------
    ValueError
        When a table's path has a blank or a quote, which such a line cannot hold.
    """
    paths = paths_of(tables)
    for path in paths.values():
        if re.search(r"[\s'\"]", str(path)):
            raise ValueError(f"{path}: a blank or quote in the path of a table; pin it by another")
    return "".join(
        f"caltable='{path}' calwt=False {INTERPOLATION[kind]}\n" for kind, path in paths.items()
    )


def transform(
    ms: Path, calibrated: Path, library: Path, channels: int, integrations: int, seconds: float
) -> None:
    """Calibrate, average and write the cross-correlations.

    Parameters
    ----------
    ms : read only.
    calibrated : set to write; its DATA are the corrected visibilities.
    library : file with `calibration_library`'s text.
    channels, integrations : how many are averaged into one.
    seconds : length of an integration.

    Raises
    ------
    Rejected
        When there are no cross-correlations.
    """
    averaging: dict[str, Any] = {}
    if channels > 1:
        averaging |= {"chanaverage": True, "chanbin": channels}
    if integrations > 1:
        averaging |= {"timeaverage": True, "timebin": f"{integrations * seconds * 1.0001}s"}
    casatasks().mstransform(
        vis=str(ms), outputvis=str(calibrated), datacolumn="corrected", antenna="*&",
        docallib=True, callib=str(library), keepflags=True, usewtspectrum=True, **averaging,
    )  # fmt: skip
    if not (calibrated / "table.dat").is_file():
        raise Rejected(f"{ms.name}: no cross-correlations to calibrate")


def spread_over(
    integration_mjd: NDArray[np.float64],
    averaged_mjd: NDArray[np.float64],
    weight: NDArray[np.float64],
    length_s: float,
) -> NDArray[np.float64]:
    """Share the weights of averaged integrations out to the integrations they were made of.

    Parameters
    ----------
    integration_mjd : (n,) before averaging.
    averaged_mjd, weight : (m,) after it.
    length_s : time that one averaged integration covers.

    Returns
    -------
    (n,) with the sum of `weight`; 0 for an integration that is in none.
    """
    offset_s = np.abs(integration_mjd[:, None] - averaged_mjd) * 86400.0
    nearest = offset_s.argmin(axis=1)
    inside = offset_s.min(axis=1) <= length_s / 2
    count = np.bincount(nearest[inside], minlength=len(averaged_mjd))
    return np.where(inside, weight[nearest] / np.maximum(count[nearest], 1), 0.0)


def weigh(ms: Path) -> Weights:
    """Sum the weights that imaging will see, and digest the values.

    Parameters
    ----------
    ms : calibrated set.
    """
    return away_from_casatools(weighed, ms)


def weighed(ms: Path) -> Weights:
    """Do the work of `weigh`, in a process without casatools."""
    import casacore.tables

    times, integration = np.unique(read_columns(ms, ["TIME"])["TIME"], return_inverse=True)
    freq_hz = channel_freq_hz(ms)
    by_time, by_channel = np.zeros(len(times)), np.zeros(len(freq_hz))
    codes = read_columns(ms / "POLARIZATION", ["CORR_TYPE"])["CORR_TYPE"][0]
    by_hand = np.zeros(len(codes))
    n_flagged = n_all = 0
    digest = Digest()
    with casacore.tables.table(str(ms), ack=False) as table:
        spectrum = "WEIGHT_SPECTRUM" in table.colnames()
        for start in range(0, table.nrows(), ROWS_AT_A_TIME):
            rows = slice(start, min(start + ROWS_AT_A_TIME, table.nrows()))
            data, flag, weight, uvw = (
                table.getcol(name, start, rows.stop - start)
                for name in ("DATA", "FLAG", "WEIGHT_SPECTRUM" if spectrum else "WEIGHT", "UVW")
            )
            used = np.where(flag, np.float32(0), weight if spectrum else weight[:, None])
            both = used.sum(axis=2, dtype=float)
            by_channel += both.sum(axis=0)
            by_hand += used.sum(axis=(0, 1), dtype=float)
            by_time += np.bincount(integration[rows], both.sum(axis=1), len(times))
            n_flagged, n_all = n_flagged + int(flag.sum()), n_all + flag.size
            data[flag] = 0
            digest.add("DATA", data)
            digest.add("WEIGHT", used)
            digest.add("UVW", uvw)
    total = max(by_time.sum(), 1e-300)
    return Weights(
        freq_hz,
        times / 86400.0,
        by_time / total,
        by_channel / total,
        n_flagged / max(n_all, 1),
        tuple(PARALLEL_HANDS[code] for code in codes[by_hand == 0] if code in PARALLEL_HANDS),
        digest.hex(),
    )
