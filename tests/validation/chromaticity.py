"""How many lenses are called chromatic, and how many achromatic dips are.

    PYTHONPATH=scripts:tests/unit python tests/validation/chromaticity.py FOLDER [--repeats 10]

Daily light curves of a year in 4 and 8 subbands, with a total error of 1 and 3 % (all subbands of
a transit together): lenses by strength, depth and duration, and dips of the same shapes without a
dependence on frequency, both on top of variations of 2 % that all subbands share. Truth is shot
rays (tests/unit/simulated_subbands.py). Then other achromatic dips and errors that are not what
they say. Writes events.csv, nulls.csv and figures to FOLDER and prints the tables.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from simulated_subbands import band, curves, fluxes, shot

from contimg.chromaticity import chromaticity
from contimg.epochs import usable_epochs

MJD = 60000 + np.arange(365) * 0.99727
ALPHAS = (1.0, 3.0, 10.0, 30.0)
BETA_S = 0.3
DEPTHS = (0.2, 0.4)
FWHM_DAYS = (20.0, 60.0, 120.0)
OUTCOMES = ("chromatic", "undecided", "achromatic")
NULLS = ("gaussian", "eclipse", "slow fall", "none", "errors too small", "tilts")


@cache
def scales(alpha):
    """Width in lens radii and depth of a lens at 1.4 GHz."""
    u = np.linspace(0, 6, 6001)
    dip = 1 - shot(u, alpha, BETA_S)
    return 2 * u[dip >= dip.max() / 2][-1], dip.max()


def shared(random, rms, days):
    """A damped random walk about 1, as all subbands see it."""
    decay = np.exp(-np.diff(MJD, prepend=MJD[0] - 1e9) / days)
    steps = rms * np.sqrt(1 - decay**2) * random.standard_normal(len(MJD))
    walk = np.zeros(len(MJD))
    for i in range(len(MJD)):
        walk[i] = decay[i] * walk[i - 1] + steps[i]
    return 1 + walk


def event(case):
    """Judge one event; a row of the table."""
    n_subbands, error, alpha, depth, fwhm, chromatic, seed = case
    random = np.random.default_rng(seed)
    radii, deepest = scales(alpha)
    lens = {
        "centre_mjd": 60182 + random.uniform(-20, 20),
        "days_a_radius": fwhm / radii,
        "alpha": alpha,
        "beta_s": BETA_S,
        "fraction": min(depth / deepest, 1.0),
    }
    flux = fluxes(MJD, band(n_subbands), lens, chromatic) * shared(random, 0.02, 50.0)
    found = judged(flux, error, lens["centre_mjd"], fwhm, random)
    truth = "lens" if chromatic else "achromatic"
    return (n_subbands, error, alpha, depth, fwhm, truth, *found)


def null(case):
    """Judge one achromatic dip of another kind, or errors that are not what they say."""
    kind, n_subbands, error, seed = case
    random = np.random.default_rng(seed)
    fwhm = random.choice(FWHM_DAYS)
    x = (MJD - 60182 - random.uniform(-20, 20)) / fwhm
    dip = {
        "eclipse": (np.abs(x) < 0.5).astype(float),
        "slow fall": np.where(x < 0, 0, np.exp(-np.maximum(x, 0))),
        "none": np.zeros(len(x)),
    }.get(kind, np.exp(-4 * np.log(2) * x**2))
    ratio = band(n_subbands)[:, None] / 1.4e9
    flux = ratio**-0.7 * (1 - 0.3 * dip) * shared(random, 0.02, 50.0)
    if kind == "tilts":  # an error of the spectral index an epoch, of the size of the noise
        flux = flux * (1 + 20 * error * np.log(ratio) * random.standard_normal(len(MJD)))
    told = error / 2 if kind == "errors too small" else error
    return (kind, n_subbands, error, *judged(flux, error, MJD[x < 0].max(), fwhm, random, told))


def judged(flux, error, centre, fwhm, random, told=None):
    n_subbands = len(flux)
    table = curves(MJD, band(n_subbands), flux, error * np.sqrt(n_subbands), random)
    table["flux_err_jy"] *= (told or error) / error
    # The whole band gives centre and width with an error.
    centre, fwhm = centre + 0.1 * fwhm * random.uniform(-1, 1), fwhm * random.uniform(0.8, 1.25)
    found = chromaticity(usable_epochs(table), centre, fwhm, int(random.integers(2**31)))
    numbers = (found.delta_chi2, found.expected_delta_chi2, found.achromatic_p, found.lens_p)
    return (found.outcome, *numbers)


def fractions(table, keys):
    """Percent of each outcome, and the median of the expected difference."""
    groups = table.groupby(keys, sort=False)
    parts = [
        groups.outcome.agg(lambda one, name=name: 100 * (one == name).mean()).rename(name)
        for name in OUTCOMES
    ]
    expected = groups.expected_delta_chi2.median().rename("expected")
    return pd.concat([*parts, expected, groups.size().rename("n")], axis=1).round(1)


def figure(table, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    settings = list(product((4, 8), (0.01, 0.03)))
    drawn, axes = plt.subplots(
        len(settings), len(FWHM_DAYS), figsize=(9, 9), sharex=True, sharey=True,
        constrained_layout=True,
    )  # fmt: skip
    colours = {"chromatic": "#3b6fb6", "undecided": "#d0d0d0", "achromatic": "#c7772e"}
    for (n_subbands, error), row in zip(settings, axes, strict=True):
        for fwhm, axis in zip(FWHM_DAYS, row, strict=True):
            here = table[
                (table.n_subbands == n_subbands) & (table.error == error)
                & (table.fwhm_days == fwhm) & (table.depth == DEPTHS[0])
            ]  # fmt: skip
            for i, alpha in enumerate(ALPHAS):
                for truth, side in (("lens", -0.2), ("achromatic", 0.2)):
                    one = here[(here.alpha == alpha) & (here.truth == truth)]
                    foot = 0.0
                    for name in OUTCOMES:
                        part = 100 * (one.outcome == name).mean()
                        axis.bar(i + side, part, 0.36, foot, color=colours[name])
                        foot += part
            axis.set_xticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
            axis.set_title(f"{n_subbands} subbands, {error:.0%}, {fwhm:.0f} d", fontsize=9)
    bars = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in OUTCOMES]
    drawn.legend(bars, OUTCOMES, loc="outside upper center", ncols=3, frameon=False)
    drawn.supxlabel("strength alpha (left bar: lens; right bar: achromatic dip of its shape)")
    drawn.supylabel(f"part of the events of {DEPTHS[0]:.0%} depth, per cent")
    drawn.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    grid = product(
        (4, 8), (0.01, 0.03), ALPHAS, DEPTHS, FWHM_DAYS, (True, False), range(asked.repeats)
    )
    cases = [(*one[:-1], seed) for seed, one in enumerate(grid)]
    nulls = list(product(NULLS, (4,), (0.01, 0.03), range(10**6, 10**6 + 10 * asked.repeats)))
    with ProcessPoolExecutor(asked.processes) as pool:
        events = pd.DataFrame(pool.map(event, cases, chunksize=8))
        others = pd.DataFrame(pool.map(null, nulls, chunksize=8))
    numbers = ["outcome", "delta_chi2", "expected_delta_chi2", "achromatic_p", "lens_p"]
    events.columns = ["n_subbands", "error", "alpha", "depth", "fwhm_days", "truth", *numbers]
    others.columns = ["kind", "n_subbands", "error", *numbers]
    events.to_csv(asked.folder / "events.csv", index=False)
    others.to_csv(asked.folder / "nulls.csv", index=False)
    figure(events, asked.folder / "chromaticity.svg")
    for table, keys in (
        (events, ["truth", "n_subbands", "error"]),
        (events, ["truth", "error", "alpha"]),
        (events, ["truth", "error", "depth", "fwhm_days"]),
        (others, ["kind", "error"]),
    ):
        sys.stdout.write(fractions(table, keys).to_string() + "\n\n")


if __name__ == "__main__":
    main()
