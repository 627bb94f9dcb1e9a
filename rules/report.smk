# Needs: what the other stages published.
# Makes: report/DATE/index.html and report/index.html, self-contained pages.


rule report_date:
    input:
        index="index/{date}.json",
        transits="report/{date}/transits.html",
        calibration="cal/{date}/calibration.json",
        bandpasses=for_date("cal/{date}/{group}.bcal", inventory.calibrator_groups),
        gains=for_date("cal/{date}/{group}.gcal", inventory.calibrator_groups),
        solutions=for_date("cal/{date}/{group}.gcal.json", inventory.calibrator_groups),
        flags=for_date("ms/science/{date}/{group}.flags.json", inventory.groups),
        calibrated=for_date("ms/calibrated/{date}/{group}.ms.json", inventory.groups),
        images=for_date("images/{date}/{group}.pbcor.fits", inventory.groups),
        beams=for_date("images/{date}/{group}.pb.fits", inventory.groups),
        statuses=for_date("images/{date}/{group}.image.json", inventory.groups),
        photometry="photometry/{date}/photometry.parquet",
        mosaics=of_mosaics,
        mosaic_photometry=photometry_of_mosaics,
        catalog="catalogs/master_sources.sqlite3",
    output:
        page="report/{date}/index.html",
    log:
        "logs/{date}/report_date/{date}.log",
    benchmark:
        "benchmarks/{date}/report_date/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        date="{date}",
        code=code("report_date"),
    message:
        "Report of {wildcards.date}"
    script:
        "../scripts/report_date.py"


rule report_archive:
    input:
        lightcurves="variability/lightcurves.parquet",
        variability="variability/variability.parquet",
        candidates="variability/ese_candidates.parquet",
        images="variability/images.parquet",
        photometry=lambda wildcards: sorted(glob.glob("photometry/*/photometry.parquet")),
    output:
        page="report/index.html",
    log:
        "logs/report_archive.log",
    benchmark:
        "benchmarks/report_archive.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        options=config["report"],
        code=code("report_archive"),
    message:
        "Report of all dates"
    script:
        "../scripts/report_archive.py"
