"""Cells of a label image in a fixed number of figures."""

import numpy as np
import pytest

from organscope.data.survey import AREA_EDGES, SHAPE_EDGES, count_in_bins, describe_cells
from tiny_set import two_cells


def test_cells_are_counted_and_measured():
    facts = describe_cells(two_cells(), um_per_px=(0.5, 0.5))
    # Squares of 6 x 6 and 10 x 14 pixels.
    assert (facts.n_cells, facts.n_touching_border, facts.n_fragmented) == (2, 0, 0)
    assert facts.median_area_px == (36 + 140) / 2
    assert facts.covered == pytest.approx(176 / 1024)
    assert facts.areas_px.sum() == facts.areas_um2.sum() == facts.eccentricities.sum() == facts.solidities.sum() == 2
    low = AREA_EDGES[:-1][facts.areas_um2 > 0]
    high = AREA_EDGES[1:][facts.areas_um2 > 0]
    assert (low <= [9, 35]).all()
    assert (high >= [9, 35]).all()


def test_without_cells_and_without_pixel_size():
    facts = describe_cells(np.zeros((5, 5), np.int32), None)
    assert (facts.n_cells, facts.covered, facts.areas_um2) == (0, 0, None)
    assert facts.median_area_px is None
    assert facts.areas_px.sum() == 0


def test_pieces_of_a_cell():
    labels = two_cells()
    labels[0, 0] = 1
    labels[28:31, 2:14] = 2
    facts = describe_cells(labels, None)
    assert (facts.n_fragmented, facts.n_divided, facts.worst_fragmented) == (2, 1, 2)
    assert facts.worst_second_share == pytest.approx(36 / 176)


def test_values_beyond_the_edges_count_in_the_outer_bins():
    assert count_in_bins(np.array([1e-9, 1e12]), AREA_EDGES)[[0, -1]].tolist() == [1, 1]
    assert count_in_bins(np.array([0.0, 1.0, 1.0]), SHAPE_EDGES)[[0, -1]].tolist() == [1, 2]
