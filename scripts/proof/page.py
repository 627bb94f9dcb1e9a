"""The content of the page of the proof, from its tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from contimg.false_alarm import fit_tail
from contimg.report.pages import Picture, Plot
from contimg.report.text import number, percent
from proof import figures
from proof.injections import FOUND_PART, depth_table, is_near
from proof.rates import LEVELS, rate_table, yearly
from proof.scores import STATISTICS, THRESHOLDS
from proof.truth import DEPTH_BACKGROUND, LENSES, MAX_FALSE_ALARM
from simulator.lenses import depth_and_width


def content(
    calibration: pd.DataFrame,
    nulls: pd.DataFrame,
    injections: pd.DataFrame,
    roc: pd.DataFrame,
    chain: Mapping[str, Mapping[str, Any]],
    times: Mapping[str, float],
) -> dict[str, Any]:
    """Return what the template `ese_validation.html.j2` needs, but for provenance.

    Parameters
    ----------
    calibration, nulls, injections, roc : the tables of the schemas in `proof.schemas`.
    chain : verdicts of tests/validation/ese.py, by name.
    times : seconds that each rule took.
    """
    rates = rate_table(nulls)
    years = yearly(nulls)
    events = injections[injections["part"] == "required"]
    required = required_table(events, nulls, calibration)
    depths = depth_table(injections[injections["part"] == "depth"])
    depths["error"] = [error_of(setting) for setting in depths["setting"]]
    at_thresholds = comparison(roc)
    return {
        "goals": goals(rates, years, required, chain),
        "key_figures": key_figures(nulls, injections, years, required),
        "required": required.to_dict("records"),
        "required_plot": Plot(
            "",
            Picture(figures.required_figure(required), "Part of the events found by background"),
            "20 % deep, 60 days; six lenses in turn; 95 % limits. Line: the goal.",
        ),
        "years": years.to_dict("records"),
        "rates": summary_of_rates(rates),
        "beyond": beyond(rates),
        "rate_plots": [
            Plot(
                setting,
                Picture(figures.rates_figure(rows), f"Observed over nominal rate, {setting}"),
                f"{int(rows['n'].min()):,} to {int(rows['n'].max()):,} light curves a class.",
            )
            for setting, rows in rates.groupby("setting", sort=False)
        ],
        "depths": depth_rows(depths),
        "errors": sorted(set(depths["error"])),
        "depth_background": DEPTH_BACKGROUND.words,
        "depths_plot": Plot(
            "",
            Picture(
                figures.depths_figure(depths, sorted(set(depths["fwhm_days"]))),
                "Depth at which 90 % are found, against error",
            ),
        ),
        "lenses": [
            {"name": name, **vars(lens), "deepest": depth_and_width(lens)[0]}
            for name, lens in LENSES.items()
        ],
        "roc_plot": Plot(
            "",
            Picture(figures.roc_figure(roc), "Recovery against false-alarm rate"),
            "Circles: score 0.6, five standard deviations, probability 1e-3.",
        ),
        "comparison": at_thresholds,
        "chain": [{"name": name, **verdict} for name, verdict in chain.items()],
        "times": times,
        "data": {
            "required": required.to_dict("records"),
            "false_alarms_per_source_year": years.to_dict("records"),
            "rates": rates.to_dict("records"),
            "d90": depths.to_dict("records"),
            "comparison": at_thresholds,
            "chain": dict(chain),
        },
    }


def error_of(setting: str) -> float:
    """Return the error that a setting's name tells, as a fraction."""
    return float(setting.split(", ")[1].removesuffix(" %")) / 100


def required_table(
    events: pd.DataFrame, nulls: pd.DataFrame, calibration: pd.DataFrame
) -> pd.DataFrame:
    """Return the part of the required events found before each background, with 95 % limits.

    `known` is the part whose statistic is above what the light curves of the same background
    without events (the simulator's; where it has none, the search's own) reach with probability
    1e-3; `part`, with low and high, judges them as real sources. `false_alarms` of the latter are
    among `years` light curves without events.
    """
    daily = nulls[nulls["setting"] == "daily, 1 %"]
    own = calibration[calibration["setting"] == "daily, 1 %"]
    rows = []
    for background, found in events.groupby("background", sort=False):
        n, k = len(found), int(found["is_found"].sum())
        low = stats.beta.ppf(0.025, k, n - k + 1) if k else 0.0
        high = stats.beta.isf(0.025, k + 1, n - k) if k < n else 1.0
        same = daily[daily["background"] == background]
        without = same if len(same) else own[own["known"] == background]
        tail = fit_tail(without["ese_llr"].to_numpy())
        reached = tail.probability(found["ese_llr"].to_numpy()) <= MAX_FALSE_ALARM
        known = float((reached & is_near(found)).mean())
        alarms = int((same["p_inferred"] <= MAX_FALSE_ALARM).sum())
        rows.append((background, n, known, k / n, float(low), float(high), alarms, len(same)))
    columns = ["background", "n", "known", "part", "low", "high", "false_alarms", "years"]
    return pd.DataFrame(rows, columns=columns)


