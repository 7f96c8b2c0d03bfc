"""Fields cover every pixel of an axis, as few as possible, evenly."""

import pytest

from organscope.ops.tiling import field_starts


@pytest.mark.parametrize(
    ("length_px", "starts"),
    [(1, [0]), (512, [0]), (513, [0, 1]), (1024, [0, 512]), (1536, [0, 512, 1024]), (1400, [0, 444, 888])],
)
def test_starts(length_px, starts):
    assert field_starts(length_px, 512) == starts
