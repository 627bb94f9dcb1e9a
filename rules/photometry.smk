# Needs: images and mosaics of a date, and the catalogue.
# Makes: photometry/DATE/GROUP.parquet and photometry/DATE/photometry.parquet, and
# photometry/DATE/NAME.mosaic.parquet.

# Whether a date's page needs the mosaics' photometry is nothing that a table depends on.
PHOTOMETRY_OPTIONS = {key: value for key, value in config["photometry"].items() if key != "mosaics"}


rule measure_photometry:
    input:
        image="images/{date}/{group}.image.fits",
        pb="images/{date}/{group}.pb.fits",
        rms="images/{date}/{group}.rms.fits",
        image_status="images/{date}/{group}.image.json",
        subband_images=subband_paths("image", SUBBANDS),
        subband_pbs=subband_paths("pb", SUBBANDS),
        subband_rmss=subband_paths("rms", SUBBANDS),
        catalog="catalogs/master_sources.sqlite3",
    output:
        photometry="photometry/{date}/{group}.parquet",
    log:
        "logs/{date}/measure_photometry/{group}.log",
    benchmark:
        "benchmarks/{date}/measure_photometry/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(600, per_megapixel=60),
        runtime=growing(10),
    params:
        group="{group}",
        date="{date}",
        options=PHOTOMETRY_OPTIONS,
        min_response=config["beam"]["min_response"],
        code=code("measure_photometry"),
    message:
        "Forced fluxes of {wildcards.group}"
    script:
        "../scripts/measure_photometry.py"


rule combine_photometry:
    input:
        photometry=lambda wildcards: of_groups(
            "photometry/{date}/{group}.parquet", inventory.groups(wildcards.date)
        ),
        catalog="catalogs/master_sources.sqlite3",
    output:
        photometry_date="photometry/{date}/photometry.parquet",
    log:
        "logs/{date}/combine_photometry/{date}.log",
    benchmark:
        "benchmarks/{date}/combine_photometry/{date}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        options=PHOTOMETRY_OPTIONS,
        code=code("combine_photometry"),
    message:
        "Forced fluxes of {wildcards.date}"
    script:
        "../scripts/combine_photometry.py"


rule measure_mosaic:
    input:
        mosaic="mosaics/{date}/{name}.mosaic.fits",
        rms="mosaics/{date}/{name}.rms.fits",
        statuses=for_mosaic("images/{date}/{group}.image.json"),
        catalog="catalogs/master_sources.sqlite3",
    output:
        photometry="photometry/{date}/{name}.mosaic.parquet",
    log:
        "logs/{date}/measure_mosaic/{name}.log",
    benchmark:
        "benchmarks/{date}/measure_mosaic/{name}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(20),
    params:
        name="{name}",
        date="{date}",
        options=PHOTOMETRY_OPTIONS,
        code=code("measure_mosaic"),
    message:
        "Forced fluxes in the mosaic {wildcards.name} of {wildcards.date}"
    script:
        "../scripts/measure_mosaic.py"
