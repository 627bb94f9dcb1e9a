"""A made-up archive: two sources that dip, twelve dates, and some of their images."""

from pathlib import Path

import numpy as np
import pandas as pd
from synthetic_images import sin_header
from synthetic_tables import untold

from contimg.fits import write_image, write_rejected_image
from contimg.schemas import ESE_CANDIDATES, LIGHTCURVES, PHOTOMETRY
from contimg.tables import write_table

NAME, OTHER = "J133000.0+300000", "J133010.0+300000"
RA, DEC = 202.5, 30.0
MJD = 60000.5 + 4.0 * np.arange(12)
PEAK_JY, DEEP_JY = 0.1, 0.07
DIP = slice(5, 8)


def fluxes() -> np.ndarray:
    flux = np.full(len(MJD), PEAK_JY)
    flux[DIP] = DEEP_JY
    return flux


def curves(name: str = NAME) -> pd.DataFrame:
    status = np.where(np.arange(len(MJD)) == 2, "bad_gain", "ok")
    norm = np.where(status == "ok", fluxes(), np.nan)
    return pd.DataFrame(
        {
            "source_id": name, "mjd": MJD, "n_images": 1, "flux_jy": 1.1 * fluxes(),
            "flux_err_jy": 0.002, "norm_flux_jy": norm, "norm_err_jy": 0.002, "gain": 1.1,
            "gain_err": 0.01, "n_references": 9, "is_reference": True, "status": status,
            "ra_deg": RA, "dec_deg": DEC,
        }
    )  # fmt: skip


def group_of(epoch: int) -> str:
    return f"2023-03-{epoch + 1:02d}T12:00:00"


def photometry(epoch: int) -> pd.DataFrame:
    """Two images of one transit; the beam response is larger in the second."""
    groups = [group_of(epoch), group_of(epoch).replace("12:00:00", "12:05:00")]
    return pd.DataFrame(
        {
            "source_id": NAME, "ra_deg": RA, "dec_deg": DEC, "date": groups[0][:10],
            "group": groups, "mjd": MJD[epoch] + np.array([0, 300 / 86400]),
            "flux_jy": fluxes()[epoch], "flux_err_jy": 0.002, "rms_jy": 0.002, "chi2": 1.0,
            "pb": [0.7, 0.9], "snr": 50.0, "blended": False, "edge": False, "status": "ok",
            "image_digest": "0" * 40,
        }
    )  # fmt: skip


def image_path(folder: Path, epoch: int) -> Path:
    group = photometry(epoch).group[1]
    return folder / "images" / group[:10] / f"{group}.pbcor.fits"


def made_up_archive(folder: Path) -> None:
    """Write the tables of twelve dates; images of the first three, the fourth is rejected."""
    both = pd.concat([curves(), curves(OTHER)])
    write_table(folder / "variability/lightcurves.parquet", both, LIGHTCURVES, by_source=True)
    candidate = untold(ESE_CANDIDATES) | {
        "source_id": NAME, "ra_deg": RA, "dec_deg": DEC, "rank": 1, "ese_score": 0.8,
        "ese_llr": 40.0, "ese_false_alarm": 1e-5, "depth": 0.3, "centre_mjd": MJD[6],
        "fwhm_days": 14.0, "n_epochs_in_dip": 3, "incomplete": False, "reason": "it dips",
    }  # fmt: skip
    table = pd.DataFrame([candidate])
    write_table(folder / "variability/ese_candidates.parquet", table, ESE_CANDIDATES)
    for epoch in range(len(MJD)):
        path = folder / "photometry" / group_of(epoch)[:10] / "photometry.parquet"
        write_table(path, photometry(epoch), PHOTOMETRY, by_source=True)
    header = sin_header((RA, DEC), shape=(101, 101))
    for epoch in range(3):
        image = np.zeros((101, 101))
        image[50, 50] = fluxes()[epoch]
        write_image(image_path(folder, epoch), image, header)
    write_rejected_image(image_path(folder, 3), "no light")
    (folder / "annotations").mkdir()
    (folder / "annotations/candidates.csv").write_text(
        f"id,verdict,who,note\n{NAME},ESE,Ann,\n{OTHER},artefact,Ann,\n"
    )
