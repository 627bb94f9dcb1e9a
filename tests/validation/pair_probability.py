"""How often the largest pair of constant light curves is as improbable as `pair_p` says.

    PYTHONPATH=scripts python tests/validation/pair_probability.py [--light-curves 100000]

For equal and unequal Gaussian errors, at 12, 60 and 365 epochs: the share of light curves of noise
whose pair_p is at most 0.1, 0.01 and 0.001, over that level. 1 is right, less is on the safe side.
Also the share with a pair of |Vs| of 4.3 or more, which has no such correction.
"""

import argparse
import json
import sys

import numpy as np

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


if __name__ == "__main__":
    main()
