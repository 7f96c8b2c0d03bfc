"""A damaged TIFF is an error at opening or at reading, never an image with black holes."""

import struct
from contextlib import suppress

import numpy as np
import pytest
import tifffile

from organscope.errors import ImageReadError
from organscope.io import open_image


def read(path):
    with open_image(path) as image:
        return image.read_whole()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "tile": (32, 32)},
        {"compression": "lzw", "rowsperstrip": 16},
        {"compression": "jpeg", "tile": (32, 32)},
        {"compression": "zstd", "metadata": None},
        {"ome": True, "compression": "zlib"},
    ],
)
def test_truncated_anywhere(tmp_path, rng, options):
    path = tmp_path / "a.tif"
    pixels = rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", **options)
    whole, content = read(path), path.read_bytes()
    for length in [*range(8, 600, 37), *range(600, len(content), 1_511), len(content) - 1]:
        path.write_bytes(content[:length])
        with suppress(ImageReadError):
            # Files may end in bytes that hold no pixels; without these the image is the same.
            np.testing.assert_array_equal(read(path), whole, err_msg=f"{length} of {len(content)} bytes")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_lost_pages_are_noticed(tmp_path, rng, compression):
    path = tmp_path / "a.tif"
    channels = rng.integers(0, 256, (4, 64, 64), dtype=np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for channel in channels:
            writer.write(channel, metadata=None, compression=compression, contiguous=False)
    with tifffile.TiffFile(path) as file:
        third = file.pages[2].offset
    path.write_bytes(path.read_bytes()[:third])
    with pytest.raises(ImageReadError, match="truncated"):
        open_image(path)


def test_tile_that_was_never_written(tmp_path, rng):
    path = tmp_path / "a.tif"
    tiles = [rng.integers(0, 256, (32, 32), dtype=np.uint8), None, None, np.zeros((32, 32), np.uint8)]
    tifffile.imwrite(path, iter(tiles), shape=(64, 64), dtype=np.uint8, tile=(32, 32), compression="zlib")
    with pytest.raises(ImageReadError, match="truncated"):
        open_image(path)


def test_damage_inside_a_tile(tmp_path, rng):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rng.integers(0, 9, (64, 64), dtype=np.uint8), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        start, length = file.pages.first.dataoffsets[3], file.pages.first.databytecounts[3]
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    with open_image(path) as image:
        image.read(0, 0, 32, 32)
        with pytest.raises(ImageReadError, match="Copy or export it again"):
            image.read(32, 32, 32, 32)


def test_unknown_codec(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(33_333)
    with pytest.raises(ImageReadError, match="export with LZW or Deflate"):
        read(path)


@pytest.mark.parametrize("size", [(0, 64), (64, 0)])
def test_no_pixels(tmp_path, size):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageLength"].overwrite(size[0])
        file.pages.first.tags["ImageWidth"].overwrite(size[1])
    with pytest.raises(ImageReadError, match=r"Expected"):
        open_image(path)


def test_header_alone(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8))
    with pytest.raises(ImageReadError, match=r"a\.tif"):
        open_image(path)


def test_planes_in_other_files(tmp_path, rng):
    path = tmp_path / "a.ome.tif"
    pixels = rng.integers(0, 256, (2, 32, 32), dtype=np.uint8)
    tifffile.imwrite(path, pixels, metadata={"axes": "CYX"}, compression="zlib")
    with tifffile.TiffFile(path) as file:
        one_each = (
            '<TiffData IFD="0" PlaneCount="1"/><TiffData FirstC="1" PlaneCount="1"><UUID FileName="b.tif">u</UUID>'
        )
        xml = file.ome_metadata.replace('<TiffData IFD="0" PlaneCount="2"/>', f"{one_each}</TiffData>")
    tifffile.tiffcomment(path, xml.encode())
    with pytest.raises(ImageReadError, match="other files"):
        open_image(path)
