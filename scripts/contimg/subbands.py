"""Which of a group's raw files belong together, and where their channels lie in the band."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.groups import mjd_of_group, parse_raw_name
from contimg.status import Rejected
from contimg.uvh5 import Header, UnreadableFile, read_header

SECONDS_A_DAY = 86400.0
MAX_FREQUENCY_ERROR_CHANNELS = 0.01

# What all files of a group have in common, and how a reason names it.
COMMON = {
    "n_antennas_data": "antennas with data",
    "n_antennas_telescope": "antennas in the table",
    "n_baselines": "baselines",
    "n_times": "integrations",
    "n_channels": "channels",
    "polarizations": "polarizations",
    "channel_width_hz": "Hz a channel",
    "apparent_dec_deg": "deg declination",
}


@dataclass(frozen=True)
class Subbands:
    """The files of a group that are used.

    Attributes
    ----------
    headers : by subband number, ascending; number 0 is the highest in frequency.
    wanted, needed : subbands of a whole group, and of one worth processing.
    excluded : (file name, reason) of those left out.
    """

    headers: Mapping[int, Header]
    wanted: int
    needed: int
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def missing(self) -> list[int]:
        """Subband numbers without a usable file."""
        return [number for number in range(self.wanted) if number not in self.headers]

    @property
    def reference(self) -> Header:
        """The header that speaks for all."""
        return next(iter(self.headers.values()))

    def place(self, number: int) -> slice:
        """Return the channels of a subband among the group's ascending ones."""
        width = self.reference.n_channels
        start = (self.wanted - 1 - number) * width
        return slice(start, start + width)

    def freq_hz(self) -> NDArray[np.float64]:
        """Return the centres of all the group's channels, ascending, missing ones too."""
        number, header = next(iter(self.headers.items()))
        first = self.place(number).start
        channels = np.arange(self.wanted * header.n_channels)
        return header.low_hz + (channels - first) * spacing_hz(header)

    def without(self, number: int, reason: str) -> "Subbands":
        """Return the selection less one subband, checked again for being enough."""
        left = {key: header for key, header in self.headers.items() if key != number}
        excluded = (*self.excluded, (self.headers[number].path.name, reason))
        return enough(replace(self, headers=left, excluded=excluded))


def spacing_hz(header: Header) -> float:
    """Return the distance of a file's channels."""
    if header.n_channels == 1:
        return header.channel_width_hz
    return (header.high_hz - header.low_hz) / (header.n_channels - 1)


def select_subbands(paths: Sequence[Path], group: str, ingest: Mapping[str, Any]) -> Subbands:
    """Choose the files of a group by their headers.

    Parameters
    ----------
    paths : the candidate files, in the DSA dialect, of any order.
    group : `YYYY-MM-DDTHH:MM:SS`.
    ingest : n_subbands, min_subbands, header_tolerance_s.

    Raises
    ------
    Rejected
        When fewer than min_subbands can be used; the reason says what happened to the others.
    """
    wanted, needed = ingest["n_subbands"], ingest["min_subbands"]
    reasons: dict[Path, str] = {}
    headers: list[Header] = []
    for path in sorted(paths, key=lambda path: (number_of(path), path.name)):
        if not 0 <= number_of(path) < wanted:
            reasons[path] = f"its name has no subband of 00 to {wanted - 1:02d}"
            continue
        try:
            headers.append(read_header(path))
        except UnreadableFile as unreadable:
            reasons[path] = unreadable.found
    for check in (
        lambda left: other_times(left, group, ingest["header_tolerance_s"]),
        disagreeing,
        lambda left: misplaced(left, wanted),
        duplicates,
    ):
        found = check(headers)
        reasons.update(found)
        headers = [header for header in headers if header.path not in found]
    excluded = sorted((path.name, reason) for path, reason in reasons.items())
    by_number = {number_of(header.path): header for header in headers}
    return enough(Subbands(by_number, wanted, needed, tuple(excluded)))


def enough(subbands: Subbands) -> Subbands:
    """Return the selection, or raise `Rejected` when it is too small."""
    n_found = len(subbands.headers)
    if n_found and n_found >= subbands.needed:
        return subbands
    why = "; ".join(f"{name}: {reason}" for name, reason in subbands.excluded)
    raise Rejected(
        f"{n_found} of {subbands.wanted} subbands, {subbands.needed} needed"
        + (f": {why}" if why else "")
    )


def number_of(path: Path) -> int:
    """Return the subband number that a file's name gives, -1 when it gives none."""
    name = parse_raw_name(path.name)
    return name.subband if name else -1


def other_times(headers: list[Header], group: str, tolerance_s: float) -> dict[Path, str]:
    """Find the files whose header time is not the group's.

    The group's time is that of its first file whose header time rounds to the group's name.
    """
    named_s = mjd_of_group(group) * SECONDS_A_DAY
    offsets_s = {header.path: header.first_mjd * SECONDS_A_DAY - named_s for header in headers}
    own = next((offset for offset in offsets_s.values() if abs(offset) <= 0.501), 0.0)
    return {
        path: f"its header time is {offset_s - own:+.1f} s from the group's"
        for path, offset_s in offsets_s.items()
        if abs(offset_s - own) > tolerance_s
    }


def disagreeing(headers: list[Header]) -> dict[Path, str]:
    """Find the files that disagree with most of the others on what a group has in common."""
    found: dict[Path, str] = {}
    for name, noun in COMMON.items():
        counts = Counter(getattr(header, name) for header in headers)
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        for header in headers:
            value = getattr(header, name)
            if value != usual:
                found.setdefault(header.path, f"{value} {noun}, the group's others have {usual}")
    return found


def misplaced(headers: list[Header], wanted: int) -> dict[Path, str]:
    """Find the files whose frequencies are not those of the subband in their name."""
    if not headers:
        return {}
    width = spacing_hz(headers[0])
    bottoms = np.array(
        [
            header.low_hz - (wanted - 1 - number_of(header.path)) * header.n_channels * width
            for header in headers
        ]
    )
    off = np.abs(bottoms - np.median(bottoms)) > MAX_FREQUENCY_ERROR_CHANNELS * width
    return {
        header.path: f"its lowest channel, {header.low_hz / 1e6:.3f} MHz, is not its subband's"
        for header, is_off in zip(headers, off, strict=True)
        if is_off
    }


def duplicates(headers: list[Header]) -> dict[Path, str]:
    """Find second files of a subband."""
    first: dict[int, str] = {}
    found: dict[Path, str] = {}
    for header in headers:
        number = number_of(header.path)
        if number in first:
            found[header.path] = f"a second file of subband {number:02d}, beside {first[number]}"
        else:
            first[number] = header.path.name
    return found
