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
    Column("group", "string", "", "group of integrations that the image was made of; the mosaic"),
    MJD,
    Column("flux_jy", "float64", "Jy", "forced flux, primary beam corrected; may be negative"),
    Column("flux_err_jy", "float64", "Jy", "standard error of flux_jy from the local noise"),
    Column("rms_jy", "float64", "Jy", "local noise at the position, primary beam corrected"),
    Column("chi2", "float64", "", "reduced chi-squared of the point-source fit"),
    Column("pb", "float64", "", "primary-beam response at the position; 1 in a mosaic"),
    Column("snr", "float64", "", "flux_jy / flux_err_jy"),
    Column("blended", "bool", "", "fitted jointly with a neighbour"),
    Column("edge", "bool", "", "pixels that weigh on the flux are outside the image or blank"),
    Column("status", "string", "", "ok, edge, nan, outside or no position; ok is what is used"),
    Column("image_digest", "string", "", "digest of the image's pixels"),
    FREQ,
    SUBBAND,
)

_STATUS_OF_A_POSITION = Column(
    "status",
    "string",
    "",
    "ok, edge, nan, outside, no position or no response (of the beam that was given)",
)
FORCED_FLUXES: Schema = tuple(
    _STATUS_OF_A_POSITION if column.name == "status" else column
    for column in PHOTOMETRY
    if column.name not in ("date", "group", "mjd")
)
"""Of positions from a table on an image from anywhere: `scripts/measure_positions.py`."""

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
        "ok, unnormalised (too few references, gain 1), bad_gain or bad_scatter (image refused), "
        "failed_check, no_flux (measured, but no number), or the photometry's status when the "
        "transit has no usable image",
    ),
    Column("ra_deg", "float64", "deg", RA.description, optional=True),
    Column("dec_deg", "float64", "deg", DEC.description, optional=True),
    FREQ,
    SUBBAND,
)

IMAGES: Schema = (
    Column("date", "string", "", "UTC date of the group"),
    Column("group", "string", "", "group of integrations that the image was made of"),
    MJD,
    Column("gain", "float64", "", "gain at the mean position of the image's sources"),
    Column("gain_err", "float64", "", "standard error of gain"),
    Column("gradient_ra_per_deg", "float64", "1/deg", "change of the gain a degree to the east"),
    Column("gradient_ra_err_per_deg", "float64", "1/deg", "standard error of the same"),
    Column("gradient_dec_per_deg", "float64", "1/deg", "change of the gain a degree to the north"),
    Column("gradient_dec_err_per_deg", "float64", "1/deg", "standard error of the same"),
    Column("n_references", "int64", "", "references that led the gain"),
    Column(
        "chi2_nu",
        "float64",
        "",
        "robust reduced chi-squared of the references, each against the gain without it",
    ),
    Column(
        "status",
        "string",
        "",
        "ok, unnormalised (too few references), bad_gain (out of range), bad_scatter (references "
        "disagree), failed_check, rejected (no photometry), no_flux (no row has one), or that of "
        "most of its rows",
    ),
    Column("reason", "string", "", "why the image was not used, in words"),
    FREQ,
    SUBBAND,
)

EXTERNAL_LIGHTCURVES: Schema = (
    SOURCE_ID,
    MJD,
    Column("flux_jy", "float64", "Jy", "flux density; of an upper limit, the limit"),
    Column("flux_err_jy", "float64", "Jy", "standard error of flux_jy; of a limit, the noise"),
    Column("freq_hz", "float64", "Hz", "frequency; one row a source and frequency", optional=True),
    SUBBAND,
    Column("upper_limit", "bool", "", "flux_jy is an upper limit, not a flux", optional=True),
    Column("ra_deg", "float64", "deg", "ICRS right ascension", optional=True),
    Column("dec_deg", "float64", "deg", "ICRS declination", optional=True),
)

