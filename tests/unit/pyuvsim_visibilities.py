"""Visibilities by pyuvsim, of sources that the tests choose."""

import astropy.units as u
import numpy as np
from astropy.coordinates import Latitude, Longitude
from pyradiosky import SkyModel
from pyuvdata import UVData
from pyuvsim import BeamList
from pyuvsim.simsetup import SkyModelData
from pyuvsim.uvsim import UVEngine, uvdata_to_task_iter


def pyuvsim_visibilities(
    uv: UVData, ra_deg: np.ndarray, dec_deg: np.ndarray, flux_jy: np.ndarray, beam: object
) -> np.ndarray:
    """Return unprojected XX and YY, as Jy of I = XX = YY, shaped as the data.

    pyuvsim's tasks are run one after another here, which needs no MPI library.
    """
    stokes = np.zeros((4, 1, len(flux_jy))) * u.Jy
    stokes[0, 0] = flux_jy * u.Jy
    model = SkyModel(
        name=[f"S{number}" for number in range(len(flux_jy))],
        ra=Longitude(ra_deg, "deg"),
        dec=Latitude(dec_deg, "deg"),
        frame="icrs",
        stokes=stokes,
        spectral_type="flat",
    )
    made = np.zeros_like(uv.data_array, dtype=complex)
    engine = UVEngine()
    every = range(uv.Nblts * uv.Nfreqs)
    for task in uvdata_to_task_iter(every, uv, SkyModelData(model), BeamList([beam]), None):
        engine.set_task(task)
        xx, yy, *_ = engine.make_visibility()
        made[task.uvdata_index] = xx, yy
    return 2 * made
