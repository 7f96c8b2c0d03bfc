"""Hand-worked polygons: which pixel centers lie inside."""

import numpy as np
import pytest

from organscope.errors import AnnotationError
from organscope.ops.polygons import CellMask, ellipse_ring, paint_cells, polygon_cell, trace_cell

SQUARE = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float)


def filled(rings, height=5, width=6, **options) -> list[str]:
    """Rows of the image, # inside."""
    cell = polygon_cell([np.array(ring, float) for ring in rings], height, width, **options)
    labels = paint_cells([cell] if cell else [], height, width).labels
    return ["".join("#" if value else "." for value in row) for row in labels]


def test_a_rectangle_on_pixel_edges_is_its_pixels():
    assert filled([SQUARE]) == ["......", ".###..", ".###..", "......", "......"]


def test_half_a_pixel_belongs_to_the_left_and_upper_polygon_only():
    left, right = [[0, 0], [2.5, 0], [2.5, 2], [0, 2]], [[2.5, 0], [6, 0], [6, 2], [2.5, 2]]
    assert filled([left])[0] == "##...."
    assert filled([right])[0] == "..####"


def test_what_lies_beyond_the_image_is_cut_off():
    assert filled([[[-9, -9], [2, -9], [2, 2], [-9, 2]]]) == ["##....", "##....", "......", "......", "......"]
    assert filled([[[4, 3], [1e12, 3], [1e12, 1e12], [4, 1e12]]])[3:] == ["....##", "....##"]
    assert polygon_cell([SQUARE + 100], 5, 6) is None


def test_a_sliver_without_a_pixel_center_is_nothing():
    assert polygon_cell([[[1.1, 1.1], [1.3, 1.1], [1.3, 1.3]]], 5, 6) is None


def test_crossing_polygons_keep_both_lobes():
    bow_tie = [[0, 0], [6, 4], [6, 0], [0, 4]]
    assert filled([bow_tie]) == ["#....#", "##..##", "##..##", "#....#", "......"]


def test_overlapping_loops_join_or_cut():
    twice = [SQUARE, [[3, 2], [6, 2], [6, 4], [3, 4]]]
    assert filled(twice) == ["......", ".###..", ".#####", "...###", "......"]
    assert filled(twice, rule="even_odd") == ["......", ".###..", ".##.##", "...###", "......"]


def test_holes_are_cut_out():
    hole = np.array([[2, 1], [3, 1], [3, 2], [2, 2]], float)
    assert filled([SQUARE], holes=[hole])[1:3] == [".#.#..", ".###.."]


@pytest.mark.parametrize(
    "ring", [[[0, 0], [1, 1]], [[0, 0], [1, float("nan")], [2, 2]], [[0, 0], [1, float("inf")], [2, 2]], "text", [1, 2]]
)
def test_what_is_no_polygon_is_refused(ring):
    with pytest.raises(AnnotationError, match="Expected"):
        polygon_cell([ring], 5, 6)


def test_an_ellipse_has_the_area_of_an_ellipse():
    cell = polygon_cell([ellipse_ring(np.array([10, 20]), np.array([50, 80]))], 100, 100)
    expected = np.pi * 20 * 30
    assert abs(cell.mask.sum() - expected) < 0.01 * expected  # pixels on the border


def test_the_smaller_cell_wins_and_of_equal_ones_the_later():
    def block(height, width):
        return CellMask(0, 0, np.ones((height, width), bool))

    painted = paint_cells([block(1, 2), block(2, 3), block(1, 2)], 2, 4)
    assert painted.labels.tolist() == [[2, 2, 1, 0], [1, 1, 1, 0]]
    assert painted.n_dropped == 1
    assert painted.cells.tolist() == [1, 2]


def test_outline_of_an_l():
    (outline,) = trace_cell(np.array([[1, 0], [1, 1]], bool), top_px=10, left_px=20)
    corners = {tuple(corner) for corner in outline.exterior.tolist()}
    assert corners == {(20, 10), (21, 10), (21, 11), (22, 11), (22, 12), (20, 12)}
    assert outline.holes == []


def test_outline_of_a_ring_that_touches_itself_at_a_corner():
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    (outline,) = trace_cell(mask)
    assert len(outline.holes) == 1
    assert outline.holes[0].tolist() != []
    (pieces, other) = trace_cell(np.array([[1, 0], [0, 1]], bool))
    assert pieces.holes == other.holes == []
