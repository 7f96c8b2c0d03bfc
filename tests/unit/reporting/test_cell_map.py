"""Cells in the colors of their organs."""

import numpy as np
from PIL import Image as PillowImage

from organscope.reporting.overlays import COLORS, cell_colors, draw_cell_map, rank_organs, write_cell_map
from tiny_set import two_cells


def test_the_most_frequent_organs_have_colors():
    counts = np.array([0, 5, 2, 9, 2])
    assert rank_organs(counts).tolist() == [3, 1, 2, 4]
    assert rank_organs(np.arange(10)).tolist() == [9, 8, 7, 6, 5, 4]
    assert rank_organs(np.zeros(3, np.int64)).tolist() == []


def test_rare_organs_share_one_color():
    organ_index = np.repeat(np.arange(8), 9 - np.arange(8))
    colors = cell_colors(organ_index, 8)
    assert colors.tolist() == np.minimum(organ_index, len(COLORS)).tolist()
    assert cell_colors(np.zeros(0, np.int64), 3).shape == (0,)


def test_cells_are_filled_and_the_tissue_faded(tmp_path):
    tissue = np.full((32, 32, 3), 100, np.uint8)
    write_cell_map(tmp_path / "map.png", draw_cell_map(tissue, two_cells(), cell_colors(np.array([0, 1]), 2)))
    with PillowImage.open(tmp_path / "map.png") as written:
        image = np.asarray(written.convert("RGB")).astype(int)
    assert image[20, 2].min() > 150  # paler than it was
    assert np.ptp(image[20, 2]) == 0
    for place, color in (((7, 7), COLORS[0]), ((20, 20), COLORS[1])):
        expected = 0.75 * np.array(color) + 0.25 * 100
        np.testing.assert_allclose(
            image[place], expected, atol=4.5
        )  # a level of gray is 32 wide, of which a quarter shows
    assert (image[4, 4] == 255).all()  # the edge


def test_a_large_image_is_thinned():
    labels = np.repeat(np.repeat(two_cells(), 4, axis=0), 4, axis=1)
    image = draw_cell_map(np.zeros((128, 128, 3), np.uint8), labels, cell_colors(np.array([0, 1]), 2), max_side_px=33)
    assert image.size == (32, 32)
