"""The page of one date: what was observed, how it was calibrated, what came of it."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contimg.calibration_table import antenna_names, read_bandpass, read_gains, read_snr
from contimg.catalog import read_sources
from contimg.digests import digest_of_file
from contimg.report import date as content
from contimg.report import figures, thumbnails
from contimg.report import solutions as solution_plotting
from contimg.report.flagging import flagging
from contimg.report.pages import Picture, Plot, link, write_page
from contimg.report.summary import GroupRow, group_rows
from contimg.script import run
from contimg.status import REJECTED_NOTE, Rejected, Status, plain, read_status
from contimg.tables import read_table, whole_band
from contimg.version import workflow_version

logger = logging.getLogger(__name__)

MOSAIC_PIXELS = 1100


def main(
    *,
    index: Path,
    calibration: Path,
    bandpasses: list[Path],
    gains: list[Path],
    solutions: list[Path],
    flags: list[Path],
    calibrated: list[Path],
    images: list[Path],
    beams: list[Path],
    statuses: list[Path],
    photometry: Path,
    mosaics: list[Path],
    catalog: Path,
    page: Path,
    date: str,
) -> None:
    """Write the page of a date.

    index: index/DATE.json
    calibration: cal/DATE/calibration.json
    bandpasses, gains, solutions: tables of the date's calibrator transits, and the gains' status
    flags: what is flagged in each group (ms/science/DATE/GROUP.flags.json)
    calibrated: status of each group's calibrated visibilities
    images, beams, statuses: corrected image, primary beam and status of each group
    photometry: photometry/DATE/photometry.parquet
    mosaics: the date's mosaics
    catalog: catalogs/master_sources.sqlite3
    page: output, one self-contained HTML file
    """
    found = json.loads(index.read_text())
    every_band, about = read_table(photometry)
    measured = whole_band(every_band)
    of_calibrated, of_images = by_group(calibrated), by_group(statuses)
    rows = group_rows(found, of_calibrated, of_images, measured, about.get("groups", {}))
    chosen = read_status(calibration)
    solved = [
        solution(*paths, found.get("calibrators", []))
        for paths in zip(sorted(bandpasses), sorted(gains), sorted(solutions), strict=True)
    ]
    filled = content.date_content(date, found, rows, chosen, solved, measured)
    options = about.get("options", {})
    flux_scale = content.photometry_plot(
        measured, read_sources(catalog), tuple(options.get("ratio_range", (0.8, 1.2)))
    )
    filled |= {
        "tiles": list(tiles(rows, images, beams, page)),
        "flagging": flagging(by_group(flags)),
        "mosaics": [mosaic(path, page, found.get("mosaics", {})) for path in sorted(mosaics)],
        "photometry": {"reason": about.get("reason", ""), "plot": flux_scale},
        "digests": digests(rows, solved, chosen, index, about),
        "config_digest": about.get("config_digest", ""),
        "other_versions": other_versions([calibration, *solutions, *calibrated, *statuses]),
        "data": plain(filled["data"]),
    }
    write_page(page, "date.html.j2", filled)
    logger.info("%s: %.1f MB", page, page.stat().st_size / 1e6)


def group_of(path: Path) -> str:
    """Return the GROUP that a product's name begins with."""
    return path.name.split(".")[0]


def by_group(paths: Iterable[Path]) -> dict[str, Status]:
    return {group_of(path): read_status(path) for path in paths}


def solution(
    bandpass: Path, gain: Path, status: Path, calibrators: Sequence[Mapping[str, Any]]
) -> content.Solution:
    """Read and draw what one calibrator transit gave."""
    group, plots, unsolved = group_of(gain), [], []
    names = [one["name"] for one in calibrators if one.get("group") == group]
    if not (bandpass / REJECTED_NOTE).exists():
        table = read_bandpass(bandpass)
        plots, unsolved = content.bandpass_plots(
            table.antennas, table.freq_hz, table.gain, table.flag
        )
    found = read_status(status)
    if not (gain / REJECTED_NOTE).exists():
        table = read_gains(gain)
        plots = [*plots, content.gains_plot(table.antennas, table.gain, table.flag)]
        plots += solution_plots(bandpass, gain, found)
    return content.Solution(group, ", ".join(names), found, plots, unsolved, found.reason)


def solution_plots(bandpass: Path, gain: Path, status: Status) -> list[Plot]:
    """Draw S/N and flags of the solutions, and the phases within the group."""
    snr, flag = {}, {}
    for kind, path in (("bandpass", bandpass), ("gains", gain)):
        snr[kind], flag[kind] = read_snr(path)
    # Slots of the array without baselines are flagged too, and are not among these.
    dead = status.figures.get("flagged_antennas", [])
    solved = ~flag["bandpass"].all(axis=(1, 2))
    names = antenna_names(bandpass)
    rows = [row for row, name in enumerate(names) if solved[row] or name in dead]
    drawn = [
        solution_plotting.quality_plot(
            [names[row] for row in rows],
            {kind: values[rows] for kind, values in snr.items()},
            {kind: values[rows] for kind, values in flag.items()},
        ),
        solution_plotting.phases_plot(status.figures.get("short_phases", {})),
    ]
    return [one for one in drawn if one]


def tiles(
    rows: Sequence[GroupRow], images: Sequence[Path], beams: Sequence[Path], page: Path
) -> Iterable[content.Tile]:
    """Yield each group's small picture, or why there is none."""
    of_group = {group_of(path): path for path in images}
    beam_of = {group_of(path): path for path in beams}
    for row in rows:
        path = of_group.get(row.group)
        if path is None or row.stages[2].state not in ("ok", "partial"):
            reason = row.reason or "no image was asked for"
            yield content.Tile(row.group, row.state, reason)
            continue
        small = thumbnails.thumbnail(path, beam_of[row.group])
        yield content.Tile(
            group=row.group,
            state=row.state,
            figures=row.figures,
            uri=Picture(small.data, "").uri,
            link=link(path, page),
            width=small.width,
            height=small.height,
            contour=small.contour,
        )


def mosaic(path: Path, page: Path, groups: Mapping[str, Sequence[str]]) -> content.Mosaic:
    """Draw a mosaic, or tell why there is none."""
    name = path.name.removesuffix(".mosaic.fits")
    members = groups.get(name, [])
    try:
        small = thumbnails.shrunk_mosaic(path, MOSAIC_PIXELS)
    except Rejected as rejected:
        return content.Mosaic(name, members, reason=str(rejected))
    picture = Picture(
        figures.mosaic_picture(small.levels, small.wcs), f"Mosaic {name}", figures.MOSAIC_DENSITY
    )
    return content.Mosaic(name, members, link(path, page), picture, small.shape, small.refused)


def digests(
    rows: Sequence[GroupRow],
    solved: Sequence[content.Solution],
    chosen: Status,
    index: Path,
    about: Mapping[str, Any],
) -> dict[str, str]:
    """Return the digest of each product that the page shows."""
    found = {
        "index": digest_of_file(index),
        "calibration": chosen.digest,
        "photometry": about.get("digest", ""),
    }
    found |= {f"gains {one.group}": one.status.digest for one in solved}
    for row in rows:
        found |= {f"{name} {row.group}": digest for name, digest in row.digests.items() if digest}
    return found


def other_versions(paths: Iterable[Path]) -> list[str]:
    """Return the workflow versions, but this one, that made the products."""
    versions = {json.loads(path.read_text()).get("version") for path in paths}
    return sorted(versions - {None, workflow_version()})


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
