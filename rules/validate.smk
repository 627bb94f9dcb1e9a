# Needs: nothing but the code; the verdicts of tests/validation/ese.py if config names them.
# Makes: validation/ese/index.html, the proof of the search for events, and the tables beside it.

VALIDATION = config["validation"]
PROOF = {name: VALIDATION[name] for name in VALIDATION if name != "chain"}
PROOF_STEPS = [
    "calibrate_ese_validation",
    "simulate_ese_nulls",
    "inject_ese_events",
    "compare_ese_scores",
]


rule calibrate_ese_validation:
    output:
        output="validation/ese/calibration.parquet",
    log:
        "logs/calibrate_ese_validation.log",
    benchmark:
        "benchmarks/calibrate_ese_validation.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        sizes=PROOF,
        search=config["ese"],
        code=code("calibrate_ese_validation"),
    message:
        "The search's own nulls, for the proof"
    script:
        "../scripts/calibrate_ese_validation.py"


rule simulate_ese_nulls:
    input:
        calibration="validation/ese/calibration.parquet",
    output:
        output="validation/ese/nulls.parquet",
    log:
        "logs/simulate_ese_nulls.log",
    benchmark:
        "benchmarks/simulate_ese_nulls.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        sizes=PROOF,
        search=config["ese"],
        code=code("simulate_ese_nulls"),
    message:
        "Light curves without events, searched"
    script:
        "../scripts/simulate_ese_nulls.py"


rule inject_ese_events:
    input:
        calibration="validation/ese/calibration.parquet",
    output:
        output="validation/ese/injections.parquet",
    log:
        "logs/inject_ese_events.log",
    benchmark:
        "benchmarks/inject_ese_events.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        sizes=PROOF,
        search=config["ese"],
        code=code("inject_ese_events"),
    message:
        "Events in light curves, searched"
    script:
        "../scripts/inject_ese_events.py"


rule compare_ese_scores:
    input:
        calibration="validation/ese/calibration.parquet",
    output:
        output="validation/ese/roc.parquet",
    log:
        "logs/compare_ese_scores.log",
    benchmark:
        "benchmarks/compare_ese_scores.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(360),
    params:
        sizes=PROOF,
        search=config["ese"],
        code=code("compare_ese_scores"),
    message:
        "The scores of events compared"
    script:
        "../scripts/compare_ese_scores.py"


rule report_ese_validation:
    input:
        calibration="validation/ese/calibration.parquet",
        nulls="validation/ese/nulls.parquet",
        injections="validation/ese/injections.parquet",
        roc="validation/ese/roc.parquet",
        chain=elsewhere(VALIDATION["chain"]),
    output:
        page="validation/ese/index.html",
    log:
        "logs/report_ese_validation.log",
    benchmark:
        "benchmarks/report_ese_validation.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        benchmarks=[f"benchmarks/{name}.jsonl" for name in PROOF_STEPS],
        code=code("report_ese_validation"),
    message:
        "Page of the proof"
    script:
        "../scripts/report_ese_validation.py"
