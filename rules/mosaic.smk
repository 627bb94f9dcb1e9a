# Needs: images of a date.
# Makes: mosaics/DATE/NAME.{mosaic,weight,rms}.fits.


def tiles(pattern):
    """An input function: the pattern for each image of the mosaic."""
    return lambda wildcards: of_groups(
        pattern, inventory.mosaics(wildcards.date).get(wildcards.name, [])
    )


rule build_mosaic:
    input:
        images=tiles("images/{date}/{group}.image.fits"),
        beams=tiles("images/{date}/{group}.pb.fits"),
        statuses=tiles("images/{date}/{group}.image.json"),
        photometry=tiles("photometry/{date}/{group}.parquet"),
    output:
        mosaic="mosaics/{date}/{name}.mosaic.fits",
        weight="mosaics/{date}/{name}.weight.fits",
        rms="mosaics/{date}/{name}.rms.fits",
    params:
        options=config["mosaic"],
        code=code("build_mosaic"),
    log:
        "logs/{date}/build_mosaic/{name}.log",
    benchmark:
        "benchmarks/{date}/build_mosaic/{name}.jsonl"
    threads: threads_of("build_mosaic")
    resources:
        mem_mb=6000,
        runtime=60,
    conda:
        "../envs/python.yaml"
    message:
        "Mosaic {wildcards.name} of {wildcards.date}"
    script:
        "../scripts/build_mosaic.py"
