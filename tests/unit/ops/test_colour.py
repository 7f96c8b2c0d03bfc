"""Color and texture as shares of pixels."""

import numpy as np

from organscope.ops.features import color_histogram, gray_texture


def test_color_histogram_counts_pixels():
    rgb = np.zeros((2, 2, 3), np.float32)
    rgb[0] = [1, 0, 0.5]
    shares = color_histogram(rgb)
    # Level 7 of 8 in red, 0 in green, 4 in blue: bin (7 * 8 + 0) * 8 + 4.
    assert np.flatnonzero(shares).tolist() == [0, 452]
    assert shares[[0, 452]].tolist() == [0.5, 0.5]


def test_gray_texture_ignores_stain_brightness_and_contrast(colon):
    rgb = colon[:100, :100].astype(np.float32) / 255
    assert gray_texture(rgb).sum() == 2
    # Rounding moves single pixels from one level or pattern to the next.
    np.testing.assert_allclose(gray_texture(0.3 + 0.5 * rgb), gray_texture(rgb), atol=0.01)
    np.testing.assert_allclose(gray_texture(rgb[:, :, [2, 0, 1]]), gray_texture(rgb), atol=0.01)
    assert np.isfinite(gray_texture(np.zeros((5, 5, 3), np.float32))).all()
