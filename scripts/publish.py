"""Publish dates: their products with all that it takes to judge them and to make them again."""

import argparse
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from contimg.checkout import CHECKOUT
from contimg.configuration import ConfigurationError
from contimg.groups import DATE
from contimg.locks import Held, Locks
from contimg.release import members, record
from contimg.settings import settings_of
from contimg.status import write_json, written_whole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# The workflow as it was run: its source is a part of what a release tells.
SOURCES = ["Snakefile", "rules/*", "scripts/*.py", "scripts/contimg/**/*"]
ARCHIVE_PAGE = "report/index.html"
SOURCE_PAGES = "source/*/index.html"
NAMED_FAULTS = 3
COPIES_AT_ONCE = 200


def main() -> None:
    arguments = parsed()
    directory, dates = arguments.directory.resolve(), sorted(set(arguments.dates))
    target = directory / "publish" / arguments.release
    refuse_unless(NAME.fullmatch(arguments.release), f"--release {arguments.release!r}: letters, "
                  "digits, and . _ - only, please")  # fmt: skip
    refuse_unless(not target.exists(), f"publish/{arguments.release}: exists; a release is never "
                  "changed, choose another name")  # fmt: skip
    for date in dates:
        refuse_unless(DATE.fullmatch(date), f"--dates {date!r}: YYYY-MM-DD expected")
        page = directory / "report" / date / "index.html"
        refuse_unless(page.is_file(), f"report/{date}/index.html: missing; make it first")
    commit = record.commit_of()
    published = arguments.date_published or commit.date
    refuse_unless(published, "no git commit to take a date from: give --date-published YYYY-MM-DD")
    try:
        config = settings_of(arguments.configfile)
        locks = quiet(directory, dates, arguments)
        content = found(directory, dates, Path(config["incoming"]), arguments)
        about = {"release": arguments.release, "dates": dates, "date_published": published}
        with written_whole(target) as folder:
            fill(directory, folder, content, config, about, arguments)
        locks.release()
    except (ConfigurationError, Held, ValueError, OSError, RuntimeError) as error:
        sys.exit(f"publish: {error}")
    sys.stdout.write(f"{target.relative_to(directory)}: {len(dates)} dates published\n")
    if commit.dirty or commit.commit is None:
        sys.stdout.write("The checkout is not as any commit has it: verify cannot repeat it.\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Publish dates: makes publish/RELEASE/ in the working directory, whole or "
        "not at all. docs/file-formats.md says what it holds."
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="working directory")
    parser.add_argument("--release", required=True, help="name of the new release")
    parser.add_argument("--dates", nargs="+", required=True, metavar="DATE")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], metavar="FILE",
                        help="the configurations that the dates were made with")  # fmt: skip
    parser.add_argument("--creator", action="append", default=[], metavar="NAME",
                        help="NAME or 'NAME <https://orcid.org/...>'; may be repeated")  # fmt: skip
    parser.add_argument("--license", default="", help="licence of the data, text or URL")
    parser.add_argument("--date-published", metavar="DATE",
                        help="instead of the day of the git commit")  # fmt: skip
    parser.add_argument("--without-archive", action="store_true",
                        help="leave out the light curves and the pages of all dates")  # fmt: skip
    parser.add_argument("--anyway", action="store_true",
                        help="publish what is incomplete or stale, and record it")  # fmt: skip
    parser.add_argument("options", nargs="*", metavar="OPTION",
                        help="after --: Snakemake's that the dates were made with")  # fmt: skip
    arguments = parser.parse_args()
    for word in arguments.options:
        if word.startswith(("--config", "-C")):
            parser.error(f"{word}: the release would not have it; write it into a --configfile")
    return arguments


def refuse_unless(good: Any, why_not: str) -> None:
    """End with one line when something is not as it should be."""
    if not good:
        sys.exit(f"publish: {why_not}")


def quiet(directory: Path, dates: Sequence[str], arguments: argparse.Namespace) -> Locks:
    """Lock all that is published, so that no run and no clean-up changes it meanwhile.

    Raises
    ------
    Held
        When a run that lives, or one that was killed, writes it.
    """
    archive = () if arguments.without_archive else ("variability", "report", "source")
    locks = Locks(directory, {*dates, "catalogs", *archive})
    for unit, run in locks.killed():
        raise Held(
            f"{unit}: its run was killed (process {run.pid} on {run.host}); make resume first"
        )
    return locks


@dataclass(frozen=True)
class Found:
    """What a release is made of.

    Attributes
    ----------
    made : records of all jobs behind the dates and the archive.
    mine : the outputs that are published.
    raw : the dates' raw files.
    faults : why products are not whole; not empty only when they are published anyway.
    """

    made: list[members.Made]
    mine: list[members.Made]
    raw: list[members.RawFile]
    faults: list[dict[str, str]]


