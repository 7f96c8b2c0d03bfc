"""Compiled filling of holes in cells."""

import numba
import numpy as np


@numba.njit(cache=True)
def fill_holes(labels, blocked):
    """Give every background region that a single cell encloses to that cell, in place.

    A region is connected over edges and corners, as its complement is over edges alone. It stays open where it
    reaches the edge of the image, a second cell, or a blocked pixel.
    """
    n_rows, n_columns = labels.shape
    seen = np.zeros(labels.shape, dtype=np.bool_)
    region = np.empty(labels.size, dtype=np.int32)
    for y in range(n_rows):
        for x in range(1, n_columns):
            # Every hole has a pixel to the right of its cell.
            if labels[y, x] != 0 or labels[y, x - 1] == 0 or seen[y, x]:
                continue
            n, owner = explore(y, x, labels, blocked, seen, region)
            if owner > 0:
                for place in range(n):
                    labels[region[place] // n_columns, region[place] % n_columns] = owner


@numba.njit(cache=True)
def explore(y, x, labels, blocked, seen, region):
    """Collect the background region of a pixel; its size, and the one cell around it, or -1."""
    n_rows, n_columns = labels.shape
    owner = labels[y, x - 1]
    seen[y, x] = True
    region[0] = y * n_columns + x
    n, done = 1, 0
    while done < n:
        row, column = region[done] // n_columns, region[done] % n_columns
        done += 1
        if blocked[row, column] or row in (0, n_rows - 1) or column in (0, n_columns - 1):
            owner = -1
        for v in range(max(row - 1, 0), min(row + 2, n_rows)):
            for u in range(max(column - 1, 0), min(column + 2, n_columns)):
                if labels[v, u] != 0:
                    owner = owner if labels[v, u] == owner else -1
                elif not seen[v, u]:
                    seen[v, u] = True
                    region[n] = v * n_columns + u
                    n += 1
    return n, owner
