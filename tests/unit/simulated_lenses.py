"""Light curves with backgrounds of known kernels and dips, by formulas of the tests' own."""

import numpy as np
import pandas as pd

from contimg.epochs import usable_epochs


def background(days, n_sources, rng, modulation=0.02, timescale=30.0):
    """Return damped random walks, (n_sources, N), by the recurrence that defines them."""
    walk = np.empty((n_sources, len(days)))
    walk[:, 0] = rng.normal(size=n_sources)
    for epoch in range(1, len(days)):
        keep = np.exp(-(days[epoch] - days[epoch - 1]) / timescale)
        step = np.sqrt(1 - keep**2) * rng.normal(size=n_sources)
        walk[:, epoch] = keep * walk[:, epoch - 1] + step
    return modulation * walk


def trough(days, depth, centre, fwhm):
    """Return a dip between two spikes, as behind a lens: 1 outside it."""
    x = (days - centre) / fwhm
    spikes = sum(np.exp(-(((x - at) / 0.12) ** 2)) for at in (-0.62, 0.62))
    return 1 - depth * (np.exp(-np.log(2) * (2 * x) ** 6) - 0.4 * spikes)


def curves_of(mjd, flux, error):
    """Return light curves as a table; epochs whose flux is NaN are left out."""
    n_sources, n_epochs = flux.shape
    table = pd.DataFrame(
        {
            "source_id": np.repeat([f"s{number:03d}" for number in range(n_sources)], n_epochs),
            "mjd": np.broadcast_to(mjd, flux.shape).ravel(),
            "flux_jy": flux.ravel(),
            "flux_err_jy": np.broadcast_to(error, flux.shape).ravel(),
        }
    )
    return table[table.flux_jy.notna()].reset_index(drop=True)


def epochs_of(mjd, flux, error):
    """Return light curves as `contimg.epochs.Epochs`."""
    return usable_epochs(curves_of(mjd, flux, error))
