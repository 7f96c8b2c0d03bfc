"""A slide at a glance."""

import numpy as np

from organscope.reporting.overlays import COLORS, LINE, LabelView, count_fields, draw_cells, draw_organ_map


def test_strips_give_the_nearest_pixel_of_each():
    labels = np.arange(700 * 900).reshape(700, 900).astype(np.int32)
    view = LabelView((700, 900), (70, 90))
    for top in range(0, 700, 256):
        view.take(labels[top : top + 256])
    np.testing.assert_array_equal(view.labels, labels[5::10, 5::10])


def test_cells_are_outlined_or_shown_as_density():
    image = np.full((60, 60, 3), 100, np.uint8)
    labels = np.zeros((60, 60), np.int32)
    labels[20:40, 20:40] = 1
    outlined = draw_cells(image, labels, 2.0)
    assert (outlined[20, 30] == LINE).all()
    assert (outlined[30, 30] == 100).all()
    dense = draw_cells(image, labels, 10.0)
    assert (dense[30, 30] == LINE).all()
    assert (dense[5, 5] == 100).all()
    assert (image == 100).all()


def test_fields_have_the_color_of_their_organ():
    probabilities = np.full((3, 2, 2), 0.1, np.float32)
    probabilities[2, 0, 0], probabilities[2, 0, 1], probabilities[1, 1, 0] = 0.8, 0.8, 0.8
    probabilities[:, 1, 1] = np.nan
    image = np.full((40, 40, 3), 200, np.uint8)
    drawn = np.asarray(draw_organ_map(image, probabilities, ((0.25, 0.75), (0.25, 0.75)))).astype(int)
    gray = drawn[30, 30]
    assert gray.max() == gray.min() > 200
    towards = [drawn[y, x] - gray for y, x in ((10, 10), (10, 30), (30, 10))]
    np.testing.assert_array_equal(towards[0], towards[1])
    for found, color in zip((towards[0], towards[2]), COLORS, strict=False):
        assert np.corrcoef(found, np.array(color) - gray)[0, 1] > 0.99
    assert count_fields(probabilities).tolist() == [0, 1, 2]
