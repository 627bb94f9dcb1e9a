"""One full-size group from raw files to photometry, step by step, beside the plain way.

    python tests/bench/bench_group.py [--directory build/full] [--repeats 2] [--document FILE]

96 antennas, 24 integrations, 768 channels, 2 polarizations: a calibrator's group and a science
group, simulated in the directory when they are not there. Each step of the workflow is asked for
by its file, and right after it the plain way of the same step runs on the same input (plain.py).
Times of the workflow are those in benchmarks/; peak memory is the largest process of the step.
"""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "full.yaml"
PLAIN = [sys.executable, str(Path(__file__).with_name("plain.py"))]
DATE = "2025-10-19"
CALIBRATOR, SCIENCE = "2025-10-19T14:12:53", "2025-10-19T21:07:08"
OBSERVED_S = 309.24
THREADS = "2"
MARKS = "<!-- table of make bench -->", "<!-- end of table -->"

logger = logging.getLogger("bench")


@dataclass(frozen=True)
class Step:
    """A rule, its product, and the plain way: one command or several.

    Attributes
    ----------
    rule, group : name the benchmark file.
    target : file that is asked for.
    reads : what both ways read, brought into the page cache before.
    plain : commands; none where the plain way leaves the step out.
    makes : products of the plain way.
    needs : file whose making shall not be measured with the step.
    is_science : counts in the sum for a science group; the calibrator's do once a date or two.
    """

    rule: str
    group: str
    target: str
    reads: str
    plain: tuple[list[str], ...]
    makes: tuple[str, ...] = ()
    needs: str = ""
    is_science: bool = True


@dataclass(frozen=True)
class Cost:
    """Wall time and the peak memory of the largest process."""

    wall_s: float
    peak_mb: float


def steps() -> Iterator[Step]:
    """The steps in order. The plain way of one reads what the workflow made in the one before."""
    raw, science = f"ms/raw/{DATE}/{SCIENCE}.ms", f"ms/science/{DATE}/{SCIENCE}.ms"
    calibrator, solve = f"ms/science/{DATE}/{CALIBRATOR}.ms", f"cal/{DATE}/{CALIBRATOR}.solve.ms"
    calibrated = f"ms/calibrated/{DATE}/{SCIENCE}.ms"
    image = f"images/{DATE}/{SCIENCE}"
    fluxes = f"photometry/{DATE}/{SCIENCE}.parquet"
    files = [f"incoming/{name}" for name in files_of(SCIENCE)]
    yield Step(
        "convert_group", SCIENCE, raw, "incoming",
        ([*PLAIN, "convert", "plain/raw.ms", *files],), ("plain/raw.ms",),
    )  # fmt: skip
    yield Step(
        "flag_group", SCIENCE, science, raw,
        (["cp", "-r", raw, "plain/flagged.ms"], aoflagger("plain/flagged.ms")),
        ("plain/flagged.ms",),
    )  # fmt: skip
    yield Step("measure_flags", SCIENCE, f"ms/science/{DATE}/{SCIENCE}.flags.json", science, ())
    yield Step(
        "predict_model", CALIBRATOR, solve, calibrator,
        (
            ["cp", "-r", "--no-preserve=mode", calibrator, "plain/solve.ms"],
            [*PLAIN, "predict", "plain/solve.ms"],
        ),
        ("plain/solve.ms",), needs=calibrator, is_science=False,
    )  # fmt: skip
    yield Step(
        "solve_bandpass", CALIBRATOR, f"cal/{DATE}/{CALIBRATOR}.bcal", solve,
        ([*PLAIN, "bandpass", solve, "plain/phases", "plain/bcal"],), is_science=False,
    )  # fmt: skip
    yield Step(
        "solve_gains", CALIBRATOR, f"cal/{DATE}/{CALIBRATOR}.gcal", solve,
        ([*PLAIN, "gains", solve, "plain/phases", "plain/bcal", "plain/gcal"],),
        ("plain/gcal",), is_science=False,
    )  # fmt: skip
    yield Step(
        "apply_calibration", SCIENCE, calibrated, science,
        ([*PLAIN, "apply", science, f"cal/{DATE}/{CALIBRATOR}", "plain/calibrated.ms"],),
        ("plain/calibrated.ms",), needs=f"cal/{DATE}/calibration.json",
    )  # fmt: skip
    yield Step("weigh_image", SCIENCE, f"{image}.weights.json", calibrated, ())
    yield Step(
        "image_group", SCIENCE, f"{image}.image.fits", calibrated,
        (wsclean("plain/image", calibrated),),
    )  # fmt: skip
    yield Step(
        "correct_primary_beam", SCIENCE, f"{image}.pb.fits", "images",
        ([*PLAIN, "beam", f"{image}.image.fits", f"{image}.residual.fits",
          f"{calibrated}.json", "plain"],),
    )  # fmt: skip
    yield Step(
        "measure_photometry", SCIENCE, fluxes, "images",
        ([*PLAIN, "photometry", f"{image}.image.fits", f"{image}.rms.fits", fluxes],),
    )  # fmt: skip


