# Needs: raw files in incoming/.
# Makes: index/DATE.json, the record for people of what was found. No job reads it but the report:
# the graph itself asks the same library (contimg.inventory) when it is planned.


rule index_date:
    input:
        raw=lambda wildcards: inventory.files_of_date(wildcards.date),
        elsewhere=elsewhere(CALIBRATOR_LIST, BEAM_TABLE),
    output:
        index="index/{date}.json",
    log:
        "logs/{date}/index_date/{date}.log",
    benchmark:
        "benchmarks/{date}/index_date/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: inventory.settings,
        strange_names=lambda wildcards: inventory.strange_names(wildcards.date),
        code=code("index_date", files=[CALIBRATOR_LIST, BEAM_TABLE]),
    message:
        "What {wildcards.date} holds"
    script:
        "../scripts/index_date.py"
