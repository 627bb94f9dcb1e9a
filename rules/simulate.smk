# Needs: the array, a survey of the sky, `simulation` of config.
# Makes: raw subbands in incoming/, and the truth about them beside. The raw files are not declared
# as outputs: to the rest of the workflow they are what the telescope left there.


SIMULATION_SURVEYS = config["simulation"].get("surveys", [])


rule simulate_date:
    input:
        elsewhere=elsewhere(config["telescope"]["antennas"], *SIMULATION_SURVEYS),
    output:
        truth="simulated/{date}/truth.json",
        truth_h5="simulated/{date}/truth.h5",
    log:
        "logs/{date}/simulate_date/{date}.log",
    benchmark:
        "benchmarks/{date}/simulate_date/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: config["simulation"].get("observation", {}).get("workers", 1)
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        antennas=path_of(config["telescope"]["antennas"]),
        surveys=paths_of(SIMULATION_SURVEYS),
        calibrator=config["simulation"].get("calibrator"),
        simulation=config["simulation"].get("observation"),
        incoming=config["incoming"],
        code=code("simulate_date", files=[config["telescope"]["antennas"], *SIMULATION_SURVEYS]),
    message:
        "Simulated raw files of {wildcards.date}"
    script:
        "../scripts/simulate_date.py"
