"""WSClean and AOFlagger from the image, in a real Apptainer: same sky, few privileges, Slurm."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from bad_input import STRANGE_NAME

from conftest import DATES, ROOT, snakemake
from contimg.tables import read_table
from slurm import Slurm
from workflow import status, values

pytestmark = pytest.mark.apptainer
DATE = DATES[0]
PHOTOMETRY = f"photometry/{DATE}/photometry.parquet"
CONTAINER = ["--profile", str(ROOT / "profiles" / "container")]
CLUSTER = ["--profile", "cluster", "--profile", str(ROOT / "profiles" / "slurm_test")]
# Debian 12 has WSClean 3.1, the image 3.6: CLEAN may take another path to the same sky.
MAX_PIXEL_IN_RMS = 4
MAX_SPREAD_IN_RMS = 0.4
MAX_FLUX_IN_ERRORS = 1
MAX_MEDIAN_FLUX_RATIO = 1e-3

LOOK_AROUND = """
rule look_around:
    output: "seen/mounts", "seen/devices", "seen/environment", "seen/reached"
    container: "{image}"
    resources: tmpdir={scratch!r}
    shell:
        '''
        cat /proc/self/mountinfo > {{output[0]}}
        cat /proc/net/dev > {{output[1]}}
        env > {{output[2]}}
        (exec 3<>/dev/tcp/127.0.0.1/{port}) 2> {{output[3]}} && echo yes > {{output[3]}} || true
        touch {{resources.tmpdir:q}}/written_inside
        '''
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The image built from Debian packages, with Apptainer on the PATH."""
    folder = subprocess.run(
        [ROOT / "tools" / "need_apptainer"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        subprocess.run([ROOT / "tools" / "build_image"], check=True)
        yield ROOT / "envs" / "radio.sif"


@pytest.fixture(scope="module")
def in_container(image: Path, observation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The observation's first date in the container, with a raw file of a strange name."""
    folder = tmp_path_factory.mktemp("container") / "date"
    incoming = folder / "incoming"
    incoming.mkdir(parents=True)
    for path in (observation / "incoming").glob(f"{DATE}*"):
        shutil.copy(path, incoming)
    shutil.copy(next(incoming.glob("*_sb03.hdf5")), incoming / STRANGE_NAME)
    snakemake(folder, *CONTAINER, "--", PHOTOMETRY)
    return folder


def groups_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "ms/science" / DATE).glob("*.ms"))


def pixels(folder: Path, group: str, kind: str) -> np.ndarray:
    return np.squeeze(fits.getdata(folder / f"images/{DATE}/{group}.{kind}.fits"))


def test_pixels_are_those_of_a_native_run_within_the_noise(
    in_container: Path, observation: Path
) -> None:
    assert groups_in(in_container) == groups_in(observation)
    for group in groups_in(observation):
        rms = np.nanmedian(pixels(observation, group, "rms"))
        off = pixels(in_container, group, "image") - pixels(observation, group, "image")
        assert np.abs(off).max() < MAX_PIXEL_IN_RMS * rms
        assert off.std() < MAX_SPREAD_IN_RMS * rms
        beam = pixels(in_container, group, "psf") - pixels(observation, group, "psf")
        assert np.abs(beam).max() < 1e-4


def test_fluxes_are_those_of_a_native_run_within_their_errors(
    in_container: Path, observation: Path
) -> None:
    ours, _ = read_table(in_container / PHOTOMETRY)
    native, _ = read_table(observation / PHOTOMETRY)
    both = native.merge(ours, on=["group", "source_id"], suffixes=("", "_ours"))
    assert len(both) == len(native) == len(ours)
    off = (both.flux_jy_ours - both.flux_jy).abs()
    assert (off < MAX_FLUX_IN_ERRORS * both.flux_err_jy).all()
    bright = both.snr > 20
    assert bright.sum() > 50
    assert (off / both.flux_jy)[bright].median() < MAX_MEDIAN_FLUX_RATIO


def test_products_tell_which_image_made_them(in_container: Path, image: Path) -> None:
    digest = f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    told = [*in_container.glob(f"ms/science/{DATE}/*.ms.json"),
            *in_container.glob(f"images/{DATE}/*.image.json")]  # fmt: skip
    assert len(told) == 6
    assert {status(path).get("container") for path in told} == {digest}


def test_the_strange_raw_file_does_nothing(in_container: Path) -> None:
    assert not list(in_container.parent.rglob("pwned"))
    assert not (ROOT / "pwned").exists()


def test_the_container_has_the_working_and_the_temporary_directory_and_no_more(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scratch = tmp_path / 'work "here" & $HOME; #1', tmp_path / """it's "scratch" $HOME"""
    folder.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("CONTIMG_SECRET", "told to nobody")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = LOOK_AROUND.format(image=image, scratch=str(scratch), port=port)
        (tmp_path / "Snakefile").write_text(text)
        command = ["--snakefile", tmp_path / "Snakefile", "--directory", folder, "--cores", "1"]
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *map(str, command), *CONTAINER],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    seen = {path.name: path.read_text() for path in (folder / "seen").iterdir()}
    allowed = {str(folder), str(scratch), source_cache()}
    assert shared_with_the_machine(seen["mounts"]) <= allowed
    assert (scratch / "written_inside").exists()
    interfaces = [line.split(":")[0].strip() for line in seen["devices"].splitlines()[2:]]
    assert interfaces == ["lo"]
    assert "refused" in seen["reached"]
    assert "told to nobody" not in seen["environment"]


def shared_with_the_machine(mountinfo: str) -> set[str]:
    """Return where file systems of the machine are mounted, but for its device nodes.

    A line of mountinfo: its number, its parent's, the device, the root, the mount point, ...
    """
    ours = {line.split()[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    lines = [line.split() for line in mountinfo.splitlines()]
    points = {words[4].encode().decode("unicode_escape") for words in lines if words[2] in ours}
    return {point for point in points if not point.startswith("/dev/")}


def source_cache() -> str:
    """Return the folder that Snakemake itself gives to every container."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return str(cache / "snakemake" / "snakemake" / "source-cache")


@pytest.mark.slurm
def test_slurm_and_apptainer_together_give_the_same_values(
    in_container: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "date"
    shutil.copytree(in_container, folder, symlinks=True)
    group = groups_in(folder)[-1]
    target = f"photometry/{DATE}/{group}.parquet"
    made = [path for path in values(folder) if group in path]
    assert target in made
    for path in [*made, f"ms/science/{DATE}/{group}.ms", PHOTOMETRY]:
        if (folder / path).is_dir():
            shutil.rmtree(folder / path)
        else:
            (folder / path).unlink()
    with Slurm() as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        snakemake(folder, *CLUSTER, *CONTAINER, "--", target)
        jobs = cluster.jobs()
    assert [job["State"] for job in jobs] == ["COMPLETED"]
    before, after = values(in_container), values(folder)
    assert [name for name in made if before[name] != after.get(name)] == []
