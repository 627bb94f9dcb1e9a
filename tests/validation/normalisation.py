"""How well normalisation takes image gains out, on the NVSS x FIRST field; figures as JSON lines.

    PYTHONPATH=scripts:tests python tests/validation/normalisation.py [--picture FILE.png]
        [--dates 60] [--seed 0]

The truth is made here: the survey's fluxes through a drifting Airy beam, with a gain and a
gradient of its own for each image, and noise. A calibration residual is found gain / true gain - 1
at one source in one image, after one factor for the whole archive is taken out; the source's own
noise is not in it.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import chi2

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "validation")]


from contimg.catalog import CatalogOptions, build_sources, read_survey  # noqa: E402
from contimg.error_model import ErrorModel  # noqa: E402
from contimg.lightcurves import Band, normalise, sorted_rows, usable_rows  # noqa: E402
from contimg.normalise import GainOptions  # noqa: E402
from contimg.tables import options_from  # noqa: E402
from simulator.visibility import airy_power  # noqa: E402

Floats = NDArray[np.float64]
FREQ_HZ, DISH_M = 1.405e9, 4.65
DEC_DEG = 46.5
STEP_DEG = 309.237648 / 3600 * 15.041
MIN_RESPONSE = 0.1
MIN_JY = 0.003


@dataclass
class Archive:
    """An archive that might have been, and what is true of it.

    Attributes
    ----------
    rms_jy : noise of an image at the beam's centre; varies by 10 % from image to image.
    gain_rms, gradient_rms : of an image's gain, and of its change a degree.
    jitter_deg : rms of the true beam centre about the nominal one, an axis.
    variable, amplitude : fraction of the compact sources that vary, and their rms.
    map_noise : the map's rms over the noise that differs from date to date; the rest of it
        are sidelobes, the same on each date.
    scatter : relative scatter of every flux, source by source and image by image.
    """

    n_dates: int = 60
    rms_jy: float = 0.001
    gain_rms: float = 0.05
    gradient_rms: float = 0.02
    jitter_deg: float = 0.0
    variable: float = 0.0
    amplitude: float = 0.1
    map_noise: float = 1.0
    scatter: float = 0.0
    seed: int = 0
    is_variable: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def photometry(self, sources: pd.DataFrame) -> pd.DataFrame:
        """Return rows of the photometry schema, with true_gain, x_deg and y_deg beside."""
        random = np.random.default_rng(self.seed)
        flux = sources.s_nvss.to_numpy()
        compact = is_compact(sources)
        self.is_variable = compact & (random.random(len(flux)) < self.variable)
        period = np.exp(random.uniform(np.log(5), np.log(100), len(flux)))
        phase = random.uniform(0, 2 * np.pi, len(flux))
        parts = []
        for date in range(self.n_dates):
            start = 225.0 - random.uniform(0, STEP_DEG)
            sine = np.sin(2 * np.pi * date / period + phase)
            of_date = flux * (1 + self.is_variable * self.amplitude * np.sqrt(2) * sine)
            for number, ra_deg in enumerate(np.arange(start, 230.5, STEP_DEG)):
                rows = self._image(sources, of_date, ra_deg, random)
                mjd = 60900.25 + date * 0.99727 + number * 309.237648 / 86400
                name = f"D{date:04d}"
                rows = rows.assign(date=name, group=f"{name}.{number}", mjd=mjd)
                parts.append(rows)
        return pd.concat(parts, ignore_index=True)

    def _image(
        self, sources: pd.DataFrame, flux: Floats, ra_deg: float, random: np.random.Generator
    ) -> pd.DataFrame:
        x, y = offsets_deg(sources, ra_deg)
        response = beam(x, y)
        gain = 1 + self.gain_rms * random.standard_normal()
        slope = self.gradient_rms * random.standard_normal(2)
        error = self.jitter_deg * random.standard_normal(2)
        true_gain = gain + slope[0] * x + slope[1] * y
        true_gain = true_gain * beam(x - error[0], y - error[1]) / np.maximum(response, 1e-6)
        map_rms = self.rms_jy * (1 + 0.1 * random.standard_normal())
        noise = map_rms / self.map_noise * random.standard_normal(len(flux))
        fixed = np.sqrt(1 - self.map_noise**-2) * self.rms_jy * sources.sidelobe.to_numpy()
        scatter = 1 + self.scatter * random.standard_normal(len(flux))
        measured = flux * true_gain * scatter + (noise + fixed) / response
        rows = sources[["source_id", "ra_deg", "dec_deg"]].assign(
            flux_jy=measured, flux_err_jy=map_rms / response, rms_jy=map_rms / response, chi2=1.0,
            pb=response, snr=measured * response / map_rms, blended=False, edge=False, status="ok",
            image_digest="", true_gain=true_gain, x_deg=x, y_deg=y,
        )  # fmt: skip
        return rows[response >= MIN_RESPONSE]


def offsets_deg(sources: pd.DataFrame, ra_deg: float) -> tuple[Floats, Floats]:
    """Return the sources' offsets to the east and the north of an image's centre."""
    dec = np.radians(sources.dec_deg.to_numpy())
    ra = np.radians(sources.ra_deg.to_numpy() - ra_deg)
    centre = np.radians(DEC_DEG)
    east = np.cos(dec) * np.sin(ra)
    north = np.sin(dec) * np.cos(centre) - np.cos(dec) * np.sin(centre) * np.cos(ra)
    return np.degrees(east), np.degrees(north)


def beam(x_deg: Floats, y_deg: Floats) -> Floats:
    """Return the response of the dish."""
    return airy_power(np.sin(np.radians(np.hypot(x_deg, y_deg))), FREQ_HZ, DISH_M)


def field_sources() -> pd.DataFrame:
    """Return the field's sources above `MIN_JY`, with NVSS's and FIRST's word on each."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["catalog"]
    surveys = {
        block["name"]: read_survey(ROOT / block["file"], block) for block in config["surveys"]
    }
    sources = build_sources(surveys, options_from(CatalogOptions, config))
    sources = sources[sources.s_nvss >= MIN_JY].reset_index(drop=True)
    random = np.random.default_rng(1)
    return sources.assign(sidelobe=random.standard_normal(len(sources)))


