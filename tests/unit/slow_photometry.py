"""Forced photometry written a second time, from the formulas alone: loops over sources and pixels.

Nothing of the library is used: positions by the SIN projection, the beam from BMAJ, BMIN and BPA,
neighbours by comparing every pair, joint fits by `numpy.linalg.lstsq`, errors by propagating the
full pixel-by-pixel covariance of noise that is correlated as the beam.
"""

import math

import numpy as np


def beam_value(header, dx, dy):
    """The beam at (dx, dy) pixels from its peak, with north along y and east against x."""
    angle, cell = math.radians(header["BPA"]), header["CDELT2"]
    east, north = -dx * cell, dy * cell
    along = north * math.cos(angle) + east * math.sin(angle)
    across = east * math.cos(angle) - north * math.sin(angle)
    square = (along / header["BMAJ"]) ** 2 + (across / header["BMIN"]) ** 2
    return np.exp(-4.0 * math.log(2.0) * square)


def pixel_of(header, ra_deg, dec_deg):
    """Pixel, counted from 0, of a position in a SIN image."""
    ra0, dec0 = math.radians(header["CRVAL1"]), math.radians(header["CRVAL2"])
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    east = math.cos(dec) * math.sin(ra - ra0)
    north = math.sin(dec) * math.cos(dec0) - math.cos(dec) * math.sin(dec0) * math.cos(ra - ra0)
    x = header["CRPIX1"] - 1 + math.degrees(east) / header["CDELT1"]
    return x, header["CRPIX2"] - 1 + math.degrees(north) / header["CDELT2"]


def stamp_of(header, x, y):
    """Pixels (row, column) of the square that reaches 1.5 BMAJ from a source."""
    half = math.ceil(1.5 * header["BMAJ"] / header["CDELT2"] - 1e-6)
    rows, columns = (range(round(v) - half, round(v) + half + 1) for v in (y, x))
    return [(row, column) for row in rows for column in columns]


def is_usable(data, background, rms, row, column):
    ny, nx = data.shape
    if not (0 <= row < ny and 0 <= column < nx):
        return False
    return math.isfinite(data[row, column] - background[row, column]) and rms[row, column] > 0


def fit(header, data, background, rms, members, positions, pixels):
    """Fluxes and standard errors of `members`, by least squares on `pixels`."""
    design, values = [], []
    for row, column in pixels:
        n = float(rms[row, column])
        kernels = [
            beam_value(header, column - positions[i][0], row - positions[i][1]) for i in members
        ]
        design.append([k / n for k in kernels])
        values.append((float(data[row, column]) - float(background[row, column])) / n)
    design = np.array(design)
    flux = np.linalg.lstsq(design, np.array(values), rcond=1e-4)[0]
    row, column = np.array(pixels, dtype=float).T
    correlation = beam_value(header, column[:, None] - column, row[:, None] - row)
    solve = np.linalg.pinv(design, rcond=1e-4)
    return flux, np.sqrt(np.diag(solve @ correlation @ solve.T))


def chi_squared(header, data, background, rms, model, pixels):
    total = 0.0
    for row, column in pixels:
        left = float(data[row, column]) - float(background[row, column])
        for (x, y), flux in model:
            left -= flux * beam_value(header, column - x, row - y)
        total += (left / float(rms[row, column])) ** 2
    return total / len(pixels)


def groups_of(positions, numbers, reach):
    """Groups of sources in which each has a neighbour closer than `reach`."""
    groups = [{i} for i in numbers]
    for i in numbers:
        for j in numbers:
            if i < j and math.dist(positions[i], positions[j]) < reach:
                first, second = (next(g for g in groups if k in g) for k in (i, j))
                if first is not second:
                    groups.remove(second)
                    first |= second
    return [sorted(group) for group in groups]


def measure(header, data, background, rms, ra_deg, dec_deg):
    """A dictionary a source: status, edge, blended, flux_jy, flux_err_jy, chi2."""
    positions = [pixel_of(header, *one) for one in zip(ra_deg, dec_deg, strict=True)]
    ny, nx = data.shape
    found, usable = [], {}
    for i, (x, y) in enumerate(positions):
        row = {"status": "outside", "edge": False, "blended": False}
        row |= {"flux_jy": math.nan, "flux_err_jy": math.nan, "chi2": math.nan}
        found.append(row)
        if not (0 <= round(x) < nx and 0 <= round(y) < ny):
            continue
        stamp = stamp_of(header, x, y)
        usable[i] = [pixel for pixel in stamp if is_usable(data, background, rms, *pixel)]
        power = sum(beam_value(header, c - x, r - y) ** 2 for r, c in stamp)
        part = sum(beam_value(header, c - x, r - y) ** 2 for r, c in usable[i])
        centre = (round(y), round(x)) in usable[i]
        row["edge"] = len(usable[i]) < len(stamp)
        row["status"] = "edge" if row["edge"] else "ok"
        if not centre or part < 0.5 * power:
            row["status"] = "nan"
    reach = 1.5 * header["BMAJ"] / header["CDELT2"]
    for group in groups_of(positions, [i for i in usable if usable[i]], reach):
        pixels = sorted({pixel for i in group for pixel in usable[i]})
        flux, error = fit(header, data, background, rms, group, positions, pixels)
        model = [(positions[i], s) for i, s in zip(group, flux, strict=True)]
        for i, s, e in zip(group, flux, error, strict=True):
            if found[i]["status"] == "nan":
                continue
            chi2 = chi_squared(header, data, background, rms, model, usable[i])
            found[i] |= {"flux_jy": s, "flux_err_jy": e, "chi2": chi2, "blended": len(group) > 1}
    return found
