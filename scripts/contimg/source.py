"""One source of a working directory: its fluxes, metrics, light curve and images.

    from contimg import Source

    source = Source("J150928.9+462528", "/data/dsa110")
    source.n_epochs, source.metrics()["eta"]
    source.lightcurve().savefig("lightcurve.pdf")

Everything is read when it is asked for, and of the large tables only the source's own rows.
"""

import difflib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contimg.annotations import read_annotations
from contimg.catalog import read_named_sources, read_sources
from contimg.cutouts import empty_cutout, read_cutout, require_in_memory
from contimg.light_curve_tables import read_light_curve, source_names
from contimg.neighbours import ARCSEC_DEG, N_NEAREST, NEAREST_DEG, nearest_words, position_angle_deg
from contimg.schemas import PHOTOMETRY, VARIABILITY, WHOLE_BAND
from contimg.source_events import Event, events_of, usable_rows
from contimg.source_figures import EpochImage, cutouts_figure, lightcurve_figure
from contimg.source_names import position_of
from contimg.status import InputError
from contimg.tables import empty_table, read_table, subband_of, whole_band
from contimg.variability import measure_variability

DETECTION_SNR = 5.0
EPOCH_GAP_HOURS = 12.0
CUTOUT_BEAMS = 12


class Source:
    """A source by its name.

    Parameters
    ----------
    source_id : as in the catalogue, JHHMMSS.s+DDMMSS; another telescope's number serves too.
    directory : the working directory of the workflow.
    lightcurves : another table of light curves to read than the directory's: parquet or CSV,
        of this or another telescope; source_id, mjd, flux_jy and flux_err_jy are enough. Of a
        table of several frequencies without a whole band, the light curve is that of the
        frequency with the most rows; all of them are in `subbands`.
    sentinels : numbers that stand for "no value" in fluxes and errors of that table.

    Attributes
    ----------
    source_id : name.
    directory : working directory.
    ra_deg, dec_deg : ICRS position; NaN when no table tells it.
    catalog : the catalogue's row, empty when the source is not in it.

    Raises
    ------
    FileNotFoundError
        When the directory holds no product, or `lightcurves` is not there.
    InputError
        When no product knows the source; the message names those nearest.
    """

    def __init__(
        self,
        source_id: str | int,
        directory: Path | str = ".",
        *,
        lightcurves: Path | str | None = None,
        sentinels: Sequence[float] = (),
    ) -> None:
        self.source_id = str(source_id)
        self.directory = Path(directory)
        self._lightcurves = Path(lightcurves) if lightcurves else None
        self._sentinels = tuple(sentinels)
        require_products(self.directory, self._lightcurves)
        self.catalog = catalog_row(self._catalog_path, self.source_id)
        if not self.catalog and self._curves.empty and self.measurements.empty:
            raise InputError(self._unknown())
        known = [self.catalog, *self._curves[:1].to_dict("records")]
        known += self.measurements[:1].to_dict("records") if len(known) < 2 else []
        self.ra_deg = first_number(known, "ra_deg")
        self.dec_deg = first_number(known, "dec_deg")

    @classmethod
    def at(
        cls, ra_deg: float, dec_deg: float, radius_arcsec: float = 30.0, directory: Path | str = "."
    ) -> "Source":
        """Return the catalogue's source nearest to a position.

        Parameters
        ----------
        ra_deg, dec_deg : ICRS position.
        radius_arcsec : no source farther away is taken.
        directory : the working directory of the workflow.

        Raises
        ------
        InputError
            When there is none; the message names those nearest. Or when it is no position.
        """
        require_above_0("radius_arcsec", radius_arcsec)
        if not (np.isfinite(ra_deg) and abs(dec_deg) <= 90):
            raise InputError(
                f"RA {ra_deg}, dec {dec_deg} deg is no position; ICRS degrees expected"
            )
        require_products(Path(directory))
        path = Path(directory) / "catalogs" / "master_sources.sqlite3"
        near = read_sources(path, ra_deg, dec_deg, max(NEAREST_DEG, radius_arcsec * ARCSEC_DEG))
        near = near.sort_values("separation_deg", ignore_index=True)
        if near.empty or near.separation_deg[0] > radius_arcsec * ARCSEC_DEG:
            raise InputError(
                f"{path}: no source within {radius_arcsec:g} arcsec of RA {ra_deg:.5f}, dec "
                f"{dec_deg:.5f} deg; {nearest_words(near)}"
            )
        return cls(near.source_id[0], directory)

    def __repr__(self) -> str:
        return f"<Source {self.source_id} in {self.directory}: {self.n_epochs} epochs>"

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """Forced fluxes: a row an image (and subband), in order of time, as photometry has them."""
        paths = sorted((self.directory / "photometry").glob("*/photometry.parquet"))
        found = [read_table(path, source_ids=[self.source_id])[0] for path in paths]
        tables = [rows for rows in found if len(rows)] or [empty_table(PHOTOMETRY)]
        return pd.concat(tables).sort_values(["mjd", "group"], ignore_index=True)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The light curve: a row a transit, of the whole band, usable or not.

        Before the archive's light curves are made these are the images' fluxes as they are.
        """
        if not self._curves_path.is_file():
            return whole_band(self.measurements)
        if self._no_whole_band:
            return max(self.subbands.values(), key=len)
        return whole_band(self._curves)

    @cached_property
    def subbands(self) -> dict[float, pd.DataFrame]:
        """The light curve of each subband image, by its frequency in Hz; it needs freq_hz.

        Of another telescope's table without a whole band, that of each frequency.
        """
        if self._no_whole_band:
            bands = self._curves.groupby("freq_hz")
            return {float(freq_hz): rows.reset_index(drop=True) for freq_hz, rows in bands}
        if "freq_hz" not in self._curves:
            return {}
        bands = self._curves.groupby(subband_of(self._curves))
        return {
            float(rows["freq_hz"].iloc[0]): rows.reset_index(drop=True)
            for subband, rows in bands
            if subband != WHOLE_BAND
        }

    @property
    def n_epochs(self) -> int:
        """Number of epochs with a usable flux."""
        return int(self._usable.sum())

    @property
    def detections(self) -> int:
        """Number of usable epochs at or above the detection S/N of the configuration."""
        normalised = "norm_flux_jy" in self.epochs
        names = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
        flux, error = (self.epochs.loc[self._usable, name] for name in names)
        return int((flux >= self.detection_snr * error).sum())

    @cached_property
    def detection_snr(self) -> float:
        """S/N from which an epoch is a detection."""
        options = self._product("variability")[1].get("options", {})
        return float(options.get("detection_snr", DETECTION_SNR))

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The source's rows of the candidate table: none, or one for each event."""
        rows = self._product("ese_candidates")[0]
        return rows.sort_values("rank", ignore_index=True) if len(rows) else rows

    @cached_property
    def events(self) -> list[Event]:
        """What made the source a candidate, the best first."""
        return events_of(self.candidates) if len(self.candidates) else []

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """What people say of it in annotations/candidates.csv: verdict, who, note."""
        path = self.directory / "annotations" / "candidates.csv"
        verdicts = read_annotations(path if path.is_file() else None)
        own = verdicts[verdicts["id"] == self.source_id]
        return own.drop(columns="id").reset_index(drop=True)

    def metrics(self) -> pd.Series:
        """Return its row of variability.parquet, or the same measured here when there is none.

        Without a usable epoch the counts are 0 and the rest is NaN.
        """
        rows = whole_band(self._product("variability")[0])
        if rows.empty and len(self.epochs):
            other = ["subband"] if self._no_whole_band else ["subband", "freq_hz"]
            epochs = self.epochs.drop(columns=other, errors="ignore")
            rows = measure_variability(epochs, name=self._curves_path)
        if rows.empty:
            columns = [column for column in VARIABILITY if not column.optional]
            nothing = {c.name: 0 if c.dtype == "int64" else np.nan for c in columns}
            nothing["ese_flag"] = False
            where = {"source_id": self.source_id, "ra_deg": self.ra_deg, "dec_deg": self.dec_deg}
            return pd.Series({**nothing, **where}, name=self.source_id)
        return rows.iloc[0].rename(self.source_id)

    def lightcurve(self, raw: bool = True) -> Figure:
        """Draw the light curve: normalised fluxes, and below them those before normalisation.

        The baseline and the events of a candidate are marked, limits are drawn as limits.

        Parameters
        ----------
        raw : draw the fluxes before normalisation too.

        Returns
        -------
        figure : of matplotlib; `figure.savefig("lightcurve.pdf")` makes it a file.
        """
        name, subbands = self.source_id, self.subbands
        if self._no_whole_band:
            name += f" at {self.epochs['freq_hz'].iloc[0] / 1e9:.3f} GHz"
            subbands = subbands if len(subbands) > 1 else {}
        return lightcurve_figure(name, self.epochs, self.events, subbands, self.detection_snr, raw)

    def epoch_images(self, size_arcsec: float | None = None) -> list[EpochImage]:
        """Return the best image of each epoch around the source, in order of time.

        Parameters
        ----------
        size_arcsec : side; by default twelve beams of the first image that has one.
            ValueError when it is not above 0, or too large for so many images.
        """
        require_above_0("size_arcsec", 1.0 if size_arcsec is None else size_arcsec)
        rows = whole_band(self.measurements)
        if rows.empty:
            return []
        options = self._product("lightcurves")[1].get("options", {})
        gap_days = float(options.get("epoch_gap_hours", EPOCH_GAP_HOURS)) / 24
        epoch = (rows["mjd"].diff() > gap_days).cumsum()
        order = rows.assign(good=rows["status"] == "ok", epoch=epoch)
        order = order.sort_values(["good", "pb"], ascending=False, kind="stable")
        best = order.drop_duplicates("epoch").sort_values("mjd")
        images = []
        for row in best.itertuples():
            path = self.directory / "images" / row.date / f"{row.group}.pbcor.fits"
            first = read_cutout(path, self.ra_deg, self.dec_deg, 0.0)
            if size_arcsec is None and np.isfinite(first.beam.bmaj_deg):
                size_arcsec = CUTOUT_BEAMS * first.beam.bmaj_deg / ARCSEC_DEG
            if size_arcsec is not None:
                require_in_memory(size_arcsec, first, len(best))
            cutout = (
                empty_cutout("no image of this epoch is there")
                if size_arcsec is None
                else read_cutout(path, self.ra_deg, self.dec_deg, size_arcsec * ARCSEC_DEG)
            )
            images.append(
                EpochImage(
                    row.mjd, row.date, row.group, row.flux_jy, row.flux_err_jy, row.status, cutout
                )
            )
        return images

    def cutouts(self, size_arcsec: float | None = None) -> Figure:
        """Draw the best image of each epoch: one stretch (ZScale) for all, the beam in a corner.

        Parameters
        ----------
        size_arcsec : side; by default twelve beams.

        Returns
        -------
        figure : of matplotlib; an image that is not there is an empty panel that says so.
        """
        return cutouts_figure(self.source_id, self.epoch_images(size_arcsec))

    def nearby(self, radius_deg: float = 0.25) -> pd.DataFrame:
        """Return the catalogue's sources around this one, the nearest first.

        Parameters
        ----------
        radius_deg : radius.

        Returns
        -------
        neighbours : the catalogue's columns, `separation_arcsec`, `position_angle_deg` (from
            north through east) and, where they are measured, n_epochs, mean_jy, v and eta.
        """
        require_above_0("radius_deg", radius_deg)
        if not np.isfinite(self.ra_deg + self.dec_deg):
            raise ValueError(f"{self.source_id}: no table tells its position, so no neighbours")
        near = read_sources(self._catalog_path, self.ra_deg, self.dec_deg, radius_deg)
        near = near[near["source_id"] != self.source_id]
        near = near.sort_values(["separation_deg", "source_id"], ignore_index=True)
        near["separation_arcsec"] = near.pop("separation_deg") / ARCSEC_DEG
        near["position_angle_deg"] = position_angle_deg(self.ra_deg, self.dec_deg, near)
        path = self.directory / "variability" / "variability.parquet"
        if near.empty or not path.is_file():
            return near
        metrics = whole_band(read_table(path, source_ids=list(near["source_id"]))[0])
        wanted = ["source_id", "n_epochs", "mean_jy", "v", "eta"]
        return near.merge(metrics[wanted], on="source_id", how="left")

    @property
    def _catalog_path(self) -> Path:
        return self.directory / "catalogs" / "master_sources.sqlite3"

    @property
    def _curves_path(self) -> Path:
        return self._lightcurves or self.directory / "variability" / "lightcurves.parquet"

    @cached_property
    def _curves(self) -> pd.DataFrame:
        """Its rows of the light curves, of every band."""
        if not self._curves_path.is_file():
            return pd.DataFrame({"source_id": [], "subband": []})
        rows = read_light_curve(self._curves_path, self.source_id, self._sentinels)
        return rows.sort_values("mjd", ignore_index=True)

    @property
    def _no_whole_band(self) -> bool:
        """Whether another telescope's table tells frequencies apart and has no whole band."""
        told = "freq_hz" in self._curves and self._curves["freq_hz"].notna().any()
        of_subbands = "subband" not in self._curves or whole_band(self._curves).empty
        return bool(self._lightcurves and told and of_subbands)

    @property
    def _usable(self) -> pd.Series:
        """Which epochs have a usable flux."""
        rows = self.epochs
        normalised = "norm_flux_jy" in rows
        flux, error = ("norm_flux_jy", "norm_err_jy") if normalised else ("flux_jy", "flux_err_jy")
        return usable_rows(rows, flux) & (rows[error] > 0)

    def _product(self, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return its rows of a table of the archive, and the table's metadata."""
        path = self.directory / "variability" / f"{name}.parquet"
        if self._lightcurves is not None or not path.is_file():
            return pd.DataFrame({"source_id": []}), {}
        return read_table(path, source_ids=[self.source_id])

    def _unknown(self) -> str:
        """Say that there is no such source, and which are nearest."""
        where = position_of(self.source_id)
        if where is not None and self._catalog_path.is_file():
            near = read_sources(self._catalog_path, *where, NEAREST_DEG)
            words = nearest_words(near.sort_values("separation_deg", ignore_index=True))
        else:
            ids: list[str] = []
            if self._curves_path.is_file():
                ids = source_names(self._curves_path)
            alike = difflib.get_close_matches(self.source_id, ids, N_NEAREST, 0.0)
            words = f"names most alike: {', '.join(alike)}" if alike else "no table has any"
        return f"{self._lightcurves or self.directory}: no source {self.source_id}; {words}"


def require_products(directory: Path, lightcurves: Path | None = None) -> None:
    """Raise FileNotFoundError when nothing tells of sources: no product, no light curves."""
    wanted = (
        "variability/lightcurves.parquet",
        "photometry/*/photometry.parquet",
        "catalogs/master_sources.sqlite3",
    )
    if lightcurves is not None and not lightcurves.is_file():
        raise FileNotFoundError(f"{lightcurves}: no such file; correct the path")
    if lightcurves is None and not any(next(directory.glob(name), None) for name in wanted):
        raise FileNotFoundError(
            f"{directory}: none of {', '.join(wanted)} is there; give the working directory of "
            "the workflow"
        )


def catalog_row(path: Path, source_id: str) -> dict[str, Any]:
    """Return a source's row of the catalogue, empty when there is none."""
    rows = read_named_sources(path, [source_id]).to_dict("records") if path.is_file() else []
    return {str(name): value for name, value in rows[0].items()} if rows else {}


def require_above_0(name: str, value: float) -> None:
    """Raise ValueError when an argument is not above 0."""
    if not value > 0:
        raise ValueError(f"{name} {value} found, above 0 expected")


def first_number(rows: list[dict[Any, Any]], name: str) -> float:
    """Return the first finite value of a name among rows, else NaN."""
    values = [float(row[name]) for row in rows if row.get(name) is not None]
    return next((value for value in values if np.isfinite(value)), np.nan)
