"""The image with outlines."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.errors import ShapeError
from organscope.reporting.overlays import (
    HALO,
    LINE,
    draw_overlay,
    outline_pixels,
    overlay_note,
    read_note,
    write_overlay,
)


@pytest.fixture
def two_cells() -> np.ndarray:
    """Two touching squares of 6 px, away from the border."""
    labels = np.zeros((20, 24), np.int32)
    labels[4:10, 4:10] = 1
    labels[4:10, 10:16] = 2
    return labels


def test_outline_lies_inside_cells_and_parts_neighbors(two_cells):
    line, halo = outline_pixels(two_cells)
    assert line[4, 4:16].all()
    assert line[4:10, 9].all()
    assert line[4:10, 10].all()
    assert not line[5:9, 5:9].any()
    assert not (line & (two_cells == 0)).any()
    assert not (halo & (two_cells > 0)).any()
    assert halo[3, 4:16].all()


def test_cell_at_the_border_is_not_outlined_along_it():
    labels = np.ones((8, 8), np.int32)
    line, halo = outline_pixels(labels)
    assert not line.any()
    assert not halo.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_any_pixel_type_becomes_an_8_bit_color_image(two_cells, rng, dtype, n_channels):
    pixels = (rng.random((20, 24, n_channels)) * 200).astype(dtype)
    image = draw_overlay(pixels, two_cells, (0.0, 255.0))
    assert image.dtype == np.uint8
    assert image.shape == (20, 24, 3)
    assert tuple(image[4, 4]) == LINE
    assert tuple(image[3, 6]) == HALO


def test_sixteen_bit_image_with_twelve_bits_used_fills_the_display_range(rng):
    pixels = rng.integers(0, 4096, (32, 32, 1)).astype(np.uint16)
    image = draw_overlay(pixels, np.zeros((32, 32), np.int32), (0.0, 65535.0))
    assert image.max() == 255
    assert image.min() == 0


def test_color_images_of_eight_bits_keep_their_colors(colon):
    image = draw_overlay(colon, np.zeros(colon.shape[:2], np.int32), (0.0, 255.0))
    np.testing.assert_array_equal(image, colon)
    assert overlay_note(colon, (0.0, 255.0)) == ""


def test_what_is_stretched_says_so_beside_the_image(tmp_path, rng, two_cells):
    pixels = rng.integers(100, 4096, (20, 24, 1)).astype(np.uint16)
    note = overlay_note(pixels, (0.0, 65535.0))
    low, high = np.percentile(np.repeat(pixels, 3, axis=2), [1, 99.8])
    assert note == f"Brightness is stretched for display: {low:.6g} is shown as black, {high:.6g} as white."
    write_overlay(tmp_path / "overlay.png", draw_overlay(pixels, two_cells, (0.0, 65535.0)), note)
    assert read_note(tmp_path / "overlay.png") == note


def test_large_image_is_shrunk_and_keeps_its_cells(rng):
    labels = np.zeros((400, 300), np.int32)
    labels[100:200, 100:200] = 7
    pixels = rng.integers(0, 255, (400, 300, 3)).astype(np.uint8)
    image = draw_overlay(pixels, labels, (0.0, 255.0), max_side_px=200)
    assert image.shape == (200, 150, 3)
    assert tuple(image[50, 75]) == LINE
    assert tuple(image[49, 75]) == HALO


def test_more_than_four_channels_are_refused(two_cells):
    with pytest.raises(ShapeError, match="--channel"):
        draw_overlay(np.zeros((20, 24, 5), np.uint8), two_cells, (0.0, 255.0))


def test_written_image_reads_back(tmp_path, colon):
    image = draw_overlay(colon, np.zeros(colon.shape[:2], np.int32), (0.0, 255.0))
    write_overlay(tmp_path / "overlay.png", image)
    with PillowImage.open(tmp_path / "overlay.png") as read:
        np.testing.assert_array_equal(np.array(read), image)


def test_bands_of_a_shrunk_image_meet_without_a_seam(colon, monkeypatch):
    labels = np.zeros(colon.shape[:2], np.int32)
    whole = draw_overlay(colon, labels, (0.0, 255.0), max_side_px=200)
    monkeypatch.setattr("organscope.reporting.overlays.BAND_PX", 5000)
    banded = draw_overlay(colon, labels, (0.0, 255.0), max_side_px=200)
    # Pillow computes with weights of 22 bits, which differ in the last of them with the place of the box.
    assert np.abs(banded.astype(int) - whole).max() <= 1
