"""TIFF layouts: channels, planes, codecs, pyramids, color."""

import numpy as np
import pytest
import tifffile

from organscope.errors import ImageReadError
from organscope.io import open_image


def read_back(path, pixels, **options):
    tifffile.imwrite(path, pixels, **options)
    with open_image(path) as image:
        whole = image.read_whole()
        np.testing.assert_array_equal(image.read(5, 7, 30, 33), whole[5:35, 7:40])
        for channel in range(image.n_channels):
            with open_image(path, channel=channel) as one:
                np.testing.assert_array_equal(one.read(5, 7, 30, 33)[:, :, 0], whole[5:35, 7:40, channel])
        assert whole.dtype == image.dtype
        assert whole.shape == (image.height_px, image.width_px, image.n_channels)
        return whole


@pytest.fixture
def channels(rng):
    return rng.integers(0, 256, (5, 64, 48), dtype=np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 9},
        {"compression": "zlib", "tile": (32, 16), "bigtiff": True},
        {"compression": "zstd", "tile": (16, 32), "byteorder": ">"},
        {"compression": "jpeg2000", "tile": (32, 32)},
        {"byteorder": ">"},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_layouts_and_codecs(tmp_path, rng, options, dtype, n_channels):
    shape = (64, 48) if n_channels == 1 else (64, 48, n_channels)
    pixels = rng.integers(0, 256, shape, dtype=dtype)
    kind = {"photometric": "minisblack" if n_channels == 1 else "rgb"}
    np.testing.assert_array_equal(read_back(tmp_path / "a.tif", pixels, **kind, **options).squeeze(), pixels)


def test_jpeg_in_tiles_is_rgb(tmp_path, colon):
    pixels = read_back(
        tmp_path / "a.tif", colon, tile=(128, 128), compression="jpeg", compressionargs={"level": 95}, photometric="rgb"
    )
    # Half of the color resolution and quality 95: a few gray values on average, much less than swapped colors.
    assert np.abs(pixels.astype(int) - colon).mean() < 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint32])
def test_other_pixel_types(tmp_path, rng, dtype):
    pixels = (rng.random((64, 48)) * 1000).astype(dtype)
    np.testing.assert_array_equal(read_back(tmp_path / "a.tif", pixels, compression="zlib")[:, :, 0], pixels)


@pytest.mark.parametrize(
    ("options", "n_kept"),
    [
        ({}, 1),
        ({"tile": (16, 16), "compression": "zlib"}, 1),
        ({"truncate": True}, 1),
        ({"metadata": None, "compression": "zlib"}, 1),
        ({"metadata": {"axes": "CYX"}, "ome": True}, 5),
        ({"metadata": {"axes": "CYX"}, "imagej": True}, 5),
        ({"metadata": {"axes": "ZYX"}}, 1),
        ({"metadata": {"axes": "TYX"}, "ome": True, "compression": "zlib"}, 1),
        ({"volumetric": True, "tile": (16, 16, 16), "metadata": {"axes": "ZYX"}}, 1),
    ],
)
def test_planes_are_channels_only_where_named_so(tmp_path, channels, options, n_kept):
    pixels = read_back(tmp_path / "a.tif", channels, photometric="minisblack", **options)
    np.testing.assert_array_equal(pixels, channels[:n_kept].transpose(1, 2, 0))


def test_many_unnamed_planes_are_a_stack(tmp_path, rng):
    stack = rng.integers(0, 256, (33, 16, 16), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], stack[0])


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib", "rowsperstrip": 5}])
def test_planar_color(tmp_path, channels, options):
    pixels = read_back(tmp_path / "a.tif", channels[:3], photometric="rgb", planarconfig="separate", **options)
    np.testing.assert_array_equal(pixels, channels[:3].transpose(1, 2, 0))


@pytest.mark.parametrize("axes", ["TZCYX", "CZTYX", "ZCTYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_first_plane_of_every_channel(tmp_path, rng, axes, compression):
    stack = rng.integers(0, 256, (*({"C": 4, "Z": 3, "T": 2}[a] for a in axes[:3]), 48, 64), dtype=np.uint8)
    first = stack[tuple(slice(None) if axis in "CYX" else 0 for axis in axes)]
    pixels = read_back(
        tmp_path / "a.ome.tif", stack, photometric="minisblack", metadata={"axes": axes}, compression=compression
    )
    np.testing.assert_array_equal(pixels, first.transpose(1, 2, 0))


@pytest.mark.parametrize(("subifds", "ome"), [(0, False), (2, False), (2, True)])
def test_pyramids(tmp_path, colon, subifds, ome):
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb"}
    options |= {} if ome else {"metadata": None}
    with tifffile.TiffWriter(tmp_path / ("a.ome.tif" if ome else "a.tif"), ome=ome) as writer:
        writer.write(colon, subifds=subifds, **options)
        for step in (2, 4):
            writer.write(colon[::step, ::step], **options, **({"subfiletype": 1} if subifds else {}))
    with open_image(next(tmp_path.iterdir())) as image:
        assert [(level.height_px, level.downsample) for level in image.levels] == [(512, 1), (256, 2), (128, 4)]
        np.testing.assert_array_equal(image.read(3, 5, 70, 80, level=1), colon[::2, ::2][3:73, 5:85])
        np.testing.assert_array_equal(image.read_whole(level=2), colon[::4, ::4])


def test_palette_becomes_rgb(tmp_path, rng):
    indices = rng.integers(0, 256, (64, 48), dtype=np.uint8)
    palette = rng.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    pixels = read_back(tmp_path / "a.tif", indices, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(pixels, (palette >> 8).T[indices])


def test_white_is_zero_is_inverted(tmp_path, rng):
    pixels = rng.integers(0, 256, (64, 48), dtype=np.uint8)
    np.testing.assert_array_equal(
        read_back(tmp_path / "a.tif", pixels, photometric="miniswhite")[:, :, 0], 255 - pixels
    )


def test_one_bit_becomes_black_and_white(tmp_path, rng):
    pixels = rng.random((64, 48)) > 0.5
    found = read_back(tmp_path / "a.tif", pixels, photometric="minisblack")
    np.testing.assert_array_equal(found[:, :, 0], pixels * np.uint8(255))


def test_color_spaces_that_are_not_converted_are_refused(tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 256, (16, 16, 4), dtype=np.uint8), photometric="separated")
    with pytest.raises(ImageReadError, match="Export it as RGB"):
        open_image(tmp_path / "a.tif")


def test_complex_samples_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.complex64))
    with pytest.raises(ImageReadError, match="complex64"):
        open_image(tmp_path / "a.tif")


def test_one_pixel(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((1, 1), 7, np.uint16))
    with open_image(tmp_path / "a.tif") as image:
        assert image.read_whole().tolist() == [[[7]]]
