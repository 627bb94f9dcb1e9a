# Needs: calibrated Measurement Sets.
# Makes: images/DATE/GROUP.*.fits: WSClean's products, the drifting beam, the corrected image and its noise.

from contimg.imaging import products_of_wsclean, subband_paths, wsclean_arguments

# Images of so many parts of the band beside that of the whole; none by default.
SUBBANDS = config["imaging"]["subbands"]


rule image_group:
    input:
        calibrated_ms=IMAGED_SET,
        calibrated_status=f"{IMAGED_SET}.json",
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
    group:
        science_job
    container:
        CONTAINER
    threads: threads_of("image_group")
    resources:
        mem_mb=growing(600, per_raw_gb=300, per_megapixel=60 + 12 * SUBBANDS),
        runtime=growing(10, per_raw_gb=10, per_megapixel=1),
    params:
        arguments=wsclean_arguments(config["imaging"]),
        products=products_of_wsclean(SUBBANDS),
        stem="images/{date}/{group}",
        container=container_of,
        functions=shell_functions,
        code=code("image_group", "contimg/imaging.py"),
    message:
        "Image of {wildcards.group}"
    shell:
        # A rejected set holds the labelled empty image instead of visibilities. WSClean 3.2 renamed
        # the option of its w-gridder. It writes its command line into the images: hence the links,
        # of which the one to the scratch folder names the container.
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
            case "$(wsclean -version)" in
                *"version 3.0."* | *"version 3.1."*) gridder=-use-wgridder ;;
                *) gridder="-gridder wgridder" ;;
            esac
            make_scratch {resources.tmpdir:q} imaging $(du -sk {input.calibrated_ms:q} | cut -f 1)
            container={params.container:q}
            link=${{container:+container/$container/}}scratch
            mkdir -p "$(dirname "$part/$link")" && ln -s "$scratch" "$part/$link"
            ln -s "$(realpath {input.calibrated_ms:q})" "$part"/{wildcards.group:q}.ms
            within {resources.runtime} "$part" \
                wsclean {params.arguments:q} $gridder -j {threads} -temp-dir "$link" \
                -name wsclean {wildcards.group:q}.ms
        fi
        for product in {params.products:q}; do
            mv "$part/wsclean-${{product%:*}}.fits" {params.stem:q}."${{product#*:}}".fits
        done
        """


rule correct_primary_beam:
    input:
        image="images/{date}/{group}.image.fits",
        residual="images/{date}/{group}.residual.fits",
        calibrated_status=f"{IMAGED_SET}.json",
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
        imaging=config["imaging"],
        background_box_beams=config["photometry"]["background_box_beams"],
        code=code("correct_primary_beam"),
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
        imaging=config["imaging"],
        background_box_beams=config["photometry"]["background_box_beams"],
        code=code("correct_subband_beams"),
    message:
        "Beams and noise of the subband images of {wildcards.group}"
    script:
        "../scripts/correct_subband_beams.py"
