"""Maps read at cells: the same wherever tiles end, and at the right scale."""

import numpy as np
import pytest

from organscope.inference.cell_kinds import MapReader, interpolate, kind_factors
from organscope.inference.preprocess import ImageNormalizer
from organscope.io import Image
from organscope.ops.intensity import Preprocessing

STRIDE_PX = 4


def block_means(batch):
    """Mean of each square of the stride: the smallest network there is."""
    n, height, width, _ = batch.shape
    return batch.reshape(n, height // STRIDE_PX, STRIDE_PX, width // STRIDE_PX, STRIDE_PX, 3).mean(axis=(2, 4))


def test_a_ramp_is_read_exactly_and_the_edge_counts_beyond():
    ramp = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    found = interpolate(ramp, np.array([[0.5, 1.25], [2.0, 3.0], [-1.0, 9.0]]))
    assert found[:, 0].tolist() == [3.25, 11.0, 3.0]


@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0])
def test_places_of_a_large_image_keep_their_place(factor):
    y, x = np.mgrid[:900, :1700]
    image = Image.from_array(np.stack([y / 4, x / 8, 0 * x], axis=2).astype(np.uint8))
    centers = np.random.default_rng(0).uniform((40, 40), (860, 1660), (200, 2))
    reader = MapReader(block_means, STRIDE_PX, 32, 16)
    spec = Preprocessing(intensity="full_range")
    found = reader.at(image, centers, ImageNormalizer(image, spec), (factor, factor))
    np.testing.assert_allclose(255 * found[:, 0] * 4, centers[:, 0], atol=4)
    np.testing.assert_allclose(255 * found[:, 1] * 8, centers[:, 1], atol=8)


def test_pixel_sizes_go_before_diameters_and_small_differences_do_not_count():
    assert kind_factors((0.25, 0.25), 30.0, 0.5, 15.0) == (0.5, 0.5)
    assert kind_factors(None, 30.0, 0.5, 15.0) == (0.5, 0.5)
    assert kind_factors(None, 17.0, 0.5, 15.0) == (1.0, 1.0)
    assert kind_factors(None, None, 0.5, 15.0) == (1.0, 1.0)
    assert kind_factors((1.0, 0.25), None, None, None) == pytest.approx((2.0, 0.5))
