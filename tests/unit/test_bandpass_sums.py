"""The bandpass of sums over time is the one that CASA solves from all integrations."""

import casacore.tables as casatables
import numpy as np
import synthetic_calibration as synthetic
import synthetic_ms

from contimg.calibration_table import read_columns
from contimg.predict import copy_without_autos, fill_model

N_CHAN = synthetic.N_CHAN

SOLVE = """
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
from contimg.casa import casatasks, load_casatasks
from contimg.solve import drop_noise_antennas, solve_bandpass

load_casatasks()
calibration = {{
    "prebandpass": {{"solint": "30s", "min_snr": 3}}, "bandpass": {{"solint": "inf", "min_snr": 3}},
}}
Path("scratch").mkdir()
solve_bandpass(
    Path("solve.ms"), Path("sums.bcal"), [0, 10], calibration, None, Path("scratch"), threads=2
)
casatasks().bandpass(
    vis="solve.ms", caltable="direct.bcal", solint="inf", combine="scan", refant="0,10", minsnr=3,
    gaintable=["scratch/prebandpass.g"], interp=["nearest"],
)
drop_noise_antennas(Path("direct.bcal"))
"""


def test_bandpass_of_sums_is_the_one_casa_solves_from_all_integrations(tmp_path):
    """Neighbours in the field, phases that turn, a dead antenna, and flags that come and go."""
    observed = synthetic_ms.Observation(
        n_chan=N_CHAN, n_times=6, noise_jy=0.5, gains=synthetic.gains_of(0.0),
        sources=[(227.3, 46.6, 8.0), (227.9, 47.1, 1.0)],
    )  # fmt: skip
    synthetic_ms.write(tmp_path / "sci.ms", observed)
    ms = tmp_path / "solve.ms"
    copy_without_autos(tmp_path / "sci.ms", ms)
    lmn = synthetic_ms.plain_cosines(observed.sources)
    flux = np.tile([8.0, 1.0], (N_CHAN, 1))
    fill_model(ms, lmn, observed.freq_hz, lambda _: flux)
    random = np.random.default_rng(5)
    with casatables.table(str(ms), readonly=False, ack=False) as table:
        data, flag, times = (table.getcol(name) for name in ("DATA", "FLAG", "TIME"))
        turn = 0.3 * (times - times.min()) / 60
        data *= np.exp(1j * turn * (table.getcol("ANTENNA1") - table.getcol("ANTENNA2")))[
            :, None, None
        ]
        flag |= random.random(flag.shape[:2])[:, :, None] < 0.2
        flag[:, 5] = True
        table.putcol("DATA", data)
        table.putcol("FLAG", flag)
    synthetic.run_python(["-c", SOLVE.format(scripts=str(synthetic.BASE / "scripts"))], tmp_path)
    direct, sums = (
        read_columns(tmp_path / f"{name}.bcal", ["CPARAM", "FLAG", "SNR"])
        for name in ("direct", "sums")
    )
    np.testing.assert_array_equal(sums["FLAG"], direct["FLAG"])
    good = ~direct["FLAG"]
    assert good[0].sum() == 2 * (N_CHAN - 1)
    assert not good[synthetic.DEAD].any()
    # A solution's own error is 1e-2.
    apart = np.abs(sums["CPARAM"][good] / direct["CPARAM"][good] - 1)
    assert np.sqrt(np.mean(apart**2)) < 1e-4
    assert apart.max() < 5e-4
    np.testing.assert_allclose(sums["SNR"][good], direct["SNR"][good], rtol=1e-3)
