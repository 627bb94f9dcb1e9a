"""Three seeds of the demo's sky and dates as photometry: the event stands out.

The photometry is made up, with the noise of the demo's images; `ese.py` goes through images. The
statistic is judged: of a thousand constant sources of 12 epochs one reaches 6, of as many that vary
by 12 % in a few days (what an event looks like without a lens in the model) one reaches 18.
"""

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.time import Time
from figures import record

from conftest import ROOT
from contimg.epochs import usable_epochs
from contimg.ese_search import search
from contimg.lightcurves import light_curves
from contimg.source_names import unique_source_names
from simulator.lightcurve import flux_factor
from simulator.visibility import airy_power

DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
EVENT = DEMO["simulation"]["observation"]["light_curves"][0]
NOISE_JY = 0.0016
TILE_RA_DEG = (226.86, 228.14)
DEC_DEG = 46.9


def sky() -> pd.DataFrame:
    """The demo's sources above 40 mJy."""
    survey = pd.read_csv(ROOT / DEMO["simulation"]["surveys"][0])
    survey = survey[survey["peak_jy"] > 0.04].reset_index(drop=True)
    return survey.assign(source_id=unique_source_names(survey["ra_deg"], survey["dec_deg"]))


def photometry(sources: pd.DataFrame, event: int, seed: int) -> pd.DataFrame:
    """Two images a date, each with a gain and a gradient of its own."""
    random = np.random.default_rng(seed)
    parts = []
    for date in DEMO["dates"]:
        for number, ra_deg in enumerate(TILE_RA_DEG):
            mjd = Time(date).mjd + 0.92 + number * 309.24 / 86400
            x = np.radians(sources["ra_deg"] - ra_deg) * np.cos(np.radians(DEC_DEG))
            y = np.radians(sources["dec_deg"] - DEC_DEG)
            pb = airy_power(np.hypot(x, y).to_numpy(), 1.405e9, 4.65)
            flux = sources["peak_jy"].to_numpy().copy()
            flux[event] *= flux_factor(mjd, EVENT)
            gain, slope = random.normal(1, 0.02), random.normal(0, 0.3, 2)
            flux = flux * (gain + slope[0] * x + slope[1] * y) + random.normal(0, NOISE_JY / pb)
            rows = sources[["source_id", "ra_deg", "dec_deg"]].assign(
                date=date, group=f"{date}.{number}", mjd=mjd, flux_jy=flux,
                flux_err_jy=NOISE_JY / pb, rms_jy=NOISE_JY / pb, chi2=1.0, pb=pb,
                snr=flux * pb / NOISE_JY, blended=False, edge=False, status="ok", image_digest="",
            )  # fmt: skip
            parts.append(rows[pb > 0.1])
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", [111, 112, 113])
def test_the_event_stands_out_from_all_constant_sources(seed: int) -> None:
    sources = sky()
    offset = np.hypot(sources["ra_deg"] - EVENT["ra_deg"], sources["dec_deg"] - EVENT["dec_deg"])
    event = int(offset.argmin())
    rows = photometry(sources, event, seed)
    name = sources["source_id"][event]
    snr = rows.loc[rows["source_id"] == name, "snr"].median()
    assert snr <= 50
    assert EVENT["depth"] == 0.3
    curves, _ = light_curves(rows, set(sources["source_id"]))
    epochs = usable_epochs(curves)
    found = search(epochs).set_index("source_id")
    others = found.drop(index=name)
    record(
        f"ESE from photometry, seed {seed}",
        {
            "snr": snr,
            "n_sources": len(found),
            "llr": float(found["ese_llr"][name]),
            "largest_llr_of_others": float(others["ese_llr"].max()),
        },
    )
    assert len(others) > 20
    assert found["ese_llr"][name] > 15
    assert others["ese_llr"].max() < 8
    assert found["depth"][name] == pytest.approx(EVENT["depth"], abs=0.05)
    assert found["fwhm_days"][name] == pytest.approx(EVENT["fwhm_days"], abs=4)
