"""Combine the images of an hour, or around a transit, into one mosaic."""

from pathlib import Path

from contimg.fits import read_image, write_image, write_rejected_image
from contimg.mosaic import Tile, TileInfo, TileLimits, build_mosaic, check_tiles
from contimg.script import run
from contimg.status import Rejected, read_status
from contimg.tables import read_table

UNIT_OF_WEIGHT = {"pb": "beam2/Jy2", "noise": "beam2/Jy2", "mean": ""}


def main(
    *,
    images: list[Path],
    beams: list[Path],
    statuses: list[Path],
    photometry: list[Path],
    mosaic: Path,
    weight: Path,
    rms: Path,
    options: dict,
) -> None:
    """Check the tiles, and average the good ones weighted as the options say.

    images are those before correction for the beam; statuses and photometry say which are good.
    """
    found = [
        tile_info(*paths) for paths in zip(images, statuses, photometry, strict=True)
    ]  # fmt: skip
    reasons, against = check_tiles(found, TileLimits(options["max_span_min"]))
    for info, tables in zip(found, photometry, strict=True):
        reasons[info.name] += read_table(tables)[1].get("failed_checks", [])
    refused = "; ".join(f"{name}: {', '.join(why)}" for name, why in reasons.items() if why)
    good = [not reasons[info.name] for info in found]
    if against or not any(good):
        raise Rejected("; ".join([*(against or ["no tile is good"]), refused]))
    tiles = [
        Tile(info.name, image, beam)
        for info, image, beam, is_good in zip(found, images, beams, good, strict=True)
        if is_good
    ]
    made = build_mosaic(tiles, options["weighting"], options["min_response"])
    if refused:
        made.header["REFUSED"] = refused
    for path, data in ((mosaic, made.data), (rms, made.rms)):
        write_image(path, data, made.header)
    made.header["BUNIT"] = UNIT_OF_WEIGHT[options["weighting"]]
    write_image(weight, made.weight, made.header)


def tile_info(image: Path, status: Path, photometry: Path) -> TileInfo:
    """Return what decides whether an image goes into the mosaic."""
    group = photometry.stem
    made = read_status(status)
    if not made.ok:
        return TileInfo(group, 0.0, made.status, made.reason, 0.0, 0.0)
    try:
        found = read_image(image)
    except Rejected as rejected:
        return TileInfo(group, 0.0, "rejected", str(rejected), 0.0, 0.0)
    return TileInfo(
        group, made.figures["mid_mjd"], "ok", "", found.pixel_scale_deg, found.beam.bmaj_deg
    )


def reject(reason: str, *, mosaic: Path, weight: Path, rms: Path) -> None:
    for path in (mosaic, weight, rms):
        write_rejected_image(path, reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
