"""How well normalisation takes image gains out, on the NVSS x FIRST field; figures as JSON lines.

    PYTHONPATH=scripts:tests python tests/validation/normalisation.py [--picture FILE.png]
        [--dates 60] [--seeds 12] [--min-mjy 3]

The truth is made here: the survey's fluxes through a drifting Airy beam, with a gain and a
gradient of its own for each image, and noise. Ends with status 1 when a limit of `exceeded` is
passed. A calibration residual is found gain / true gain - 1
at one source in one image, after one factor for the whole archive is taken out; the source's own
noise is not in it.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import chi2, kstest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "validation")]


from figures import record  # noqa: E402

from contimg.error_model import ErrorModel  # noqa: E402
from contimg.leave_out import STATUSES  # noqa: E402
from contimg.lightcurves import Band, normalise, sorted_rows, usable_rows  # noqa: E402
from contimg.master_catalog import CatalogOptions, build_sources  # noqa: E402
from contimg.normalise import GainOptions  # noqa: E402
from contimg.surveys import read_survey  # noqa: E402
from contimg.tables import options_from  # noqa: E402
from simulator.visibility import airy_power  # noqa: E402

Floats = NDArray[np.float64]
FREQ_HZ, DISH_M = 1.405e9, 4.65
DEC_DEG = 46.5
STEP_DEG = 309.237648 / 3600 * 15.041
MIN_RESPONSE = 0.1
MIN_JY = 0.003
NAMES = {0.5: "median", 0.9: "90 % below"}
FIGURES = {0.5: "median_percent", 0.9: "p90_percent"}


@dataclass
class Archive:
    """An archive that might have been, and what is true of it.

    Attributes
    ----------
    rms_jy : noise of an image at the beam's centre; varies by 10 % from image to image.
    gain_rms, gradient_rms : of an image's gain, and of its change a degree.
    jitter_deg : rms of the true beam centre about the nominal one, an axis.
    variable, amplitude : fraction of the compact sources that vary, and their rms.
    flicker : they vary from date to date by chance, and not as sines of 5 to 100 days.
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
    flicker: bool = False
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
            change = np.sqrt(2) * np.sin(2 * np.pi * date / period + phase)
            if self.flicker:
                change = random.standard_normal(len(flux))
            of_date = flux * (1 + self.is_variable * self.amplitude * change)
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


