"""A date's transits: when they are, what they are worth, and which are solved on."""

import copy
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.coordinates import EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from raw_files import INTEGRATION_S, RawGroup

from contimg import transits
from contimg.checkout import CHECKOUT
from contimg.groups import mjd_of_group
from contimg.inventory import Inventory
from contimg.ranking import Ranked, solution_snr
from contimg.site import OVRO_MMA_LATITUDE_DEG, OVRO_MMA_LONGITUDE_DEG
from contimg.transit_list import transit_list

DEFAULTS = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
DATE = "2025-10-01"
MIDNIGHT = mjd_of_group(f"{DATE}T00:00:00")
OF_3C196 = mjd_of_group("2025-10-01T15:26:07")
SPACING_DAYS = 309.237648 / 86400


def inventory_of(incoming: Path, **calibration: object) -> Inventory:
    config = copy.deepcopy(DEFAULTS) | {"incoming": str(incoming)}
    config["calibration"] |= calibration
    return Inventory(config, CHECKOUT)


def write_group(incoming: Path, mid_mjd: float, n_subbands: int = 16, **header: Any) -> str:
    """Write a group about a time, of which only the first file is whole; return its name."""
    group = RawGroup(mid_mjd - INTEGRATION_S / 86400, header=header)
    group.write(incoming, 0)
    for subband in range(1, n_subbands):
        (incoming / f"{group.name}_sb{subband:02d}.hdf5").touch()
    return group.name


def pinned(name: str, ra_deg: float, dec_deg: float, flux_jy: float) -> dict[str, Any]:
    return {"name": name, "ra_deg": ra_deg, "dec_deg": dec_deg, "flux_jy": flux_jy}


def named(found: list[Ranked], name: str) -> list[Ranked]:
    return [one for one in found if one.transit.name == name]


def meridian_mjd(ra_deg: float, dec_deg: float, start_mjd: float) -> list[float]:
    """Times in a day at which astropy has a place on the meridian, by a scan in steps of 240 s."""
    iers.conf.auto_download = False
    place = EarthLocation.from_geodetic(OVRO_MMA_LONGITUDE_DEG, OVRO_MMA_LATITUDE_DEG, 1200.0)
    mjd = start_mjd + np.arange(0, 86401, 240) / 86400
    frame = HADec(obstime=Time(mjd, format="mjd", scale="utc"), location=place)
    seen = SkyCoord(ra_deg * u.deg, dec_deg * u.deg).transform_to(frame)
    angle = seen.ha.wrap_at(180 * u.deg).deg
    at = np.flatnonzero((angle[:-1] < 0) & (angle[1:] >= 0) & (np.diff(angle) < 2))
    return [float(np.interp(0, angle[i : i + 2], mjd[i : i + 2])) for i in at]


def test_transits_are_at_the_times_that_a_scan_of_astropys_sky_finds(tmp_path: Path) -> None:
    """Of the list's calibrators about the beam, one that transits twice on the date among them."""
    write_group(tmp_path, OF_3C196)
    (start_deg,) = np.degrees(transits.sidereal_time_rad([MIDNIGHT], OVRO_MMA_LONGITUDE_DEG))
    # Precession since 2000 moves a place there by 0.3 deg: it transits a minute after midnight.
    twice = pinned("twice", (start_deg - 0.07) % 360, 46.5, 1.0)
    listed = inventory_of(tmp_path, list_min_beam=0.9).ranking(DATE)
    own = inventory_of(tmp_path, pinned_calibrators=[twice]).ranking(DATE)
    assert len(named(own, "twice")) == 2
    assert len(listed) > 5
    for name in {one.transit.name for one in [*listed, *own]}:
        passages = [one.transit for one in [*listed, *own] if one.transit.name == name]
        expected = meridian_mjd(passages[0].ra_deg, passages[0].dec_deg, MIDNIGHT)
        found = sorted(one.mjd for one in passages if one.mjd is not None)
        assert len(found) == len(expected), name
        # UT1 is taken as UTC in planning: up to a second.
        np.testing.assert_allclose(found, expected, atol=1.5 / 86400, rtol=0)


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_what_is_solved_on_heads_the_list_that_people_see(tmp_path: Path, most: int) -> None:
    for number in range(-14, 14, 2):
        write_group(tmp_path, OF_3C196 + number * SPACING_DAYS)
    found = inventory_of(tmp_path, transits_per_date=most, min_apparent_jy=0.3)
    shown = transit_list(found, DATE)["transits"]
    assert [one["rank"] for one in shown] == list(range(1, len(shown) + 1))
    chosen = {one["group"]: one["name"] for one in shown if one["chosen"]}
    assert sorted(chosen) == found.calibrator_groups(DATE)
    assert len(chosen) == min(most, 4)
    for group, name in chosen.items():
        assert found.calibrator_of(group)["name"] == name
    assert all(one["chosen"] != bool(one["why_not"]) for one in shown)
    if most:
        assert shown[0]["chosen"]
        assert shown[0]["apparent_jy"] == max(one["apparent_jy"] for one in shown if one["group"])


