"""Every annotation format keeps every pixel of every cell, whatever the shape of the cells."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from shapely import Polygon
from shapely.geometry import shape

from annotation_writers import connected_cells, write_aperio, write_cell_masks, write_roi_zip
from organscope.io.annotations import read_cells
from organscope.io.coco import cell_annotation, decode_counts, encode_counts, rle_cell, segmentation_cell
from organscope.io.geojson import write_geojson_cells
from organscope.ops.polygons import (
    CellMask,
    cell_regions,
    close_gaps,
    multipolygon_cell,
    paint_cells,
    polygon_cell,
    trace_cell,
)

label_images = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.integers(0, 4)
)
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
relaxed = settings(max_examples=60)
coordinates = st.floats(-3, 15, allow_nan=False)


def without_gaps(labels: np.ndarray) -> np.ndarray:
    return close_gaps(labels, 0, int(labels.max(initial=0))).labels


def painted(cells: list[CellMask], like: np.ndarray) -> np.ndarray:
    return paint_cells(cells, *like.shape).labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("annotations")


def read_back(path: Path, labels: np.ndarray) -> np.ndarray:
    cells = read_cells(path, *labels.shape)
    assert cells.problems == []
    return painted(cells.masks, labels)


@relaxed
@given(labels=label_images)
def test_geojson_keeps_every_pixel(folder, labels):
    path = folder / "cells.geojson"
    with path.open("w") as stream:
        write_geojson_cells(stream, labels)
    np.testing.assert_array_equal(read_back(path, labels), without_gaps(labels))


@relaxed
@given(labels=label_images)
def test_coco_keeps_every_pixel(labels):
    found = [cell_annotation(mask, top, left, labels.shape) for _, top, left, mask in cell_regions(labels)]
    written = json.loads(json.dumps(found))
    cells = [segmentation_cell(cell["segmentation"], *labels.shape) for cell in written]
    np.testing.assert_array_equal(painted(cells, labels), without_gaps(labels))


@relaxed
@given(labels=label_images)
def test_aperio_keeps_every_pixel(folder, labels):
    labels = connected_cells(labels)
    write_aperio(folder / "cells.xml", labels)
    np.testing.assert_array_equal(read_back(folder / "cells.xml", labels), labels)


@relaxed
@given(labels=label_images.filter(np.any))
def test_imagej_keeps_every_pixel(folder, labels):
    write_roi_zip(folder / "cells.zip", labels)
    np.testing.assert_array_equal(read_back(folder / "cells.zip", labels), without_gaps(labels))


@relaxed
@given(labels=label_images.filter(np.any))
def test_one_mask_a_cell_keeps_every_pixel(tmp_path_factory, labels):
    masks_folder = tmp_path_factory.mktemp("masks")
    write_cell_masks(masks_folder, labels)
    np.testing.assert_array_equal(read_back(masks_folder, labels), without_gaps(labels))


@relaxed
@given(mask=masks.filter(np.any))
def test_outlines_are_valid_polygons_of_the_same_area(mask):
    polygons = [Polygon(outline.exterior, outline.holes) for outline in trace_cell(mask)]
    assert all(polygon.is_valid for polygon in polygons)
    assert sum(polygon.area for polygon in polygons) == mask.sum()


@relaxed
@given(mask=masks)
def test_run_lengths_survive_compression(mask):
    counts = encode_counts(mask, 0, 0, *mask.shape)
    expected = [mask.T.reshape(-1)[0]] if mask.size else []
    runs = decode_counts(counts)
    assert runs.sum() == mask.size
    assert (runs[1:] > 0).all()
    assert bool(runs[0] == 0) == bool(expected[0])
    cell = rle_cell(counts, *mask.shape)
    assert painted([cell] if cell else [], mask).astype(bool).tolist() == mask.tolist()


@relaxed
@given(ring=st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_any_polygon_is_filled_as_an_independent_library_fills_it(ring):
    """Pixel centers near an edge are left out of the comparison: there rounding decides."""
    from shapely import LineString, Point

    height, width = 9, 11
    cell = polygon_cell([np.array(ring)], height, width)
    found = painted([cell] if cell else [], np.zeros((height, width))) > 0
    edge = LineString([*ring, ring[0]])
    for row, column in np.ndindex(height, width):
        center = Point(column + 0.5, row + 0.5)
        if edge.distance(center) > 1e-6:
            assert found[row, column] == (winding_number(ring, center.x, center.y) != 0)


def winding_number(ring: list, x: float, y: float) -> int:
    """Sum of the angles under which the edges are seen, in turns."""
    points = np.array(ring) - (x, y)
    angles = np.arctan2(points[:, 1], points[:, 0])
    turns = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
    return round(turns.sum() / (2 * np.pi))


@relaxed
@given(labels=label_images)
def test_geojson_outlines_are_what_shapely_reads(labels):
    stream = io.StringIO()
    n_cells = write_geojson_cells(stream, labels)
    features = json.loads(stream.getvalue())["features"]
    areas = [int((labels == number).sum()) for number in np.unique(labels[labels > 0])]
    assert n_cells == len(areas)
    assert [shape(feature["geometry"]).area for feature in features] == areas


@relaxed
@given(mask=masks.filter(np.any), seed=st.integers(0, 2**32 - 1))
def test_multipolygons_in_any_order_and_direction_have_the_area_that_shapely_gives(mask, seed):
    """Islands in holes stay, whichever part comes first and however its rings turn."""
    rng = np.random.default_rng(seed)
    polygons = [[outline.exterior, *outline.holes] for outline in trace_cell(mask)]
    rng.shuffle(polygons)
    turned = [[ring[::-1] if rng.random() < 0.5 else ring for ring in rings] for rings in polygons]
    closed = [[np.vstack([ring, ring[:1]]) if rng.random() < 0.5 else ring for ring in rings] for rings in turned]
    cell = multipolygon_cell(closed, *mask.shape)
    expected = shape({"type": "MultiPolygon", "coordinates": [[r.tolist() for r in rings] for rings in polygons]})
    assert cell.mask.sum() == expected.area == mask.sum()
    np.testing.assert_array_equal(painted([cell], mask) > 0, mask)
