"""Photometry of a made-up field, for the tests of light curves: no imaging, known truth."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from contimg.source_names import unique_source_names


@dataclass
class Field:
    """Constant sources, seen on several dates in a few overlapping images a transit."""

    n_sources: int = 30
    n_epochs: int = 12
    span_days: float = 77.0
    images_a_transit: int = 1
    gain_scatter: float = 0.05
    gradient_scatter: float = 0.0
    noise_jy: float = 0.001
    min_snr: float = 20.0
    max_snr: float = 66.0
    ra_deg: float = 227.5
    seed: int = 0
    true_gain: dict[str, float] = field(default_factory=dict)
    true_gradient: dict[str, tuple[float, float]] = field(default_factory=dict)

    def photometry(self, dip=None, extra=None):
        """Return rows of the photometry schema.

        dip: (source number, depth, centre in days from the start, FWHM in days)
        extra: function of (source numbers, epoch number) giving a factor of the flux
        """
        rng = np.random.default_rng(self.seed)
        ra = (self.ra_deg + rng.uniform(-1, 1, self.n_sources) / np.cos(np.radians(46.5))) % 360
        dec = 46.5 + rng.uniform(-1, 1, self.n_sources)
        names = np.array(unique_source_names(ra, dec))
        flux = self.noise_jy * np.exp(
            rng.uniform(np.log(self.min_snr), np.log(self.max_snr), self.n_sources)
        )
        days = np.linspace(0, self.span_days, self.n_epochs)
        parts = []
        for epoch, day in enumerate(np.floor(days)):
            for image in range(self.images_a_transit):
                mjd = 60900.25 + day * 0.99727 + image * 309.24 / 86400
                group = f"D{epoch:03d}.{image}"
                gain = 1 + self.gain_scatter * rng.standard_normal()
                gradient = self.gradient_scatter * rng.standard_normal(2)
                self.true_gain[group], self.true_gradient[group] = gain, tuple(gradient)
                x = (ra - self.ra_deg + 180) % 360 - 180
                response = gain + gradient[0] * x * np.cos(np.radians(46.5))
                response = response + gradient[1] * (dec - 46.5)
                true = flux.copy()
                if dip is not None:
                    number, depth, centre, fwhm = dip
                    true[number] *= 1 - depth * 0.5 ** ((2 * (day - centre) / fwhm) ** 2)
                if extra is not None:
                    true *= extra(np.arange(self.n_sources), epoch)
                measured = true * response + self.noise_jy * rng.standard_normal(self.n_sources)
                parts.append(
                    pd.DataFrame(
                        {
                            "source_id": names,
                            "ra_deg": ra,
                            "dec_deg": dec,
                            "date": f"D{epoch:03d}",
                            "group": group,
                            "mjd": mjd,
                            "flux_jy": measured,
                            "flux_err_jy": self.noise_jy,
                            "rms_jy": self.noise_jy,
                            "chi2": 1.0,
                            "pb": 0.9,
                            "snr": measured / self.noise_jy,
                            "blended": False,
                            "edge": False,
                            "status": "ok",
                            "image_digest": "00",
                        }
                    )
                )
        return pd.concat(parts, ignore_index=True)
