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
    mark = np.zeros(labels.shape, dtype=np.int32)
    region = np.empty(labels.size, dtype=np.int32)
    for y in range(1, n_rows - 1):
        for x in range(1, n_columns - 1):
            owner = labels[y, x - 1]
            if labels[y, x] != 0 or owner == 0 or mark[y, x] != 0:
                continue
            # The first pixel of a hole has its cell on the left and in all three places above.
            if labels[y - 1, x - 1] == owner and labels[y - 1, x] == owner and labels[y - 1, x + 1] == owner:
                n = explore(y, x, owner, labels, blocked, mark, region)
                for place in range(n):
                    labels[region[place] // n_columns, region[place] % n_columns] = owner


@numba.njit(cache=True)
def explore(y, x, owner, labels, blocked, mark, region):
    """Collect the background region of a pixel; its size, or 0 where it is open.

    What was seen of an open region stays marked, and whatever meets it is open too. A region that reaches back
    before its start was met there already and is open. So no pixel is seen twice, and few are seen at all.
    """
    n_rows, n_columns = labels.shape
    start = y * n_columns + x
    region[0] = start
    mark[y, x] = start
    n, done = 1, 0
    while done < n:
        row, column = region[done] // n_columns, region[done] % n_columns
        done += 1
        if blocked[row, column] or row in (0, n_rows - 1) or column in (0, n_columns - 1):
            return 0
        for v in range(row - 1, row + 2):
            for u in range(column - 1, column + 2):
                if labels[v, u] == owner or mark[v, u] == start:
                    continue
                pixel = v * n_columns + u
                if labels[v, u] != 0 or mark[v, u] != 0 or pixel < start:
                    return 0
                mark[v, u] = start
                region[n] = pixel
                n += 1
    return n
