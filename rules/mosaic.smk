# Needs: images of a date.
# Makes: mosaics/DATE/NAME.{mosaic,weight,rms}.fits.


rule build_mosaic:
    input:
        images=for_mosaic("images/{date}/{group}.image.fits"),
        beams=for_mosaic("images/{date}/{group}.pb.fits"),
        statuses=for_mosaic("images/{date}/{group}.image.json"),
        photometry=for_mosaic("photometry/{date}/{group}.parquet"),
    output:
        mosaic="mosaics/{date}/{name}.mosaic.fits",
        weight="mosaics/{date}/{name}.weight.fits",
        rms="mosaics/{date}/{name}.rms.fits",
    log:
        "logs/{date}/build_mosaic/{name}.log",
    benchmark:
        "benchmarks/{date}/build_mosaic/{name}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: threads_of("build_mosaic")
    resources:
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        options=config["mosaic"],
        code=code("build_mosaic"),
    message:
        "Mosaic {wildcards.name} of {wildcards.date}"
    script:
        "../scripts/build_mosaic.py"
