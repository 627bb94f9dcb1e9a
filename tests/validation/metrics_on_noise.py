"""How often the metrics call constant and slowly varying light curves variable.

    PYTHONPATH=scripts python tests/validation/metrics_on_noise.py [--light-curves 100000]

Pairs: for equal and unequal Gaussian errors, at 12, 60 and 365 epochs, the share of light curves of
noise whose pair_p is at most 0.1, 0.01 and 0.001, over that level. 1 is right, less is on the safe
side. Also the share with a pair of |Vs| of 4.3 or more, which has no such correction.

The documented score: the share of 1000 sources without any event that it flags (score above 0.6),
with errors of 1 % and nothing else, and with a damped random walk of 2 % besides, in a table with
4000 constant sources of the same errors.
"""

import argparse
import json
import sys

import numpy as np
import pandas as pd

from contimg import ese
from contimg.epochs import Epochs
from contimg.pairs import largest_pairs, pair_probability

ERRORS = {
    "equal": lambda rng, shape: np.ones(shape),
    "uniform within a factor of 2": lambda rng, shape: rng.uniform(1, 2, shape),
    "lognormal, 0.5": lambda rng, shape: rng.lognormal(0, 0.5, shape),
    "lognormal, 1": lambda rng, shape: rng.lognormal(0, 1.0, shape),
    "one epoch in ten 5 times worse": lambda rng, shape: np.where(
        rng.random(shape) < 0.1, 5.0, 1.0
    ),
}
LEVELS = (0.1, 0.01, 0.001)
AT_ONCE = 10_000


def probabilities(errors, n_epochs: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """pair_p and the largest |Vs| of `n` light curves of noise."""
    rng = np.random.default_rng([3, n_epochs])
    found = []
    for _ in range(0, n, AT_ONCE):
        error = errors(rng, (AT_ONCE, n_epochs))
        vs = largest_pairs(rng.normal(0, error), error, 4.3)["vs_largest"]
        found.append((pair_probability(vs, np.full(AT_ONCE, n_epochs)), vs))
    p, vs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return p, vs


def share_flagged(n_epochs: int, days: float, modulation: float, timescale_days: float) -> float:
    """Share of sources with a damped random walk that the documented score flags."""
    n = 1000
    rng = np.random.default_rng([5, n_epochs])
    kept = np.exp(-days / timescale_days)
    walk = np.empty((n, n_epochs))
    walk[:, 0] = rng.normal(size=n)
    for i in range(1, n_epochs):
        walk[:, i] = kept * walk[:, i - 1] + np.sqrt(1 - kept**2) * rng.normal(size=n)
    flux = 1 + modulation * walk + rng.normal(0, 0.01, walk.shape)
    flux = np.concatenate([flux, 1 + rng.normal(0, 0.01, (4 * n, n_epochs))])
    mjd = np.tile(60000 + days * np.arange(n_epochs), (len(flux), 1))
    sources = pd.DataFrame({"source_id": np.arange(len(flux)).astype(str)})
    epochs = Epochs(sources, mjd, flux, np.full(flux.shape, 0.01))
    found = ese.fit_dips(epochs, {"min_epochs": 8})
    return float((found.ese_score[:n] > ese.DOCUMENTED_THRESHOLD).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--light-curves", type=int, default=100_000)
    given = parser.parse_args()
    for name, errors in ERRORS.items():
        for n_epochs in (12, 60, 365):
            p, vs = probabilities(errors, n_epochs, given.light_curves)
            line = {
                "errors": name,
                "n_epochs": n_epochs,
                "observed_over_nominal": {f"{x:g}": (p <= x).mean() / x for x in LEVELS},
                "share_beyond_4.3": (vs >= 4.3).mean(),
            }
            sys.stdout.write(json.dumps(line) + "\n")
    for n_epochs, days in ((12, 7.0), (60, 6.0), (365, 1.0)):
        for modulation, timescale_days in ((0.0, 1.0), (0.02, 30.0), (0.02, 100.0)):
            line = {
                "n_epochs": n_epochs,
                "days_between": days,
                "modulation": modulation,
                "timescale_days": timescale_days,
                "share_flagged": share_flagged(n_epochs, days, modulation, timescale_days),
            }
            sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
