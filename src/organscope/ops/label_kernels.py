"""Compiled passes over a label image: what each cell sums up to, and new numbers in place."""

import numba
import numpy as np


@numba.njit(cache=True)
def sum_cells(labels, values):
    """Area (int64), sum of the values (float64) and first flat position (int64) of each label 0..n; 0 is left empty."""
    n = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            n = max(n, labels[y, x])
    area = np.zeros(n + 1, dtype=np.int64)
    total = np.zeros(n + 1, dtype=np.float64)
    first = np.full(n + 1, labels.size, dtype=np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label > 0:
                if area[label] == 0:
                    first[label] = y * labels.shape[1] + x
                area[label] += 1
                total[label] += values[y, x]
    return area, total, first


@numba.njit(cache=True)
def renumber(labels, number):
    """Replace every label by `number[label]`, in place."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = number[labels[y, x]]
