"""Tiles: those made beforehand equal the image, those of slides are read where they are asked for."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from organscope.io import open_image
from organscope.server.analysis import quality_flags
from organscope.server.tiles import (
    TILE_PX,
    ByteCache,
    display_range,
    halve,
    highest_power,
    needs_pyramid,
    read_tile,
    slide_tile,
    to_display,
    write_pyramid,
)

# JPEG of quality 90 changes smooth images by a few gray levels.
JPEG_TOLERANCE = 6


def saved(tmp_path, pixels) -> object:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    return open_image(path)


def smooth(height, width) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) * 255 // (height + width)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (256, 256), (257, 300), (700, 130), (513, 1025)])
def test_tiles_of_every_size_are_the_image(tmp_path, height, width):
    pixels = smooth(height, width)
    image = saved(tmp_path, pixels)
    write_pyramid(tmp_path / "tiles", image, (0.0, 255.0))
    expected = pixels
    for power in range(highest_power(height, width) + 1):
        for y in range(0, len(expected), TILE_PX):
            for x in range(0, expected.shape[1], TILE_PX):
                tile = np.asarray(
                    PillowImage.open(io.BytesIO(read_tile(tmp_path / "tiles", power, x // TILE_PX, y // TILE_PX)))
                )
                part = expected[y : y + TILE_PX, x : x + TILE_PX]
                assert tile.shape == part.shape
                assert np.abs(tile.astype(int) - part).mean() < JPEG_TOLERANCE
        expected = halve(expected)
    assert max(expected.shape[:2]) <= TILE_PX / 2 + 1
    assert read_tile(tmp_path / "tiles", 0, 99, 0) is None


def test_halving_takes_means_and_repeats_an_odd_edge():
    pixels = np.array([[[0], [4], [7]]], np.uint8).repeat(3, axis=2)
    np.testing.assert_array_equal(halve(pixels)[:, :, 0], [[2, 7]])


def test_a_pyramid_of_its_own_gives_the_same_tile(tmp_path):
    pixels = smooth(1024, 1024)
    image = saved(tmp_path, pixels)
    tile = slide_tile(image, (0.0, 255.0), 2, 0, 0)
    assert tile.shape == (256, 256, 3)
    np.testing.assert_allclose(tile, halve(halve(pixels)), atol=2)  # two roundings against one


def test_bright_field_is_shown_as_it_is_and_deep_images_are_stretched(tmp_path):
    assert display_range(saved(tmp_path, smooth(64, 64))) == ((0.0, 255.0), False)
    deep = (smooth(64, 64)[:, :, 2].astype(np.uint16) * 4) + 100
    (low, high), is_stretched = display_range(saved(tmp_path, deep))
    assert is_stretched
    assert 100 <= low < 200
    assert 900 < high < 1200
    shown = to_display(deep[:, :, None], (low, high))
    assert shown.dtype == np.uint8
    assert shown.max() == 255


def test_small_images_are_copied_whatever_levels_they_have(tmp_path):
    assert needs_pyramid(saved(tmp_path, smooth(64, 64)))


def test_quality(tmp_path, colon):
    from scipy.ndimage import gaussian_filter

    def flags(pixels):
        return [entry["flag"] for entry in quality_flags(saved(tmp_path, pixels), (0.0, 255.0))]

    assert flags(colon) == []
    assert flags(gaussian_filter(colon, (4, 4, 0))) == ["blur"]
    assert flags(np.full_like(colon, 240)) == ["blank"]
    assert flags(colon[:8, :8]) == ["tiny"]


def test_a_cache_keeps_what_was_asked_for_last():
    cache = ByteCache(10)
    for key in range(3):
        cache.put((key,), bytes(4))
        cache.get((0,))
    assert [cache.get((key,)) is not None for key in range(3)] == [True, False, True]
    cache.put((9,), bytes(100))
    assert cache.get((9,)) is not None


@pytest.mark.parametrize("place", [(100, 100), (1500, 1500)])
def test_deep_fluorescence_with_clear_nuclei_is_not_blank(tmp_path, rng, place):
    """12 bits in 16, few nuclei, in the middle or far from it."""
    y, x = np.mgrid[:1600, :1600]
    deep = rng.normal(200, 8, (1600, 1600))
    for k in range(40):
        deep += 2500.0 * (np.hypot(y - place[0] + 15 * (k // 6), x - place[1] + 15 * (k % 6)) < 6)
    image = saved(tmp_path, deep.clip(0, 4095).astype(np.uint16))
    assert "blank" not in [entry["flag"] for entry in quality_flags(image, display_range(image)[0])]
