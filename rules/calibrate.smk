# Needs: science Measurement Sets; the calibrators that pass through the beam.
# Makes: cal/DATE/transits.json and report/DATE/transits.html, what could calibrate the date;
# cal/DATE/GROUP.{bcal,gcal,kcal}, cal/DATE/calibration.json, and temporary calibrated sets.


# For people, as index_date: the graph asks the same library when it is planned.
rule list_transits:
    input:
        raw=lambda wildcards: inventory.files_of_date(wildcards.date),
        elsewhere=elsewhere(CALIBRATOR_LIST, BEAM_TABLE),
    output:
        transits="cal/{date}/transits.json",
        page="report/{date}/transits.html",
    log:
        "logs/{date}/list_transits/{date}.log",
    benchmark:
        "benchmarks/{date}/list_transits/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: inventory.settings,
        code=code("list_transits", files=[CALIBRATOR_LIST, BEAM_TABLE]),
    message:
        "Calibrators that pass through the beam on {wildcards.date}"
    script:
        "../scripts/list_transits.py"


rule predict_model:
    input:
        ms="ms/science/{date}/{group}.ms",
        ms_status="ms/science/{date}/{group}.ms.json",
        catalog="catalogs/master_sources.sqlite3",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        solve_ms=temp(directory("cal/{date}/{group}.solve.ms")),
        status=temp("cal/{date}/{group}.solve.ms.json"),
    log:
        "logs/{date}/predict_model/{group}.log",
    benchmark:
        "benchmarks/{date}/predict_model/{group}.jsonl"
    group:
        solving_job
    conda:
        "../envs/casa.yaml"
    threads: threads_of("predict_model")
    resources:
        mem_mb=growing(800, per_raw_gb=300),
        runtime=growing(5, per_raw_gb=5),
    params:
        calibrator=lambda wildcards: inventory.calibrator_of(wildcards.group),
        calibration=config["calibration"],
        beam=config["beam"],
        code=code("predict_model", files=[BEAM_TABLE]),
    message:
        "Apparent sky around the calibrator of {wildcards.group}"
    script:
        "../scripts/predict_model.py"


rule solve_delay:
    input:
        solve_ms="cal/{date}/{group}.solve.ms",
        solve_status="cal/{date}/{group}.solve.ms.json",
    output:
        kcal=directory("cal/{date}/{group}.kcal"),
        status="cal/{date}/{group}.kcal.json",
    log:
        "logs/{date}/solve_delay/{group}.log",
    benchmark:
        "benchmarks/{date}/solve_delay/{group}.jsonl"
    group:
        solving_job
    conda:
        "../envs/casa.yaml"
    threads: 1
    resources:
        mem_mb=growing(800, per_raw_gb=600),
        runtime=growing(5, per_raw_gb=10),
    params:
        calibration=config["calibration"],
        code=code("solve_delay"),
    message:
        "Delays of {wildcards.group}"
    script:
        "../scripts/solve_delay.py"


# Without delays a bandpass needs none; with them, it is solved on top of them.
DELAY = {"kcal": "cal/{date}/{group}.kcal", "kcal_status": "cal/{date}/{group}.kcal.json"}
if not config["calibration"]["delay"]["enabled"]:
    DELAY = {}


rule solve_bandpass:
    input:
        **DELAY,
        solve_ms="cal/{date}/{group}.solve.ms",
        solve_status="cal/{date}/{group}.solve.ms.json",
    output:
        bcal=directory("cal/{date}/{group}.bcal"),
        status="cal/{date}/{group}.bcal.json",
    log:
        "logs/{date}/solve_bandpass/{group}.log",
    benchmark:
        "benchmarks/{date}/solve_bandpass/{group}.jsonl"
    group:
        solving_job
    conda:
        "../envs/casa.yaml"
    threads: threads_of("solve_bandpass")
    resources:
        mem_mb=growing(800, per_raw_gb=600),
        runtime=growing(5, per_raw_gb=10),
    params:
        calibration=config["calibration"],
        code=code("solve_bandpass"),
    message:
        "Bandpass of {wildcards.group}"
    script:
        "../scripts/solve_bandpass.py"


rule solve_gains:
    input:
        **DELAY,
        solve_ms="cal/{date}/{group}.solve.ms",
        solve_status="cal/{date}/{group}.solve.ms.json",
        bcal="cal/{date}/{group}.bcal",
        bcal_status="cal/{date}/{group}.bcal.json",
    output:
        gcal=directory("cal/{date}/{group}.gcal"),
        status="cal/{date}/{group}.gcal.json",
    log:
        "logs/{date}/solve_gains/{group}.log",
    benchmark:
        "benchmarks/{date}/solve_gains/{group}.jsonl"
    group:
        solving_job
    conda:
        "../envs/casa.yaml"
    threads: threads_of("solve_gains")
    resources:
        mem_mb=growing(800, per_raw_gb=600),
        runtime=growing(5, per_raw_gb=10),
    params:
        calibration=config["calibration"],
        code=code("solve_gains"),
    message:
        "Gains of {wildcards.group}"
    script:
        "../scripts/solve_gains.py"


rule choose_calibration:
    input:
        solutions=lambda wildcards: of_groups(
            "cal/{date}/{group}.gcal.json", inventory.calibrator_groups(wildcards.date)
        ),
    output:
        status="cal/{date}/calibration.json",
    log:
        "logs/{date}/choose_calibration/{date}.log",
    benchmark:
        "benchmarks/{date}/choose_calibration/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        date="{date}",
        declinations_deg=lambda wildcards: inventory.declinations_deg(wildcards.date),
        calibration=config["calibration"],
        code=code("choose_calibration"),
    message:
        "Tables that serve {wildcards.date}"
    script:
        "../scripts/choose_calibration.py"


rule apply_calibration:
    input:
        ms="ms/science/{date}/{group}.ms",
        ms_status="ms/science/{date}/{group}.ms.json",
        calibration_status="cal/{date}/calibration.json",
        catalog="catalogs/master_sources.sqlite3",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        calibrated_ms=temp(directory("ms/calibrated/{date}/{group}.ms")),
        status="ms/calibrated/{date}/{group}.ms.json",
    log:
        "logs/{date}/apply_calibration/{group}.log",
    benchmark:
        "benchmarks/{date}/apply_calibration/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/casa.yaml"
    threads: 1
    resources:
        mem_mb=growing(800, per_raw_gb=300),
        runtime=growing(5, per_raw_gb=5),
    params:
        averaging=config["averaging"],
        flagging=config["flagging"],
        drift={**config["imaging"]["drift"], "n_parts": max(1, config["imaging"]["subbands"])},
        beam=config["beam"],
        code=code("apply_calibration", files=[BEAM_TABLE]),
    message:
        "Calibrated and averaged visibilities of {wildcards.group}"
    script:
        "../scripts/apply_calibration.py"
