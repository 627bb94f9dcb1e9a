# Needs: calibrated Measurement Sets.
# Makes: images/DATE/GROUP.*.fits: WSClean's or tclean's products, the drifting beam, the corrected image and
# its noise; quick/DATE/GROUP.png: a look.

from contimg.imaging import products_of_wsclean, quick_options, subband_paths, wsclean_arguments

# Images of so many parts of the band beside that of the whole; none by default.
SUBBANDS = config["imaging"]["subbands"]
WEIGHTS = ("size", "scale_arcsec", "weight", "min_uv_lambda", "max_uv_lambda")
MASK = "images/{date}/{group}.mask.fits.gz" if config["imaging"]["mask"] == "catalogue" else []
MASKED = ("size", "scale_arcsec", "mask_min_jy", "mask_radius_beams")
BY_TCLEAN = (
    *WEIGHTS,
    *("taper_arcsec", "niter", "gain", "mgain", "multiscale", "auto_mask", "auto_threshold"),
)
# Quick images and those of rounds of self-calibration have sizes of their own: the largest of the
# three over imaging.size, in pixels.
LARGEST = max(
    (options["size"] / config["imaging"]["size"]) ** 2
    for options in (config["imaging"], config["imaging"]["quick"], SELFCAL["imaging"])
)


rule weigh_image:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
    output:
        status="images/{date}/{group}.weights.json",
    log:
        "logs/{date}/weigh_image/{group}.log",
    benchmark:
        "benchmarks/{date}/weigh_image/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(400, per_raw_gb=400),
        runtime=growing(5),
    params:
        imaging={name: config["imaging"][name] for name in WEIGHTS},
        code=code("weigh_image"),
    message:
        "Weights and thermal noise of {wildcards.group}"
    script:
        "../scripts/weigh_image.py"


rule make_mask:
    input:
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        weights_status="images/{date}/{group}.weights.json",
        catalog="catalogs/master_sources.sqlite3",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        mask=temp("images/{date}/{group}.mask.fits.gz"),
    log:
        "logs/{date}/make_mask/{group}.log",
    benchmark:
        "benchmarks/{date}/make_mask/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(400, per_megapixel=10),
        runtime=growing(5),
    params:
        imaging={name: config["imaging"][name] for name in MASKED},
        beam=config["beam"],
        code=code("make_mask", files=[BEAM_TABLE]),
    message:
        "Mask of {wildcards.group} from the catalogue"
    script:
        "../scripts/make_mask.py"


# WSClean, as the rules below run it too.
rule quick_image:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        mask=[],
    output:
        image=temp("quick/{date}/{group}.image.fits"),
    log:
        "logs/{date}/quick_image/{group}.log",
    benchmark:
        "benchmarks/{date}/quick_image/{group}.jsonl"
    group:
        science_job
    container:
        CONTAINER
    threads: threads_of("image_group")
    resources:
        mem_mb=growing(600, per_raw_gb=300, per_megapixel=LARGEST * (60 + 12 * SUBBANDS)),
        runtime=growing(10, per_raw_gb=10, per_megapixel=LARGEST),
    params:
        arguments=wsclean_arguments(quick_options(config["imaging"])),
        products=["image:image"],
        stem="quick/{date}/{group}",
        container=container_of,
        functions=shell_functions,
        code=code("quick_image", "contimg/imaging.py"),
    message:
        "Quick image of {wildcards.group}"
    shell:
        # A rejected set holds the labelled empty image instead of visibilities. `products` are
        # pairs: what WSClean calls an image, and what we do.
        """
        exec >{log:q} 2>&1
        {params.functions}
        require_whole {input.calibrated_ms:q}
        make_part "$(dirname {params.stem:q})" "$(basename {params.stem:q})".imaging
        if [ -e {input.calibrated_ms:q}/rejected.fits ]; then
            for product in {params.products:q}; do
                cp {input.calibrated_ms:q}/rejected.fits "$part/wsclean-${{product%:*}}.fits"
            done
        else
            for mask in {input.mask:q}; do ln -s "$(realpath "$mask")" "$part/mask.fits.gz"; done
            container={params.container:q}
            run_wsclean {input.calibrated_ms:q} {wildcards.group:q} "$container" \
                {resources.tmpdir:q} {resources.runtime} {threads} {params.arguments:q}
        fi
        for product in {params.products:q}; do
            mv "$part/wsclean-${{product%:*}}.fits" {params.stem:q}."${{product#*:}}".fits
        done
        """


