"""The columns of every table that the workflow writes: name, type, unit, meaning.

One place for each: the writers check against these, and each file carries them as metadata.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : as in the file; the unit is the last part of it where there is one.
    dtype : "string", "float64", "int64" or "bool".
    unit : unit, or "" for a number without one and for text.
    description : one line for people.
    optional : the column may be missing.
    """

    name: str
    dtype: str
    unit: str
    description: str
    optional: bool = False


Schema = tuple[Column, ...]

SOURCE_ID = Column("source_id", "string", "", "catalogue name JHHMMSS.s+DDMMSS")
RA = Column("ra_deg", "float64", "deg", "ICRS right ascension of the catalogue")
DEC = Column("dec_deg", "float64", "deg", "ICRS declination of the catalogue")
MJD = Column("mjd", "float64", "d", "mid-time, UTC")
FREQ = Column("freq_hz", "float64", "Hz", "frequency of the image", optional=True)
WHOLE_BAND = -1
SUBBAND = Column(
    "subband",
    "int64",
    "",
    "subband image, 0 the lowest in frequency; -1: of the whole band, as where there is no column",
    optional=True,
)

PHOTOMETRY: Schema = (
    SOURCE_ID,
    RA,
    DEC,
    Column("date", "string", "", "UTC date of the group"),
    Column("group", "string", "", "group of integrations that the image was made of"),
    MJD,
    Column("flux_jy", "float64", "Jy", "forced flux, primary beam corrected; may be negative"),
    Column("flux_err_jy", "float64", "Jy", "standard error of flux_jy from the local noise"),
    Column("rms_jy", "float64", "Jy", "local noise at the position, primary beam corrected"),
    Column("chi2", "float64", "", "reduced chi-squared of the point-source fit"),
    Column("pb", "float64", "", "primary-beam response at the position"),
    Column("snr", "float64", "", "flux_jy / flux_err_jy"),
    Column("blended", "bool", "", "fitted jointly with a neighbour"),
    Column("edge", "bool", "", "too near the image's edge or the beam's"),
    Column("status", "string", "", "ok, or why the row has no usable flux"),
    Column("image_digest", "string", "", "digest of the image's pixels"),
    FREQ,
    SUBBAND,
)

LIGHTCURVES: Schema = (
    SOURCE_ID,
    MJD,
    Column("n_images", "int64", "", "images of the transit that were combined"),
    Column("flux_jy", "float64", "Jy", "flux of the transit before normalisation"),
    Column("flux_err_jy", "float64", "Jy", "standard error of flux_jy"),
    Column("norm_flux_jy", "float64", "Jy", "flux with each image's gain and gradient taken out"),
    Column("norm_err_jy", "float64", "Jy", "standard error of norm_flux_jy, gain error included"),
    Column("gain", "float64", "", "mean gain that was divided out, the source itself left out"),
    Column("gain_err", "float64", "", "standard error of gain"),
    Column("n_references", "int64", "", "references of the image with the fewest of them"),
    Column("is_reference", "bool", "", "the source serves as a reference for the others"),
    Column(
        "status",
        "string",
        "",
        "ok, unnormalised (too few references, gain 1), bad_gain (image refused), or the "
        "photometry's status when the transit has no usable image",
    ),
    Column("ra_deg", "float64", "deg", RA.description, optional=True),
    Column("dec_deg", "float64", "deg", DEC.description, optional=True),
    FREQ,
    SUBBAND,
)

EXTERNAL_LIGHTCURVES: Schema = (
    SOURCE_ID,
    MJD,
    Column("flux_jy", "float64", "Jy", "flux density"),
    Column("flux_err_jy", "float64", "Jy", "standard error of flux_jy"),
)

ESE_SCORE = Column("ese_score", "float64", "", "weighted score of the best dip, 0 to 1")
ESE_LLR = Column("ese_llr", "float64", "", "log-likelihood ratio, dip against constant with jitter")
ESE_FALSE_ALARM = Column(
    "ese_false_alarm", "float64", "", "upper bound of the probability that noise does as well"
)