ESE_SCORE = Column("ese_score", "float64", "", "weighted score of the best dip, 0 to 1")
ESE_FLAG = Column("ese_flag", "bool", "", "ese_score is above the documented 0.6", optional=True)
ESE_LLR = Column(
    "ese_llr", "float64", "", "log likelihood ratio: lens and background against background alone"
)
ESE_FALSE_ALARM = Column(
    "ese_false_alarm",
    "float64",
    "",
    "probability that a source of its class without an event does as well",
)


def _background(prefix: str, fit: str) -> Schema:
    """Columns of the background of the best fit with an event, or (null_) without."""
    return (
        Column(f"{prefix}baseline_jy", "float64", "Jy", f"baseline of the {fit}"),
        Column(
            f"{prefix}background", "string", "", f"kernel of the {fit}: white, drw, smooth, or none"
        ),
        Column(f"{prefix}modulation", "float64", "", f"rms of the background of the {fit}"),
        Column(f"{prefix}timescale_days", "float64", "d", "its timescale; NaN when it is white"),
        Column(f"{prefix}jitter", "float64", "", "excess white noise, fraction of the baseline"),
        Column(f"{prefix}outliers", "int64", "", "epochs taken out as outliers"),
    )


_LENS: Schema = (
    Column("template", "string", "", "best lens; empty where nothing was searched"),
    Column("alpha", "float64", "", "its strength at 1.4 GHz; without freq_hz, in its own band"),
    Column("beta_s", "float64", "", "its source's width (FWHM), in lens radii"),
    Column("impact", "float64", "", "impact parameter in lens radii; NaN of a sheet"),
    Column("lensed_fraction", "float64", "", "fraction of the baseline that is lensed"),
    Column("depth", "float64", "", "largest dip as a fraction of the baseline"),
    Column("centre_mjd", "float64", "d", "centre of the event"),
    Column("fwhm_days", "float64", "d", "full width at half of the largest dip"),
    Column("n_epochs_in_dip", "int64", "", "epochs within half of the width from the centre"),
    Column("wings", "string", "", "sides of the dip with enough epochs: both, before, after, none"),
    Column("incomplete", "bool", "", "wings are not both; true where nothing was searched, too"),
)

