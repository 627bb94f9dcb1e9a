"""The record of what a date's raw files are: groups and their faults, calibrators, mosaics."""

from pathlib import Path
from typing import Any

from contimg.inventory import Group, Inventory
from contimg.script import run
from contimg.status import Rejected, write_json
from contimg.subbands import select_subbands
from contimg.uvh5 import DSA


def main(
    *,
    index: Path,
    settings: dict[str, Any],
    strange_names: list,
    date: str,
) -> None:
    """Read every header of a date and write index/DATE.json.

    settings: blocks of the configuration (on the command line YAML text); strange_names: files
    that are not taken, [{file, reason}].
    """
    inventory = Inventory(settings)
    chosen = inventory.calibrators_by_group(date)
    groups = []
    for group in inventory.all_groups(date):
        found = described(group, settings["ingest"])
        calibrator = chosen.get(group.name)
        found["calibrator"] = calibrator.for_model() if calibrator else None
        groups.append(found)
    write_json(
        index,
        {
            "date": date,
            "declination_deg": inventory.declination_deg(date),
            "groups": groups,
            "unrecognised": strange_names,
            "calibrators": [
                {
                    **found.for_model(),
                    "flux_jy": found.flux_jy,
                    "transit_mjd": found.mjd,
                    "beam": found.beam,
                    "apparent_jy": found.apparent_jy,
                    "group": found.group,
                }
                for found in inventory.calibrators(date)
            ],
            "mosaics": inventory.mosaics(date),
        },
    )


def described(group: Group, ingest: dict[str, Any]) -> dict[str, Any]:
    """Return what the headers of all of a group's files say."""
    record: dict[str, Any] = {
        "group": group.name,
        "status": group.status,
        "reason": group.reason,
        "files": [path.name for path in group.files],
        "subbands": sorted(group.subbands),
        "missing": [],
        "excluded": [],
    }
    if group.header is None or group.header.dialect != DSA:
        return record
    try:
        found = select_subbands(group.files, group.name, ingest)
    except Rejected as rejected:
        return {**record, "status": "rejected", "reason": str(rejected)}
    return {
        **record,
        "status": "partial" if found.missing else "complete",
        "reason": "",
        "subbands": list(found.headers),
        "missing": found.missing,
        "excluded": [{"file": name, "reason": reason} for name, reason in found.excluded],
    }


if __name__ == "__main__":
    run(main, globals().get("snakemake"))