def found(
    directory: Path, dates: Sequence[str], incoming: Path, arguments: argparse.Namespace
) -> Found:
    """Ask Snakemake what there is, and whether it is whole.

    Raises
    ------
    ValueError
        When products are missing or stale by Snakemake's own word.
    """
    made = recorded(directory, [f"report/{date}/index.html" for date in dates], arguments)
    if (directory / ARCHIVE_PAGE).is_file() and not arguments.without_archive:
        profile = ["--profile", str(CHECKOUT / "profiles" / "archive")]
        pages = sorted(directory.glob(SOURCE_PAGES))
        targets = [ARCHIVE_PAGE, *(str(page.relative_to(directory)) for page in pages)]
        archive = recorded(directory, targets, arguments, *profile)
        made += [one for one in archive if one.path not in {other.path for other in made}]
    faults = members.unfinished(made)
    if faults and not arguments.anyway:
        first = "; ".join(f"{one['path']}: {one['why']}" for one in faults[:NAMED_FAULTS])
        raise ValueError(
            f"{len(faults)} products are missing or not up to date ({first}); run Snakemake "
            "again with the same --configfile, or give --anyway"
        )
    borrowed = members.tables_of_other_dates(directory, dates)
    indexes = [directory / "index" / f"{date}.json" for date in dates]
    raw = [one for index in indexes for one in members.raw_files(index, directory / incoming)]
    commas = [str(incoming / one.name) for one in raw if "," in one.name]
    made = members.with_applied_tables(members.with_whole_names(made, commas), directory)
    return Found(made, members.published([*made, *borrowed], directory), raw, faults)


def fill(
    directory: Path,
    folder: Path,
    content: Found,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
    arguments: argparse.Namespace,
) -> None:
    """Fill the folder of a release.

    Parameters
    ----------
    about : what all its lists begin with: release, dates, date_published.
    """
    from contimg.release.crate import Contents, write_crate

    folder.mkdir()
    mine = [one.path for one in content.mine]
    copy(directory, folder, [*mine, *benchmarks(directory, [*content.made, *content.mine])])
    copy_sources(folder / "workflow")
    shutil.copyfile(CHECKOUT / "envs" / "requirements.txt", folder / "requirements.txt")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, width=100))
    products = members.products_of(content.mine, folder)
    software = record.software(config["software"]["container"])
    made_by = {
        "git": asdict(record.commit_of()),
        "unfinished": content.faults,
        "stated_by_products": record.stated_versions(content.mine, folder),
        "software": software,
    }
    write_json(folder / "products.json", {**about, "products": [asdict(one) for one in products]})
    write_json(folder / "raw.json", {**about, "files": [asdict(one) for one in content.raw]})
    write_json(folder / "release.json", {**about, **made_by})
    write_crate(
        folder,
        Contents(
            name=about["release"],
            dates=about["dates"],
            date_published=about["date_published"],
            products=products,
            raw=content.raw,
            made=content.made,
            software=software,
            creators=arguments.creator,
            license=arguments.license,
        ),
    )
    members.write_sums(folder, {one.path: one.sha256 for one in products})


def snakemake_command(directory: Path, configfiles: Sequence[Path], *options: str) -> list[str]:
    """Return the command that runs this checkout's workflow in a working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")]
    command += ["--directory", str(directory)]
    if configfiles:
        command += ["--configfile", *(str(path.resolve()) for path in configfiles)]
    return [*command, *options]


def recorded(
    directory: Path, targets: Sequence[str], arguments: argparse.Namespace, *options: str
) -> list[members.Made]:
    """Return what Snakemake has recorded about all outputs behind the targets.

    Raises
    ------
    RuntimeError
        When Snakemake cannot plan them.
    """
    # The archive's profile comes last: it is the one that counts.
    summary = ["--cores", "1", "--detailed-summary", *arguments.options, *options, "--", *targets]
    command = snakemake_command(directory, arguments.configfile, *summary)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"Snakemake cannot plan {' '.join(targets)}: {' '.join(words[-4:])}")
    lines = done.stdout.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("output_file\t"))
    return [made_of(line) for line in lines[header + 1 :]]


def made_of(line: str) -> members.Made:
    """Read a line of Snakemake's detailed summary."""
    path, _, rule, log, inputs, rest = line.split("\t", 5)
    _, state, plan = rest.rsplit("\t", 2)
    job = log.removeprefix("logs/").removesuffix(".log") if log != "-" else f"{rule}/{path}"
    read = () if inputs in ("-", "") else tuple(inputs.split(","))
    return members.Made(path, rule, job, read, state, plan)


def benchmarks(directory: Path, made: Sequence[members.Made]) -> list[str]:
    """Return the benchmark records of the jobs, as far as there are any."""
    names = sorted({f"benchmarks/{one.job}.jsonl" for one in made})
    return [name for name in names if (directory / name).is_file()]


def copy(directory: Path, folder: Path, paths: Sequence[str]) -> None:
    """Copy files and directories under the same relative paths, by reflink where that works."""
    for start in range(0, len(paths), COPIES_AT_ONCE):
        some = paths[start : start + COPIES_AT_ONCE]
        done = subprocess.run(
            ["cp", "-r", "--reflink=auto", "--parents", "-t", str(folder), "--", *some],
            check=False, cwd=directory, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
    for stamp in folder.rglob(".snakemake_timestamp"):
        stamp.unlink()


def copy_sources(folder: Path) -> None:
    """Copy the workflow's own source."""
    for pattern in SOURCES:
        for source in sorted(CHECKOUT.glob(pattern)):
            if source.is_file() and "__pycache__" not in source.parts:
                target = folder / source.relative_to(CHECKOUT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
