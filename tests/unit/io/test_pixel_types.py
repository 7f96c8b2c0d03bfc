"""Every pixel type works or is refused when the file is opened; images are given upright."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PillowImage

from organscope.errors import ImageReadError
from organscope.io import open_image

TYPES = ["b1", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">u4", "<i8", ">i8", "<u8", "<f2", ">f2", ">f4", ">f8"]


def write(path, pixels, kind):
    if kind == "zarr":
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("0", shape=pixels.shape, chunks=(16, 16), dtype=pixels.dtype)[...] = pixels
        axes = [{"name": axis, "type": "space"} for axis in "yx"]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    else:
        options = {"compression": "zlib", "tile": (16, 16)} if kind == "tiles" else {}
        options |= {"photometric": "minisblack"}
        tifffile.imwrite(path, pixels, byteorder=pixels.dtype.byteorder.replace("|", "<").replace("=", "<"), **options)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["zarr", "strips", "tiles"])
def test_types_that_are_read(tmp_path, rng, dtype, kind):
    if dtype == "b1" and kind == "tiles":
        pytest.skip("tifffile writes no tiles of one bit")
    pixels = rng.random((40, 35)) > 0.5 if dtype == "b1" else (rng.random((40, 35)) * 100).astype(dtype)
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    write(path, pixels, kind)
    with open_image(path) as image:
        found = image.read_whole()[:, :, 0]
        np.testing.assert_array_equal(image.read(3, 4, 20, 21)[:, :, 0], found[3:23, 4:25])
    expected = pixels.astype(np.uint8) * 255 if dtype == "b1" else pixels
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == image.dtype
    assert found.dtype.isnative
    assert found.dtype.itemsize >= 4 or found.dtype.kind != "f"
    assert image.value_range[1] > image.value_range[0]


@pytest.mark.parametrize("kind", ["zarr", "strips"])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused_when_opened(tmp_path, kind, dtype):
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    write(path, np.zeros((16, 16), dtype), kind)
    with pytest.raises(ImageReadError, match=r"complex.*Export intensities"):
        open_image(path)


def upright(pixels, orientation):
    """What the TIFF standard says each orientation means."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"tile": (32, 16), "compression": "zlib"}])
def test_orientation_of_tiff(tmp_path, colon, orientation, options):
    pixels = colon[:60, :90]
    tag = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", metadata=None, extratags=tag, **options)
    expected = upright(pixels, orientation)
    with open_image(tmp_path / "a.tif") as image:
        assert (image.height_px, image.width_px) == expected.shape[:2]
        np.testing.assert_array_equal(image.read_whole(), expected)
        np.testing.assert_array_equal(image.read(5, 11, 30, 40), expected[5:35, 11:51])
        assert [f"({orientation})" in note for note in image.notes] == [True] * (orientation > 1)
    with open_image(tmp_path / "a.tif", channel=1) as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], expected[:, :, 1])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_orientation_of_photographs_is_said(tmp_path, colon, suffix):
    exif = PillowImage.Exif()
    exif[274] = 6
    PillowImage.fromarray(colon[:40, :70]).save(tmp_path / f"a.{suffix}", exif=exif)
    with open_image(tmp_path / f"a.{suffix}") as image:
        assert (image.height_px, image.width_px) == (70, 40)
        assert "orientation tag (6)" in image.notes[0]


def test_levels_are_upright_too(tmp_path, colon):
    tag = [(274, 3, 1, 6, True)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for step in (1, 2):
            part = colon[::step, :384:step]
            writer.write(part, photometric="rgb", tile=(64, 64), metadata=None, subfiletype=step - 1, extratags=tag)
    with open_image(tmp_path / "a.tif") as image:
        assert [(level.height_px, level.width_px) for level in image.levels] == [(384, 512), (192, 256)]
        np.testing.assert_array_equal(image.read_whole(level=1), upright(colon[::2, :384:2], 6))
