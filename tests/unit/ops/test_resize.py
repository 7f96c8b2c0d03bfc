"""The resizing that training and prediction share."""

import numpy as np

from organscope.ops.resample import resize_field


def test_a_field_of_the_right_size_is_returned_as_it_is(colon):
    assert resize_field(colon, 512, 512) is colon


def test_bytes_stay_bytes_and_agree_with_floats(colon):
    small = resize_field(colon, 200, 256)
    exact = resize_field(colon.astype(np.float32), 200, 256)
    assert small.dtype == np.uint8
    assert exact.dtype == np.float32
    assert small.shape == exact.shape == (200, 256, 3)
    # Pillow rounds bytes after each of its two passes.
    assert np.abs(small - exact).max() <= 1.0


def test_shrinking_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::2] = 1.0
    small = resize_field(stripes, 16, 16)
    # Stripes finer than the new pixels become their mean; edges see a cut-off filter.
    np.testing.assert_allclose(small[:, 1:-1], 0.5, atol=0.02)


def test_any_number_of_channels(rng):
    field = rng.random((20, 30, 2), dtype=np.float32)
    assert resize_field(field, 10, 45).shape == (10, 45, 2)
    assert resize_field((field * 255).astype(np.uint8)[:, :, :1], 10, 45).dtype == np.uint8