def summary_of_rates(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Count classes within a factor of 2, by setting, what is known, and level."""
    rows = []
    family = rates[rates["calibrated"]]
    for (setting, how, level), found in family.groupby(["setting", "how", "level"], sort=False):
        counts = found["verdict"].value_counts()
        rows.append(
            {
                "setting": setting,
                "how": how,
                "level": level,
                "n_classes": len(found),
                "expected": level * float(found["n"].min()),
                **{name: int(counts.get(name, 0)) for name in ("within", "open", "outside")},
                "together": float(found["count"].sum() / (level * found["n"].sum())),
                "least": float(found["ratio"].min()),
                "most": float(found["ratio"].max()),
            }
        )
    return rows


def beyond(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the calibrated classes whose rate is not within a factor of 2."""
    return rates[rates["calibrated"] & (rates["verdict"] != "within")].to_dict("records")


def depth_rows(depths: pd.DataFrame) -> list[dict[str, Any]]:
    """Return D90 of each width and lens, with the errors side by side."""
    return [
        {
            "fwhm_days": width,
            "lens": lens,
            "deepest": float(rows["deepest"].max()),
            "d90": {float(one.error): float(one.d90) for one in rows.itertuples()},
        }
        for (width, lens), rows in depths.groupby(["fwhm_days", "lens"], sort=False)
    ]


def comparison(roc: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what each statistic recovers at given false-alarm rates, and at its own threshold."""
    rows = []
    for (statistic, depth), curve in roc.groupby(["statistic", "depth"], sort=False):
        ordered = curve.sort_values("threshold")
        found = {
            rate: float(ordered.loc[ordered["false_alarm_rate"] <= rate, "recovery"].max())
            for rate in (0.1, *LEVELS)
        }
        usual = ordered[ordered["threshold"] == THRESHOLDS.get(statistic, np.nan)]
        own = usual.iloc[0][["false_alarm_rate", "recovery"]].to_dict() if len(usual) else {}
        rows.append({"statistic": STATISTICS[statistic], "depth": depth, "found": found, **own})
    return rows


def key_figures(
    nulls: pd.DataFrame, injections: pd.DataFrame, years: pd.DataFrame, required: pd.DataFrame
) -> list[tuple[str, str, str]]:
    """Return name, value and unit of the figures at the page's head."""
    both = years[years["background"].str.startswith("all ")]
    rates = dict(zip(both["background"], both["rate"], strict=True))
    return [
        ("events injected", f"{len(injections):,}", ""),
        ("found, worst, known", number(100 * float(required["known"].min()), 3), "%"),
        ("found, worst, inferred", number(100 * float(required["part"].min()), 3), "%"),
        ("light curves without events", f"{len(nulls):,}", ""),
        ("of them a year of days", f"{int(both['years'].sum()):,}", "source-years"),
        ("false alarms, calibrated on", number(rates.get("all processes calibrated on"), 2), "/yr"),
        ("false alarms, other processes", number(rates.get("all others"), 2), "/yr"),
    ]


def goals(
    rates: pd.DataFrame,
    years: pd.DataFrame,
    required: pd.DataFrame,
    chain: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, str]]:
    """Return each goal with what was measured and whether it is met: ok, partial or rejected."""
    rows = []
    for how, column in (("known", "known"), ("inferred", "part")):
        worst = required.loc[required[column].idxmin()]
        missed = int((required[column] < FOUND_PART).sum())
        rows.append(
            goal(
                f"Events of 20 % and 60 days: 90 % found before every background, {how}",
                f"{percent(float(worst[column]))} at worst ({worst['background']}); "
                f"{missed} of {len(required)} backgrounds below 90 %",
                missed == 0,
                missed <= len(required) // 4,
            )
        )
    for how in ("known", "inferred"):
        for level in LEVELS:
            mine = rates[rates["calibrated"] & (rates["how"] == how) & (rates["level"] == level)]
            n_outside = int((mine["verdict"] == "outside").sum())
            n_within = int((mine["verdict"] == "within").sum())
            rows.append(
                goal(
                    f"Rate at {level:g} within a factor of 2 in every class, background {how}",
                    f"{n_within} of {len(mine)} within, {n_outside} outside by more than the "
                    f"counts allow; {mine['ratio'].min():.2f} to {mine['ratio'].max():.2f}",
                    n_within == len(mine),
                    n_outside == 0,
                )
            )
    for name in ("all processes calibrated on", "all others"):
        row = years[years["background"] == name]
        if len(row):
            one = row.iloc[0]
            rows.append(
                goal(
                    f"At most 1e-3 false alarms a source-year: {name.removeprefix('all ')}",
                    f"{int(one['count'])} in {int(one['years']):,} source-years: "
                    f"{one['rate']:.2g}, at most {one['limit']:.2g} (95 %)",
                    bool(one["limit"] <= MAX_FALSE_ALARM),
                    bool(one["rate"] <= 2 * MAX_FALSE_ALARM),
                )
            )
    n_first = sum(bool(one["is_first"]) for one in chain.values())
    rows.append(
        goal(
            "Real chain, raw files to candidates: the event is first, no constant source is one",
            f"{n_first} of {len(chain)} first; "
            f"{sum(len(one['constant_candidates']) for one in chain.values())} constant candidates"
            if chain
            else "not run: see below",
            bool(chain)
            and n_first == len(chain)
            and not any(one["constant_candidates"] for one in chain.values()),
            not chain,
        )
    )
    return rows


def goal(what: str, measured: str, met: bool, partly: bool = False) -> dict[str, str]:
    state = "ok" if met else "partial" if partly else "rejected"
    return {"what": what, "measured": measured, "state": state}


def read_chain(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read the verdicts that tests/validation/ese.py wrote, a JSON object a line.

    Raises
    ------
    ValueError
        When a line is something else.
    """
    verdicts: dict[str, dict[str, Any]] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            try:
                verdicts |= json.loads(line)
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{path}: {line[:60]!r} is no verdict of tests/validation/ese.py ({error}); "
                    "write the file again"
                ) from error
    return {name: one for name, one in verdicts.items() if "is_first" in one}


def seconds_of(benchmarks: Sequence[Path]) -> dict[str, float]:
    """Return the seconds that rules took, from their benchmark files, where there are any."""
    times = {}
    for path in benchmarks:
        if path.is_file() and (lines := path.read_text().splitlines()):
            times[path.stem] = float(json.loads(lines[-1])["s"])
    return times
