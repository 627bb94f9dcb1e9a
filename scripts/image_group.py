"""The image of one group by CASA's tclean, in the form of WSClean's products."""

from pathlib import Path

from contimg import tclean
from contimg.casa import load_casatasks
from contimg.fits import write_image, write_rejected_image
from contimg.scratch import scratch_folder
from contimg.script import run


def main(
    *,
    calibrated_ms: Path,
    calibrated_status: Path,
    weights_status: Path,
    image: Path,
    residual: Path,
    model: Path,
    psf: Path,
    imaging: dict,
    mask: Path | None = None,
    scratch: Path = Path(),
) -> None:
    """Image a calibrated set, which is only read.

    weights_status: what weigh_image tells of it; imaging: options of the configuration's block
    (on the command line YAML text); mask: with imaging.mask catalogue
    """
    load_casatasks()
    needed = 20 * 4 * imaging["size"] ** 2
    with scratch_folder(scratch, needed, image) as folder:
        made = tclean.clean(calibrated_ms, folder / "tclean", imaging, mask)
        for path, product in zip((image, residual, model, psf), made, strict=True):
            write_image(path, *product)


def reject(reason: str, *, image: Path, residual: Path, model: Path, psf: Path) -> None:
    for path in (image, residual, model, psf):
        write_rejected_image(path, reason)


if __name__ == "__main__":
    run(main, globals().get("snakemake"), reject=reject)
