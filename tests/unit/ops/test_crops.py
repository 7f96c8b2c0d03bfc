"""Crops around cells."""

import numpy as np
import pytest

from organscope.errors import ShapeError
from organscope.ops.regionprops import measure_cells
from organscope.ops.tiling import cell_centers, crop_starts, cut_crops
from tiny_set import two_cells


def test_centers_are_those_of_the_table():
    labels = two_cells() * 3
    table = measure_cells(labels, np.zeros((32, 32, 1), np.uint8))
    expected = np.column_stack([table["centroid_y_px"], table["centroid_x_px"]])
    np.testing.assert_array_equal(cell_centers(labels), expected)
    assert cell_centers(np.zeros((3, 4), np.int32)).shape == (0, 2)


def test_a_crop_lies_around_its_center():
    # Pixels 8 to 11 have their middle at 9.5; of an odd crop the middle is a pixel.
    assert crop_starts(np.array([[9.5, 9.4]]), 4).tolist() == [[8, 8]]
    assert crop_starts(np.array([[9.0, 8.6]]), 3).tolist() == [[8, 8]]
    assert crop_starts(np.array([[0.0, 0.0]]), 4).tolist() == [[-1, -1]]


def test_a_larger_crop_holds_the_smaller_in_its_middle(rng):
    centers = rng.uniform(0, 500, (100, 2))
    np.testing.assert_array_equal(crop_starts(centers, 96) + 16, crop_starts(centers, 64))


def test_crops_are_copies_of_their_squares(rng):
    pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    crops = cut_crops(pixels, np.array([[0, 0], [16, 26]]), 4)
    np.testing.assert_array_equal(crops, [pixels[:4, :4], pixels[16:, 26:]])
    with pytest.raises(ShapeError, match="20 x 30 px, found one that leaves"):
        cut_crops(pixels, np.array([[17, 0]]), 4)
    with pytest.raises(ShapeError):
        cut_crops(pixels, np.array([[-1, 0]]), 4)
