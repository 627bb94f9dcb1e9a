# Needs: the published photometry of every date, as plain files.
# Makes: variability/*.parquet. The archive profile allows these rules only.

import glob

# A rule is made again when an option of its own changes, and for no other.
NULL_KEYS = (
    "n_nulls",
    "n_class",
    "null_drw_days",
    "null_smooth_days",
    "null_error_step",
    "max_cadences",
)
CALIBRATION = {key: value for key, value in config["ese"].items() if key != "max_false_alarm"}
SEARCH = {key: value for key, value in CALIBRATION.items() if key not in NULL_KEYS}
DIPS = {key: SEARCH[key] for key in ("min_epochs", "min_fwhm_days", "max_fwhm_days")}


rule normalise_lightcurves:
    input:
        photometry=lambda wildcards: sorted(glob.glob("photometry/*/photometry.parquet")),
        catalog="catalogs/master_sources.sqlite3",
    output:
        lightcurves="variability/lightcurves.parquet",
        images="variability/images.parquet",
    log:
        "logs/normalise_lightcurves.log",
    benchmark:
        "benchmarks/normalise_lightcurves.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        options=config["normalisation"],
        code=code("normalise_lightcurves"),
    message:
        "Light curves of all dates"
    script:
        "../scripts/normalise_lightcurves.py"


rule search_ese:
    input:
        lightcurves="variability/lightcurves.parquet",
    output:
        output="variability/ese_search.parquet",
    log:
        "logs/search_ese.log",
    benchmark:
        "benchmarks/search_ese.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        options=SEARCH,
        code=code("search_ese"),
    message:
        "Lenses against correlated backgrounds in all light curves"
    script:
        "../scripts/search_ese.py"


rule calibrate_false_alarms:
    input:
        lightcurves="variability/lightcurves.parquet",
        ese_search="variability/ese_search.parquet",
    output:
        output="variability/ese_false_alarms.parquet",
    log:
        "logs/calibrate_false_alarms.log",
    benchmark:
        "benchmarks/calibrate_false_alarms.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        options=CALIBRATION,
        code=code("calibrate_false_alarms"),
    message:
        "False alarms of the search for events"
    script:
        "../scripts/calibrate_false_alarms.py"


rule measure_variability:
    input:
        lightcurves="variability/lightcurves.parquet",
        ese_search="variability/ese_search.parquet",
        ese_false_alarms="variability/ese_false_alarms.parquet",
    output:
        output="variability/variability.parquet",
    log:
        "logs/measure_variability.log",
    benchmark:
        "benchmarks/measure_variability.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        options={**config["variability"], "ese": DIPS},
        code=code("measure_variability"),
    message:
        "Variability of all sources"
    script:
        "../scripts/measure_variability.py"


rule find_ese_candidates:
    input:
        lightcurves="variability/lightcurves.parquet",
        ese_search="variability/ese_search.parquet",
        ese_false_alarms="variability/ese_false_alarms.parquet",
        variability="variability/variability.parquet",
        annotations=verdicts,
    output:
        output="variability/ese_candidates.parquet",
    log:
        "logs/find_ese_candidates.log",
    benchmark:
        "benchmarks/find_ese_candidates.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        options=config["ese"],
        code=code("find_ese_candidates"),
    message:
        "Candidate extreme scattering events"
    script:
        "../scripts/find_ese_candidates.py"


rule match_candidates:
    input:
        candidates="variability/ese_candidates.parquet",
    output:
        output="variability/external.parquet",
    log:
        "logs/match_candidates.log",
    benchmark:
        "benchmarks/match_candidates.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    params:
        options=config["catalog"]["external"],
        code=code("match_candidates"),
    message:
        "What other catalogues know of the candidates"
    script:
        "../scripts/match_candidates.py"
