# Needs: calibrated Measurement Sets.
# Makes: images/DATE/GROUP.*.fits: WSClean's products, the drifting beam, the corrected image and its noise.

from contimg.imaging import IMAGE_PRODUCTS, wsclean_arguments


rule image_group:
    input:
        calibrated_ms="ms/calibrated/{date}/{group}.ms",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
    output:
        image="images/{date}/{group}.image.fits",
        residual="images/{date}/{group}.residual.fits",
        model="images/{date}/{group}.model.fits",
        psf="images/{date}/{group}.psf.fits",
    log:
        "logs/{date}/image_group/{group}.log",
    benchmark:
        "benchmarks/{date}/image_group/{group}.jsonl"
    container:
        str(located(config["software"]["container"], BASE))
    threads: threads_of("image_group")
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        arguments=wsclean_arguments(config["imaging"]),
        products=IMAGE_PRODUCTS,
        code=code("image_group", "contimg/imaging.py"),
    message:
        "Image of {wildcards.group}"
    shell:
        # A rejected set holds the labelled empty image instead of visibilities. WSClean 3.2 renamed
        # the option of its w-gridder. It writes its command line into the images, hence the link.
        """
        exec >{log:q} 2>&1
        part=images/{wildcards.date}/.{wildcards.group}.part
        rm -rf "$part" && mkdir -p "$part"
        scratch=$(mktemp -d -p {resources.tmpdir:q})
        trap 'rm -rf "$scratch" "$part"' EXIT
        ln -s "$scratch" "$part/scratch"
        if [ -e {input.calibrated_ms:q}/rejected.fits ]; then
            for product in {params.products}; do
                cp {input.calibrated_ms:q}/rejected.fits "$part/wsclean-$product.fits"
            done
        else
            case "$(wsclean -version)" in
                *"version 3.0."* | *"version 3.1."*) gridder=-use-wgridder ;;
                *) gridder="-gridder wgridder" ;;
            esac
            timeout --kill-after=30 {resources.runtime}m \
                wsclean {params.arguments:q} $gridder -j {threads} -temp-dir "$part/scratch" \
                -name "$part/wsclean" {input.calibrated_ms:q}
        fi
        for product in {params.products}; do
            mv "$part/wsclean-$product.fits" images/{wildcards.date}/{wildcards.group}.$product.fits
        done
        """


rule correct_primary_beam:
    input:
        image="images/{date}/{group}.image.fits",
        residual="images/{date}/{group}.residual.fits",
        calibrated_status="ms/calibrated/{date}/{group}.ms.json",
    output:
        pb="images/{date}/{group}.pb.fits",
        pbcor="images/{date}/{group}.pbcor.fits",
        rms="images/{date}/{group}.rms.fits",
        status="images/{date}/{group}.image.json",
    log:
        "logs/{date}/correct_primary_beam/{group}.log",
    benchmark:
        "benchmarks/{date}/correct_primary_beam/{group}.jsonl"
    conda:
        "../envs/python.yaml"
    threads: threads_of("correct_primary_beam")
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        beam=config["beam"],
        imaging=config["imaging"],
        background_box_beams=config["photometry"]["background_box_beams"],
        code=code("correct_primary_beam"),
    message:
        "Beam, noise and corrected image of {wildcards.group}"
    script:
        "../scripts/correct_primary_beam.py"
