"""The catalogue's sources near a position, as a table."""

import sys
from pathlib import Path

import pandas as pd

from contimg.catalog import read_named_sources, read_sources
from contimg.script import run
from contimg.status import written_whole
from contimg.surveys import sexagesimal_deg

SUFFIXES = (".csv", ".parquet")


def main(
    *,
    catalog: Path,
    ra_deg: float | None = None,
    dec_deg: float | None = None,
    position: str | None = None,
    radius_deg: float = 0.5,
    min_jy: float = 0.0,
    view: str = "sources",
    output: Path | None = None,
) -> None:
    """Search the catalogue in a cone; the nearest source comes first.

    catalog: catalogs/master_sources.sqlite3
    ra_deg, dec_deg: centre, ICRS degrees; or
    position: "15:09:19.8 +47:26:55", "227.33 47.45" (degrees), or a source_id
    radius_deg: of the cone; min_jy: smallest s_nvss
    view: sources, good_references or final_references
    output: FILE.csv or FILE.parquet; without it the table is printed

    Example: python scripts/cone_search.py --catalog catalogs/master_sources.sqlite3
    --position "15:09:19.8 +47:26:55" --radius-deg 0.2 --min-jy 0.01
    """
    if output is not None and output.suffix not in SUFFIXES:
        raise SystemExit(f"{output}: unknown form; expected a name in {' or '.join(SUFFIXES)}")
    if not 0 < radius_deg <= 180:
        raise SystemExit(f"--radius-deg {radius_deg:g} found, above 0 and at most 180 expected")
    try:
        centre = centre_of(catalog, ra_deg, dec_deg, position)
        found = read_sources(catalog, *centre, radius_deg, min_jy, view)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    found = found.sort_values(["separation_deg", "source_id"], ignore_index=True)
    if output is None:
        with pd.option_context("display.width", None, "display.max_columns", None):
            sys.stdout.write(f"{found.to_string(index=False, na_rep='-')}\n" if len(found) else "")
        what = "sources" if view == "sources" else f"sources of {view}"
        sys.stdout.write(f"{len(found)} {what} within {radius_deg:g} deg of "
                         f"RA {centre[0]:.5f}, dec {centre[1]:+.5f}; fluxes in Jy\n")  # fmt: skip
        return
    with written_whole(output) as temporary:
        if output.suffix == ".csv":
            found.to_csv(temporary, index=False)
        else:
            found.to_parquet(temporary, index=False)


def centre_of(
    catalog: Path, ra_deg: float | None, dec_deg: float | None, position: str | None
) -> tuple[float, float]:
    """Return the centre, ICRS degrees: of two numbers, of sexagesimal text, or of a source.

    Raises
    ------
    ValueError
        When there is no such source, or the text is none of these.
    """
    if position is None:
        if ra_deg is None or dec_deg is None:
            raise ValueError("no centre; give --ra-deg and --dec-deg, or --position")
        return checked(ra_deg, dec_deg, f"RA {ra_deg}, dec {dec_deg}")
    if ra_deg is not None or dec_deg is not None:
        raise ValueError("two centres; give --ra-deg and --dec-deg, or --position, not both")
    if position.startswith("J"):
        source = read_named_sources(catalog, [position])
        if source.empty:
            raise ValueError(f"{catalog}: no source {position}; give an id as the catalogue has it")
        return float(source.ra_deg[0]), float(source.dec_deg[0])
    words = position.replace(",", " ").split()
    ra, dec = " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
    return checked(
        float(sexagesimal_deg([ra], hours=True)[0]), float(sexagesimal_deg([dec])[0]), position
    )


def checked(ra_deg: float, dec_deg: float, told: str) -> tuple[float, float]:
    if not abs(dec_deg) <= 90 or not abs(ra_deg) < 1e4:  # also when either is NaN
        raise ValueError(
            f"{told!r} is no position; expected degrees, 'hh:mm:ss.s +dd:mm:ss' or a source_id"
        )
    return ra_deg % 360.0, dec_deg


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
