"""Compiled counting of pixels of which few values exist."""

import numpy as np

from organscope.ops._kernels import kernel


@kernel(nogil=True)
def count_values(values, n_values):
    """How often each of the integers 0 .. n_values - 1 comes in a one-dimensional array: int64."""
    counts = np.zeros(n_values, dtype=np.int64)
    for value in values:
        counts[value] += 1
    return counts
