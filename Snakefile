"""DSA-110 continuum: raw visibilities to calibrated images, light curves and mosaics."""

import gc
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# A plan is many objects that live on: looking for garbage among them took a sixth of the time.
gc.set_threshold(100_000)

BASE = Path(workflow.basedir)
sys.path.insert(0, str(BASE / "scripts"))


from contimg.locks import Held, marks, start_run
from contimg.recovery import RecoveryError

LOCKS_BEFORE = marks(Path())


configfile: str(BASE / "config" / "config.yaml")


include: "rules/common.smk"


wildcard_constraints:
    date=r"\d{4}-\d{2}-\d{2}",
    group=r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}",
    name=r"[A-Za-z0-9+_.-]+",
    strategy=r"[A-Za-z0-9_.-]+",
    round=r"\d+",
    source_id=r"J\d{6}\.\d[+-]\d{6}[a-z]*",


include: "rules/simulate.smk"
include: "rules/catalog.smk"
include: "rules/index.smk"
include: "rules/convert.smk"
include: "rules/calibrate.smk"
include: "rules/image.smk"
include: "rules/selfcal.smk"
include: "rules/photometry.smk"
include: "rules/mosaic.smk"
include: "rules/archive.smk"
include: "rules/report.smk"
include: "rules/source.smk"
include: "rules/validate.smk"


onstart:
    if workflow.non_local_exec and "'" in f"{Path.cwd()}{BASE}":
        sys.exit(
            f"Snakefile: {Path.cwd()}: a cluster's jobs cannot quote an apostrophe: rename it"
        )
    # From here to its end this process alone writes these dates; scripts/resume.py knows it by that.
    try:
        slurm_name = getattr(workflow.scheduler._executor, "run_uuid", "")
        start_run(Path(), workflow.persistence.all_outputfiles(), LOCKS_BEFORE, slurm_name)
    except (Held, RecoveryError, OSError) as error:
        sys.exit(f"Snakefile: {error}")


rule all:
    default_target: True
    input:
        reports=reports_of_all_dates,


rule report_sources:
    input:
        pages=pages_of_shown_sources,
