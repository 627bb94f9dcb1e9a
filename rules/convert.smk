# Needs: a group's raw subbands.
# Makes: ms/science/DATE/GROUP.ms, the one form in which visibilities are kept, flagged, read-only.


rule convert_group:
    input:
        subbands=lambda wildcards: inventory.files_of_group(wildcards.group),
        elsewhere=elsewhere(config["telescope"]["antennas"]),
    output:
        ms=temp(directory("ms/raw/{date}/{group}.ms")),
        status=temp("ms/raw/{date}/{group}.ms.json"),
    log:
        "logs/{date}/convert_group/{group}.log",
    benchmark:
        "benchmarks/{date}/convert_group/{group}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: threads_of("convert_group")
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        antennas=path_of(config["telescope"]["antennas"]),
        telescope=config["telescope"],
        ingest=config["ingest"],
        code=code("convert_group", files=[config["telescope"]["antennas"]]),
    message:
        "Measurement Set of {wildcards.group}"
    script:
        "../scripts/convert_group.py"


rule flag_group:
    input:
        raw_ms="ms/raw/{date}/{group}.ms",
        raw_status="ms/raw/{date}/{group}.ms.json",
        elsewhere=elsewhere(config["flagging"]["strategy"]),
    output:
        ms=directory("ms/science/{date}/{group}.ms"),
        status="ms/science/{date}/{group}.ms.json",
    log:
        "logs/{date}/flag_group/{group}.log",
    benchmark:
        "benchmarks/{date}/flag_group/{group}.jsonl"
    container:
        str(located(config["software"]["container"], BASE))
    threads: threads_of("flag_group")
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        strategy=path_of(config["flagging"]["strategy"]),
        code=code("flag_group", files=[config["flagging"]["strategy"]]),
    message:
        "Interference in {wildcards.group}"
    shell:
        # The strategy goes into the set: a record of what was run, under a path that is no machine's.
        """
        exec >{log:q} 2>&1
        part={output.ms:q}.part
        rm -rf "$part" && cp -r --reflink=auto {input.raw_ms:q} "$part"
        if grep -q '^ "status": "ok"' {input.raw_status:q}; then
            cp {params.strategy:q} "$part/aoflagger.lua"
            timeout --kill-after=30 {resources.runtime}m \
                aoflagger -j {threads} -strategy "$part/aoflagger.lua" "$part"
        fi
        find "$part" -type f -exec chmod a-w {{}} +
        rm -rf {output.ms:q} && mv -T "$part" {output.ms:q}
        cp {input.raw_status:q} {output.status:q}
        """
