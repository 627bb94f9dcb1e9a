"""Files of the checkout: what the configuration names below config/ and envs/."""

import hashlib
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def located(path: str, base: Path = CHECKOUT) -> Path:
    """Return where a file lies that the configuration names.

    Parameters
    ----------
    path : absolute, or relative to the checkout or else to the working directory.
    base : the checkout.
    """
    return base / path if (base / path).is_file() else Path(path)


@cache
def identity_of_container(image: str) -> str:
    """Return what names a container image in products: `sha256:` and its file's digest.

    Parameters
    ----------
    image : an image file, or a URI, which stands for itself.

    Raises
    ------
    FileNotFoundError
        When the file is not there.
    """
    if "://" in image:
        return image
    if not Path(image).is_file():
        raise FileNotFoundError(
            f"{image}: no such container image; make it with tools/build_image, "
            "or name another in software.container"
        )
    with Path(image).open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
