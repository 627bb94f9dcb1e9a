"""Files of the checkout: what the configuration names below config/ and envs/."""

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
