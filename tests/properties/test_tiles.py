"""Cutting an image into tiles and putting them together again changes nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from organscope.ops.tiling import plan_tiles, read_tile

plans = st.fixed_dictionaries(
    {
        "height_px": st.integers(1, 60),
        "width_px": st.integers(1, 60),
        "stride_px": st.sampled_from([1, 2, 3, 8, 16]),
        "halo_px": st.integers(0, 20),
        "max_tile_px": st.none() | st.integers(1, 4000),
    }
)


def tile_of(image, row, column):
    """A tile of an array, which is read as a file would be."""
    return read_tile(lambda y, x, h, w: image[y : y + h, x : x + w], image.shape[:2], row, column)


@given(plans)
def test_tiles_put_together_are_the_image(plan):
    image = np.arange(plan["height_px"] * plan["width_px"] * 2).reshape(plan["height_px"], plan["width_px"], 2)
    copy = np.full_like(image, -1)
    for row, column in plan_tiles(**plan):
        copy[row.core, column.core] = tile_of(image, row, column)[row.inner, column.inner]
    assert np.array_equal(copy, image)


@given(plans)
def test_every_tile_is_cut_from_the_padded_image(plan):
    image = np.arange(plan["height_px"] * plan["width_px"]).reshape(plan["height_px"], plan["width_px"], 1)
    stride = plan["stride_px"]
    pads = [(0, -length % stride) for length in image.shape[:2]]
    padded = np.pad(image, [*pads, (0, 0)], "symmetric")
    for row, column in plan_tiles(**plan):
        assert np.array_equal(tile_of(image, row, column), padded[row.start : row.stop, column.start : column.stop])


@given(plans)
def test_cores_cover_once_and_halos_reach_far_enough(plan):
    covered = np.zeros((plan["height_px"], plan["width_px"]), int)
    for row, column in plan_tiles(**plan):
        covered[row.core, column.core] += 1
        for span, length in ((row, plan["height_px"]), (column, plan["width_px"])):
            assert span.start % plan["stride_px"] == span.stop % plan["stride_px"] == 0
            assert span.start == 0 or span.core_start - span.start >= plan["halo_px"]
            assert span.stop >= length or span.stop - span.core_stop >= plan["halo_px"]
    assert (covered == 1).all()
