"""A region costs what it touches, not what the file holds."""

import imagecodecs
import numpy as np
import pytest
import tifffile

from organscope.errors import ImageReadError
from organscope.io import open_image
from organscope.io.tiff.reader import SegmentCache, SegmentReader


@pytest.fixture
def count_decoded(monkeypatch):
    """The tiles or strips that were decoded."""
    calls = []
    decode = SegmentReader._decode

    def counted(reader, page, index):
        calls.append(index)
        return decode(reader, page, index)

    monkeypatch.setattr(SegmentReader, "_decode", counted)
    return calls


def test_only_touched_tiles_are_decoded(tmp_path, rng, count_decoded):
    path = tmp_path / "a.tif"
    pixels = rng.integers(0, 256, (2048, 2048), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(128, 128), compression="zlib")
    with open_image(path) as image:
        assert count_decoded == []
        np.testing.assert_array_equal(image.read(1000, 500, 100, 100)[:, :, 0], pixels[1000:1100, 500:600])
        # Rows 1000-1099 lie in 2 rows of tiles, columns 500-599 in 2 columns, out of 256 tiles.
        assert len(count_decoded) == 4
        image.read(1010, 510, 50, 50)
        assert len(count_decoded) == 4


def test_only_the_chosen_channel_is_decoded(tmp_path, rng, count_decoded):
    path = tmp_path / "a.ome.tif"
    pixels = rng.integers(0, 256, (6, 128, 128), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib", metadata={"axes": "CYX"})
    with open_image(path, channel=4) as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], pixels[4])
    assert len(count_decoded) == 4


def test_strips_shared_by_neighbors_are_decoded_once(tmp_path, rng, count_decoded):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rng.integers(0, 256, (256, 512), dtype=np.uint8), rowsperstrip=64, compression="zlib")
    with open_image(path) as image:
        for x in range(0, 512, 64):
            image.read(0, x, 128, 64)
    assert len(count_decoded) == 2


def test_cache_keeps_within_its_bytes():
    cache = SegmentCache(max_bytes=250)
    decoded = []
    for number in (1, 2, 1, 3, 2):
        cache.get((0, number), lambda n=number: decoded.append(n) or np.zeros(100, np.uint8))
    assert decoded == [1, 2, 3, 2]


def test_huge_single_strip_needs_permission(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((100, 100), np.uint8), compression="zlib")
    with pytest.raises(ImageReadError, match="--max-megapixels"):
        open_image(path, max_pixels=9_999)
    open_image(path, max_pixels=10_000).close()


def test_large_uncompressed_strip_is_mapped_without_a_guard(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((100, 100), np.uint8))
    with open_image(path, max_pixels=10) as image:
        assert image.read(50, 50, 2, 2).shape == (2, 2, 1)


def test_codecs_that_the_formats_need_are_installed():
    for codec in (imagecodecs.LZW, imagecodecs.DEFLATE, imagecodecs.JPEG, imagecodecs.JPEG2K, imagecodecs.ZSTD):
        assert codec.available
