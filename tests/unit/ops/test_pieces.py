"""Pieces of cells."""

import numpy as np
import pytest
from skimage.measure import label as label_pieces

from organscope.ops.regionprops import find_fragmented, find_pieces


def pieces_of(rows: list[str]):
    cell, area = find_pieces(np.array([[int(letter) for letter in row] for row in rows], np.int32))
    return list(zip(cell.tolist(), area.tolist(), strict=True))


def test_a_cell_in_two_pieces_and_one_that_meets_at_a_corner():
    assert sorted(pieces_of(["1001", "0220", "0001"])) == [(1, 1), (1, 1), (1, 1), (2, 2)]
    assert pieces_of(["300", "030", "003"]) == [(3, 3)]


def test_pieces_that_join_in_a_later_row_are_one():
    assert pieces_of(["50505", "50505", "55555"]) == [(5, 11)]
    assert pieces_of(["555", "505", "505"]) == [(5, 7)]


def test_touching_cells_stay_apart():
    assert pieces_of(["12", "12"]) == [(1, 2), (2, 2)]


def test_nothing_has_no_pieces():
    assert find_pieces(np.zeros((3, 4), np.int32))[0].size == 0
    assert find_fragmented(np.zeros((3, 4), np.int32)).cell.size == 0


def test_fragmented_cells_with_the_share_of_their_second_piece():
    found = find_fragmented(np.array([[7, 7, 0, 7, 0, 7, 9, 0, 3, 0, 3]], np.int32))
    assert (found.cell.tolist(), found.n_pieces.tolist()) == ([3, 7], [2, 3])
    assert found.second_share.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("n_cells", [1, 3, 2_000_000_000])
def test_agrees_with_scikit_image(rng, n_cells):
    labels = (rng.random((60, 80)) < 0.5) * rng.integers(1, 4, (60, 80)) * (n_cells // 3 + 1)
    labels = labels.astype(np.int32)
    expected = label_pieces(labels, connectivity=2)
    areas = np.bincount(expected.ravel())[1:]
    assert sorted(find_pieces(labels)[1].tolist()) == sorted(areas.tolist())
