"""Resampling by parts equals resampling the whole, and agrees with Pillow."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.ops.resample import axis_taps, resample


def resampled(pixels, height, width):
    return resample(pixels, axis_taps(pixels.shape[0], height), axis_taps(pixels.shape[1], width))


@pytest.mark.parametrize("size", [(40, 30), (97, 60), (333, 251), (1, 1), (97, 61)])
def test_the_filter_is_that_of_pillow(rng, size):
    pixels = rng.random((97, 61, 1), dtype=np.float32)
    expected = np.asarray(PillowImage.fromarray(pixels[:, :, 0]).resize(size[::-1], PillowImage.Resampling.BILINEAR))
    # Float32 sums in another order.
    assert resampled(pixels, *size)[:, :, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(50, 33), (300, 190)])
def test_a_part_equals_the_same_part_of_the_whole(rng, size):
    pixels = rng.random((120, 90, 2), dtype=np.float32)
    whole = resampled(pixels, *size)
    rows, columns = axis_taps(120, size[0]).part(11, 29), axis_taps(90, size[1]).part(5, 31)
    region = pixels[rows.start : rows.stop, columns.start : columns.stop]
    part = resample(region, rows, columns, top=rows.start, left=columns.start)
    assert np.array_equal(part, whole[11:29, 5:31])


def test_a_flat_field_stays_flat(rng):
    pixels = np.full((37, 53, 3), 0.25, np.float32)
    assert resampled(pixels, 90, 20) == pytest.approx(np.full((90, 20, 3), 0.25), abs=1e-6)