def is_compact(sources: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a source is unresolved and unconfused."""
    return ((sources.resolved_flag == 0) & (sources.confusion_flag == 0)).to_numpy()


def image_gains(
    photometry: pd.DataFrame, sources: pd.DataFrame, options: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the usable rows with gain and its errors, the light curves, and the figures."""
    compact = set(sources.source_id[is_compact(sources)])
    snr = dict(zip(sources.source_id, sources.snr_nvss, strict=True))
    found = normalise(photometry, compact, options, snr)
    scale = found.figures["error_scale"]
    fitted = found.figures["error_model"]["fitted"]
    gain_options = options_from(GainOptions, options)
    if fitted:
        gain_options = replace(gain_options, reference_scatter=0.0)
    rows = sorted_rows(photometry)
    band = Band(rows, usable_rows(rows), compact, snr)
    model = ErrorModel(scale["a"], scale["b"], 0, 0, fitted, 0, 0)
    gains, _ = band.solve(model, gain_options, options.get("method", "joint"))
    rows = rows.assign(
        gain=gains.gain, gain_err=gains.gain_err, shared_err=gains.shared_err,
        image_status=gains.status, error_jy=band.error_jy(model),
    )  # fmt: skip
    truth = photometry[["source_id", "group", "true_gain", "x_deg", "y_deg", "pb"]]
    rows = rows.astype({"source_id": str, "group": str}).merge(truth, on=["source_id", "group"])
    return rows, found.curves, found.figures


def residuals(rows: pd.DataFrame) -> Floats:
    """Return found gain / true gain - 1, one factor of the whole archive taken out."""
    ratio = (rows.gain / rows.true_gain).to_numpy()
    return np.asarray(ratio / np.median(ratio) - 1)


def chi_squared(curves: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Return chi2, its degrees of freedom and the median S/N of constant sources."""
    good = curves[(curves.status == "ok") & curves.source_id.isin(names)]
    weight = good.norm_err_jy**-2
    sums = pd.DataFrame({"w": weight, "wf": weight * good.norm_flux_jy, "id": good.source_id})
    total = sums.groupby("id").sum()
    mean = good.source_id.map(total.wf / total.w)
    square = ((good.norm_flux_jy - mean) / good.norm_err_jy) ** 2
    snr = good.norm_flux_jy / good.norm_err_jy
    groups = good.source_id
    found = pd.DataFrame(
        {"chi2": square.groupby(groups).sum(), "dof": groups.groupby(groups).size() - 1,
         "snr": snr.groupby(groups).median()}
    )  # fmt: skip
    found["chi2_nu"] = found.chi2 / found.dof
    found["p"] = chi2.sf(found.chi2, found.dof)
    return found[found.dof >= 7]


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Return the sizes of the calibration residual, in per cent, and of its pull."""
    good = rows[rows.image_status == "ok"]
    residual = residuals(good)
    size = 100 * np.abs(residual)
    own = residual - pd.Series(residual).groupby(good.source_id.to_numpy()).transform("mean")
    pull = residual / (good.gain_err / good.true_gain).to_numpy()
    return {
        "n": len(good),
        "median_percent": float(np.median(size)),
        "p90_percent": float(np.quantile(size, 0.9)),
        "median_of_changes_percent": float(100 * np.median(np.abs(own))),
        "p90_of_changes_percent": float(100 * np.quantile(np.abs(own), 0.9)),
        "pull_robust": float(1.4826 * np.median(np.abs(pull))),
        "pull_rms": float(np.sqrt(np.mean(pull**2))),
    }
