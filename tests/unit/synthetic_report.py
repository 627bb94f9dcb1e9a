"""All products of a date, made up: what the page of a date is made from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc, table
from synthetic_images import sin_header
from synthetic_tables import untold

from contimg.fits import write_image, write_rejected_image
from contimg.groups import group_of_mjd, mjd_of_group
from contimg.master_catalog import CatalogOptions, write_catalog
from contimg.report.figures import utc
from contimg.schemas import ESE_CANDIDATES, LIGHTCURVES, PHOTOMETRY, VARIABILITY
from contimg.status import plain, reject_directory, write_json, write_status
from contimg.tables import empty_table, write_rejected_table, write_table

DATE = "2025-10-19"
NASTY = "2025'\"<script>$(x)</script>.hdf5"
REJECTION = "13 of 16 subbands, 14 needed"
OFF_STRIP = "declination 54.570 deg is 2.530 deg off, 0.1 deg allowed"
WARNING = "the bandpass differs from that of 2025-10-17T09:00:00: amplitudes by 12%, 10% allowed"
DIVERGED = "imaging diverged: the residuals reach 3 Jy/beam beside a peak of 1 Jy/beam"


def made_up_date(
    root: Path, n_groups: int = 4, size: int = 96, n_antennas: int = 5, n_channels: int = 16
) -> dict[str, Any]:
    """Write a date's products below `root`; return the arguments of report_date's `main`.

    Of the groups the second is rejected by the index, the third by imaging; the fourth is partial.
    One raw file has a name that would run a script in a page that trusted it.
    """
    rng = np.random.default_rng(11)
    start = mjd_of_group(f"{DATE}T02:10:05")
    groups = [group_of_mjd(start + i * 309.24 / 86400) for i in range(n_groups)]
    states = dict.fromkeys(groups, "ok") | {groups[1]: "files", groups[2]: "image"}
    sources = made_up_sources(rng)
    paths = {
        "index": write_index(root, groups),
        "calibration": write_calibration(root, groups[0]),
        "catalog": root / "catalogs/master_sources.sqlite3",
        "photometry": root / f"photometry/{DATE}/photometry.parquet",
        "page": root / f"report/{DATE}/index.html",
        "date": DATE,
    }
    paths["catalog"].parent.mkdir(parents=True)
    write_catalog(paths["catalog"], sources, CatalogOptions(), {})
    paths |= write_solutions(root, groups, n_antennas, n_channels, rng)
    images = [write_group(root, group, states[group], size, rng) for group in groups]
    for name in ("flags", "calibrated", "images", "beams", "statuses"):
        paths[name] = [written[name] for written in images]
    good = [group for group in groups if states[group] == "ok"]
    write_photometry(paths["photometry"], good, states, sources, rng)
    paths["page"].parent.mkdir(parents=True)
    paths["page"].with_name("transits.html").write_text("another page")
    mosaics = root / f"mosaics/{DATE}"
    write_image(mosaics / "T0200.mosaic.fits", sky(2 * size, rng), sin_header(shape=(size, size)))
    write_rejected_image(mosaics / "T0300.mosaic.fits", "no good image in this hour")
    return paths | {"mosaics": sorted(mosaics.iterdir())}


def made_up_sources(rng: np.random.Generator, n_sources: int = 80) -> pd.DataFrame:
    names = [f"J055{i // 60}{i % 60:02d}.0+540000" for i in range(n_sources)]
    return pd.DataFrame(
        {
            "source_id": names,
            "ra_deg": rng.uniform(87, 91, n_sources),
            "dec_deg": rng.uniform(52, 56, n_sources),
            "s_nvss": 10 ** rng.uniform(-2, 0.3, n_sources),
            "snr_nvss": 100.0,
            "s_first": np.nan,
            "s_vlass": np.nan,
            "alpha": np.nan,
            "resolved_flag": 0,
            "confusion_flag": 0,
        }
    )


def write_index(root: Path, groups: list[str]) -> Path:
    entries = [
        {
            "group": group,
            "status": "complete",
            "reason": "",
            "subbands": list(range(16)),
            "missing": [],
            "files": [],
            "excluded": [],
            "calibrator": None,
        }
        for group in groups
    ]
    entries[1] |= {
        "status": "rejected", "reason": REJECTION, "subbands": list(range(13)),
        "excluded": [{"file": f"{groups[1]}_sb13.hdf5", "reason": "truncated: 12 of 139 MB"}],
    }  # fmt: skip
    if len(entries) > 3:
        entries[3] |= {"status": "partial", "subbands": list(range(1, 16)), "missing": [0]}
    calibrator = {
        "name": "0555+398", "ra_deg": 88.878, "dec_deg": 39.8137, "flux_jy": 3.1, "beam": 0.91,
        "apparent_jy": 2.82, "transit_mjd": mjd_of_group(groups[0]) + 0.002, "group": groups[0],
    }  # fmt: skip
    path = root / f"index/{DATE}.json"
    content = {
        "date": DATE,
        "declination_deg": 54.57,
        "groups": entries,
        "unrecognised": [{"file": NASTY, "reason": "not a raw file's name"}],
        "incomplete_files": [f"{groups[-1]}_sb03_incomplete.hdf5"],
        "calibrators": [calibrator],
        "mosaics": {"T0200": groups, "T0300": groups[-2:]},
    }
    write_json(path, content)
    return path


def write_calibration(root: Path, group: str) -> Path:
    path = root / f"cal/{DATE}/calibration.json"
    serving = {
        "group": group, "date": DATE, "bcal": f"cal/{DATE}/{group}.bcal",
        "gcal": f"cal/{DATE}/{group}.gcal", "mid_mjd": mjd_of_group(group),
        "calibrator": "0555+398", "digests": {"bcal": "0f" * 20, "gcal": "a1" * 20},
    }  # fmt: skip
    unused = {"group": "2025-10-18T09:00:00", "date": "2025-10-18", "why_not": "not needed"}
    strips = [
        {"declination_deg": 54.57, "source": "own", "groups": [group], "reason": ""},
        {"declination_deg": 57.1, "source": "", "groups": [], "reason": OFF_STRIP},
    ]
    compared = {
        "group": group, "verdict": "warning", "why": WARNING,
        "previous": {"group": "2025-10-17T09:00:00", "date": "2025-10-17", "digest": "b7" * 20},
        "change": {"amplitude": 0.12, "amplitude_ratio": 1.118, "phase_deg": 3.2, "n_antennas": 96},
    }  # fmt: skip
    figures = {
        "source": "own", "tables": [serving], "considered": [unused], "strips": strips,
        "compared": [compared], "warnings": [f"{group}: {WARNING}"],
    }  # fmt: skip
    write_status(path, digest="c4" * 20, figures=figures)
    return path


def write_solutions(
    root: Path, groups: list[str], n_antennas: int, n_channels: int, rng: np.random.Generator
) -> dict[str, list[Path]]:
    """Write the tables of a good transit in the first group and of a rejected one in the last."""
    folder = root / f"cal/{DATE}"
    good, bad = groups[0], groups[-1]
    phase = rng.uniform(-np.pi, np.pi, (n_antennas, 1, 2))
    slope = rng.normal(0, 2.0, (n_antennas, 1, 2)) * np.linspace(-1, 1, n_channels)[:, None]
    bandpass = (1 + 0.1 * np.cos(np.linspace(-1.5, 1.5, n_channels)))[:, None] * np.exp(
        1j * (phase + slope)
    )
    bandpass = bandpass * rng.normal(1, 0.02, bandpass.shape)
    flag = np.zeros(bandpass.shape, dtype=bool)
    flag[1] = True
    flag[:, n_channels // 2 : n_channels // 2 + 3] = True
    freq_hz = np.linspace(1.3114e9, 1.4986e9, n_channels)
    write_cal_table(folder / f"{good}.bcal", bandpass[:, None], flag[:, None], freq_hz)
    gain = (phase * 0 + rng.normal(1, 0.05, (n_antennas, 8, 2))) * np.exp(
        1j * rng.normal(0, 0.1, (n_antennas, 8, 2))
    )
    dead = np.zeros(gain.shape, dtype=bool)
    dead[1] = True
    write_cal_table(folder / f"{good}.gcal", gain[:, :, None], dead[:, :, None], freq_hz[:1])
    write_status(
        folder / f"{good}.gcal.json",
        digest="b7" * 20,
        figures={
            "reference_antennas": ["23", "31", "7"], "calibrator": "0555+398",
            "flagged_solutions": 0.12, "median_snr": 84.2, "closure_phase_deg": 2.1,
            "flagged_antennas": ["2"], "short_phases": {
                "solint": "30s", "mjd": [60967.1, 60967.101],
                "deg": {"1": [[-179.0, 20.0], [170.0, None]], "3": [[5.0, 6.0], [7.0, 8.0]]},
            },
        },
    )  # fmt: skip
    reason = "62 % of the present antennas' solutions are flagged, 50 % is the limit"
    for kind in ("bcal", "gcal"):
        reject_directory(folder / f"{bad}.{kind}", reason)
    write_status(folder / f"{bad}.gcal.json", status="rejected", reason=reason)
    return {
        "bandpasses": [folder / f"{group}.bcal" for group in (good, bad)],
        "gains": [folder / f"{group}.gcal" for group in (good, bad)],
        "solutions": [folder / f"{group}.gcal.json" for group in (good, bad)],
    }


def write_cal_table(path: Path, gain: np.ndarray, flag: np.ndarray, freq_hz: np.ndarray) -> None:
    """Write a CASA calibration table; gain and flag are (n_antennas, n_times, n_chan, n_pol)."""
    n_antennas, n_times = gain.shape[:2]
    scalars = [makescacoldesc("TIME", 0.0), makescacoldesc("ANTENNA1", 0)]
    arrays = [makearrcoldesc("CPARAM", 0j, ndim=2, valuetype="complex")]
    arrays.append(makearrcoldesc("FLAG", False, ndim=2))
    arrays.append(makearrcoldesc("SNR", 0.0, ndim=2, valuetype="float"))
    with table(str(path), maketabdesc(scalars + arrays), nrow=n_antennas * n_times, ack=False) as t:
        antenna, time = np.divmod(np.arange(n_antennas * n_times), n_times)
        t.putcol("TIME", 86400.0 * 60967 + 30.0 * time)
        t.putcol("ANTENNA1", antenna)
        t.putcol("CPARAM", gain.reshape(-1, *gain.shape[2:]))
        t.putcol("FLAG", flag.reshape(-1, *flag.shape[2:]))
        t.putcol("SNR", 80 * np.abs(gain).reshape(-1, *gain.shape[2:]).astype(np.float32))
    names = maketabdesc([makescacoldesc("NAME", "")])
    with table(str(path / "ANTENNA"), names, nrow=n_antennas, ack=False) as t:
        t.putcol("NAME", [str(number + 1) for number in range(n_antennas)])
    window = maketabdesc([makearrcoldesc("CHAN_FREQ", 0.0, ndim=1)])
    with table(str(path / "SPECTRAL_WINDOW"), window, nrow=1, ack=False) as t:
        t.putcell("CHAN_FREQ", 0, freq_hz)


def sky(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise of 1 mJy with a few sources, smoothed as by a beam."""
    data = rng.normal(0, 1e-3, (size, size)).astype(np.float32)
    y, x = np.mgrid[-6:7, -6:7]
    beam = np.exp(-(x**2 + y**2) / 8).astype(np.float32)
    for _ in range(max(3, size // 40)):
        row, column = rng.integers(6, size - 7, 2)
        data[row - 6 : row + 7, column - 6 : column + 7] += 10 ** rng.uniform(-2.2, -0.5) * beam
    return data


def write_group(
    root: Path, group: str, state: str, size: int, rng: np.random.Generator
) -> dict[str, Path]:
    paths = {
        "flags": root / f"ms/science/{DATE}/{group}.flags.json",
        "calibrated": root / f"ms/calibrated/{DATE}/{group}.ms.json",
        "images": root / f"images/{DATE}/{group}.pbcor.fits",
        "beams": root / f"images/{DATE}/{group}.pb.fits",
        "statuses": root / f"images/{DATE}/{group}.image.json",
    }
    if state == "files":
        write_status(paths["calibrated"], status="rejected", reason=REJECTION)
        write_status(paths["flags"], status="rejected", reason=REJECTION)
    else:
        write_status(paths["flags"], digest="f3" * 20, figures=flags_of(rng))
        figures = {
            "flagged_fraction": rng.uniform(0.05, 0.2), "calibration_source": "borrowed",
            "tables": {"group": "2025-10-17T09:00:00", "date": "2025-10-17"},
        }  # fmt: skip
        write_status(paths["calibrated"], digest="d2" * 20, figures=figures)
    if state != "ok":
        reason = REJECTION if state == "files" else DIVERGED
        write_rejected_image(paths["images"], reason)
        write_rejected_image(paths["beams"], reason)
        write_status(paths["statuses"], status="rejected", reason=reason)
        return paths
    header = sin_header(shape=(size, size))
    offset = (np.arange(size) - size / 2) / (size / 2) * 2.0
    response = np.exp(-np.log(2) * ((offset[:, None] / 1.36) ** 2 + (offset / 1.5) ** 2))
    with np.errstate(invalid="ignore"):
        corrected = np.where(response > 0.1, sky(size, rng) / response, np.nan)
    write_image(paths["beams"], response, header)
    write_image(paths["images"], corrected, header)
    write_status(
        paths["statuses"],
        digest="e8" * 20,
        figures={
            "mid_mjd": mjd_of_group(group) + 0.0018, "rms_jy": rng.uniform(0.9e-3, 1.3e-3),
            "peak_jy": 0.3, "dynamic_range": rng.uniform(200, 400), "beam_major_arcsec": 16.2,
            "beam_minor_arcsec": 11.4, "beam_pa_deg": 35.0,
        },
    )  # fmt: skip
    return paths


def flags_of(rng: np.random.Generator, n_bins: int = 96, n_antennas: int = 96) -> dict[str, Any]:
    """A fingerprint of flags: carriers, a missing subband, and one dead polarization."""
    by_channel = rng.uniform(0, 0.01, n_bins)
    by_channel[[30, 31, 60]] = 0.9
    by_channel[42:48] = 1
    by_antenna = rng.uniform(0.08, 0.1, n_antennas)
    by_antenna[7] = 0.5
    names = [f"DSA-{number:03d}" for number in range(1, n_antennas + 1)]
    dead = {"antenna": "DSA-008", "polarization": "Y", "reason": "dead: 0.001 of the median power"}
    causes = ("missing_subbands", "bad_antennas", "other_conversion", "interference")
    return {
        "flagged_fraction": 0.1,
        "causes": dict(zip(causes, (0.0625, 0.01, 0.0, 0.0275), strict=True)),
        "bad_antennas": [dead],
        "antennas": {"name": names, "flagged": by_antenna},
        "channels": {"freq_hz": np.linspace(1.312e9, 1.498e9, n_bins), "flagged": by_channel},
    }


def write_photometry(
    path: Path,
    good: list[str],
    states: dict[str, str],
    sources: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    rows = [photometry_of(group, sources, rng) for group in good]
    reasons = {"files": REJECTION, "image": DIVERGED}
    checks = {
        group: {"status": "rejected", "reason": reasons[state], "n_rows": 0}
        for group, state in states.items()
        if state != "ok"
    }
    for group in good:
        figures = {"flux_ratio_median": rng.normal(1.0, 0.03), "completeness": 0.93}
        figures["astrometric_offset_arcsec"] = 0.6
        checks[group] = {"status": "ok", "reason": "", "n_rows": len(sources), "figures": figures}
    joined = pd.concat(rows, ignore_index=True) if rows else empty_table(PHOTOMETRY)
    about = {"groups": json.loads(json.dumps(plain(checks))), "options": {"min_jy": 0.01}}
    write_table(path, joined, PHOTOMETRY, about)


def photometry_of(group: str, sources: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    response = rng.uniform(0.1, 1, len(sources))
    error = 1e-3 / response
    flux = sources["s_nvss"] * 1.02 + rng.normal(0, 1, len(sources)) * error
    return pd.DataFrame(
        {
            "source_id": sources["source_id"], "ra_deg": sources["ra_deg"],
            "dec_deg": sources["dec_deg"], "date": DATE, "group": group,
            "mjd": mjd_of_group(group), "flux_jy": flux, "flux_err_jy": error, "rms_jy": error,
            "chi2": 1.0, "pb": response, "snr": flux / error, "blended": False, "edge": False,
            "status": "ok", "image_digest": "e8" * 20,
        }
    )  # fmt: skip


def made_up_archive(root: Path, n_epochs: int = 60, n_sources: int = 40) -> dict[str, Any]:
    """Write the archive's tables; return the arguments of report_archive's `main`.

    The first source dips to 60 % around the middle and is the one candidate; of the two dates
    one has no photometry.
    """
    rng = np.random.default_rng(5)
    sources = made_up_sources(rng, n_sources)
    mjd = 60800 + 3.0 * np.arange(n_epochs)
    dip = 1 - 0.4 * np.exp(-0.5 * ((mjd - mjd[n_epochs // 2]) / 12) ** 2)
    curves = []
    for i, row in enumerate(sources.itertuples()):
        flux = row.s_nvss * (dip if i == 0 else 1.0) * rng.normal(1, 0.03, n_epochs)
        curves.append(curve_rows(row.source_id, mjd, flux, 0.03 * row.s_nvss, rng))
    lightcurves = pd.concat(curves, ignore_index=True)
    folder = root / "variability"
    write_table(folder / "lightcurves.parquet", lightcurves, LIGHTCURVES)
    write_table(folder / "variability.parquet", variability_of(lightcurves, sources), VARIABILITY)
    candidate = {
        "source_id": sources.source_id[0], "ra_deg": sources.ra_deg[0],
        "dec_deg": sources.dec_deg[0], "rank": 1, "ese_score": 0.81, "ese_llr": 63.0,
        "ese_false_alarm": 1e-4, "depth": 0.4, "centre_mjd": mjd[n_epochs // 2],
        "fwhm_days": 28.0, "n_epochs_in_dip": 9, "incomplete": False,
        "reason": "dip of 40 % <b>over</b> 28 d",
    }  # fmt: skip
    candidates = pd.DataFrame([{**untold(ESE_CANDIDATES), **candidate}])
    write_table(folder / "ese_candidates.parquet", candidates, ESE_CANDIDATES)
    images_of(mjd, rng).to_parquet(folder / "images.parquet")
    dates = [root / f"photometry/{day}/photometry.parquet" for day in ("2025-10-18", DATE)]
    write_rejected_table(dates[0], PHOTOMETRY, "no group of the date has photometry")
    group = f"{DATE}T02:10:05"
    write_photometry(dates[1], [group], {group: "ok"}, sources, rng)
    return {
        "lightcurves": folder / "lightcurves.parquet",
        "variability": folder / "variability.parquet",
        "candidates": folder / "ese_candidates.parquet",
        "photometry": dates,
        "images": folder / "images.parquet",
        "page": root / "report/index.html",
        "options": {"n_lightcurves": 5},
    }


def images_of(mjd: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """The table of all images: one refused, one without enough references, one of them of DATE."""
    status = np.full(len(mjd), "ok", dtype=object)
    status[[3, 9]] = "bad_gain", "unnormalised"
    images = pd.DataFrame(
        {
            "date": [str(day)[:10] for day in utc(mjd)], "group": "", "mjd": mjd,
            "gain": rng.normal(1, 0.02, len(mjd)), "gain_err": 0.005, "n_references": 12,
            "chi2_nu": rng.uniform(0.8, 1.2, len(mjd)), "status": status,
            "reason": np.where(status == "ok", "", "gain 4.2, <at most 3> allowed"),
        }
    )  # fmt: skip
    images.loc[5, "date"] = DATE
    return images.assign(group=images.date + "T02:10:05")


def curve_rows(
    source_id: str, mjd: np.ndarray, flux: np.ndarray, error: float, rng: np.random.Generator
) -> pd.DataFrame:
    status = np.where(np.arange(len(mjd)) % 20 == 7, "unnormalised", "ok")
    return pd.DataFrame(
        {
            "source_id": source_id, "mjd": mjd, "n_images": 3, "flux_jy": flux,
            "flux_err_jy": error, "norm_flux_jy": flux, "norm_err_jy": error,
            "gain": rng.normal(1, 0.02, len(mjd)), "gain_err": 0.005, "n_references": 12,
            "is_reference": False, "status": status,
        }
    )  # fmt: skip


def variability_of(lightcurves: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    by_source = lightcurves.groupby("source_id")["norm_flux_jy"]
    mean, std = by_source.mean().to_numpy(), by_source.std().to_numpy()
    table = sources[["source_id", "ra_deg", "dec_deg"]].assign(
        n_epochs=by_source.size().to_numpy(), n_detections=by_source.size().to_numpy(),
        mean_jy=mean, wmean_jy=mean, std_jy=std, v=std / mean, eta=(std / (0.03 * mean)) ** 2,
    )  # fmt: skip
    table["chi2_nu"] = table["eta"]
    for column in VARIABILITY:
        if column.name not in table and not column.optional:
            table[column.name] = 0.0
    return table
