"""Make a date of a release again from its raw files, and say of each product how it agrees."""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from contimg.checkout import CHECKOUT
from contimg.release import members, record
from contimg.release.compare import DIFFERENT, EQUAL, IDENTICAL, Verdict, compare
from contimg.status import write_json
from publish import copy, snakemake_command

REFUSED = 2
NAMED_FAULTS = 5


def main() -> None:
    arguments = parsed()
    release, date = arguments.release.resolve(), arguments.date
    try:
        if not (release / "release.json").is_file():
            raise Refused(f"{arguments.release}: no release.json; name the folder of a release")
        about = read(release / "release.json")
        check_sums(release)
        check_commit(about, arguments.anyway)
        if date not in about["dates"]:
            raise Refused(f"{date} is not in the release; it has {', '.join(about['dates'])}")
        raw = [one for one in read(release / "raw.json")["files"] if one["date"] == date]
        check_raw(raw, arguments.incoming)
        name = about["release"]
        scratch = (arguments.directory or CHECKOUT / "build" / "verify" / name / date).resolve()
        if scratch.exists() and any(scratch.iterdir()):
            raise Refused(f"{scratch}: not empty; remove it, or name another --directory")
        products = read(release / "products.json")["products"]
        configuration = prepared(scratch, release, date, raw, products, arguments.incoming)
    except (Refused, OSError, RuntimeError) as refused:
        sys.stderr.write(f"verify: {refused}\n")
        sys.exit(REFUSED)
    software = record.software(about["software"]["container"]["image"])
    others = record.other_software(about["software"], software)
    for line in others:
        sys.stdout.write(f"Other software: {line}\n")
    make_again(scratch, configuration, date, arguments.options)
    verdicts = verdicts_of(release, scratch, date, products)
    tell(verdicts)
    write_json(scratch / "verify.json", summary(about, date, others, verdicts))
    sys.exit(any(one.state == DIFFERENT for one in verdicts))


class Refused(Exception):  # noqa: N818  (an answer, not an error)
    """Why a release cannot be verified; one line."""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Make a date of a release again from its raw files, in a working directory of "
        "its own, and say of each product: identical, equal within the tolerance, or different. "
        "Ends with 1 when any differs, with 2 when the release cannot be verified."
    )
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    parser.add_argument("--date", required=True, help="one of its dates")
    parser.add_argument("--incoming", type=Path, required=True, help="where the raw files lie")
    parser.add_argument("--directory", type=Path, help="new working directory (build/verify/)")
    parser.add_argument("--anyway", action="store_true",
                        help="go on with a checkout at another commit")  # fmt: skip
    parser.add_argument("options", nargs="*", metavar="OPTION",
                        help="after --: options for Snakemake, --cores all if none")  # fmt: skip
    return parser.parse_args()


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def check_sums(release: Path) -> None:
    """Refuse a release whose files are not those of SHA256SUMS."""
    faults = members.wrong_sums(release)
    if faults:
        raise Refused(f"{release.name}: {'; '.join(faults[:NAMED_FAULTS])}; get it again")


def check_commit(about: Mapping[str, Any], anyway: bool) -> None:
    """Say where checkout and release differ, and refuse unless that is meant."""
    here, there = record.commit_of(), about["git"]
    remarks = []
    if there["dirty"] or there["commit"] is None:
        remarks.append("the release was made from a checkout that is not as any commit has it")
    if here.commit != there["commit"]:
        remarks.append(f"this checkout is at {here.commit}, the release at {there['commit']}")
    if here.dirty:
        remarks.append("this checkout has changes that are not committed")
    for remark in remarks:
        sys.stdout.write(f"Mind: {remark}.\n")
    if remarks and not anyway:
        raise Refused(f"{remarks[0]}; check that commit out, or give --anyway")