def field_sources(min_jy: float = MIN_JY) -> pd.DataFrame:
    """Return the field's sources above `min_jy`, with NVSS's and FIRST's word on each."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["catalog"]
    surveys = {
        block["name"]: read_survey(ROOT / block["file"], block).rows for block in config["surveys"]
    }
    sources = build_sources(surveys, options_from(CatalogOptions, config))
    sources = sources[sources.s_nvss >= min_jy].reset_index(drop=True)
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
        image_status=np.array(STATUSES)[gains.status], error_jy=band.error_jy(model),
    )  # fmt: skip
    truth = photometry[["source_id", "group", "true_gain", "x_deg", "y_deg", "pb"]]
    rows = rows.astype({"source_id": str, "group": str}).merge(truth, on=["source_id", "group"])
    return rows, found.curves, found.figures


def residuals(rows: pd.DataFrame) -> Floats:
    """Return found gain / true gain - 1, one factor of the whole archive taken out."""
    ratio = (rows.gain / rows.true_gain).to_numpy()
    return np.asarray(ratio / np.median(ratio) - 1)


def chi_squared(curves: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Return chi2, degrees of freedom, S/N and distance from the beam's track, by source."""
    good = curves[(curves.status == "ok") & curves.source_id.isin(names)]
    weight = good.norm_err_jy**-2
    sums = pd.DataFrame({"w": weight, "wf": weight * good.norm_flux_jy, "id": good.source_id})
    total = sums.groupby("id").sum()
    mean = good.source_id.map(total.wf / total.w)
    square = ((good.norm_flux_jy - mean) / good.norm_err_jy) ** 2
    groups = good.source_id
    found = pd.DataFrame(
        {"chi2": square.groupby(groups).sum(), "dof": groups.groupby(groups).size() - 1,
         "snr": (good.norm_flux_jy / good.norm_err_jy).groupby(groups).median(),
         "distance_deg": (good.dec_deg - DEC_DEG).abs().groupby(groups).first()}
    )  # fmt: skip
    found["chi2_nu"] = found.chi2 / found.dof
    found["p"] = chi2.sf(found.chi2, found.dof)
    return found[found.dof >= 7]


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Return the sizes of the calibration residual, in per cent, and in quoted errors.

    A factor of a source's own in all images, such as a gradient of the whole field makes, is no
    matter of its light curve: in quoted errors, what changes from image to image counts.
    """
    good = rows[rows.image_status == "ok"]
    residual = residuals(good)
    of_source = pd.Series(residual).groupby(good.source_id.to_numpy()).transform("mean")
    changes = residual - of_source.to_numpy()
    pull = changes / (good.gain_err / good.true_gain).to_numpy()
    size = 100 * np.abs(residual)
    return {
        "n": len(good),
        "left_out": len(rows) - len(good),
        "median_percent": float(np.median(size)),
        "p90_percent": float(np.quantile(size, 0.9)),
        "changes_median_percent": float(100 * np.median(np.abs(changes))),
        "changes_p90_percent": float(100 * np.quantile(np.abs(changes), 0.9)),
        "changes_rms_in_quoted_errors": float(np.sqrt(np.mean(pull**2))),
    }


def of_constant_sources(found: pd.DataFrame) -> dict[str, Any]:
    """Return the median chi2_nu, also by S/N and by distance from the beam's track, and KS's p."""

    def by(name: str, edges: list[float]) -> dict[str, list[float]]:
        groups = found.groupby(pd.cut(found[name], edges), observed=True).chi2_nu
        return {
            f"{key.left:g} to {key.right:g}": [round(part.median(), 3), len(part)]
            for key, part in groups
        }

    return {
        "n": len(found),
        "median_chi2_nu": float(found.chi2_nu.median()),
        "ks_p": float(kstest(found.p, "uniform").pvalue),
        "by_snr": by("snr", [0, 5, 10, 20, 50, 1e4]),
        "by_distance_deg": by("distance_deg", [0, 0.4, 0.8, 1.2, 1.6]),
    }


def nulls(rows: pd.DataFrame, names: set[str]) -> dict[str, Any]:
    """Return what is left where there should be nothing, in normalised fluxes of constant sources.

    By the place in the beam and by the place in the transit: the largest mean relative residual
    of a bin in per cent, and the reduced chi-squared of the bins' means, whose errors come from the
    scatter between images. Of neighbours within 1 deg in an image: the mean product of their
    residuals in their own noise's sigma, before and after normalisation, and what the quoted errors
    of the gains would make if neighbours had the same gain error.
    """
    good = rows[(rows.image_status == "ok") & rows.source_id.isin(names)]
    image = pd.factorize(good.group)[0]
    found: dict[str, Any] = {}
    pairs = _pairs(good, image)
    for name, gain in (("", good.gain.to_numpy()), ("_raw", 1.0)):
        flux, error = (good[key].to_numpy() / gain for key in ("flux_jy", "error_jy"))
        weight = error**-2
        groups = good.source_id.to_numpy()
        sums = pd.DataFrame({"w": weight, "wf": weight * flux}).groupby(groups).transform("sum")
        mean = (sums.wf / sums.w).to_numpy()
        size = np.maximum(mean, 1e-4)
        residual, relative_weight = (flux - mean) / size, weight * size**2
        z = residual * np.sqrt(relative_weight)
        found["neighbours" + name] = float(np.mean(z[pairs[0]] * z[pairs[1]]))
        if name:
            continue
        x, y = good.x_deg.to_numpy(), good.y_deg.to_numpy()
        cells = np.floor((x + 2.4) / 0.6).astype(int) * 8 + np.floor((y + 2.4) / 0.6).astype(int)
        for key, bins in (
            ("place_in_beam", cells),
            ("place_in_transit", np.floor((x + 2.4) / 0.3).astype(int)),
            ("image_of_the_date", good.group.str.split(".").str[1].astype(int).to_numpy()),
        ):
            found[key] = _bin_means(residual, relative_weight, bins, image)
        gain_z = (good.gain_err.to_numpy() / gain) * np.sqrt(relative_weight)
        found["neighbours_at_most"] = float(np.mean(gain_z[pairs[0]] * gain_z[pairs[1]]))
    return found


def _pairs(rows: pd.DataFrame, image: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return the pairs of rows with S/N above 10 within 1 deg in an image."""
    bright = np.flatnonzero((rows.flux_jy > 10 * rows.error_jy).to_numpy())
    x, y = rows.x_deg.to_numpy(), rows.y_deg.to_numpy()
    one, other = [], []
    for number in np.unique(image):
        members = bright[image[bright] == number]
        first, second = np.triu_indices(len(members), 1)
        first, second = members[first], members[second]
        near = np.hypot(x[first] - x[second], y[first] - y[second]) < 1
        one.append(first[near])
        other.append(second[near])
    return np.concatenate(one), np.concatenate(other)


