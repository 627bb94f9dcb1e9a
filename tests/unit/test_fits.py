"""FITS images: what is read, what is written, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as afits

from contimg import fits
from contimg.status import Rejected


def wsclean_header(n: int = 32) -> afits.Header:
    """The cards that WSClean 3 writes, in its manner."""
    header = afits.Header()
    header["BSCALE"], header["BZERO"], header["BUNIT"] = 1.0, 0.0, "JY/BEAM"
    header["BMAJ"], header["BMIN"], header["BPA"] = 0.004, 0.003, 30.0
    axes = [("RA---SIN", 89.0, -3 / 3600), ("DEC--SIN", 54.0, 3 / 3600)]
    axes += [("FREQ", 1.405e9, 1.87e8), ("STOKES", 1.0, 1.0)]
    for i, (ctype, crval, cdelt) in enumerate(axes, start=1):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = ctype, crval, cdelt
        header[f"CRPIX{i}"] = n / 2 + 1 if i < 3 else 1.0
    header["EQUINOX"], header["SPECSYS"] = 2000.0, "TOPOCENT"
    header["DATE-OBS"] = "2025-10-19T14:31:45.0"
    header["WSCNITER"], header["WSCIMGWG"] = 1000.0, "Briggs'(0.5)"
    header["DATE"] = "2026-01-01"
    header["HISTORY"] = "wsclean -name /some/where/image in.ms"
    return header


def write_wsclean(path: Path, data: np.ndarray, header: afits.Header) -> None:
    afits.PrimaryHDU(data[None, None].astype(">f4"), header).writeto(path)


@pytest.fixture
def wsclean_file(tmp_path: Path) -> Path:
    path = tmp_path / "x.image.fits"
    data = np.random.default_rng(0).normal(size=(24, 32))
    write_wsclean(path, data, wsclean_header())
    return path


def test_wsclean_image_is_read_to_two_dimensions(wsclean_file: Path) -> None:
    image = fits.read_image(wsclean_file)
    assert image.data.shape == (24, 32)
    assert image.data.dtype == np.dtype("float32")  # of the machine's own byte order
    assert image.beam == (0.004, 0.003, 30.0)
    assert image.freq_hz == 1.405e9
    assert image.pixel_scale_deg == pytest.approx(3 / 3600)
    assert image.wcs.all_world2pix(89.0, 54.0, 0) == pytest.approx([16.0, 16.0])


def test_written_image_keeps_axes_and_wsclean_keys_but_no_clock(
    wsclean_file: Path, tmp_path: Path
) -> None:
    image, out = fits.read_image(wsclean_file), tmp_path / "new" / "x.pbcor.fits"
    fits.write_image(out, image.data, image.header)
    header = afits.getheader(out)
    assert header["STATUS"] == "ok"
    assert header["WSCNITER"] == 1000.0
    assert header["DATE-OBS"] == "2025-10-19T14:31:45.0"
    assert "HISTORY" not in header
    assert "DATE" not in header
    again = fits.read_image(out)
    assert np.array_equal(again.data, image.data)
    assert (again.beam, again.freq_hz) == (image.beam, image.freq_hz)
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    twin = tmp_path / "twin.fits"
    fits.write_image(twin, image.data, image.header)
    assert twin.read_bytes() == out.read_bytes()


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.write_image(path, np.ones((3, 3)), afits.Header())
    header = afits.Header()
    header["NAXIS"] = 2
    with pytest.raises(ValueError, match="could not convert"):
        fits.write_image(path, np.full((3, 3), "x"), header)
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]
    assert fits.read_image(path, require_beam=False).data.sum() == 9


def test_rejected_image_is_valid_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "r.fits"
    reason = "13 of 16 subbands:\nfewer than 14 " + "and a long explanation " * 10 + "é"
    fits.write_rejected_image(path, reason)
    with afits.open(path) as hdus:
        hdus.verify("exception")
        assert np.isnan(hdus[0].data).all()
        assert hdus[0].header["STATUS"] == "rejected"
    with pytest.raises(Rejected, match="13 of 16 subbands: fewer than 14 and a long") as caught:
        fits.read_image(path)
    assert len(str(caught.value)) > 200


def test_image_without_beam_is_refused_by_name(tmp_path: Path) -> None:
    header = wsclean_header()
    del header["BMAJ"]
    path = tmp_path / "x.model.fits"
    write_wsclean(path, np.zeros((8, 8)), header)
    with pytest.raises(Rejected, match=r"x\.model\.fits: no restoring beam"):
        fits.read_image(path)
    assert np.isnan(fits.read_image(path, require_beam=False).beam.bmaj_deg)


def test_cube_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    afits.PrimaryHDU(np.zeros((1, 4, 8, 8))).writeto(path)
    with pytest.raises(ValueError, match=r"cube\.fits: shape \(1, 4, 8, 8\)"):
        fits.read_image(path)


def test_digest_is_of_values() -> None:
    data = np.array([[0.0, 1.0], [np.nan, 2.0]], dtype="f4")
    assert fits.pixel_digest(data) == fits.pixel_digest(data.astype(">f4"))
    assert fits.pixel_digest(data) == fits.pixel_digest(np.where(data == 0, -0.0, data))
    assert fits.pixel_digest(data) != fits.pixel_digest(data.T)
    assert fits.pixel_digest(data) != fits.pixel_digest(data + np.float32(1e-6))
