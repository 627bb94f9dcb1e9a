# Needs: calibrated Measurement Sets, and `selfcal` of config.
# Makes: selfcal/STRATEGY/DATE/GROUP.rN.*: rounds, each a solution and the image of the set that it
# corrects; selfcal/STRATEGY/DATE/GROUP.ms, the set of the best round; the comparison of strategies.

from contimg.imaging import SELFCAL_PRODUCTS, products_of_wsclean, round_arguments

SOLVING = ("radius_deg", "min_improvement", "max_flagged_solutions")


use rule quick_image as image_round with:
    input:
        calibrated_ms=set_of_round(""),
        calibrated_status=set_of_round(".json"),
        mask=[],
    output:
        image=temp(f"{OF_ROUND}.image.fits"),
        residual=temp(f"{OF_ROUND}.residual.fits"),
        model=temp(f"{OF_ROUND}.model.fits"),
    log:
        "logs/{date}/image_round/{group}.{strategy}.r{round}.log",
    benchmark:
        "benchmarks/{date}/image_round/{group}.{strategy}.r{round}.jsonl"
    params:
        arguments=round_arguments(config["imaging"], SELFCAL["imaging"]),
        products=products_of_wsclean(products=SELFCAL_PRODUCTS),
        stem=OF_ROUND,
        code=code("image_round", "contimg/imaging.py"),
    message:
        "Image of {wildcards.group}, round {wildcards.round} of {wildcards.strategy}"


rule solve_round:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        images=of_rounds(".image.fits"),
        residuals=of_rounds(".residual.fits"),
        models=of_rounds(".model.fits"),
        catalog="catalogs/master_sources.sqlite3",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        gcal=directory(f"{OF_ROUND}.gcal"),
        solution=f"{OF_ROUND}.gcal.json",
        round_ms=temp(directory(f"{OF_ROUND}.ms")),
        status=temp(f"{OF_ROUND}.ms.json"),
    log:
        "logs/{date}/solve_round/{group}.{strategy}.r{round}.log",
    benchmark:
        "benchmarks/{date}/solve_round/{group}.{strategy}.r{round}.jsonl"
    group:
        science_job
    conda:
        "../envs/casa.yaml"
    threads: threads_of("solve_round")
    resources:
        mem_mb=growing(800, per_raw_gb=600),
        runtime=growing(5, per_raw_gb=10),
    params:
        strategy=lambda wildcards: strategy_of(wildcards.strategy),
        calibrator=lambda wildcards: calibrator_in(wildcards.group),
        selfcal_options=lambda wildcards: {
            "rounds": strategy_of(wildcards.strategy)["rounds"],
            **{name: SELFCAL[name] for name in SOLVING},
        },
        beam=config["beam"],
        code=code("solve_round", files=[BEAM_TABLE]),
    message:
        "Gains of {wildcards.group} from itself, round {wildcards.round} of {wildcards.strategy}"
    script:
        "../scripts/solve_round.py"


rule choose_round:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        round_sets=of_rounds(".ms", first=1),
        set_statuses=of_rounds(".ms.json", first=1),
        solutions=of_rounds(".gcal.json", first=1),
        images=of_rounds(".image.fits"),
        residuals=of_rounds(".residual.fits"),
    output:
        chosen_ms=temp(directory(CHOSEN_SET)),
        status=f"{CHOSEN_SET}.json",
    log:
        "logs/{date}/choose_round/{group}.{strategy}.log",
    benchmark:
        "benchmarks/{date}/choose_round/{group}.{strategy}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(600, per_megapixel=60),
        runtime=growing(10),
    params:
        fixed_model=lambda wildcards: strategy_of(wildcards.strategy)["model"] != "clean",
        min_improvement=SELFCAL["min_improvement"],
        code=code("choose_round"),
    message:
        "Which round of {wildcards.strategy} serves {wildcards.group}"
    script:
        "../scripts/choose_round.py"


rule compare_selfcal:
    input:
        chosen=compared_sets,
    output:
        output="selfcal/comparison.parquet",
    log:
        "logs/compare_selfcal.log",
    benchmark:
        "benchmarks/compare_selfcal.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=SELFCAL,
        code=code("compare_selfcal"),
    message:
        "Strategies of self-calibration compared"
    script:
        "../scripts/compare_selfcal.py"


rule report_selfcal:
    input:
        comparison="selfcal/comparison.parquet",
        chosen=compared_sets,
    output:
        page="report/selfcal.html",
    log:
        "logs/report_selfcal.log",
    benchmark:
        "benchmarks/report_selfcal.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        benchmarks="benchmarks",
        code=code("report_selfcal"),
    message:
        "Report of self-calibration"
    script:
        "../scripts/report_selfcal.py"
