"""Compiled tracing of the edges between pixels."""

import numba
import numpy as np

_STEP_Y = np.array([0, 1, 0, -1])
_STEP_X = np.array([1, 0, -1, 0])
# The pixels to the left and right ahead of a corner, for each heading: right, down, left, up.
_LEFT_Y = np.array([-1, 0, 0, -1])
_LEFT_X = np.array([0, 0, -1, -1])
_RIGHT_Y = np.array([0, 0, -1, -1])
_RIGHT_X = np.array([0, -1, -1, 0])


@numba.njit(cache=True)
def trace_cells(labels, n_cells):
    """The ring that encloses the largest area, for each cell.

    Every ring runs along some pixel's upper edge, so each upper edge not yet seen starts a ring. Outer rings
    run clockwise (y down) and enclose a positive area, the rings of holes a negative one.

    Returns:
        Corners (x, y) of all rings kept and of some that were not, and for each cell where its ring begins
        and ends there.
    """
    n_rows, n_columns = labels.shape
    seen = np.zeros((n_rows, n_columns), dtype=np.bool_)
    area = np.zeros(n_cells + 1, dtype=np.int64)
    span = np.zeros((n_cells + 1, 2), dtype=np.int64)
    corners = np.empty((1024, 2), dtype=np.int32)
    n = 0
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell == 0 or seen[y, x] or (y > 0 and labels[y - 1, x] == cell):
                continue
            corners, end, enclosed = trace_ring(labels, y, x, seen, corners, n)
            if enclosed > area[cell]:
                area[cell] = enclosed
                span[cell, 0], span[cell, 1] = n, end
                n = end
    return corners[:n], span


@numba.njit(cache=True)
def trace_ring(labels, start_y, start_x, seen, corners, n):
    """Follow one ring with its pixels on the right hand, from a pixel's upper left corner back to it.

    Where two of the cell's pixels meet only at a corner the ring turns right and keeps them apart, as
    4-connected parts are.

    Returns:
        The corners (grown where they were full), where the ring ends among them, and the area it encloses.
    """
    cell = labels[start_y, start_x]
    begin = n
    y, x, heading = start_y, start_x, 0
    doubled_area = 0
    while True:
        if heading == 0:
            seen[y, x] = True
        y += _STEP_Y[heading]
        x += _STEP_X[heading]
        doubled_area += x * _STEP_Y[heading] - y * _STEP_X[heading]
        if not is_cell(labels, y + _RIGHT_Y[heading], x + _RIGHT_X[heading], cell):
            turned = (heading + 1) % 4
        elif is_cell(labels, y + _LEFT_Y[heading], x + _LEFT_X[heading], cell):
            turned = (heading + 3) % 4
        else:
            turned = heading
        if turned != heading:
            if n + 1 >= corners.shape[0]:
                corners = grown(corners)
            corners[n, 0], corners[n, 1] = x, y
            n += 1
            heading = turned
        if y == start_y and x == start_x and heading == 0:
            break
    corners[n] = corners[begin]
    return corners, n + 1, doubled_area // 2


@numba.njit(cache=True)
def is_cell(labels, y, x, cell):
    """Whether a pixel lies in the image and belongs to the cell."""
    return 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x] == cell


@numba.njit(cache=True)
def grown(corners):
    """The same corners in twice the room."""
    larger = np.empty((2 * corners.shape[0], 2), dtype=corners.dtype)
    larger[: corners.shape[0]] = corners
    return larger
