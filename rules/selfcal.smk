# Needs: calibrated Measurement Sets, and `selfcal` of config.
# Makes: selfcal/STRATEGY/DATE/GROUP.rN.*: rounds, each a solution and the image of the set that it
# corrects; selfcal/STRATEGY/DATE/GROUP.ms, the set of the best round; the comparison of strategies.

from contimg.imaging import SELFCAL_PRODUCTS

SELFCAL = config["selfcal"]
OF_ROUND = "selfcal/{strategy}/{date}/{group}.r{round}"
N_ROUNDS = len(SELFCAL["rounds"])


def of_rounds(ending, numbers):
    """Paths of rounds of a strategy; round 0 is the same for all."""
    return [
        ("selfcal/none" if number == 0 else "selfcal/{strategy}")
        + f"/{{date}}/{{group}}.r{number}{ending}"
        for number in numbers
    ]


def of_earlier_rounds(ending):
    """An input function: files of the rounds before one."""
    return lambda wildcards: [
        path.format(**wildcards) for path in of_rounds(ending, range(int(wildcards.round)))
    ]


def set_of_round(ending):
    """An input function: the set that a round images; round 0 is the calibrated one."""
    return lambda wildcards: (
        "ms/calibrated/{date}/{group}.ms" + ending
        if wildcards.round == "0"
        else OF_ROUND + ".ms" + ending
    ).format(**wildcards)


use rule image_group as image_round with:
    input:
        calibrated_ms=set_of_round(""),
        calibrated_status=set_of_round(".json"),
    output:
        image=temp(f"{OF_ROUND}.image.fits"),
        residual=temp(f"{OF_ROUND}.residual.fits"),
        model=temp(f"{OF_ROUND}.model.fits"),
    log:
        "logs/{date}/image_round/{group}.{strategy}.r{round}.log",
    benchmark:
        "benchmarks/{date}/image_round/{group}.{strategy}.r{round}.jsonl"
    params:
        arguments=wsclean_arguments({**config["imaging"], **SELFCAL["imaging"]}),
        products=SELFCAL_PRODUCTS,
        stem=OF_ROUND,
        code=code("image_round", "contimg/imaging.py"),
    message:
        "Image of {wildcards.group}, round {wildcards.round} of {wildcards.strategy}"


rule solve_round:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        images=of_earlier_rounds(".image.fits"),
        residuals=of_earlier_rounds(".residual.fits"),
        models=of_earlier_rounds(".model.fits"),
        catalog="catalogs/master_sources.sqlite3",
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
        strategy=lambda wildcards: SELFCAL["strategies"][wildcards.strategy],
        calibrator=lambda wildcards: inventory.calibrators_by_group(wildcards.date).get(
            wildcards.group
        ),
        selfcal_options=lambda wildcards: {
            name: SELFCAL[name]
            for name in ("rounds", "radius_deg", "min_improvement", "max_flagged_solutions")
        },
        beam=config["beam"],
        code=code("solve_round"),
    message:
        "Gains of {wildcards.group} from itself, round {wildcards.round} of {wildcards.strategy}"
    script:
        "../scripts/solve_round.py"


rule choose_round:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        round_sets=of_rounds(".ms", range(1, N_ROUNDS + 1)),
        set_statuses=of_rounds(".ms.json", range(1, N_ROUNDS + 1)),
        solutions=of_rounds(".gcal.json", range(1, N_ROUNDS + 1)),
        images=of_rounds(".image.fits", range(N_ROUNDS + 1)),
        residuals=of_rounds(".residual.fits", range(N_ROUNDS + 1)),
    output:
        chosen_ms=temp(directory("selfcal/{strategy}/{date}/{group}.ms")),
        status="selfcal/{strategy}/{date}/{group}.ms.json",
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
        selfcal_options=lambda wildcards: {"min_improvement": SELFCAL["min_improvement"]},
        code=code("choose_round"),
    message:
        "Which round of {wildcards.strategy} serves {wildcards.group}"
    script:
        "../scripts/choose_round.py"


def compared(wildcards):
    """The sets that strategies chose for the groups that config compares."""
    wanted = SELFCAL["compare"]
    groups = wanted["groups"]
    dates = wanted["dates"] or ([] if groups else config["dates"] or inventory.dates())
    groups = sorted({*groups, *(name for date in dates for name in inventory.groups(date))})
    return [
        path
        for strategy in wanted["strategies"] or SELFCAL["strategies"]
        for path in of_groups(f"selfcal/{strategy}/{{date}}/{{group}}.ms.json", groups)
    ]


rule compare_selfcal:
    input:
        chosen=compared,
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
        chosen=compared,
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
