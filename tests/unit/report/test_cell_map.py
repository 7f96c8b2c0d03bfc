"""Cells in the colours of their organs."""

import numpy as np

from organscope.report.cell_map import COLOURS, OTHER, cell_colours, draw_cell_map, rank_organs
from tiny_set import two_cells


def test_the_most_frequent_organs_have_colours():
    counts = np.array([0, 5, 2, 9, 2])
    assert rank_organs(counts).tolist() == [3, 1, 2, 4]
    assert rank_organs(np.arange(10)).tolist() == [9, 8, 7, 6, 5, 4]
    assert rank_organs(np.zeros(3, np.int64)).tolist() == []


def test_rare_organs_share_one_colour():
    organ_index = np.repeat(np.arange(8), 9 - np.arange(8))
    colours = cell_colours(organ_index, 8)[1:]
    for organ, colour in enumerate(COLOURS):
        assert (colours[organ_index == organ] == colour).all()
    assert (colours[organ_index >= 6] == OTHER).all()
    assert cell_colours(np.zeros(0, np.int64), 3).shape == (1, 3)


def test_cells_are_filled_and_the_tissue_faded():
    labels = two_cells()
    pixels = np.full((32, 32, 3), 100, np.uint8)
    pixels[0, 0] = 0
    picture = draw_cell_map(pixels, labels, cell_colours(np.array([0, 1]), 2), (0.0, 255.0))
    tissue = picture[20, 2]
    assert tissue.min() > 100  # paler than it was
    assert np.ptp(tissue) == 0
    # Colour 0 is a blue, colour 1 an orange.
    assert picture[7, 7].argmax() == 2
    assert picture[20, 20].argmax() == 0
    assert (picture[4, 4] == 255).all()  # the edge


def test_a_large_picture_is_shrunk():
    labels = np.repeat(np.repeat(two_cells(), 4, axis=0), 4, axis=1)
    colours = cell_colours(np.array([0, 1]), 2)
    picture = draw_cell_map(np.zeros((128, 128, 1), np.uint16), labels, colours, (0.0, 65535.0), max_side_px=32)
    assert picture.shape == (32, 32, 3)
