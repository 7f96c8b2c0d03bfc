"""Faint cells come beside the clear ones, whose outlines stay."""

import numpy as np

from organscope.ops.instances import Decoder, decode_cells, decode_with_faint

DECODER = Decoder(foreground_threshold=0.5, min_area_px=5)


def maps_of(*discs, shape=(60, 90)):
    """Foreground of discs (y, x, radius, probability) that fades outwards, and the distance to their edge."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    maps = np.zeros((*shape, 2), np.float32)
    for cy, cx, radius, probability in discs:
        height = np.clip(1 - np.hypot(y - cy, x - cx) / radius, 0, 1)
        maps[:, :, 0] = np.maximum(maps[:, :, 0], probability * np.minimum(2 * height, 1))
        maps[:, :, 1] = np.maximum(maps[:, :, 1], height)
    return maps


def test_a_faint_cell_is_added_and_a_clear_one_keeps_its_outline():
    maps = maps_of((30, 25, 16, 0.9), (30, 65, 14, 0.3))
    clear = decode_cells(maps, DECODER)
    both = decode_with_faint(maps, DECODER, 0.2)
    assert clear.max() == 1
    assert both.max() == 2
    assert np.array_equal(both == 1, clear == 1)
    assert both[30, 65] == 2


def test_the_pale_rim_of_a_clear_cell_is_no_cell():
    maps = maps_of((30, 45, 25, 0.9))
    assert decode_with_faint(maps, DECODER, 0.1).max() == 1


def test_a_faint_cell_that_leans_on_a_clear_one_is_added_without_the_pixels_of_that_one():
    maps = maps_of((30, 25, 16, 0.9), (30, 45, 14, 0.3))
    clear = decode_cells(maps, DECODER)
    both = decode_with_faint(maps, DECODER, 0.2)
    assert both.max() == 2
    assert np.array_equal(both == 1, clear == 1)
    assert both[30, 46] == 2


def test_pale_surroundings_of_a_small_clear_cell_are_no_cell():
    maps = maps_of((30, 45, 7, 0.9))
    wide = maps_of((30, 45, 25, 0.3))
    maps[:, :, 0] = np.maximum(maps[:, :, 0], wide[:, :, 0])
    clear = decode_cells(maps, DECODER)
    assert clear.max() == 1
    assert np.array_equal(decode_with_faint(maps, DECODER, 0.1), clear)


def test_numbers_have_no_gaps_where_small_cells_are_dropped():
    maps = maps_of((15, 20, 12, 0.9), (15, 60, 1.2, 0.4), (45, 20, 12, 0.3), (45, 60, 12, 0.4))
    found = decode_with_faint(maps, DECODER, 0.2)
    assert np.unique(found).tolist() == [0, 1, 2, 3]
