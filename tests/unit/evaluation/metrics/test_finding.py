"""Found and false cells, worked by hand."""

import numpy as np

from organscope.evaluation.metrics.segmentation import false_cells, found_cells, match_cells


def test_half_of_a_cell_counts():
    truth = np.zeros((4, 12), np.int32)
    truth[:, 0:4], truth[:, 4:8], truth[:, 10:12] = 1, 2, 3
    predicted = np.zeros_like(truth)
    predicted[:, 2:5] = 5  # half of cell 1, a quarter of cell 2; all of it on true cells
    predicted[:, 8:11] = 7  # half of cell 3; two thirds of it on none
    predicted[0, 7] = 9  # a mark inside cell 2
    pairs = match_cells(truth, predicted)
    assert found_cells(pairs).tolist() == [True, True, True]
    assert false_cells(pairs).tolist() == [False, True, False]
    predicted[0, 7] = 0
    assert found_cells(match_cells(truth, predicted)).tolist() == [True, False, True]


def test_two_halves_of_one_cell_find_it():
    truth = np.ones((4, 8), np.int32)
    predicted = np.repeat([[1, 1, 0, 0, 0, 0, 2, 2]], 4, axis=0).astype(np.int32)
    assert found_cells(match_cells(truth, predicted)).tolist() == [True]


def test_empty_images():
    empty = np.zeros((3, 3), np.int32)
    pairs = match_cells(empty, empty)
    assert found_cells(pairs).size == 0
    assert false_cells(pairs).size == 0
