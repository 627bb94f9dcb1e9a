# Needs: the archive's tables; images as far as they are there.
# Makes: source/ID/index.html, the page of one source.


rule report_source:
    input:
        lightcurves="variability/lightcurves.parquet",
        variability="variability/variability.parquet",
        candidates="variability/ese_candidates.parquet",
        catalog="catalogs/master_sources.sqlite3",
        annotations=verdicts,
        external=matches_elsewhere,
    output:
        page="source/{source_id}/index.html",
    log:
        "logs/report_source/{source_id}.log",
    benchmark:
        "benchmarks/report_source/{source_id}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        source_id="{source_id}",
        code=code("report_source"),
    message:
        "Page of {wildcards.source_id}"
    script:
        "../scripts/report_source.py"
