"""The page of one source: light curve, metrics, event, verdicts, images, neighbours."""

import logging
from pathlib import Path

import pandas as pd

from contimg.report.pages import write_page
from contimg.report.source import source_content
from contimg.script import run
from contimg.source import Source
from contimg.status import plain
from contimg.tables import read_table

logger = logging.getLogger(__name__)


def main(*, source_id: str, page: Path, directory: Path = Path()) -> None:
    """Write a source's page.

    Tables are the directory's, and what is not there is left out; images are shown as far as
    they are still there.

    source_id: name as in the catalogue
    page: output, one self-contained HTML file
    directory: the working directory
    """
    source = Source(source_id, directory)
    content = source_content(source, page, external_rows(directory, source_id))
    content |= {"digests": digests_of(directory), "data": plain(content["data"])}
    write_page(page, "source.html.j2", content)
    logger.info("%s: %d epochs, %.1f MB", page, source.n_epochs, page.stat().st_size / 1e6)


def external_rows(directory: Path, source_id: str) -> pd.DataFrame:
    """Return what other archives know of the source; no row where nobody asked them."""
    path = directory / "variability" / "external.parquet"
    if not path.is_file():
        return pd.DataFrame({"source_id": []})
    return read_table(path, source_ids=[source_id])[0]


def digests_of(directory: Path) -> dict[str, str]:
    """Return the digests of the archive's tables, by name."""
    names = ("lightcurves", "variability", "ese_candidates")
    paths = {name: directory / "variability" / f"{name}.parquet" for name in names}
    return {
        name: read_table(path, ["source_id"], source_ids=[""])[1].get("digest", "")
        for name, path in paths.items()
        if path.is_file()
    }


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
