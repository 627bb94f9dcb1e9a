# Needs: a group's raw subbands.
# Makes: ms/science/DATE/GROUP.ms, the one form in which visibilities are kept, flagged, read-only,
# and GROUP.flags.json, what is flagged in it and for what.


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
    group:
        solving_job
    conda:
        "../envs/python.yaml"
    threads: threads_of("convert_group")
    resources:
        mem_mb=growing(600, per_raw_gb=300),
        runtime=growing(5, per_raw_gb=5),
    params:
        antennas=path_of(config["telescope"]["antennas"]),
        telescope={name: config["telescope"][name] for name in ("name", "dish_diameter_m")},
        ingest=config["ingest"],
        bad_data=config["flagging"]["bad_data"],
        code=code("convert_group", files=[config["telescope"]["antennas"]]),
    message:
        "Measurement Set of {wildcards.group}"
    script:
        "../scripts/convert_group.py"


# Two ways to the same products: flagging.backend says which.
if config["flagging"]["backend"] == "casa":

    rule flag_group:
        input:
            raw_ms="ms/raw/{date}/{group}.ms",
            raw_status="ms/raw/{date}/{group}.ms.json",
        output:
            ms=directory("ms/science/{date}/{group}.ms"),
            status="ms/science/{date}/{group}.ms.json",
        log:
            "logs/{date}/flag_group/{group}.log",
        benchmark:
            "benchmarks/{date}/flag_group/{group}.jsonl"
        group:
            solving_job
        conda:
            "../envs/casa.yaml"
        threads: 1
        resources:
            mem_mb=growing(800, per_raw_gb=1200),
            runtime=growing(5, per_raw_gb=10),
        params:
            options=config["flagging"]["casa"],
            code=code("flag_group"),
        message:
            "Interference in {wildcards.group}"
        script:
            "../scripts/flag_group.py"

else:

    rule flag_group:
        input:
            raw_ms="ms/raw/{date}/{group}.ms",
            raw_status="ms/raw/{date}/{group}.ms.json",
        output:
            ms=directory("ms/science/{date}/{group}.ms"),
            status="ms/science/{date}/{group}.ms.json",
        log:
            "logs/{date}/flag_group/{group}.log",
        benchmark:
            "benchmarks/{date}/flag_group/{group}.jsonl"
        group:
            solving_job
        container:
            CONTAINER
        threads: threads_of("flag_group")
        resources:
            mem_mb=growing(600, per_raw_gb=1200),
            runtime=growing(5, per_raw_gb=10),
        params:
            strategy=text_of(config["flagging"]["strategy"]),
            container=container_of,
            functions=shell_functions,
            code=code("flag_group"),
        message:
            "Interference in {wildcards.group}"
        shell:
            # The strategy goes into the set: a record of what was run, under a path that is no machine's.
            """
            exec >{log:q} 2>&1
            {params.functions}
            require_whole {input.raw_ms:q}
            make_part ms/science/{wildcards.date:q} {wildcards.group:q}.ms
            cp -r --reflink=auto {input.raw_ms:q} "$part/ms"
            if grep -q '^ "status": "ok"' {input.raw_status:q}; then
                printf %s {params.strategy:q} >"$part/ms/aoflagger.lua"
                within {resources.runtime} "$part" \
                    aoflagger -j {threads} -strategy ms/aoflagger.lua ms
            fi
            find "$part/ms" -type f -exec chmod a-w {{}} +
            copy_status {input.raw_status:q} "$part/ms" "$part/status.json" {params.container:q}
            rm -rf {output.ms:q} && mv -T "$part/ms" {output.ms:q}
            mv "$part/status.json" {output.status:q}
            """


rule measure_flags:
    input:
        ms="ms/science/{date}/{group}.ms",
        ms_status="ms/science/{date}/{group}.ms.json",
    output:
        flags="ms/science/{date}/{group}.flags.json",
    log:
        "logs/{date}/measure_flags/{group}.log",
    benchmark:
        "benchmarks/{date}/measure_flags/{group}.jsonl"
    group:
        solving_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(800),
        runtime=growing(5),
    params:
        code=code("measure_flags"),
    message:
        "What is flagged in {wildcards.group}"
    script:
        "../scripts/measure_flags.py"
