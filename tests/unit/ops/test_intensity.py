"""Intensities of an image: counted percentiles are those of NumPy."""

import numpy as np
import pytest

from organscope.errors import ValueRangeError
from organscope.ops.intensity import Preprocessing, intensity_range

RULES = [(1.0, 99.8), (0.0, 100.0), (12.5, 50.0)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 10_001])
@pytest.mark.parametrize("rule", RULES)
def test_counted_percentiles_are_those_of_numpy(rng, dtype, n, rule):
    pixels = rng.integers(0, np.iinfo(dtype).max, (n, 1, 1), dtype=dtype, endpoint=True)
    spec = Preprocessing(low_percentile=rule[0], high_percentile=rule[1])
    assert intensity_range(pixels, spec, (0.0, 1.0)) == tuple(np.percentile(pixels, rule))


def test_floats_leave_out_what_is_not_finite():
    pixels = np.array([0, 1, np.nan, np.inf, 0.5], np.float32).reshape(5, 1, 1)
    spec = Preprocessing(low_percentile=0, high_percentile=100)
    assert intensity_range(pixels, spec, (0.0, 1.0)) == (0, 1)
    with pytest.raises(ValueRangeError, match="finite"):
        intensity_range(np.full((2, 2, 1), np.nan), spec, (0.0, 1.0))


def test_the_full_range_is_what_the_file_says():
    assert intensity_range(np.zeros((2, 2, 1)), Preprocessing(intensity="full_range"), (0.0, 4095.0)) == (0, 4095)
