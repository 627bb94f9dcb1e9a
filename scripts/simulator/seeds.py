"""Random streams that depend on nothing but what they are for."""

import zlib

import numpy as np


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose, so that any one file can be made again alone.

    Parameters
    ----------
    seed : the simulation's seed.
    purpose : what the numbers are for, such as "noise"; each purpose has streams of its own.
    numbers : non-negative integers that tell one stream of the purpose from another, such as date,
        group, subband.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def date_number(date: str) -> int:
    """Turn YYYY-MM-DD into the integer YYYYMMDD."""
    return int(date.replace("-", ""))