if config["imaging"]["backend"] == "tclean":

    rule image_group:
        input:
            **({"mask": MASK} if MASK else {}),
            calibrated_ms=IMAGED_SET,
            calibrated_status=f"{IMAGED_SET}.json",
            weights_status="images/{date}/{group}.weights.json",
        output:
            image="images/{date}/{group}.image.fits",
            residual="images/{date}/{group}.residual.fits",
            model="images/{date}/{group}.model.fits",
            psf="images/{date}/{group}.psf.fits",
        log:
            "logs/{date}/image_group/{group}.log",
        benchmark:
            "benchmarks/{date}/image_group/{group}.jsonl"
        group:
            science_job
        conda:
            "../envs/casa.yaml"
        threads: threads_of("image_group")
        resources:
            mem_mb=growing(1500, per_raw_gb=600, per_megapixel=150),
            runtime=growing(30, per_raw_gb=60, per_megapixel=10),
        params:
            imaging={name: config["imaging"][name] for name in BY_TCLEAN},
            code=code("image_group"),
        message:
            "Image of {wildcards.group} by tclean"
        script:
            "../scripts/image_group.py"

else:

    use rule quick_image as image_group with:
        input:
            calibrated_ms=IMAGED_SET,
            calibrated_status=f"{IMAGED_SET}.json",
            mask=MASK,
        output:
            image="images/{date}/{group}.image.fits",
            residual="images/{date}/{group}.residual.fits",
            model="images/{date}/{group}.model.fits",
            psf="images/{date}/{group}.psf.fits",
            subband_images=subband_paths("image", SUBBANDS),
            subband_residuals=subband_paths("residual", SUBBANDS),
        log:
            "logs/{date}/image_group/{group}.log",
        benchmark:
            "benchmarks/{date}/image_group/{group}.jsonl"
        params:
            arguments=wsclean_arguments(config["imaging"]),
            products=products_of_wsclean(SUBBANDS),
            stem="images/{date}/{group}",
            code=code("image_group", "contimg/imaging.py"),
        message:
            "Image of {wildcards.group}"


rule correct_primary_beam:
    input:
        image="images/{date}/{group}.image.fits",
        residual="images/{date}/{group}.residual.fits",
        model="images/{date}/{group}.model.fits",
        psf="images/{date}/{group}.psf.fits",
        calibrated_status=f"{IMAGED_SET}.json",
        weights_status="images/{date}/{group}.weights.json",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        pb="images/{date}/{group}.pb.fits",
        pbcor="images/{date}/{group}.pbcor.fits",
        rms="images/{date}/{group}.rms.fits",
        status="images/{date}/{group}.image.json",
    log:
        "logs/{date}/correct_primary_beam/{group}.log",
    benchmark:
        "benchmarks/{date}/correct_primary_beam/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: threads_of("correct_primary_beam")
    resources:
        mem_mb=growing(600, per_megapixel=60),
        runtime=growing(10),
    params:
        beam=config["beam"],
        checks=config["imaging"]["checks"],
        sefd_jy=config["telescope"]["sefd_jy"],
        integrations=config["averaging"]["integrations"],
        background_box_beams=config["photometry"]["background_box_beams"],
        code=code("correct_primary_beam", files=[BEAM_TABLE]),
    message:
        "Beam, noise and corrected image of {wildcards.group}"
    script:
        "../scripts/correct_primary_beam.py"


rule correct_subband_beams:
    input:
        subband_images=subband_paths("image", SUBBANDS),
        subband_residuals=subband_paths("residual", SUBBANDS),
        image_status="images/{date}/{group}.image.json",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        subband_pbs=subband_paths("pb", SUBBANDS),
        subband_pbcors=subband_paths("pbcor", SUBBANDS),
        subband_rmss=subband_paths("rms", SUBBANDS),
        status="images/{date}/{group}.subbands.json",
    log:
        "logs/{date}/correct_subband_beams/{group}.log",
    benchmark:
        "benchmarks/{date}/correct_subband_beams/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(600, per_megapixel=60),
        runtime=growing(20),
    params:
        beam=config["beam"],
        background_box_beams=config["photometry"]["background_box_beams"],
        code=code("correct_subband_beams", files=[BEAM_TABLE]),
    message:
        "Beams and noise of the subband images of {wildcards.group}"
    script:
        "../scripts/correct_subband_beams.py"


rule quick_look:
    input:
        image="quick/{date}/{group}.image.fits",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
        elsewhere=elsewhere(BEAM_TABLE),
    output:
        picture="quick/{date}/{group}.png",
    log:
        "logs/{date}/quick_look/{group}.log",
    benchmark:
        "benchmarks/{date}/quick_look/{group}.jsonl"
    group:
        science_job
    conda:
        "../envs/python.yaml"
    threads: 1
    resources:
        mem_mb=growing(600),
        runtime=growing(5),
    params:
        beam=config["beam"],
        code=code("quick_look", files=[BEAM_TABLE]),
    message:
        "A look at {wildcards.group}"
    script:
        "../scripts/quick_look.py"
