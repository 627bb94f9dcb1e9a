# Needs: the survey tables and the calibrator list that config names.
# Makes: the reference sky, catalogs/*.sqlite3.


rule build_catalog:
    input:
        surveys=[checkout(survey["file"]) for survey in config["catalog"]["surveys"]],
    output:
        catalog="catalogs/master_sources.sqlite3",
    params:
        options=config["catalog"],
        code=code("build_catalog"),
    log:
        "logs/build_catalog.log",
    benchmark:
        "benchmarks/build_catalog.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        "../envs/python.yaml"
    message:
        "Source catalogue from {input.surveys}"
    script:
        "../scripts/build_catalog.py"


rule build_calibrator_list:
    input:
        calibrators_text=checkout(config["calibration"]["calibrator_list"]),
    output:
        calibrators="catalogs/vla_calibrators.sqlite3",
    params:
        code=code("build_calibrator_list"),
    log:
        "logs/build_calibrator_list.log",
    benchmark:
        "benchmarks/build_calibrator_list.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    conda:
        "../envs/python.yaml"
    message:
        "VLA calibrator list as a database"
    script:
        "../scripts/build_calibrator_list.py"
