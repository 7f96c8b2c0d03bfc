"""Compiled flooding: the loop over pixels that NumPy cannot express.

Compiled functions live in modules named `*_kernels`, which the shape checks of the tests leave alone.
"""

import numba
import numpy as np

N_LEVELS = 256
"""Heights that flooding tells apart; finer steps change no label that a person would see."""


@numba.njit(cache=True)
def flood(seeds, levels, foreground):
    """Grow seeds over the foreground, highest level first and first come first served within a level.

    A watershed by ordered queues (Beucher and Meyer 1993): each pixel enters one queue once.
    """
    n_rows, n_columns = seeds.shape
    labels = seeds.copy().reshape(-1)
    level = levels.reshape(-1)
    open_pixel = foreground.reshape(-1)
    first = np.full(N_LEVELS, -1, dtype=np.int64)
    last = np.full(N_LEVELS, -1, dtype=np.int64)
    following = np.full(labels.size, -1, dtype=np.int64)
    for pixel in range(labels.size):
        if labels[pixel] > 0:
            push_last(pixel, level[pixel], first, last, following)
    current = N_LEVELS - 1
    while current >= 0:
        pixel = first[current]
        if pixel < 0:
            current -= 1
            continue
        first[current] = following[pixel]
        row, column = pixel // n_columns, pixel % n_columns
        for side in range(4):
            y = row + (side == 2) - (side == 0)
            x = column + (side == 3) - (side == 1)
            if 0 <= y < n_rows and 0 <= x < n_columns:
                neighbour = y * n_columns + x
                if open_pixel[neighbour] and labels[neighbour] == 0:
                    labels[neighbour] = labels[pixel]
                    push_last(neighbour, min(level[neighbour], current), first, last, following)
    return labels.reshape(seeds.shape)


@numba.njit(cache=True)
def push_last(pixel, level, first, last, following):
    """Put a pixel at the end of its level's queue."""
    following[pixel] = -1
    if first[level] < 0:
        first[level] = pixel
    else:
        following[last[level]] = pixel
    last[level] = pixel