VARIABILITY: Schema = (
    SOURCE_ID,
    RA,
    DEC,
    Column("n_epochs", "int64", "", "epochs with a usable flux"),
    Column("n_detections", "int64", "", "epochs at or above the detection S/N"),
    Column("mean_jy", "float64", "Jy", "plain mean flux"),
    Column("wmean_jy", "float64", "Jy", "inverse-variance weighted mean flux"),
    Column("std_jy", "float64", "Jy", "standard deviation, N-1"),
    Column("chi2_nu", "float64", "", "reduced chi-squared against wmean_jy, N-1 degrees"),
    Column("v", "float64", "", "std_jy / mean_jy"),
    Column("eta", "float64", "", "weighted reduced variance; equal to chi2_nu"),
    Column("vs_max", "float64", "", "|Vs| of the pair behind m_max; 0 without such a pair"),
    Column("m_max", "float64", "", "largest |m| among pairs with |Vs| >= 4.3; 0 without one"),
    Column("epoch_a_mjd", "float64", "d", "earlier epoch of that pair"),
    Column("epoch_b_mjd", "float64", "d", "later epoch of that pair"),
    Column("asymmetry", "float64", "", "-1 slow fall, fast rise ... 1 fast fall, slow rise"),
    Column("timescale_days", "float64", "d", "full width at half depth of the best dip"),
    Column("amplitude", "float64", "", "peak to trough of the best dip, over its baseline"),
    ESE_SCORE,
    ESE_LLR,
    ESE_FALSE_ALARM,
    Column("first_mjd", "float64", "d", "first usable epoch"),
    Column("last_mjd", "float64", "d", "last usable epoch"),
    FREQ,
    SUBBAND,
)

SELFCAL_COMPARISON: Schema = (
    Column("strategy", "string", "", "name in config; none: without self-calibration"),
    Column("date", "string", "", "UTC date of the group"),
    Column("group", "string", "", "group of integrations"),
    Column("snr_initial", "float64", "", "peak over the residual's rms before the rounds"),
    Column("snr_final", "float64", "", "the same of the round that is used"),
    Column("snr_improvement", "float64", "", "snr_final / snr_initial"),
    Column("dynamic_range_initial", "float64", "", "peak over the rms near it, before the rounds"),
    Column("dynamic_range_final", "float64", "", "the same of the round that is used"),
    Column("peak_initial_jy", "float64", "Jy", "brightest source before the rounds, beam"),
    Column("peak_final_jy", "float64", "Jy", "the same of the round that is used"),
    Column("rms_initial_jy", "float64", "Jy", "residual's rms before the rounds, beam"),
    Column("rms_final_jy", "float64", "Jy", "the same of the round that is used"),
    Column("n_rounds", "int64", "", "rounds that were solved and imaged"),
    Column("round", "int64", "", "which is used; 0: the calibrated set as it is"),
    Column("converged", "bool", "", "the last round brought less than selfcal.min_improvement"),
    Column("fell_back", "bool", "", "no round raised the S/N"),
    Column("status", "string", "", "ok, or rejected: the group has no calibrated set"),
    Column("reason", "string", "", "what came of the rounds, in words"),
)

ESE_FALSE_ALARMS: Schema = (
    SOURCE_ID,
    Column(
        "null_class",
        "string",
        "",
        "what the fit without an event says of the background, and the cadence and errors",
    ),
    Column("n_nulls", "int64", "", "simulated light curves without events that are most like it"),
    Column("tail_start", "float64", "", "90 % quantile of their ese_llr"),
    Column("tail_scale", "float64", "", "mean excess of their top tenth over tail_start"),
    ESE_FALSE_ALARM,
    Column(
        "ese_false_alarm_archive",
        "float64",
        "",
        "probability that any of the searched sources has so small an ese_false_alarm by chance",
    ),
    Column("flipped_llr", "float64", "", "ese_llr of the light curve turned over about its median"),
    Column(
        "flipped_false_alarm",
        "float64",
        "",
        "(1 + flipped light curves that reach this ese_llr) / (1 + n_flipped)",
    ),
    Column("n_flipped", "int64", "", "flipped light curves that were searched"),
    FREQ,
)

ESE_CANDIDATES: Schema = (
    SOURCE_ID,
    RA,
    DEC,
    Column("rank", "int64", "", "1 is the best candidate"),
    ESE_SCORE,
    ESE_LLR,
    ESE_FALSE_ALARM,
    Column("depth", "float64", "", "fitted depth as a fraction of the baseline"),
    Column("centre_mjd", "float64", "d", "fitted centre of the dip"),
    Column("fwhm_days", "float64", "d", "fitted full width at half depth"),
    Column("shape", "string", "", "of the fitted dip: gaussian, flat or caustic", optional=True),
    Column("n_epochs_in_dip", "int64", "", "epochs within half of the width from the centre"),
    Column("incomplete", "bool", "", "no epochs at the baseline on one side of the dip"),
    Column("reason", "string", "", "why it is a candidate, in words"),
    FREQ,
    Column("n_subbands", "int64", "", "subband light curves that tell the dip's depth", True),
    Column(
        "depth_exponent",
        "float64",
        "",
        "x of depth ~ wavelength^x over the subbands; 0: achromatic, 2: as plasma refracts",
        optional=True,
    ),
    Column("depth_exponent_err", "float64", "", "standard error of depth_exponent", True),
    Column(
        "achromatic_p",
        "float64",
        "",
        "probability that equal depths differ as much from subband to subband",
        optional=True,
    ),
)
