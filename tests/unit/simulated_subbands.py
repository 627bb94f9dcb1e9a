"""Subband light curves behind a plasma lens, by rays shot one by one: nothing of the library."""

import numpy as np
import pandas as pd

REFERENCE_HZ = 1.4e9


def band(n_subbands):
    """Centres of the parts of 1.311 to 1.4985 GHz, Hz."""
    edges = np.linspace(1.311e9, 1.4985e9, n_subbands + 1)
    return (edges[1:] + edges[:-1]) / 2


def shot(u, alpha, beta_s):
    """Magnification behind a sheet at offsets u: rays, each smeared by the source, are counted."""
    sigma = beta_s / np.sqrt(8 * np.log(2))
    reach = max(8.0, 0.5 * alpha)
    rays, spacing = np.linspace(-reach, reach, 300_001, retstep=True)
    landed = rays * (1 + alpha * np.exp(-(rays**2)))
    edges = np.arange(-reach, reach + sigma / 12, sigma / 12)
    seen = np.histogram(landed, edges)[0] * spacing / np.diff(edges)
    x = np.arange(-72, 73) / 12
    kernel = np.exp(-(x**2) / 2)
    smooth = np.convolve(seen, kernel / kernel.sum(), mode="same")
    inside = np.abs(u) < reach - 7 * sigma
    return np.where(inside, np.interp(u, (edges[1:] + edges[:-1]) / 2, smooth), 1.0)


def fluxes(mjd, freq_hz, event, chromatic=True):
    """Relative flux (n, Nepochs) of a source with spectral index -0.7 during an event.

    event : centre_mjd, days_a_radius, alpha (at 1.4 GHz), beta_s, fraction.
    chromatic : alpha goes as wavelength squared; else it is the same in all subbands.
    """
    ratio = freq_hz / REFERENCE_HZ
    u = (mjd - event["centre_mjd"]) / event["days_a_radius"]
    strengths = event["alpha"] * (ratio**-2 if chromatic else np.ones_like(ratio))
    seen = np.stack([shot(u, alpha, event["beta_s"]) for alpha in strengths])
    return ratio[:, None] ** -0.7 * (1 - event["fraction"] * (1 - seen))


def curves(mjd, freq_hz, flux, error, random, source_id="s"):
    """A table of light curves with noise; `error` as a part of each subband's flux."""
    base = (freq_hz / REFERENCE_HZ)[:, None] ** -0.7
    noisy = flux + error * base * random.standard_normal(flux.shape)
    parts = [
        pd.DataFrame(
            {
                "source_id": source_id,
                "mjd": mjd + subband * 1e-3,
                "flux_jy": noisy[subband],
                "flux_err_jy": error * base[subband, 0],
                "freq_hz": freq_hz[subband],
                "subband": subband,
            }
        )
        for subband in range(len(freq_hz))
    ]
    return pd.concat(parts, ignore_index=True)
