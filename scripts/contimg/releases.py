"""The published tables of radio surveys: how each calls its columns, and in what units.

Names are compared without regard to case and punctuation (`S1.4`, `S1_4`; `PEAK INT`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

POSITION_AND_FLUX = ("ra_deg", "dec_deg", "flux")


@dataclass(frozen=True)
class Release:
    """One form in which a survey's table is published.

    Attributes
    ----------
    survey : nvss, first, vlass, racs or tgss.
    name : for people.
    columns : the table's column of each role (see `contimg.surveys.read_survey`). A table is this
        release when it has those of position and flux; it may lack the others.
    unit, size_unit : of fluxes and sizes where the file does not say.
    beam_arcsec : of the survey.
    default_rms_jy : where there is no column.
    keep : rows with these values and no others, by column.
    """

    survey: str
    name: str
    columns: Mapping[str, str]
    unit: str = "mJy"
    size_unit: str = "arcsec"
    beam_arcsec: float = float("nan")
    default_rms_jy: float = float("nan")
    keep: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def required(self) -> list[str]:
        return [self.columns[role] for role in POSITION_AND_FLUX]


_VIZIER = {"ra_deg": "RAJ2000", "dec_deg": "DEJ2000"}
_PLAIN = {"ra_deg": "RA", "dec_deg": "DEC"}

RELEASES = (
    # Peaks and fitted sizes, the 45 arcsec beam included; not corrected for biases.
    Release(
        "nvss",
        "NRAO's CATALOG",
        {
            "ra_deg": "RA(2000)",
            "dec_deg": "DEC(2000)",
            "flux": "PEAK INT",
            "rms": "I RMS",
            "major": "MAJOR AX",
            "minor": "MINOR AX",
        },
        unit="Jy",
        size_unit="deg",
        beam_arcsec=45.0,
        default_rms_jy=0.00045,
    ),
    # Integrated fluxes and deconvolved sizes, or their upper limits. The rms is the survey's: the
    # error of S1.4 holds 3 % of the flux, too.
    Release(
        "nvss",
        "VizieR VIII/65",
        {
            **_VIZIER,
            "flux": "S1.4",
            "size": "MajAxis",
            "size_limit": "l_MajAxis",
            "size_minor": "MinAxis",
            "size_minor_limit": "l_MinAxis",
        },
        beam_arcsec=45.0,
        default_rms_jy=0.00045,
    ),
    Release(
        "first",
        "FIRST catalogue 14Dec17",
        {**_PLAIN, "flux": "FINT", "peak": "FPEAK", "rms": "RMS", "size": "MAJOR"},
        beam_arcsec=5.4,
    ),
    Release(
        "first",
        "VizieR VIII/92",
        {**_VIZIER, "flux": "Fint", "peak": "Fpeak", "rms": "Rms", "size": "Maj"},
        beam_arcsec=5.4,
    ),
    # Islands without a fit (code E) have a peak only. Kept: what the authors recommend.
    Release(
        "vlass",
        "CIRADA's components",
        {
            **_PLAIN,
            "flux": "Total_flux",
            "flux_if_zero": "Peak_flux",
            "peak": "Peak_flux",
            "rms": "Isl_rms",
            "size": "DC_Maj",
        },
        beam_arcsec=2.5,
        keep={"Duplicate_flag": [0, 1], "Quality_flag": [0, 4]},
    ),
    Release(
        "vlass",
        "VizieR J/ApJS/255/30",
        {
            **_VIZIER,
            "flux": "Ftot",
            "flux_if_zero": "Fpeak",
            "peak": "Fpeak",
            "rms": "Islrms",
            "size": "DCMaj",
        },
        beam_arcsec=2.5,
        keep={"DupFlag": [0, 1], "QualFlag": [0, 4]},
    ),
    Release(
        "racs",
        "CASDA's RACS-low sources",
        {**_PLAIN, "flux": "Total_flux_Source", "peak": "Peak_flux", "rms": "Noise"},
        beam_arcsec=25.0,
    ),
    Release(
        "racs",
        "CASDA's RACS-low components",
        {**_PLAIN, "flux": "Total_flux_Gaussian", "peak": "Peak_flux", "rms": "Noise"},
        beam_arcsec=25.0,
    ),
    Release(
        "racs",
        "CASDA's RACS-mid",
        {**_PLAIN, "flux": "Total_flux", "peak": "Peak_flux", "rms": "Noise"},
    ),
    Release("racs", "VizieR's RACS", {**_VIZIER, "flux": "Ftot", "rms": "Noise"}),
    Release(
        "tgss",
        "TGSS ADR1",
        {**_PLAIN, "flux": "Total_flux", "peak": "Peak_flux", "rms": "RMS_noise"},
        beam_arcsec=25.0,
    ),
    Release("tgss", "VizieR J/A+A/598/A78", {**_VIZIER, "flux": "Stotal"}, beam_arcsec=25.0),
)


def release_of(survey: str, names: Iterable[str]) -> Release | None:
    """Return the release of a survey that a table with these columns is, None when it is none."""
    found = {plain_name(name) for name in names}
    return next((one for one in releases(survey) if found.issuperset(wanted(one))), None)


def releases(survey: str) -> list[Release]:
    return [one for one in RELEASES if one.survey == survey]


def wanted(release: Release) -> set[str]:
    return {plain_name(name) for name in release.required()}


def plain_name(name: str) -> str:
    """Return a column's name without case and punctuation; a leading underscore stays.

    VizieR's `_RAJ2000`, which it computes, is another column than the table's own `RAJ2000`.
    """
    lead = "_" if name.startswith("_") else ""
    return lead + re.sub(r"[^a-z0-9]", "", name.lower())