ESE_SEARCH: Schema = (
    SOURCE_ID,
    Column("n_epochs", "int64", "", "usable epochs"),
    ESE_LLR,
    *_LENS,
    *_background("", "fit with the event"),
    *_background("null_", "fit without an event"),
    Column(
        "null_chi2_nu", "float64", "", "chi-squared of a constant over N-1, outliers as 4 errors"
    ),
    FREQ,
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
    Column(
        "excess_variance",
        "float64",
        "",
        "(std_jy^2 - mean squared error) / mean_jy^2; negative where the errors exceed the scatter",
    ),
    Column("excess_variance_err", "float64", "", "standard error of excess_variance"),
    Column("vs_max", "float64", "", "|Vs| of the pair behind m_max; 0 without such a pair"),
    Column("m_max", "float64", "", "largest |m| among pairs with |Vs| >= 4.3; 0 without one"),
    Column("epoch_a_mjd", "float64", "d", "earlier epoch of that pair"),
    Column("epoch_b_mjd", "float64", "d", "later epoch of that pair"),
    Column("vs_largest", "float64", "", "largest |Vs| of any pair of epochs"),
    Column("pair_p", "float64", "", "probability that noise has any pair of such |Vs| or more"),
    Column("asymmetry", "float64", "", "-1 slow fall, fast rise ... 1 fast fall, slow rise"),
    Column("timescale_days", "float64", "d", "full width at half depth of the best dip"),
    Column("amplitude", "float64", "", "peak to trough of the best dip, over its baseline"),
    ESE_SCORE,
    ESE_FLAG,
    ESE_LLR,
    ESE_FALSE_ALARM,
    Column("first_mjd", "float64", "d", "first usable epoch"),
    Column("last_mjd", "float64", "d", "last usable epoch"),
    Column("n_limits", "int64", "", "upper limits; not among n_epochs", optional=True),
    Column("censored_mean_jy", "float64", "Jy", "mean flux, the limits included", optional=True),
    Column(
        "censored_mean_err_jy", "float64", "Jy", "standard error of censored_mean_jy", optional=True
    ),
    Column(
        "censored_scatter_jy",
        "float64",
        "Jy",
        "standard deviation of the flux itself, errors taken off, the limits included",
        optional=True,
    ),
    Column(
        "mean_upper_jy",
        "float64",
        "Jy",
        "of a source with limits only: a constant flux above it passes one of them, at 95 %",
        optional=True,
    ),
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
    Column("found_by", "string", "", "search, or person: it is no candidate of the search"),
    ESE_SCORE,
    ESE_LLR,
    ESE_FALSE_ALARM,
    Column("null_class", "string", "", "sources without an event that it is compared with", True),
    Column("n_nulls", "int64", "", "simulated light curves of that class", True),
    Column(
        "ese_false_alarm_archive",
        "float64",
        "",
        "probability that one of the sources that were searched does as well without an event",
        optional=True,
    ),
    Column(
        "flipped_false_alarm",
        "float64",
        "",
        "rate of as good events in this archive's light curves turned upside down",
        optional=True,
    ),
    Column("n_flipped", "int64", "", "light curves that were turned upside down", optional=True),
    Column("n_epochs", "int64", "", "usable epochs"),
    *_LENS,
    *_background("", "fit with the event"),
    *_background("null_", "fit without an event"),
    Column("reason", "string", "", "why it is a candidate, in a few words"),
    Column("explanation", "string", "", "which template, when, how deep, against what, by chance"),
    Column("verdict", "string", "", "of people, from annotations/candidates.csv"),
    Column("verdict_who", "string", "", "whose verdict"),
    Column("verdict_note", "string", "", "what they add"),
    FREQ,
    Column("n_subbands", "int64", "", "subband light curves that were compared", True),
    Column(
        "chromaticity",
        "string",
        "",
        "chromatic as behind a lens of plasma, achromatic, or undecided; empty without subbands",
        optional=True,
    ),
    Column("delta_chi2", "float64", "", "2 ln of the Bayes factor, lens over achromatic", True),
    Column(
        "expected_delta_chi2",
        "float64",
        "",
        "by which the fitted lens differs from achromatic variation in these subbands",
        optional=True,
    ),
    Column(
        "achromatic_p",
        "float64",
        "",
        "probability that achromatic variation reaches delta_chi2, from simulations",
        optional=True,
    ),
    Column(
        "lens_p",
        "float64",
        "",
        "probability that the fitted lens gives no more than delta_chi2, from simulations",
        optional=True,
    ),
    Column(
        "depth_exponent",
        "float64",
        "",
        "x of depth ~ wavelength^x over the subbands; it describes, chromaticity decides",
        optional=True,
    ),
    Column("depth_exponent_err", "float64", "", "standard error of depth_exponent", True),
)

EXTERNAL_MATCHES: Schema = (
    SOURCE_ID,
    RA,
    DEC,
    Column("service", "string", "", "simbad, ned or gaia"),
    Column(
        "status",
        "string",
        "",
        "matched, none (nothing within the radius), or unreachable (no answer: see reason)",
    ),
    Column("name", "string", "", "the service's name of the object; empty without a match"),
    Column("object_type", "string", "", "the service's type of the object; empty: not told"),
    Column("match_ra_deg", "float64", "deg", "ICRS right ascension of the object"),
    Column("match_dec_deg", "float64", "deg", "ICRS declination of the object"),
    Column("separation_arcsec", "float64", "arcsec", "from the source's catalogue position"),
    Column("magnitude", "float64", "mag", "Gaia's mean G magnitude"),
    Column("redshift", "float64", "", "NED's heliocentric redshift"),
    Column("reason", "string", "", "why there is no answer; empty with one"),
)
