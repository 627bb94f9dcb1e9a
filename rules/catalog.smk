# Needs: the survey tables and the calibrator list that config names.
# Makes: the reference sky, catalogs/*.sqlite3.


SURVEYS = [survey["file"] for survey in config["catalog"]["surveys"]]
MATCHING = {key: value for key, value in config["catalog"].items() if key != "external"}


rule build_catalog:
    input:
        elsewhere=elsewhere(*SURVEYS),
    output:
        catalog="catalogs/master_sources.sqlite3",
    log:
        "logs/build_catalog.log",
    benchmark:
        "benchmarks/build_catalog.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        surveys=paths_of(SURVEYS),
        options=MATCHING,
        code=code("build_catalog", files=SURVEYS),
    message:
        "Source catalogue from {params.surveys}"
    script:
        "../scripts/build_catalog.py"


rule build_calibrator_list:
    input:
        elsewhere=elsewhere(CALIBRATOR_LIST),
    output:
        calibrators="catalogs/vla_calibrators.sqlite3",
    log:
        "logs/build_calibrator_list.log",
    benchmark:
        "benchmarks/build_calibrator_list.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        calibrators_text=path_of(CALIBRATOR_LIST),
        code=code("build_calibrator_list", files=[CALIBRATOR_LIST]),
    message:
        "VLA calibrator list as a database"
    script:
        "../scripts/build_calibrator_list.py"
