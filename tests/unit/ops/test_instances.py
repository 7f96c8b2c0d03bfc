"""Decoding probability maps into cells, on cases small enough to check by hand."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.errors import ShapeError
from organscope.ops.instances import Decoder, cell_probability, decode_cells

DECODER = Decoder(min_area_px=1)


def maps_of(discs, shape=(40, 60)):
    """Foreground and height of discs (y, x, radius): 1 at the centre, 0 at the edge."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    height = np.zeros(shape, np.float32)
    for cy, cx, radius in discs:
        height = np.maximum(height, 1 - np.hypot(y - cy, x - cx).astype(np.float32) / radius)
    return np.stack([(height > 0).astype(np.float32), np.clip(height, 0, 1)], axis=2)


def test_touching_discs_part_halfway():
    labels = decode_cells(maps_of([(20, 20, 12), (20, 40, 12)]), DECODER)
    assert labels.max() == 2
    # The two centres are 20 px apart, so the border is at column 30.
    assert labels[20, 29] == labels[20, 20] != labels[20, 40] == labels[20, 31]


def test_labels_are_in_raster_order_without_gaps():
    labels = decode_cells(maps_of([(30, 10, 6), (10, 50, 6), (10, 10, 6)]), DECODER)

    first = [np.flatnonzero(labels == cell)[0] for cell in range(1, labels.max() + 1)]
    assert first == sorted(first)


def test_foreground_without_a_core_is_one_cell():
    maps = np.zeros((10, 10, 2), np.float32)
    maps[2:5, 2:5, 0] = 0.9
    labels = decode_cells(maps, DECODER)
    assert labels.max() == 1
    assert (labels > 0).sum() == 9


def test_small_cells_are_removed():
    labels = decode_cells(maps_of([(10, 10, 3), (25, 40, 10)]), Decoder(min_area_px=100))
    assert labels.max() == 1
    assert labels[25, 40] == 1


def test_every_foreground_pixel_is_in_a_connected_cell(rng):
    noise = ndimage.gaussian_filter(rng.random((2, 80, 90)), (0, 2, 2)).astype(np.float32)
    maps = np.ascontiguousarray(np.moveaxis((noise - noise.min()) / np.ptp(noise), 0, 2))
    labels = decode_cells(maps, DECODER)
    assert np.array_equal(labels > 0, maps[:, :, 0] >= DECODER.foreground_threshold)
    for cell in range(1, labels.max() + 1):
        assert ndimage.label(labels == cell)[1] == 1


def test_a_boundary_map_is_height_upside_down():
    maps = maps_of([(20, 20, 12), (20, 40, 12)])
    boundary = maps.copy()
    boundary[:, :, 1] = 1 - maps[:, :, 1]
    expected = decode_cells(maps, DECODER)
    assert np.array_equal(decode_cells(boundary, Decoder(head="boundary", min_area_px=1)), expected)


def test_empty_maps_give_no_cells():
    assert decode_cells(np.zeros((5, 7, 2), np.float32), DECODER).max() == 0


def test_another_number_of_maps_is_refused():
    with pytest.raises(ShapeError, match="found 3 maps"):
        decode_cells(np.zeros((5, 7, 3), np.float32), DECODER)


def test_probability_is_the_mean_over_the_cell():
    labels = np.array([[1, 1, 0], [0, 2, 2]], np.int32)
    foreground = np.array([[0.5, 0.7, 0.1], [0.1, 0.9, 1.0]], np.float32)
    assert cell_probability(labels, foreground) == pytest.approx([0.6, 0.95])