def test_each_transit_that_is_not_solved_on_says_why(tmp_path: Path) -> None:
    """All near the one good group in right ascension, but one; the group's beam is at +46.81."""
    group = write_group(tmp_path, OF_3C196)
    late = write_group(tmp_path, OF_3C196 + 0.25, n_subbands=3)
    known = [
        pinned("best", 123.40, 46.9, 5.0),
        pinned("second", 123.41, 46.8, 4.0),
        pinned("faint", 123.40, 46.7, 1.5),
        pinned("edge", 123.40, 49.3, 50.0),
        pinned("elsewhere", 60.0, 46.9, 6.0),
        pinned("spoiled", 213.65, 46.9, 7.0),
        pinned("far", 123.40, 60.0, 90.0),
    ]
    found = inventory_of(tmp_path, pinned_calibrators=known).ranking(DATE)
    assert [one.transit.name for one in found] == [
        "best", "second", "spoiled", "elsewhere", "edge", "faint",
    ]  # fmt: skip
    assert [one.why_not for one in found if one.transit.name != "edge"] == [
        "",
        f"best is stronger in its group {group}",
        f"its group {late} is rejected: 3 of 16 subbands, 14 needed",
        "no data at its transit",
        "apparent flux 1.48 Jy, 2 Jy needed (min_apparent_jy)",
    ]
    (edge,) = named(found, "edge")
    assert edge.why_not == f"beam response {edge.transit.beam:.3f}, 0.2 needed (min_beam)"
    assert edge.transit.transit_beam > edge.transit.beam - 0.01
    two_groups = [pinned("a", 123.40, 46.9, 5.0), pinned("b", 124.7, 46.9, 4.0)]
    write_group(tmp_path, OF_3C196 + SPACING_DAYS)
    one_of_two = inventory_of(tmp_path, pinned_calibrators=two_groups, transits_per_date=1)
    assert [one.why_not for one in one_of_two.ranking(DATE)] == [
        "", "the date's 1 best are solved (transits_per_date)",
    ]  # fmt: skip


def test_a_glimpse_from_the_beams_edge_is_no_data(tmp_path: Path) -> None:
    """The group is 14 minutes early, where the response is 0.09; nearer ones would see it well."""
    write_group(tmp_path, OF_3C196 - 14 / 1440)
    known = [pinned("missed", 123.40, 46.9, 40.0)]
    (missed,) = inventory_of(tmp_path, pinned_calibrators=known).ranking(DATE)
    assert (missed.transit.group, missed.why_not) == (None, "no data at its transit")
    assert missed.transit.beam > 0.99


def test_a_group_sees_a_transit_of_the_next_date(tmp_path: Path) -> None:
    """The last group of a date ends two minutes before the calibrator transits, after midnight."""
    group = write_group(tmp_path, MIDNIGHT + 1 - 90 / 86400)
    (sidereal,) = np.degrees(
        transits.sidereal_time_rad([MIDNIGHT + 1 + 60 / 86400], OVRO_MMA_LONGITUDE_DEG)
    )
    known = [pinned("early", (sidereal - 0.33) % 360, 46.8, 9.0)]
    found = inventory_of(tmp_path, pinned_calibrators=known)
    assert found.calibrator_groups(DATE) == [group]
    passages = sorted((one.transit.mjd, one.transit.group) for one in found.ranking(DATE))
    assert [at for _, at in passages] == [None, group]
    assert passages[1][0] > MIDNIGHT + 1


def test_a_pinned_standard_is_ranked_by_the_lists_flux_and_needs_no_limit(tmp_path: Path) -> None:
    """3C196 by its place; a standard that the list lacks has no flux, and is solved on."""
    write_group(tmp_path, OF_3C196)
    known = [
        {"name": "unlisted", "ra_deg": 124.9, "dec_deg": 46.9, "standard": "Perley-Butler 2017"},
        pinned("mine", 123.6, 46.9, 6.0),
        {"name": "3C196", "ra_deg": 123.4, "dec_deg": 48.2173, "standard": "Perley-Butler 2017"},
    ]
    found = inventory_of(tmp_path, pinned_calibrators=known, min_apparent_jy=6.5).ranking(DATE)
    assert [one.transit.name for one in found] == ["3C196", "unlisted", "mine"]
    assert [one.transit.flux_jy for one in found] == [13.9, None, 6.0]
    assert found[0].chosen
    lone = inventory_of(tmp_path, pinned_calibrators=known[:1])
    assert lone.calibrator_groups(DATE)
    (entry,) = transit_list(lone, DATE)["transits"]
    assert (entry["apparent_jy"], entry["gain_snr"]) == (None, None)


def test_a_date_without_raw_files_lists_nothing(tmp_path: Path) -> None:
    found = transit_list(inventory_of(tmp_path), DATE)
    assert (found["declination_deg"], found["groups"], found["transits"]) == (None, [], [])


def test_expected_snr_is_that_of_simulated_solutions() -> None:
    """Gains of 30 antennas, solved by alternating least squares on noisy visibilities."""
    n_antennas, n_trials, flux_jy, sefd_jy = 30, 400, 4.0, 5800.0
    bandwidth_hz, time_s = 244140.625, 309.24
    random = np.random.default_rng(4)
    sigma_jy = sefd_jy / np.sqrt(2 * bandwidth_hz * time_s)  # of each part of a visibility
    shape = n_trials, n_antennas, n_antennas
    noise = random.normal(0, sigma_jy, shape) + 1j * random.normal(0, sigma_jy, shape)
    upper = np.triu(noise, 1)
    data = (flux_jy + upper) * np.triu(np.ones((n_antennas, n_antennas)), 1)
    data = data + np.conj(np.swapaxes(data, 1, 2))
    gain = np.ones((n_trials, n_antennas), dtype=complex)
    for _ in range(30):
        power = (np.abs(gain) ** 2).sum(axis=1, keepdims=True) - np.abs(gain) ** 2
        gain = 0.5 * gain + 0.5 * np.einsum("tij,tj->ti", data, gain) / (flux_jy * power)
    gain *= np.exp(-1j * np.angle(gain.mean(axis=1, keepdims=True)))
    scatter = np.sqrt(np.mean(np.abs(gain - 1) ** 2))
    expected = solution_snr(flux_jy, n_antennas, bandwidth_hz, time_s, sefd_jy)
    assert 1 / scatter == pytest.approx(expected, rel=0.05)