def aoflagger(ms: str) -> list[str]:
    """AOFlagger with its generic strategy, told to keep the flags that are there."""
    program = Path(shutil.which("aoflagger") or sys.exit("no aoflagger on the PATH")).resolve()
    generic = program.parents[1] / "share" / "aoflagger" / "strategies" / "generic-default.lua"
    setting = "exclude_original_flags = "
    Path("plain/generic.lua").write_text(
        generic.read_text().replace(f"{setting}false", f"{setting}true")
    )
    return ["aoflagger", "-j", THREADS, "-strategy", "plain/generic.lua", ms]


def wsclean(name: str, ms: str) -> list[str]:
    """WSClean with the workflow's own options, but for the accuracy, which is WSClean's."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from contimg.imaging import wsclean_arguments

    version = subprocess.run(["wsclean", "-version"], capture_output=True, text=True, check=False)
    old = re.search(r"version 3\.[01]\.", version.stdout)
    imaging: dict[str, object] = {}
    for config in (ROOT / "config" / "config.yaml", CONFIG):
        imaging |= yaml.safe_load(config.read_text()).get("imaging", {})
    gridder = ["-use-wgridder"] if old else ["-gridder", "wgridder"]
    arguments = wsclean_arguments({**imaging, "gridding_accuracy": 1e-4})
    return ["wsclean", *arguments, *gridder, "-j", THREADS, "-name", name, ms]


def files_of(group: str) -> list[str]:
    """The raw files of a simulated group."""
    groups = json.loads(Path(f"simulated/{DATE}/truth.json").read_text())["groups"]
    return next(one["files"] for one in groups if one["group"] == group)


def snakemake(target: str, *options: str) -> list[str]:
    """Ask for one file; temporary products are kept for the next step."""
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", ".", "--configfile", str(CONFIG), "--cores", THREADS, "--notemp",
        "--quiet", "all", *options, "--", target,
    ]  # fmt: skip


def measured(commands: tuple[list[str], ...]) -> Cost:
    """Run commands one after the other.

    Raises
    ------
    SystemExit
        When one fails; its output is in plain/output.log.
    """
    os.sync()
    peak_kb = 0
    start = time.perf_counter()
    with Path("plain/output.log").open("w") as log:
        for command in commands:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"{' '.join(command)} failed: see {Path(log.name).resolve()}")
            peak_kb = max(peak_kb, usage.ru_maxrss)
    return Cost(time.perf_counter() - start, peak_kb / 1024)


def ours(step: Step) -> Cost:
    """Make what a step needs, then the step alone, whatever else the workflow would make again."""
    if step.needs:
        measured((snakemake(step.needs),))
    warm(step.reads)
    alone = snakemake(step.target, "--force", "--allowed-rules", step.rule)
    peak = measured((alone,)).peak_mb
    record = Path(f"benchmarks/{DATE}/{step.rule}/{step.group}.jsonl").read_text()
    return Cost(json.loads(record.splitlines()[-1])["s"], peak)


def plain(step: Step) -> Cost:
    """Run the plain way, on the same input."""
    remove(step.makes)
    warm(step.reads)
    return measured(step.plain)


def remove(paths: tuple[str, ...]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def warm(path: str) -> None:
    """Read all files once, so that neither way waits for the disk more than the other."""
    for file in sorted(Path(path).rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                while stream.read(1 << 24):
                    pass


def run(repeats: int) -> dict[str, tuple[Step, Cost, Cost]]:
    """Measure each step both ways; of repeats, the quickest of each way."""
    found = {}
    for step in steps():
        pairs = [(ours(step), plain(step)) for _ in range(repeats)]
        best = [min((pair[way] for pair in pairs), key=lambda one: one.wall_s) for way in (0, 1)]
        found[step.rule] = (step, *best)
        remove(tuple(path for path in step.makes if path.endswith(".ms")))
        logger.info(
            "%-20s ours %6.1f s %5.0f MB   plain %6.1f s %5.0f MB   load %.1f",
            step.rule, best[0].wall_s, best[0].peak_mb, best[1].wall_s, best[1].peak_mb,
            os.getloadavg()[0],
        )  # fmt: skip
    return found


def table(found: dict[str, tuple[Step, Cost, Cost]]) -> str:
    """The result as a Markdown table, with sums for a science group and a calibrator."""
    lines = [
        "| step | ours, s | plain, s | ratio | ours, peak MB | plain, peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rule, (_, mine, theirs) in found.items():
        lines.append(row(f"`{rule}`", mine, theirs))
    sums = {}
    for name, is_science in (("a science group", True), ("solving on a calibrator", False)):
        pairs = [costs for step, *costs in found.values() if step.is_science == is_science]
        sums[name] = [
            Cost(sum(pair[way].wall_s for pair in pairs), max(pair[way].peak_mb for pair in pairs))
            for way in (0, 1)
        ]
        lines.append(row(f"**{name}**", *sums[name]))
    mine_s = sums["a science group"][0].wall_s
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return "\n".join([
        *lines, "",
        f"Observing the group took {OBSERVED_S:.0f} s: {mine_s / OBSERVED_S:.2f} of that to reduce "
        f"it. {os.cpu_count()} cores, of which {THREADS} used; {memory_gb:.0f} GB of memory.",
    ])  # fmt: skip


def row(name: str, mine: Cost, theirs: Cost) -> str:
    """A line of the table."""
    if not theirs.peak_mb:
        return f"| {name} | {mine.wall_s:.1f} | | | {mine.peak_mb:.0f} | |"
    return (
        f"| {name} | {mine.wall_s:.1f} | {theirs.wall_s:.1f} "
        f"| {mine.wall_s / theirs.wall_s:.2f} | {mine.peak_mb:.0f} | {theirs.peak_mb:.0f} |"
    )


def publish(text: str, document: Path) -> None:
    """Put the table between the marks of a document."""
    before, rest = document.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    document.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "full")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--document", type=Path, help="where the table is put between its marks")
    options = parser.parse_args()
    document = options.document and options.document.resolve()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    os.environ["OMP_NUM_THREADS"] = THREADS
    os.environ["PYTHONPATH"] = str(ROOT / "scripts")
    (options.directory / "plain").mkdir(parents=True, exist_ok=True)
    os.chdir(options.directory)
    if not Path(f"simulated/{DATE}/truth.json").exists():
        logger.info("Simulating the raw files, 4.4 GB")
        measured((snakemake(f"simulated/{DATE}/truth.json"),))
    text = table(run(options.repeats))
    Path("table.md").write_text(text + "\n")
    logger.info("\n%s", text)
    if document:
        publish(text, document)


if __name__ == "__main__":
    main()
