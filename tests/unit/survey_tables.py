"""Tables of the committed survey rows in the forms in which the surveys publish them."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.table import MaskedColumn, Table

SURVEYS = Path(__file__).parents[2] / "config" / "surveys"
NVSS, FIRST, VLASS = (
    pd.read_csv(SURVEYS / f"{name}_ra225-230_dec45-48.csv") for name in ("nvss", "first", "vlass")
)
BEAM = 45.0


def nrao(rows=NVSS):
    """Return NVSS as NRAO's CATALOG has it: AIPS's names and units, single precision."""
    table = Table()
    table["RA(2000)"] = rows.ra_deg.to_numpy() * u.deg
    table["DEC(2000)"] = rows.dec_deg.to_numpy() * u.deg
    table["PEAK INT"] = rows.peak_jy.to_numpy(np.float32)
    table["MAJOR AX"] = rows.major_deg.to_numpy(np.float32)
    table["MINOR AX"] = rows.minor_deg.to_numpy(np.float32)
    table["POSANGLE"] = rows.pa_deg.to_numpy(np.float32)
    table["I RMS"] = rows.rms_jy.to_numpy(np.float32)
    table["FIELD"] = ["I1512P44"] * len(rows)
    return table


def write_nrao(path, table):
    """Write it with units in capitals, which astropy would not write."""
    hdu = fits.BinTableHDU(table)
    for index, name in enumerate(table.colnames, start=1):
        unit = {"PEAK INT": "JY/BEAM", "I RMS": "JY/BEAM", "FIELD": ""}.get(name, "DEGREES")
        hdu.header[f"TUNIT{index}"] = unit
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def vizier_nvss():
    """Return NVSS as VizieR has it: integrated mJy, deconvolved sizes or limits, sexagesimal."""
    major, minor = (
        np.sqrt(np.maximum((axis * 3600) ** 2 - BEAM**2, 0.0))
        for axis in (NVSS.major_deg, NVSS.minor_deg)
    )
    area = np.hypot(major, BEAM) * np.hypot(minor, BEAM) / BEAM**2
    ra, dec = Angle(NVSS.ra_deg, unit="deg"), Angle(NVSS.dec_deg, unit="deg")
    table = Table(
        {
            "_RAJ2000": np.zeros(len(NVSS)),  # VizieR's own columns are not the table's
            "RAJ2000": ra.to_string("hourangle", sep=" ", precision=4, pad=True),
            "DEJ2000": dec.to_string("deg", sep=" ", precision=3, pad=True, alwayssign=True),
            "S1.4": np.array(NVSS.peak_jy * 1e3 * area) * u.mJy,
            "l_MajAxis": np.where(major < 5, "<", ""),
            "MajAxis": np.where(major < 5, 18.0, major) * u.arcsec,
            "l_MinAxis": np.where(minor < 5, "<", ""),
            "MinAxis": np.where(minor < 5, 17.0, minor) * u.arcsec,
        }
    )
    table["RAJ2000"].unit, table["DEJ2000"].unit = '"h:m:s"', '"d:m:s"'
    return table, (major < 5) | (minor < 5)


def write_vizier_tsv(path, table):
    rule = "\t".join("-" * len(name) for name in table.colnames)
    units = "\t".join(str(table[name].unit or "") for name in table.colnames)
    rows = ["\t".join(map(str, row)) for row in table]
    head = ["#", "#Title: 1.4GHz NRAO VLA Sky Survey", "", "\t".join(table.colnames), units, rule]
    path.write_text("\n".join([*head, *rows, "", "#END#"]) + "\n")


def first_fits(path):
    table = Table()
    table["RA"], table["DEC"] = FIRST.ra_deg.to_numpy() * u.deg, FIRST.dec_deg.to_numpy() * u.deg
    table["SIDEPROB"] = FIRST.sidelobe_prob.to_numpy()
    table["FPEAK"] = FIRST.peak_mjy.to_numpy() * u.mJy
    table["FINT"] = FIRST.int_mjy.to_numpy() * u.mJy
    table["RMS"] = FIRST.rms_mjy.to_numpy() * u.mJy
    table["MAJOR"] = FIRST.deconv_major_arcsec.to_numpy() * u.arcsec
    table.write(path)


def cirada():
    return VLASS.rename(
        columns={
            **{"name": "Component_name", "ra_deg": "RA", "dec_deg": "DEC"},
            **{"total_mjy": "Total_flux", "peak_mjy": "Peak_flux", "e_peak_mjy": "Isl_rms"},
            **{"deconv_maj_arcsec": "DC_Maj", "s_code": "S_Code"},
            **{"duplicate_flag": "Duplicate_flag", "quality_flag": "Quality_flag"},
        }
    )


def racs(ratio):
    """Return CASDA's table with made-up fluxes and an integer that is masked."""
    table = Table({"source_id": [f"RACS_{k}" for k in range(len(NVSS))]})
    table["ra"] = NVSS.ra_deg.to_numpy() * u.deg
    table["dec"] = NVSS.dec_deg.to_numpy() * u.deg
    table["total_flux_source"] = ratio * 1e3 * NVSS.peak_jy.to_numpy() * u.mJy
    table["peak_flux"] = ratio * 1e3 * NVSS.peak_jy.to_numpy() * u.Unit("mJy/beam")
    table["noise"] = MaskedColumn(np.full(len(NVSS), 0.3), mask=NVSS.index == 3, unit="mJy/beam")
    return table


def tgss():
    return pd.DataFrame(
        {
            "Source_name": [f"TGSSADR J{k}" for k in range(len(NVSS))],
            "RA": NVSS.ra_deg,
            "DEC": NVSS.dec_deg,
            "Total_flux": 3e3 * NVSS.peak_jy,
            "Peak_flux": 3e3 * NVSS.peak_jy,
            "RMS_noise": 3.0,
        }
    )
