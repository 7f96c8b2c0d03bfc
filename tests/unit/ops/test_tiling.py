"""Plans of tiles: what they cover, what they cost, what they refuse."""

import numpy as np
import pytest

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops.tiling import mirror_indices, plan_tiles, read_tile


def tile_of(image, row, column):
    """A tile of an array, which is read as a file would be."""
    return read_tile(lambda y, x, h, w: image[y : y + h, x : x + w], image.shape[:2], row, column)


def test_without_a_limit_the_whole_image_is_one_tile():
    (tile,) = plan_tiles(100, 70, stride_px=16, halo_px=20)
    row, column = tile
    assert (row.start, row.stop, row.core_start, row.core_stop) == (0, 112, 0, 100)
    assert (column.start, column.stop, column.core_start, column.core_stop) == (0, 80, 0, 70)


def test_halos_end_where_the_image_ends():
    grid = plan_tiles(1000, 64, stride_px=8, halo_px=30, max_tile_px=64 * 450)
    assert [(row.start, row.stop, row.core_start, row.core_stop) for row in grid.rows] == [
        (0, 368, 0, 336),
        (304, 704, 336, 672),
        (640, 1000, 672, 1000),
    ]
    assert len(grid.columns) == 1


def test_tiles_are_as_large_as_the_limit_allows():
    grid = plan_tiles(10_000, 10_000, stride_px=16, halo_px=96, max_tile_px=1 << 21)
    areas = [(row.stop - row.start) * (column.stop - column.start) for row, column in grid]
    assert max(areas) <= 1 << 21
    # Halos cost at least this much with square tiles of the full size.
    assert sum(areas) <= 1.05 * 10_000**2 * (1448 / (1448 - 192)) ** 2


def test_a_limit_that_the_halo_alone_passes_gives_cores_of_a_halo():
    grid = plan_tiles(1024, 1024, stride_px=16, halo_px=128, max_tile_px=100)
    assert {row.core_stop - row.core_start for row in grid.rows} == {128}


def test_mirroring_repeats_the_edge_and_wraps_any_number_of_times():
    assert mirror_indices(1, 9, 3).tolist() == [1, 2, 2, 1, 0, 0, 1, 2]
    assert mirror_indices(0, 4, 1).tolist() == [0, 0, 0, 0]


def test_a_tile_inside_the_image_is_a_view():
    image = np.zeros((64, 64, 3), np.uint8)
    row, column = next(iter(plan_tiles(64, 64, stride_px=8, halo_px=8, max_tile_px=1024)))
    assert np.shares_memory(tile_of(image, row, column), image)


def test_a_padded_tile_equals_the_padded_image(rng):
    image = rng.random((21, 19, 2))
    ((row, column),) = plan_tiles(21, 19, stride_px=16, halo_px=0)
    assert np.array_equal(tile_of(image, row, column), np.pad(image, ((0, 11), (0, 13), (0, 0)), "symmetric"))


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ShapeError, match="found 0 x 5"):
        plan_tiles(0, 5, stride_px=8, halo_px=8)


def test_a_stride_or_halo_out_of_range_is_refused():
    with pytest.raises(ValueRangeError, match="found 0 and 8 px"):
        plan_tiles(5, 5, stride_px=0, halo_px=8)
