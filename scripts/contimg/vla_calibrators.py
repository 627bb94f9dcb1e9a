"""The NRAO VLA calibrator list: read its text, keep it as SQLite.

Each entry of the text is a J2000 line, a B1950 line, a header and one line a band::

    0834+555   J2000  A 08h34m54.903997s  55d34'21.070980"  Aug01
    BAND        A B C D    FLUX(Jy)    UVMIN(kL)  UVMAX(kL)
     20cm    L  S P P P       8.80             3

The band lines' spacing varies, some end in `visplot`, and a flux may be missing or `?`.
"""

import hashlib
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from contimg.status import written_whole
from contimg.version import workflow_version

# Centres of the VLA's standard continuum bands when the list was made (VLA Observational
# Status Summary), by band code; the list itself gives wavelengths only.
BAND_FREQUENCY_HZ = {
    "P": 0.3275e9,
    "L": 1.425e9,
    "C": 4.8601e9,
    "X": 8.4601e9,
    "U": 14.9399e9,
    "K": 22.4601e9,
    "Q": 43.3399e9,
}

_LINE = re.compile(
    r"^(?P<name>\S+) +J2000 +(?P<code>\S) +(?P<h>\d+)h(?P<m>\d+)m(?P<s>[\d.]+)s +"
    r"(?P<sign>[-+]?)(?P<deg>\d+)d(?P<min>\d+)'(?P<sec>[\d.]+)\"(?P<tail>.*)$"
    r"|^ *(?P<band>[\d.]+cm) +(?P<letter>[A-Z])(?P<rest>.*)$",
    re.MULTILINE,
)
_QUALITY_AND_FLUX = re.compile(r"\s*((?:[PSWXC?][ \t]+){0,4})(\d+\.?\d*|\.\d+)?", re.IGNORECASE)
_POSITION_REFERENCE = re.compile(r"[A-Z][a-z]{2}\d{2}$")


@dataclass(frozen=True)
class BandFlux:
    """One band line: flux_jy is None where the list has `?` or nothing, and 0.0 where it has 0."""

    band: str
    band_code: str
    flux_jy: float | None
    freq_hz: float
    quality_codes: str


@dataclass(frozen=True)
class Calibrator:
    """One J2000 entry. Four names occur twice in the list; `entry` (from 1) is unique."""

    entry: int
    name: str
    ra_deg: float
    dec_deg: float
    position_code: str
    alt_name: str
    fluxes: tuple[BandFlux, ...]


class Calibrator20cm(NamedTuple):
    """Name, J2000 position and positive 20 cm flux of a calibrator."""

    name: str
    ra_deg: float
    dec_deg: float
    flux_jy: float


def parse_vla_calibrators(text: str) -> list[Calibrator]:
    """Read the calibrator list's text.

    Returns
    -------
    calibrators : one for each J2000 entry, in the list's order.

    Raises
    ------
    ValueError
        When the text holds no entry, or a band line that belongs to none.
    """
    heads: list[re.Match[str]] = []
    fluxes: list[list[BandFlux]] = []
    for match in _LINE.finditer(text):
        if match["name"]:
            heads.append(match)
            fluxes.append([])
        elif not heads:
            raise ValueError(f"VLA calibrator list: band line before any source: {match[0]!r}")
        else:
            fluxes[-1].append(_band_flux(match))
    if len(heads) != text.count(" J2000 ") or not heads:
        raise ValueError(
            f"VLA calibrator list: read {len(heads)} of {text.count(' J2000 ')} J2000 lines; "
            "expected lines such as 0834+555 J2000 A 08h34m54.9s 55d34'21.0\""
        )
    return [
        _calibrator(entry, head, tuple(bands))
        for entry, (head, bands) in enumerate(zip(heads, fluxes, strict=True), start=1)
    ]


def calibrators_20cm(text_path: Path) -> list[Calibrator20cm]:
    """Return the calibrators with a positive 20 cm flux in the text list; read once a process."""
    return list(_calibrators_20cm(Path(text_path).resolve()))


