"""Compiled passes over a label image: the surroundings of cells, and sums over both."""

import numpy as np

from organscope.ops._kernels import kernel


@kernel(nogil=True)
def surrounding_labels(labels, down, across):
    """For each background pixel the cell at the first of the offsets that meets one; 0 in cells and where none does.

    Args:
        labels: 0 for background, then cells.
        down: Rows of the offsets, nearest first.
        across: Columns of the offsets.
    """
    n_rows, n_columns = labels.shape
    nearest = np.zeros(labels.shape, dtype=np.int32)
    for y in range(n_rows):
        for x in range(n_columns):
            if labels[y, x] != 0:
                continue
            for n in range(down.size):
                v, u = y + down[n], x + across[n]
                if 0 <= v < n_rows and 0 <= u < n_columns and labels[v, u] != 0:
                    nearest[y, x] = labels[v, u]
                    break
    return nearest


@kernel(nogil=True)
def add_values(labels, values, total, n_pixels):
    """Add the values (y x c) of every cell to its row of `total`, and its pixels to `n_pixels`, in place."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            cell = labels[y, x]
            if cell != 0:
                n_pixels[cell] += 1
                for channel in range(values.shape[2]):
                    total[cell, channel] += values[y, x, channel]
