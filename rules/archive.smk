# Needs: the published photometry of every date, as plain files.
# Makes: variability/*.parquet. The archive profile allows these rules only.

import glob


rule normalise_lightcurves:
    input:
        photometry=lambda wildcards: sorted(glob.glob("photometry/*/photometry.parquet")),
        catalog="catalogs/master_sources.sqlite3",
    output:
        lightcurves="variability/lightcurves.parquet",
    params:
        options=config["normalisation"],
        code=code("normalise_lightcurves"),
    log:
        "logs/normalise_lightcurves.log",
    benchmark:
        "benchmarks/normalise_lightcurves.jsonl"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    conda:
        "../envs/python.yaml"
    message:
        "Light curves of all dates"
    script:
        "../scripts/normalise_lightcurves.py"


rule measure_variability:
    input:
        lightcurves="variability/lightcurves.parquet",
    output:
        output="variability/variability.parquet",
    params:
        options={**config["variability"], "ese": config["ese"]},
        code=code("measure_variability"),
    log:
        "logs/measure_variability.log",
    benchmark:
        "benchmarks/measure_variability.jsonl"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    conda:
        "../envs/python.yaml"
    message:
        "Variability of all sources"
    script:
        "../scripts/measure_variability.py"


rule find_ese_candidates:
    input:
        lightcurves="variability/lightcurves.parquet",
        variability="variability/variability.parquet",
    output:
        output="variability/ese_candidates.parquet",
    params:
        options=config["ese"],
        code=code("find_ese_candidates"),
    log:
        "logs/find_ese_candidates.log",
    benchmark:
        "benchmarks/find_ese_candidates.jsonl"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    conda:
        "../envs/python.yaml"
    message:
        "Candidate extreme scattering events"
    script:
        "../scripts/find_ese_candidates.py"
