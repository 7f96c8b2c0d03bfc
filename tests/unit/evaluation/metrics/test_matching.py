"""Overlaps and matches of cells, counted by hand and by brute force."""

import numpy as np
import pytest

from organscope.errors import ShapeError, ValueRangeError
from organscope.evaluation.metrics.segmentation import match_cells

TRUTH = np.array(
    [
        [1, 1, 0, 0, 7],
        [1, 1, 0, 0, 7],
        [0, 0, 3, 3, 0],
    ]
)
PREDICTED = np.array(
    [
        [2, 2, 2, 0, 0],
        [2, 0, 0, 0, 9],
        [0, 0, 4, 4, 0],
    ]
)


def test_pairs_of_a_hand_worked_case():
    pairs = match_cells(TRUTH, PREDICTED)

    assert pairs.truth_ids.tolist() == [1, 3, 7]
    assert pairs.truth_area_px.tolist() == [4, 2, 2]
    assert pairs.predicted_ids.tolist() == [2, 4, 9]
    assert pairs.predicted_area_px.tolist() == [4, 2, 1]
    # 1 and 2 share 3 px of 4 + 4 - 3 = 5; 3 and 4 are equal; 7 and 9 share 1 px of 2.
    assert list(zip(pairs.truth, pairs.predicted, strict=True)) == [(0, 0), (1, 1), (2, 2)]
    np.testing.assert_array_equal(pairs.iou, [3 / 5, 1, 1 / 2])


@pytest.mark.parametrize(("threshold", "n_matched"), [(0.5, 3), (0.6, 2), (0.7, 1), (1.0, 1)])
def test_a_match_reaches_its_threshold(threshold, n_matched):
    assert match_cells(TRUTH, PREDICTED).matched(threshold).size == n_matched


@pytest.mark.parametrize("swap", [False, True])
def test_two_halves_of_a_cell_match_it_once(swap):
    whole, halves = np.array([[1, 1, 1, 1]]), np.array([[5, 5, 6, 6]])
    pairs = match_cells(halves, whole) if swap else match_cells(whole, halves)
    np.testing.assert_array_equal(pairs.iou, [0.5, 0.5])
    assert pairs.matched(0.5).tolist() == [0]


def test_pairs_agree_with_brute_force(rng):
    truth = np.kron(rng.integers(0, 9, (12, 15)), np.ones((3, 2), int)).astype(np.uint16)
    predicted = np.kron(rng.integers(0, 9, (9, 10)), np.ones((4, 3), int)).astype(np.int32) * 1000
    pairs = match_cells(truth, predicted)

    cells = zip(pairs.truth_ids[pairs.truth], pairs.predicted_ids[pairs.predicted], strict=True)
    found = dict(zip(cells, zip(pairs.intersection_px, pairs.union_px, strict=True), strict=True))
    expected = {}
    for t in set(np.unique(truth)) - {0}:
        for p in set(np.unique(predicted)) - {0}:
            shared = np.sum((truth == t) & (predicted == p))
            if shared:
                expected[t, p] = (shared, np.sum((truth == t) | (predicted == p)))
    assert found == expected


def test_labels_far_apart_cost_no_memory():
    largest = 2**31 - 1
    pairs = match_cells(np.array([[0, largest]]), np.array([[largest, largest]]))
    assert pairs.truth_ids.tolist() == pairs.predicted_ids.tolist() == [largest]
    assert pairs.iou.tolist() == [0.5]


@pytest.mark.parametrize("shape", [(0, 4), (3, 3)])
def test_no_cells_make_no_pairs(shape):
    pairs = match_cells(np.zeros(shape, np.int32), np.zeros(shape, np.int32))
    assert pairs.truth_ids.size == pairs.predicted_ids.size == pairs.matched(0.5).size == 0


def test_wrong_input_is_refused():
    cells = np.ones((2, 3), np.int32)
    with pytest.raises(ShapeError, match="one shape"):
        match_cells(cells, cells.T)
    with pytest.raises(ValueRangeError, match="label image"):
        match_cells(-cells, cells)
    with pytest.raises(ValueRangeError, match="threshold"):
        match_cells(cells, cells).matched(0.3)
