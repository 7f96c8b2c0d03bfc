"""Views and samples stand for the whole image."""

import numpy as np
import pytest
import tifffile

from organscope.io import open_image
from organscope.io.image import block_mean


@pytest.fixture
def opened(tmp_path):
    def write(pixels, **options):
        tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
        return open_image(tmp_path / "a.tif")

    return write


def test_thumbnail_is_the_mean_of_blocks(opened, colon):
    with opened(colon, photometric="rgb", tile=(64, 64), compression="zlib") as image:
        small = image.thumbnail(128)
    expected = colon.reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    assert small.dtype == np.uint8
    # Rounded to whole gray values.
    np.testing.assert_allclose(small, expected, atol=0.5)


def test_thumbnail_in_bands_equals_the_whole(opened, colon, monkeypatch):
    with opened(colon, photometric="rgb") as image:
        whole = image.thumbnail(100)
        monkeypatch.setattr("organscope.io.image.BAND_BYTES", 512 * 3 * 25)
        np.testing.assert_array_equal(image.thumbnail(100), whole)
        assert max(whole.shape[:2]) <= 100


def test_thumbnail_comes_from_the_smallest_level_that_is_large_enough(tmp_path, colon):
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(colon, **options)
        writer.write(colon[::4, ::4] // 2, **options)
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.thumbnail(128), colon[::4, ::4] // 2)
        assert image.thumbnail(129).mean() > 1.5 * image.thumbnail(128).mean()


def test_small_and_thin_images(opened, rng):
    thin = rng.integers(0, 256, (3, 1_000), dtype=np.uint8)
    with opened(thin) as image:
        assert image.thumbnail(100).shape == (1, 100, 1)
        np.testing.assert_array_equal(image.thumbnail(5_000)[:, :, 0], thin)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_block_mean_keeps_type_and_edges(dtype):
    pixels = np.arange(35).reshape(5, 7, 1).astype(dtype)
    means = block_mean(pixels, 3)
    assert (means.shape, means.dtype) == ((2, 3, 1), dtype)
    # 8 is the mean of rows 0-2 and columns 0-2; the corner block is rows 3-4 of column 6: 27 and 34.
    assert means[0, 0, 0] == 8
    assert means[1, 2, 0] == pytest.approx(30.5, abs=0.5)


def test_block_mean_of_infinite_pixels_does_not_warn():
    pixels = np.array([[np.inf, -np.inf], [np.nan, 1]], np.float32)[:, :, None]
    assert np.isnan(block_mean(pixels, 2)).all()


def test_small_image_is_sampled_whole_and_large_one_fairly(opened, rng):
    # Brightness grows to the right, so that a sample from one side would have another mean.
    pixels = (np.arange(3_000) / 3_000 * 200 + rng.random((2_000, 3_000)) * 50).astype(np.uint8)
    with opened(pixels, tile=(256, 256), compression="zlib") as image:
        np.testing.assert_array_equal(image.sample()[:, :, 0], pixels)
        sample = image.sample(max_pixels=2_000_000)
        np.testing.assert_array_equal(sample, image.sample(max_pixels=2_000_000))
    assert sample.shape[1:] == (1, 1)
    assert 1_000_000 < sample.size <= 2_000_000
    # 0.5 % of the range: what a regular grid of some blocks can promise on a smooth image.
    np.testing.assert_allclose(np.percentile(sample, [1, 50, 99]), np.percentile(pixels, [1, 50, 99]), atol=12)