def write_calibrators(path: Path, calibrators: list[Calibrator], text_path: Path) -> None:
    """Write `vla_calibrators.sqlite3`, whole or not at all.

    Tables `calibrators` and `fluxes` (joined by `entry`, as four names occur twice), the view
    `vla_20cm` of every entry with a 20 cm line, where a listed 0 or ? is NULL, and `meta`.
    """
    with written_whole(path) as temporary, closing(sqlite3.connect(temporary)) as database:
        database.executescript(_SCHEMA)
        database.executemany(
            "INSERT INTO calibrators VALUES (?, ?, ?, ?, ?, ?)",
            [(c.entry, c.name, c.ra_deg, c.dec_deg, c.position_code, c.alt_name)
             for c in calibrators],
        )  # fmt: skip
        database.executemany(
            "INSERT INTO fluxes VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(c.entry, c.name, f.band, f.band_code, f.flux_jy, f.freq_hz, f.quality_codes)
             for c in calibrators for f in c.fluxes],
        )  # fmt: skip
        meta = {
            "source_sha256": hashlib.sha256(text_path.read_bytes()).hexdigest(),
            "entries": str(len(calibrators)),
            "workflow_version": workflow_version(),
        }
        database.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        database.commit()


@lru_cache(maxsize=4)
def _calibrators_20cm(text_path: Path) -> tuple[Calibrator20cm, ...]:
    return tuple(
        Calibrator20cm(calibrator.name, calibrator.ra_deg, calibrator.dec_deg, flux.flux_jy)
        for calibrator in parse_vla_calibrators(text_path.read_text())
        for flux in calibrator.fluxes
        if flux.band == "20cm" and flux.flux_jy
    )


def _calibrator(entry: int, head: re.Match[str], fluxes: tuple[BandFlux, ...]) -> Calibrator:
    ra_deg = 15 * (int(head["h"]) + int(head["m"]) / 60 + float(head["s"]) / 3600)
    dec_deg = int(head["deg"]) + int(head["min"]) / 60 + float(head["sec"]) / 3600
    words = [word for word in head["tail"].split() if not _POSITION_REFERENCE.match(word)]
    return Calibrator(
        entry=entry,
        name=head["name"],
        ra_deg=ra_deg,
        dec_deg=-dec_deg if head["sign"] == "-" else dec_deg,
        position_code=head["code"],
        alt_name=" ".join(words),
        fluxes=fluxes,
    )


def _band_flux(line: re.Match[str]) -> BandFlux:
    quality, flux = _QUALITY_AND_FLUX.match(line["rest"] + " ").groups()  # type: ignore[union-attr]
    return BandFlux(
        band=line["band"],
        band_code=line["letter"],
        flux_jy=None if flux is None else float(flux),
        freq_hz=BAND_FREQUENCY_HZ[line["letter"]],
        quality_codes="".join(quality.split()).upper(),
    )


_SCHEMA = """
CREATE TABLE calibrators (
    entry INTEGER PRIMARY KEY, name TEXT NOT NULL, ra_deg REAL NOT NULL, dec_deg REAL NOT NULL,
    position_code TEXT NOT NULL, alt_name TEXT NOT NULL);
CREATE TABLE fluxes (
    entry INTEGER NOT NULL REFERENCES calibrators(entry), name TEXT NOT NULL, band TEXT NOT NULL,
    band_code TEXT NOT NULL, flux_jy REAL, freq_hz REAL NOT NULL, quality_codes TEXT NOT NULL);
CREATE INDEX calibrators_dec ON calibrators(dec_deg);
CREATE INDEX fluxes_entry ON fluxes(entry);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIEW vla_20cm AS
    SELECT c.name, c.ra_deg, c.dec_deg, c.position_code, c.alt_name,
           NULLIF(f.flux_jy, 0) AS flux_jy, f.freq_hz, f.quality_codes
    FROM calibrators c JOIN fluxes f USING (entry) WHERE f.band = '20cm';
"""