def _bin_means(
    residual: Floats, weight: Floats, bins: NDArray[np.int64], image: NDArray[np.int64]
) -> dict[str, float]:
    """Return the largest mean of a bin in per cent, in its sigma, and the bins' chi2_nu."""
    table = pd.DataFrame({"w": weight, "wr": weight * residual, "bin": bins, "image": image})
    total = table.groupby("bin")[["w", "wr"]].sum()
    mean = total.wr / total.w
    of_image = table.groupby(["bin", "image"])[["w", "wr"]].sum().reset_index()
    count = of_image.groupby("bin").size()
    of_image["square"] = (of_image.wr - of_image.w * of_image.bin.map(mean)) ** 2
    error = np.sqrt(of_image.groupby("bin").square.sum() * count / (count - 1)) / total.w
    enough = (count >= min(20, count.max())).to_numpy()
    mean, error = mean[enough], error[enough]
    largest = mean.abs().idxmax()
    return {
        "bins": len(mean),
        "largest_percent": float(100 * mean[largest]),
        "its_error_percent": float(100 * error[largest]),
        "chi2_nu": float(np.mean((mean / error) ** 2)),
    }


def measured(
    archive: Archive, sources: pd.DataFrame, options: dict[str, Any] | None = None
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return the figures of an archive, its rows with gains, and chi2 of the constant sources."""
    rows, curves, about = image_gains(archive.photometry(sources), sources, options or {})
    constant = set(sources.source_id[is_compact(sources) & ~archive.is_variable])
    found = chi_squared(curves, constant)
    figures = {
        **summary(rows),
        "error_scale": about["error_scale"],
        **of_constant_sources(found),
        "nulls": nulls(rows, constant),
    }
    return figures, rows, found


SCENARIOS: dict[str, dict[str, Any]] = {
    "2 mJy/beam": {"rms_jy": 0.002},
    "3 mJy/beam": {"rms_jy": 0.003},
    "5 mJy/beam": {"rms_jy": 0.005},
    "8.5 mJy/beam": {"rms_jy": 0.0085},
    "12 mJy/beam": {"rms_jy": 0.012},
    "pointing jitter 0.03 deg": {"jitter_deg": 0.03},
    "pointing jitter 0.1 deg": {"jitter_deg": 0.1},
    "a fifth varies by 10 %": {"variable": 0.2},
    "a fifth flickers by 10 %": {"variable": 0.2, "flicker": True},
    "sidelobes as in maps": {"map_noise": 2.0},
    "2 % scatter": {"scatter": 0.02},
}


def exceeded(name: str, figures: dict[str, Any]) -> list[str]:
    """Return the limits that a set of figures passes; scenarios of other names have none."""
    noise_mjy = {"1": 1.0, "2": 2.0, "3": 3.0}.get(name.split(" mJy/beam")[0])
    if noise_mjy is None or "baseline" in name:
        return []
    found = []
    if figures.get("median_percent", 0.0) > 0.3 * noise_mjy:
        found.append(f"{name}: median residual {figures['median_percent']:.2f} %")
    if noise_mjy == 1 and figures.get("p90_percent", 0.0) > 1:
        found.append(f"{name}: 90th percentile of the residual {figures['p90_percent']:.2f} %")
    if not 0.95 <= figures["median_chi2_nu"] <= 1.05:
        found.append(f"{name}: median chi2_nu {figures['median_chi2_nu']:.3f}")
    if figures["ks_p"] < 0.01:
        found.append(f"{name}: chi2 is not distributed as chi2, p {figures['ks_p']:.1e}")
    for bins in (figures["by_snr"], figures["by_distance_deg"]):
        for key, (median, count) in bins.items():
            if count >= 200 and not 0.95 <= median <= 1.05:
                found.append(f"{name}, {key}: median chi2_nu {median} of {count}")
    return found


def draw(path: Path, parts: dict[str, Any]) -> None:
    """Draw residuals by noise and by distance, and chi2_nu against what chi2 says."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    lines = [
        (method, style, quantile, colour)
        for method, style in (("joint", "o-"), ("baseline", "s--"))
        for quantile, colour in ((0.5, "C0"), (0.9, "C1"))
    ]
    for method, style, quantile, colour in lines:
        look = {"color": colour, "label": f"{method}, {NAMES[quantile]}"}
        noise = sorted(parts["by_noise"])
        sizes = [parts["by_noise"][rms][method][FIGURES[quantile]] for rms in noise]
        axes[0].plot([1e3 * rms for rms in noise], sizes, style, **look)
        good = parts["rows"][method].query("image_status == 'ok'")
        distance = np.hypot(good.x_deg, good.y_deg).to_numpy()
        size = pd.Series(100 * np.abs(residuals(good)))
        zones = size.groupby(np.floor(distance / 0.2) * 0.2 + 0.1)
        axes[1].plot(zones.quantile(quantile), style, **look)
    axes[0].plot([1, 3], [0.3, 0.9], "k:", label="0.3 % x rms / mJy")
    axes[0].set(xscale="log", xlabel="rms (mJy/beam)", ylabel="|found / true gain - 1| (%)")
    axes[0].set_xticks([1, 2, 3, 5, 10], minor=False)
    axes[0].set_xticks([], minor=True)
    axes[0].xaxis.set_major_formatter("{x:g}")
    axes[1].set(xlabel="distance from the beam's centre (deg)", ylabel="the same at 1 mJy/beam (%)")
    for panel in axes[:2]:
        panel.set(yscale="log", ylim=(0.1, 20))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.legend(fontsize=7, ncols=2, loc="upper left")
    found = parts["chi2"]
    dof = int(found.dof.median())
    grid = np.linspace(0.4, 1.8, 141)
    axes[2].hist(found.chi2_nu, grid[::4], density=True, alpha=0.5, label="constant sources")
    axes[2].plot(grid, dof * chi2.pdf(grid * dof, dof), "k", label=f"chi2 of {dof}")
    axes[2].set(xlabel="chi2_nu of a light curve", ylabel="density")
    axes[2].legend(fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--min-mjy", type=float, default=1e3 * MIN_JY,
                        help="fainter sources are not measured")  # fmt: skip
    options = parser.parse_args()
    sources = field_sources(options.min_mjy / 1e3)
    parts: dict[str, Any] = {"by_noise": {}, "rows": {}}

    beyond: list[str] = []

    def tell(name: str, figures: dict[str, Any]) -> None:
        beyond.extend(exceeded(name, figures))
        record(f"normalisation: {name}", figures)
        sys.stdout.write(json.dumps({name: figures}) + "\n")
        sys.stdout.flush()

    pooled = []
    for seed in range(options.seeds):
        figures, rows, found = measured(Archive(n_dates=options.dates, seed=seed), sources)
        pooled.append(found)
        tell(f"1 mJy/beam, seed {seed}", figures)
    parts["chi2"] = pd.concat(pooled, ignore_index=True)
    tell("1 mJy/beam, all seeds", of_constant_sources(parts["chi2"]))
    parts["rows"]["joint"] = rows
    parts["by_noise"][0.001] = {"joint": figures}
    archive = Archive(n_dates=options.dates, seed=options.seeds - 1)
    figures, parts["rows"]["baseline"], _ = measured(archive, sources, {"method": "baseline"})
    parts["by_noise"][0.001]["baseline"] = figures
    tell("1 mJy/beam, baseline", figures)
    for name, about in SCENARIOS.items():
        both = {}
        for method in ("joint", "baseline"):
            archive = Archive(n_dates=options.dates, **about)
            both[method], _, _ = measured(archive, sources, {"method": method})
            tell(name if method == "joint" else f"{name}, baseline", both[method])
        if "rms_jy" in about:
            parts["by_noise"][about["rms_jy"]] = both
    if options.picture:
        draw(options.picture, parts)
    for line in beyond:
        sys.stderr.write(f"beyond a limit: {line}\n")
    sys.exit(1 if beyond else 0)


if __name__ == "__main__":
    main()
