"""The mean flux and its intrinsic scatter where some measurements are upper limits only.

Fluxes S_i of errors sigma_i, and limits L_i that were set in noise sigma_i, of a source whose
flux is normal with mean mu and standard deviation tau:

    ln L(mu, tau) = sum_measured ln N(S_i; mu, sigma_i^2 + tau^2)
                  + sum_limits ln Phi((L_i - mu) / sqrt(sigma_i^2 + tau^2))

so that a limit counts by the probability that the flux, with its noise, stayed below it. With
limits only, the likelihood grows without end as mu falls, and no mean is given, but the mu at
which a constant source stays below all limits with probability 0.05: prod Phi((L_i - mu) /
sigma_i) = 0.05. One limit of 3 sigma gives 4.64 sigma, many limits less.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

_CHANCE = 0.05


def censored_statistics(
    flux: Floats, error: Floats, limit: Floats, limit_error: Floats
) -> dict[str, NDArray]:
    """Return the censored mean, scatter and upper bound of each source.

    Parameters
    ----------
    flux, error : (Nsources, Nepochs) in Jy, NaN where there is none.
    limit, limit_error : (Nsources, Nlimits) in Jy, NaN where there is none.

    Returns
    -------
    statistics : (Nsources,) each: n_limits; censored_mean_jy, censored_mean_err_jy and
        censored_scatter_jy, NaN with limits only (the scatter with one flux only, too);
        mean_upper_jy, NaN where there is a flux or no limit.
    """
    names = ("censored_mean_jy", "censored_mean_err_jy", "censored_scatter_jy", "mean_upper_jy")
    result: dict[str, NDArray] = {name: np.full(len(flux), np.nan) for name in names}
    result["n_limits"] = np.isfinite(limit).sum(axis=1).astype(np.int64)
    for i in range(len(flux)):
        measured, censored = np.isfinite(flux[i]), np.isfinite(limit[i])
        bounds = limit[i, censored], limit_error[i, censored]
        if measured.any():
            found = censored_mean(flux[i, measured], error[i, measured], *bounds)
            for name, value in zip(names, found, strict=False):
                result[name][i] = value
        elif censored.any():
            result["mean_upper_jy"][i] = upper_bound(*bounds)
    return result


def censored_mean(
    flux: Floats, error: Floats, limit: Floats, limit_error: Floats
) -> tuple[float, float, float]:
    """Return the mean of largest likelihood, its standard error and the intrinsic scatter, Jy.

    Parameters
    ----------
    flux, error : (Nepochs,) one or more.
    limit, limit_error : (Nlimits,) none or more.

    Notes
    -----
    With one flux the scatter cannot be told (NaN, taken as 0). The error of the mean is of the
    curvature of the likelihood in mean and variance; where the scatter is 0, in the mean alone.
    """
    scale = float(np.sqrt(np.mean(error**2)))
    s, ds, u, du = (values / scale for values in (flux, error, limit, limit_error))

    def best_mean(tau2: float) -> tuple[float, float, float]:
        """Mean, curvature and minus the log-likelihood at this scatter: concave in the mean."""
        weight, sigma_u = 1 / (ds**2 + tau2), np.sqrt(du**2 + tau2)
        mu = float((weight * s).sum() / weight.sum())
        for _ in range(100):
            z = (u - mu) / sigma_u
            hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - special.log_ndtr(z))
            slope = (weight * (s - mu)).sum() - (hazard / sigma_u).sum()
            curvature = weight.sum() + (hazard * (z + hazard) / sigma_u**2).sum()
            mu += slope / curvature
            if abs(slope) < 1e-10 * np.sqrt(curvature):
                break
        z = (u - mu) / sigma_u
        fit = 0.5 * (weight * (s - mu) ** 2 - np.log(weight)).sum()
        return mu, curvature, fit - special.log_ndtr(z).sum()

    if len(s) == 1:
        mu, curvature, _ = best_mean(0.0)
        return mu * scale, scale / np.sqrt(curvature), np.nan
    widest = np.ptp(np.concatenate([s, u])) + 1.0
    found = optimize.minimize_scalar(
        lambda tau: best_mean(tau**2)[2], bounds=(0.0, widest), options={"xatol": 1e-6}
    )
    tau = found.x if found.fun < best_mean(0.0)[2] else 0.0
    mu, curvature, _ = best_mean(tau**2)
    if tau > 0:
        curvature -= _told_by_scatter(mu, ds**2 + tau**2, s, du**2 + tau**2, u)
    return mu * scale, scale / np.sqrt(curvature), tau * scale


def _told_by_scatter(mu: float, v: Floats, s: Floats, w: Floats, u: Floats) -> float:
    """Return I_mq^2 / I_qq: what the unknown scatter q = tau^2 takes off the mean's curvature.

    I is minus the second derivatives of ln L; v and w are the variances of fluxes and limits.
    """
    z = (u - mu) / np.sqrt(w)
    hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - special.log_ndtr(z))
    bend = hazard * (z + hazard)
    mixed = ((s - mu) / v**2).sum() + ((bend * z - hazard) / (2 * w**1.5)).sum()
    own = ((s - mu) ** 2 / v**3 - 0.5 / v**2).sum()
    own += ((bend * z**2 - 3 * hazard * z) / (4 * w**2)).sum()
    return float(mixed**2 / own) if own > 0 else 0.0


def upper_bound(limit: Floats, limit_error: Floats) -> float:
    """Return the flux of a constant source that stays below all limits with probability 0.05.

    Parameters
    ----------
    limit, limit_error : (Nlimits,) Jy, one or more.
    """

    def excess(mu: float) -> float:
        return special.log_ndtr((limit - mu) / limit_error).sum() - np.log(_CHANCE)

    # Below: each limit is passed with certainty. Above: the lowest alone is passed rarely enough.
    low = float((limit - 10 * limit_error).min()) - 10 * float(limit_error.max())
    high = float((limit + 2 * limit_error).min())
    return float(optimize.brentq(excess, low, high, xtol=1e-12 * abs(high - low)))
