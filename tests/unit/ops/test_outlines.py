"""Cells as polygons: filling one gives back exactly its pixels."""

import numpy as np

from organscope.ops.polygons import cell_polygons


def test_polygons_keep_holes_parts_and_corners():
    labels = np.zeros((12, 16), np.int32)
    labels[1:6, 1:6] = 1
    labels[3, 3] = 0
    labels[1:3, 8:10] = labels[3:5, 10:12] = 2  # touch at a corner only
    labels[8:10, 1:3] = labels[8:10, 5:7] = 3
    labels[8:11, 10:13] = 7
    found = cell_polygons(labels)
    assert [shape.geom_type for shape in found] == ["Polygon", "MultiPolygon", "MultiPolygon", "Polygon"]
    assert all(shape.is_valid for shape in found)
    assert [shape.area for shape in found] == [24, 8, 8, 9]
    assert len(found[0].interiors) == 1


def test_a_hole_as_large_as_another_part_stays():
    labels = np.zeros((8, 12), np.int32)
    labels[1:6, 1:6] = 1
    labels[3, 3] = 0
    labels[2, 9] = 1
    (found,) = cell_polygons(labels)
    assert found.geom_type == "MultiPolygon"
    assert [len(part.interiors) for part in found.geoms] == [1, 0]


def test_polygons_of_no_cells_are_none():
    assert cell_polygons(np.zeros((5, 5), np.int32)) == []
