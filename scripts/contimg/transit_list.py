"""What could calibrate a date: the content of cal/DATE/transits.json."""

from typing import Any

from contimg.calibrators import Transit
from contimg.groups import group_of_mjd
from contimg.inventory import Group, Inventory
from contimg.ranking import Ranked, solution_snr, too_weak
from contimg.uvh5 import DSA

LIMITS = ("min_apparent_jy", "min_beam", "list_min_beam", "transits_per_date", "flux_standard")


def transit_list(inventory: Inventory, date: str) -> dict[str, Any]:
    """Return all calibrator transits of a date in order of worth, and what they were ranked by.

    Parameters
    ----------
    inventory : of the raw files.
    date : YYYY-MM-DD.
    """
    calibration = inventory.config["calibration"]
    groups = inventory.all_groups(date)
    return {
        "date": date,
        "declination_deg": inventory.declination_deg(date),
        "limits": {name: calibration[name] for name in LIMITS},
        "sefd_jy": inventory.config["telescope"]["sefd_jy"],
        "groups": [described(group) for group in groups],
        "transits": [entry(inventory, one) for one in inventory.ranking(date)],
    }


def described(group: Group) -> dict[str, Any]:
    """Return when a group was observed; where no header can be read, the time in its name."""
    start_mjd, end_mjd = group.span_mjd
    return {
        "group": group.name,
        "status": group.status,
        "reason": group.reason,
        "start_mjd": start_mjd,
        "end_mjd": end_mjd,
    }


def entry(inventory: Inventory, one: Ranked) -> dict[str, Any]:
    """Return one transit as the JSON has it."""
    transit = one.transit
    gain_snr, bandpass_snr = expected_snr(inventory, transit)
    return {
        "rank": one.rank,
        "name": transit.name,
        "chosen": one.chosen,
        "why_not": one.why_not,
        "strong": not too_weak(transit, inventory.config["calibration"]),
        "ra_deg": transit.ra_deg,
        "dec_deg": transit.dec_deg,
        "flux_jy": transit.flux_jy,
        "flux_model": transit.flux_model,
        "transit_utc": None if transit.mjd is None else group_of_mjd(transit.mjd),
        "transit_mjd": transit.mjd,
        "apparent_dec_deg": transit.apparent_dec_deg,
        "offset_deg": transit.offset_deg,
        "beam_at_transit": transit.transit_beam,
        "group": transit.group,
        "beam": transit.beam,
        "apparent_jy": None if transit.flux_jy is None else transit.apparent_jy,
        "gain_snr": gain_snr,
        "bandpass_snr": bandpass_snr,
    }


def expected_snr(inventory: Inventory, transit: Transit) -> tuple[float | None, float | None]:
    """Return the S/N to expect of an antenna's solutions, in one polarization.

    Returns
    -------
    gain : of the whole band in one integration.
    bandpass : of one channel in a whole group.
    Both are None for another telescope, whose SEFD is not known, and without a flux.
    """
    header = transit.header
    if header.dialect != DSA or transit.flux_jy is None:
        return None, None
    band_hz = inventory.config["ingest"]["n_subbands"] * header.n_channels * header.channel_width_hz
    group_s = header.n_times * header.integration_s
    apparent_jy, antennas = transit.apparent_jy, header.n_antennas_data
    sefd_jy = inventory.config["telescope"]["sefd_jy"]
    return (
        solution_snr(apparent_jy, antennas, band_hz, header.integration_s, sefd_jy),
        solution_snr(apparent_jy, antennas, header.channel_width_hz, group_s, sefd_jy),
    )
