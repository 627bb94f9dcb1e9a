"""How near the search for events comes to the largest likelihood that there is.

    PYTHONPATH=scripts python tests/validation/search_maximum.py [--curves 30]

The search goes from coarse templates to finer ones. Here all shapes of its bank are tried at
centres in steps of W/24 and widths in steps of 10 %, under the best backgrounds without an event,
and the best of these under all backgrounds. Nothing is taken for an outlier in either.
"""

import argparse
import sys

import numpy as np

from contimg.backgrounds import BackgroundOptions, correlation, gains, make_grid
from contimg.ese_curves import Setting, SharedCurves
from contimg.ese_fit import fit_all
from contimg.ese_templates import Placement, admissible, whole_bank
from contimg.lens import LensShape, dips_at, make_template

ERROR, N_EPOCHS, MODULATION, TAU_DAYS = 0.015, 70, 0.01, 30.0
NO_OUTLIERS = 1e-300
PLACEMENT = Placement()


def light_curve(random: np.random.Generator, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Times within a year and fluxes: a damped random walk, and an event where depth is not 0."""
    days = np.round(np.sort(random.uniform(0, 365, N_EPOCHS)), 3)
    days -= days[0]
    walk = np.linalg.cholesky(correlation("drw", TAU_DAYS, days[:, None] - days))
    flux = 1 + MODULATION * walk @ random.standard_normal(N_EPOCHS)
    template = make_template(LensShape("", random.choice([1.5, 4.0, 8.0, 15.0]), 0.3))
    width, centre = random.uniform(20, 70), random.uniform(75, 290)
    dip = dips_at(template, (days - centre) / width) / template.dip.max()
    return days, flux * (1 - depth * dip) + ERROR * random.standard_normal(N_EPOCHS)


def backgrounds(curves: SharedCurves) -> list[int]:
    """Return the best background of each kernel and timescale, and the best few of all."""
    evidence, kernel = curves.evidence[0], curves.grid.kernel
    best = [int(np.flatnonzero(kernel == k)[evidence[kernel == k].argmax()]) for k in set(kernel)]
    return sorted({*best, *np.argsort(-evidence)[:4].tolist()})


def exhaustive(curves: SharedCurves) -> float:
    """Return the largest log posterior with an event of one light curve."""
    days, flux, error = curves.days[0], curves.flux[0], curves.error[0]
    widths = np.geomspace(PLACEMENT.min_fwhm_days, PLACEMENT.max_fwhm_days, 27)
    centres = [np.arange(days[0], days[-1], width / 24) for width in widths]
    width = np.repeat(widths, [len(one) for one in centres])
    centre = np.concatenate(centres)
    good = admissible(days, centre, width, PLACEMENT)
    x = (days - centre[good, None]) / width[good, None]
    whitening = []
    for point in backgrounds(curves):
        name, tau = curves.grid.kernels[curves.grid.kernel[point]]
        signal = curves.grid.modulation[point] ** 2 * correlation(name, tau, days[:, None] - days)
        noise = np.diag(error**2 + curves.grid.jitter[point] ** 2)
        whitening.append((point, np.linalg.inv(np.linalg.cholesky(signal + noise))))
    found = []
    for template in whole_bank():
        dips = dips_at(template, x)
        for point, root in whitening:
            one, y, t = root.sum(axis=1), root @ flux, dips @ root.T
            gain = gains(one @ one, one @ y, t @ one, t @ y, (t**2).sum(axis=1))[0]
            for best in np.argsort(-gain)[:3]:
                found.append((curves.evidence[0, point] + gain[best], dips[best]))
    found.sort(key=lambda one: -one[0])
    return max(float(curves.best(dip[None])[0][0]) for _, dip in found[:100])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=30)
    options = parser.parse_args()
    grid = make_grid(ERROR, BackgroundOptions())
    for depth in (0.0, 0.06, 0.2):
        missed, statistic = [], []
        for number in range(options.curves):
            days, flux = light_curve(np.random.default_rng([number, int(100 * depth)]), depth)
            setting = Setting(days, np.full(N_EPOCHS, ERROR), grid, PLACEMENT)
            curves = SharedCurves(setting, flux[None])
            null, event, _ = fit_all(curves, NO_OUTLIERS)
            statistic.append(event.best[0] - null.best[0])
            missed.append(max(exhaustive(curves) - event.best[0], 0.0))
        quantiles = np.quantile(missed, (0.5, 0.9, 1.0)).round(1)
        sys.stdout.write(
            f"depth {depth}: statistic {np.median(statistic):.1f} (median); missed: median, 90 %, "
            f"most {quantiles}; more than 2 in {np.mean(np.array(missed) > 2):.0%}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
