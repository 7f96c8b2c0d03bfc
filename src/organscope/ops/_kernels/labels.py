"""Compiled passes over a label image: what each cell sums up to, and new numbers in place.

Compiled filling of holes in cells.

Compiled renumbering of a large label image, in place.
"""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel


@kernel()
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


@kernel()
def renumber(labels, number):
    """Replace every label by `number[label]`, in place."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = number[labels[y, x]]


@kernel()
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
                n = _explore(y, x, owner, labels, blocked, mark, region)
                for place in range(n):
                    labels[region[place] // n_columns, region[place] % n_columns] = owner


@inner_kernel()
def _explore(y, x, owner, labels, blocked, mark, region):
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


@kernel()
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