def check_raw(raw: Sequence[Mapping[str, Any]], incoming: Path) -> None:
    """Refuse raw files that are not those of the release."""
    paths = [incoming / Path(one["name"]).name for one in raw]
    faults = [f"{path.name} is not in {incoming}" for path in paths if not path.is_file()]
    if not faults:
        faults = [
            f"{path.name} has not the content that the release names"
            for path, one, found in zip(paths, raw, members.sha256_and_sizes(paths), strict=True)
            if found != (one["sha256"], one["bytes"])
        ]
    if faults:
        raise Refused(f"{len(faults)} raw files: {'; '.join(faults[:NAMED_FAULTS])}")


def prepared(
    scratch: Path,
    release: Path,
    date: str,
    raw: Sequence[Mapping[str, Any]],
    products: Sequence[Mapping[str, Any]],
    incoming: Path,
) -> Path:
    """Make a working directory with the date's raw files (links), and the tables it borrowed.

    Returns
    -------
    The configuration: the release's own, with raw files looked for in the working directory.
    """
    config = yaml.safe_load((release / "config.yaml").read_text())
    if Path(config["incoming"]).is_absolute() or ".." in Path(config["incoming"]).parts:
        config["incoming"] = "incoming"
    folder = scratch / config["incoming"]
    folder.mkdir(parents=True)
    for one in raw:
        name = Path(one["name"]).name
        (folder / name).symlink_to((incoming / name).resolve())
    tables = [one["path"] for one in products if one["path"].startswith("cal/")]
    # Tables of earlier dates only: those are all that the date could have borrowed.
    copy(release, scratch, [path for path in tables if (members.date_of(path) or date) < date])
    written = scratch / "config.yaml"
    written.write_text(yaml.safe_dump(config, sort_keys=False))
    return written


def make_again(scratch: Path, configuration: Path, date: str, options: Sequence[str]) -> None:
    """Run the workflow for the date; its output is the user's to see."""
    given = options or ["--cores", "all"]
    command = snakemake_command(
        scratch, [configuration], *given, "--quiet", "rules", "--", f"report/{date}/index.html"
    )
    if subprocess.run(command, check=False, cwd=CHECKOUT).returncode:
        sys.stderr.write("verify: Snakemake failed; products that it did not make are different\n")


def verdicts_of(
    release: Path, again: Path, date: str, products: Sequence[Mapping[str, Any]]
) -> list[Verdict]:
    """Compare all products of a date, and the catalogue that it was measured with.

    A page shows the products: when they are merely equal, so is it, if it is not identical.
    """
    wanted = [one["path"] for one in products if one["date"] == date or
              one["path"].startswith("catalogs/")]  # fmt: skip
    found = [compare(path, release / path, again / path) for path in wanted]
    shown = {one.state for one in found if not one.path.endswith(".html")}
    if shown == {IDENTICAL, EQUAL}:
        found = [
            Verdict(one.path, EQUAL, "it shows products that are not identical")
            if one.path.endswith(".html") and one.detail == "text" else one
            for one in found
        ]  # fmt: skip
    return found


def tell(verdicts: Sequence[Verdict]) -> None:
    """Write the table."""
    for one in verdicts:
        sys.stdout.write(f"{one.state:10} {one.path}{f'  ({one.detail})' if one.detail else ''}\n")
    counts = Counter(one.state for one in verdicts)
    parts = [f"{counts[state]} {state}" for state in (IDENTICAL, EQUAL, DIFFERENT)]
    sys.stdout.write(f"{len(verdicts)} products: {', '.join(parts)}\n")


def summary(
    about: Mapping[str, Any], date: str, others: Sequence[str], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Return what verify.json holds."""
    return {
        "release": about["release"],
        "date": date,
        "other_software": others,
        "git": {"release": about["git"], "here": asdict(record.commit_of())},
        "counts": dict(Counter(one.state for one in verdicts)),
        "products": [asdict(one) for one in verdicts],
    }


if __name__ == "__main__":
    main()
