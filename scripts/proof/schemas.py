"""The columns of the tables beside the page of the proof."""

from contimg.schemas import Column, Schema

SETTING = Column("setting", "string", "", "cadence and typical total error of a transit")
BACKGROUND = Column("background", "string", "", "process of the simulator, its rms and timescale")
LLR = Column("ese_llr", "float64", "", "statistic of the search")
P_INFERRED = Column(
    "p_inferred", "float64", "", "false-alarm probability as of a real source: background fitted"
)
FITTED = (
    Column("null_background", "string", "", "kernel of the best fit without an event"),
    Column("null_modulation", "float64", "", "rms of it, a fraction of the baseline"),
    Column("null_timescale_days", "float64", "d", "timescale of it"),
    Column("null_jitter", "float64", "", "excess white noise of it, a fraction of the baseline"),
    Column(
        "null_chi2_nu", "float64", "", "chi-squared of a constant over N-1, outliers as 4 errors"
    ),
)

CALIBRATION: Schema = (
    SETTING,
    Column("known", "string", "", "the background that all have; empty: as for real sources"),
    LLR,
    *FITTED,
)

NULLS: Schema = (
    SETTING,
    BACKGROUND,
    Column("calibrated", "bool", "", "the library's own nulls have this process"),
    LLR,
    P_INFERRED,
    Column("p_known", "float64", "", "the same were the background known; NaN if not calibrated"),
    *FITTED,
)

INJECTIONS: Schema = (
    SETTING,
    BACKGROUND,
    Column("part", "string", "", "required: of the specification; depth: for the depth curves"),
    Column("lens", "string", "", "name of the lens in the simulator"),
    Column("depth", "float64", "", "largest loss of flux as a fraction, as injected"),
    Column("fwhm_days", "float64", "d", "full width at half depth, as injected"),
    Column("centre_mjd", "float64", "d", "as injected"),
    LLR,
    P_INFERRED,
    Column("template", "string", "", "best lens of the search; empty: none"),
    Column("found_depth", "float64", "", "depth found"),
    Column("found_fwhm_days", "float64", "d", "full width found"),
    Column("found_centre_mjd", "float64", "d", "centre found"),
    Column("is_found", "bool", "", "p_inferred at most 1e-3, and the centre within one width"),
)

ROC: Schema = (
    Column("statistic", "string", "", "likelihood ratio, its probability, score, or deviation"),
    Column("depth", "float64", "", "of the events, as a fraction"),
    Column("threshold", "float64", "", "events have at least this statistic"),
    Column("false_alarm_rate", "float64", "", "part of the light curves without events above it"),
    Column("recovery", "float64", "", "part of the light curves with events above it"),
)
