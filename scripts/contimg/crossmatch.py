"""Matching of surveys: counterparts, and the flags of resolved and of confused sources.

Surveys are rows as `contimg.surveys.read_survey` gives them. A match is every component within
a radius, not the nearest: NVSS's beam of 45 arcsec holds what FIRST and VLASS see as several.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord, search_around_sky
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counterparts:
    """What a survey has at each source.

    Attributes
    ----------
    flux_jy : (Nsources,) sum of the components; NaN without one.
    size_arcsec : (Nsources,) largest deconvolved size; 0 where none is known.
    extent_arcsec : (Nsources,) size that the excess of the integrated flux over the peak tells;
        0 where the survey does not tell both, or its beam.
    """

    flux_jy: NDArray[np.float64]
    size_arcsec: NDArray[np.float64]
    extent_arcsec: NDArray[np.float64]


def pairs_within(
    rows: pd.DataFrame, others: pd.DataFrame, radius_arcsec: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return which rows and which others are within a radius, and how far apart.

    Returns
    -------
    i, j : (Npairs,) positions in `rows` and in `others`, sorted by i, then j.
    separation_arcsec : (Npairs,)
    """
    if rows.empty or others.empty:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    i, j, separation, _ = search_around_sky(
        _positions(rows), _positions(others), radius_arcsec * u.arcsec
    )
    order = np.lexsort((j, i))
    return i[order], j[order], separation.to_value(u.arcsec)[order]


def counterparts(sources: pd.DataFrame, survey: pd.DataFrame, radius_arcsec: float) -> Counterparts:
    """Return what a survey has within a radius of each source.

    Notes
    -----
    A Gaussian of size theta seen with a beam b has integrated over peak flux 1 + (theta / b)^2
    (Condon 1997, PASP 109, 166, round beam). Several components count as one: the sum of their
    fluxes over the highest peak.
    """
    i, j, _ = pairs_within(sources, survey, radius_arcsec)
    n = len(sources)
    flux = np.bincount(i, survey.flux_jy.to_numpy(dtype=float)[j], n)
    there = np.bincount(i, minlength=n) > 0
    peak = _largest(i, j, survey.get("peak_jy"), n)
    beam = _largest(i, j, survey.beam_arcsec, n)
    known = there & (peak > 0) & (beam > 0)
    excess = np.divide(flux, peak, out=np.ones(n), where=known) - 1.0
    return Counterparts(
        flux_jy=np.where(there, flux, np.nan),
        size_arcsec=_largest(i, j, survey.size_arcsec, n),
        extent_arcsec=beam * np.sqrt(np.maximum(excess, 0.0)),
    )


def nvss_resolved(nvss: pd.DataFrame, sigma: float, excess: float) -> NDArray[np.bool_]:
    """Whether NVSS's fitted major axis is significantly larger than its beam.

    The standard error of a fitted axis is theta sqrt(2) / S/N (Condon 1997, PASP 109, 166,
    for a source matched to the beam).
    """
    error = nvss.beam_arcsec * math.sqrt(2) * nvss.rms_jy / nvss.flux_jy
    margin = np.maximum(sigma * error, excess * nvss.beam_arcsec)
    return (nvss.major_arcsec > nvss.beam_arcsec + margin).to_numpy(dtype=bool)


def confused(
    sources: pd.DataFrame,
    flux_jy: NDArray[np.float64],
    surveys: Sequence[pd.DataFrame],
    radius_arcsec: float,
    match_radius_arcsec: float,
    fraction: float,
) -> NDArray[np.bool_]:
    """Whether another source near each one has a noticeable fraction of its flux.

    Parameters
    ----------
    flux_jy : (Nsources,) of `sources`.
    surveys : whose components beyond `match_radius_arcsec` count as well.
    """
    limit = fraction * flux_jy
    found = np.zeros(len(sources), dtype=bool)
    i, j, _ = pairs_within(sources, sources, radius_arcsec)
    found[i[(i != j) & (flux_jy[j] > limit[i])]] = True
    for survey in surveys:
        i, j, separation = pairs_within(sources, survey, radius_arcsec)
        flux = survey.flux_jy.to_numpy(dtype=float)
        found[i[(separation > match_radius_arcsec) & (flux[j] > limit[i])]] = True
    return found


def drop_duplicates(tables: Sequence[pd.DataFrame], radius_arcsec: float) -> pd.DataFrame:
    """Join the files of one survey; a later file's row near an earlier file's is dropped."""
    joined = tables[0]
    for table in tables[1:]:
        near, _, _ = pairs_within(table, joined, radius_arcsec)
        new = np.ones(len(table), dtype=bool)
        new[near] = False
        joined = pd.concat([joined, table[new]], ignore_index=True)
    return joined


def _positions(rows: pd.DataFrame) -> SkyCoord:
    return SkyCoord(rows.ra_deg.to_numpy(float), rows.dec_deg.to_numpy(float), unit="deg")


def _largest(
    i: NDArray[np.intp], j: NDArray[np.intp], values: pd.Series | None, n: int
) -> NDArray[np.float64]:
    """Return the largest value of each source's components, 0 without a known one."""
    largest = np.zeros(n)
    if values is not None:
        np.maximum.at(largest, i, np.nan_to_num(values.to_numpy(dtype=float)[j]))
    return largest
