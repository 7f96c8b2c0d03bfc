"""Compiled renumbering of a large label image, in place."""

import numba
import numpy as np


@numba.njit(cache=True)
def number_in_raster_order(labels, n_cells):
    """Give labels 1..n the order in which their first pixels come, row by row.

    Returns:
        The old label, counted from 0, of each new one.
    """
    number = np.zeros(n_cells + 1, dtype=np.int32)
    order = np.empty(n_cells, dtype=np.int64)
    n = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == 0:
                continue
            if number[label] == 0:
                order[n] = label - 1
                n += 1
                number[label] = n
            labels[y, x] = number[label]
    return order[:n]
