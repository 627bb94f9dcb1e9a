"""How much S/N a search loses because its bank of lens templates is finite.

    python tests/validation/lens_bank.py [--figure lens_bank.svg]

A lens of any strength, source size and track is compared with each template at the best width;
the loss is 1 - the largest correlation of the two dips (white noise, known baseline, many epochs).
Lenses that gain more light than they lose on their track, or dip by under 10 %, are left out.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from contimg.lens import LensShape, dips_at, magnification, make_template, template_bank

# Even functions of x: seen in ln x a change of width is a shift.
LOG_X = np.linspace(np.log(2e-3), np.log(40.0), 4096)

ALPHA = np.geomspace(0.3, 50, 41)
BETA_S = (0.1, 0.14, 0.2, 0.28, 0.4, 0.55, 0.75, 1.0)
IMPACT = (np.nan, 0.0, 0.5, 1.0, 1.4)


def profile(template):
    """Return the dip in ln x, of unit norm whatever its width."""
    values = dips_at(template, np.exp(LOG_X)) * np.exp(LOG_X / 2)
    return values / np.linalg.norm(values)


def mainly_a_dip(lens):
    u = np.arange(-30.0, 30.0, lens.beta_s / 10)
    dip = 1 - magnification(u, lens)
    deepest = dip.max()
    if deepest < 0.1 or dip[np.argmin(np.abs(u))] < deepest / 2:
        return False
    return np.isnan(lens.impact) or dip.sum() > 0


def coverage(alphas=ALPHA, betas=BETA_S, impacts=IMPACT):
    """Return a row a lens: alpha, beta_s, impact, the best template and the match with it."""
    bank = template_bank()
    transforms = np.fft.rfft([profile(one) for one in bank], 2 * len(LOG_X), axis=1)
    rows = []
    for alpha, beta_s, impact in product(alphas, betas, impacts):
        lens = LensShape("", alpha, beta_s, impact)
        if not mainly_a_dip(lens):
            continue
        seen = np.fft.rfft(profile(make_template(lens)), 2 * len(LOG_X))
        match = np.fft.irfft(seen * transforms.conj(), axis=1).max(axis=1)
        best = int(np.argmax(match))
        rows.append((alpha, beta_s, impact, bank[best].shape.name, match[best]))
    return pd.DataFrame(rows, columns=["alpha", "beta_s", "impact", "template", "match"])


def figure(path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(4, 4, figsize=(9, 7), sharex=True, constrained_layout=True)
    for axis, template in zip(axes.flat, template_bank(), strict=True):
        axis.plot(template.x, 1 - template.dip, lw=1)
        axis.axhline(1, color="0.8", lw=0.5, zorder=0)
        axis.set_title(template.shape.name, fontsize=8)
        axis.set_xlim(-2, 2)
    drawn.supxlabel("(t - t0) / FWHM")
    drawn.supylabel("magnification")
    drawn.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    found = coverage()
    loss = np.quantile(1 - found.match, [0.5, 0.95, 0.99, 1.0])
    sys.stdout.write(
        f"{len(found)} lenses, {len(template_bank())} templates; loss of S/N: "
        f"median {loss[0]:.3f}, 95 % within {loss[1]:.3f}, 99 % within {loss[2]:.3f}, "
        f"worst {loss[3]:.3f}\n"
    )
    worst = found.sort_values("match").head(12).round(3)
    sys.stdout.write(worst.to_string(index=False) + "\n")
    if arguments.figure:
        figure(arguments.figure)


if __name__ == "__main__":
    main()
