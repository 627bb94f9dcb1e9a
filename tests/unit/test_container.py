"""The container that made an image is told by the image and by what is made of it."""

from pathlib import Path

import pytest
from astropy.io import fits

from contimg.fits import read_image, write_image
from contimg.imaging import container_of

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def history(folder: str, weight: str = "briggs 0.5") -> list[str]:
    """HISTORY as WSClean writes it: its command line in pieces that lose their spaces."""
    command = (
        f"wsclean -size 512 512 -weight {weight} -j 1 -temp-dir {folder} "
        "-name wsclean 2025-10-01T15:25:48.ms"
    )
    return [command[start : start + 72].rstrip() for start in range(0, len(command), 72)]


@pytest.mark.parametrize("identity", [DIGEST, "docker://a.registry/radio:1@" + DIGEST])
def test_the_container_is_read_from_the_command_line_wherever_its_pieces_end(identity: str) -> None:
    for length in range(72):
        found = container_of(history(f"container/{identity}/scratch", weight="w" * (length + 1)))
        assert found == identity
    assert container_of(history("scratch")) == ""
    assert container_of([]) == ""


def test_its_digest_is_whole_in_a_header(tmp_path: Path) -> None:
    header = fits.Header()
    header["CONTAINR"] = (DIGEST, "image of the container")
    write_image(tmp_path / "x.fits", [[1.0, 2.0], [3.0, 4.0]], header)
    assert read_image(tmp_path / "x.fits", require_beam=False).header["CONTAINR"] == DIGEST
