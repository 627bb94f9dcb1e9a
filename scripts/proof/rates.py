"""Rates of false alarms with their limits, from light curves without events."""

import pandas as pd
from scipy import stats

LEVELS = (1e-2, 1e-3)
FACTOR = 2.0


def poisson_limits(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the central confidence interval of the mean of a Poisson count (Garwood 1936)."""
    outside = (1 - confidence) / 2
    low = stats.chi2.ppf(outside, 2 * count) / 2 if count else 0.0
    return float(low), float(stats.chi2.isf(outside, 2 * (count + 1)) / 2)


def upper_limit(count: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper limit of the mean of a Poisson count."""
    return float(stats.chi2.isf(1 - confidence, 2 * (count + 1)) / 2)


def rate_table(nulls: pd.DataFrame) -> pd.DataFrame:
    """Compare rates with levels, class by class.

    Parameters
    ----------
    nulls : of the schema NULLS.

    Returns
    -------
    table : setting, background, calibrated, how (inferred or known), level, n, count, ratio
        (observed over nominal), low and high (95 %), verdict: within a factor of 2; outside, or
        not told apart from a factor of 2, by the limits.
    """
    rows = []
    keys = ["setting", "background", "calibrated"]
    for named, found in nulls.groupby(keys, sort=False):
        for how in ("inferred", "known"):
            p = found[f"p_{how}"].dropna()
            for level in LEVELS if len(p) else ():
                count, expected = int((p <= level).sum()), level * len(p)
                low, high = (limit / expected for limit in poisson_limits(count))
                ratio = count / expected
                rows.append((*named, how, level, len(p), count, ratio, low, high))
    table = pd.DataFrame(
        rows, columns=[*keys, "how", "level", "n", "count", "ratio", "low", "high"]
    )
    return table.assign(verdict=[verdict(*one) for one in table[["ratio", "low", "high"]].values])


def verdict(ratio: float, low: float, high: float) -> str:
    """Say whether a ratio is within a factor of 2: yes, no, or too few light curves to tell."""
    if 1 / FACTOR <= ratio <= FACTOR:
        return "within"
    return "outside" if high < 1 / FACTOR or low > FACTOR else "open"


def yearly(nulls: pd.DataFrame) -> pd.DataFrame:
    """Return false alarms per source-year of daily light curves at 1e-3, a row a background.

    Two rows sum up: of the processes that the library is calibrated on, and of others.
    """
    daily = nulls[nulls["setting"].str.startswith("daily, 1 %")]
    groups = [(name, rows) for name, rows in daily.groupby("background", sort=False)]
    groups += [
        ("all processes calibrated on", daily[daily["calibrated"]]),
        ("all others", daily[~daily["calibrated"]]),
    ]
    found = []
    for name, rows in groups:
        if len(rows):
            count = int((rows["p_inferred"] <= LEVELS[1]).sum())
            calibrated = bool(rows["calibrated"].all())
            limit = upper_limit(count) / len(rows)
            found.append((name, calibrated, len(rows), count, count / len(rows), limit))
    columns = ["background", "calibrated", "years", "count", "rate", "limit"]
    return pd.DataFrame(found, columns=columns)
