"""Compiled passes over a label image; each visits every pixel once and keeps one row of sums a cell.

Compiled tracing of the edges between pixels.
"""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel


@kernel()
def sum_pixels(labels, n_cells):
    """First pixel, area, moments about the first pixel, and whether the cell touches the image's border.

    Coordinates are counted from the cell's first pixel in raster order, which keeps every sum an exact and
    small integer wherever in a slide the cell lies.
    """
    n_rows, n_columns = labels.shape
    first = np.full((n_cells + 1, 2), -1, dtype=np.int64)
    sums = np.zeros((n_cells + 1, 6), dtype=np.int64)
    touches = np.zeros(n_cells + 1, dtype=np.bool_)
    bottom = np.zeros(n_cells + 1, dtype=np.int64)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell == 0:
                continue
            if first[cell, 0] < 0:
                first[cell, 0] = y
                first[cell, 1] = x
            dy, dx = y - first[cell, 0], x - first[cell, 1]
            sums[cell, 0] += 1
            sums[cell, 1] += dy
            sums[cell, 2] += dx
            sums[cell, 3] += dy * dy
            sums[cell, 4] += dx * dx
            sums[cell, 5] += dy * dx
            bottom[cell] = y
            if y == 0 or x == 0 or y == n_rows - 1 or x == n_columns - 1:
                touches[cell] = True
    return first, bottom, sums, touches


@kernel()
def sum_intensity(labels, pixels, n_cells):
    """Sum of every channel over each cell."""
    n_rows, n_columns, n_channels = pixels.shape
    total = np.zeros((n_cells + 1, n_channels), dtype=np.float64)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell != 0:
                for channel in range(n_channels):
                    total[cell, channel] += pixels[y, x, channel]
    return total


@inner_kernel()
def _is_edge(labels, y, x, cell):
    """Whether a pixel belongs to the cell and one of its 4 neighbors does not."""
    n_rows, n_columns = labels.shape
    if y < 0 or x < 0 or y >= n_rows or x >= n_columns or labels[y, x] != cell:
        return False
    if y == 0 or x == 0 or y == n_rows - 1 or x == n_columns - 1:
        return True
    return labels[y - 1, x] != cell or labels[y + 1, x] != cell or labels[y, x - 1] != cell or labels[y, x + 1] != cell


@kernel()
def sum_perimeter(labels, n_cells):
    """Count each cell's edge pixels by how its edge goes on from them: straight, oblique and in between.

    The code of an edge pixel (1, plus 2 for each 4-neighbour and 10 for each diagonal one that is an edge
    pixel too) and its weights are those of Benkrid and Crookes, "Design and FPGA implementation of a
    perimeter estimator", as in scikit-image.
    """
    n_rows, n_columns = labels.shape
    counts = np.zeros((n_cells + 1, 3), dtype=np.int64)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell == 0 or not _is_edge(labels, y, x, cell):
                continue
            code = 1
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if (dy != 0 or dx != 0) and _is_edge(labels, y + dy, x + dx, cell):
                        code += 2 if dy == 0 or dx == 0 else 10
            if code in (5, 7, 15, 17, 25, 27):
                counts[cell, 0] += 1
            elif code in (21, 33):
                counts[cell, 1] += 1
            elif code in (13, 23):
                counts[cell, 2] += 1
    return counts


@kernel()
def sum_crossings(labels, n_cells):
    """How often lines along rows, columns and both diagonals of the pixel grid cross the border of each cell."""
    n_rows, n_columns = labels.shape
    counts = np.zeros((n_cells + 1, 4), dtype=np.int64)
    for y in range(-1, n_rows):
        for x in range(-1, n_columns):
            here = _label_at(labels, y, x)
            right = _label_at(labels, y, x + 1)
            below = _label_at(labels, y + 1, x)
            across = _label_at(labels, y + 1, x + 1)
            for direction, one, other in ((0, here, right), (1, here, below), (2, here, across), (3, right, below)):
                if one != other:
                    counts[one, direction] += 1
                    counts[other, direction] += 1
    return counts


@inner_kernel()
def _label_at(labels, y, x):
    """The label of a pixel; background beyond the image."""
    return labels[y, x] if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] else 0


@kernel()
def row_extents(labels, top, offset):
    """Leftmost and rightmost pixel of every row of every cell; left > right where a row has none.

    Row y of a cell is found at offset[cell] + y - top[cell].
    """
    n_rows, n_columns = labels.shape
    left = np.full(offset[-1], n_columns, dtype=np.int64)
    right = np.full(offset[-1], -1, dtype=np.int64)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell != 0:
                row = offset[cell] + y - top[cell]
                if x < left[row]:
                    left[row] = x
                right[row] = x
    return left, right


@kernel()
def hull_areas(left, right, offset):
    """Pixels whose center lies in or on the convex hull of each cell's pixels.

    A pixel enters the hull as the diamond of the middles of its four edges, as in scikit-image. Coordinates
    are doubled, so that those are integers and the count is exact.
    """
    n_cells = offset.size - 2
    areas = np.zeros(n_cells + 1, dtype=np.int64)
    one = np.int64(1)  # A literal would have the kernel compiled once for each of its values.
    for cell in range(1, n_cells + 1):
        begin, end = offset[cell], offset[cell + 1]
        if end > begin:
            lower = _hull_side(left[begin:end], right[begin:end], one)
            upper = _hull_side(right[begin:end], left[begin:end], -one)
            for row in range(end - begin):
                # The right side was computed on mirrored x, so its ceiling is the floor wanted here.
                areas[cell] += -upper[row] - lower[row] + 1
    return areas


@inner_kernel()
def _hull_side(near, far, sign):
    """For each row the first whole x inside the hull, seen from the left (sign 1) or mirrored (-1)."""
    n_rows = near.size
    hull_y = np.empty(2 * n_rows + 1, dtype=np.int64)
    hull_x = np.empty(2 * n_rows + 1, dtype=np.int64)
    n = 0
    for doubled in range(-1, 2 * n_rows):
        x = _diamond_side(near, far, sign, doubled)
        if x == _EMPTY:
            continue
        while n >= 2 and (hull_x[n - 1] - hull_x[n - 2]) * (doubled - hull_y[n - 2]) >= (x - hull_x[n - 2]) * (
            hull_y[n - 1] - hull_y[n - 2]
        ):
            n -= 1
        hull_y[n], hull_x[n] = doubled, x
        n += 1
    first_inside = np.empty(n_rows, dtype=np.int64)
    edge = 0
    for row in range(n_rows):
        while hull_y[edge + 1] < 2 * row:
            edge += 1
        rise = hull_y[edge + 1] - hull_y[edge]
        at = hull_x[edge] * rise + (hull_x[edge + 1] - hull_x[edge]) * (2 * row - hull_y[edge])
        first_inside[row] = -((-at) // (2 * rise))
    return first_inside


_EMPTY = np.iinfo(np.int64).max
"""No pixel of the cell reaches this row."""


@inner_kernel()
def _diamond_side(near, far, sign, doubled):
    """Outermost doubled x of the pixels' diamonds on one doubled row; `EMPTY` where there are none."""
    n_rows = near.size
    if doubled % 2 == 0:
        row = doubled // 2
        return 2 * sign * near[row] - 1 if sign * near[row] <= sign * far[row] else _EMPTY
    x = _EMPTY
    for row in (doubled // 2, doubled // 2 + 1):
        if 0 <= row < n_rows and sign * near[row] <= sign * far[row]:
            x = min(x, 2 * sign * near[row])
    return x


_STEP_Y = np.array([0, 1, 0, -1])
_STEP_X = np.array([1, 0, -1, 0])
# The pixels to the left and right ahead of a corner, for each heading: right, down, left, up.
_LEFT_Y = np.array([-1, 0, 0, -1])
_LEFT_X = np.array([0, 0, -1, -1])
_RIGHT_Y = np.array([0, 0, -1, -1])
_RIGHT_X = np.array([0, -1, -1, 0])


@kernel()
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
    n = np.int64(0)
    for y in range(n_rows):
        for x in range(n_columns):
            cell = labels[y, x]
            if cell == 0 or seen[y, x] or (y > 0 and labels[y - 1, x] == cell):
                continue
            corners, end, enclosed = _trace_ring(labels, y, x, seen, corners, n)
            if enclosed > area[cell]:
                area[cell] = enclosed
                span[cell, 0], span[cell, 1] = n, end
                n = end
    return corners[:n], span


@inner_kernel()
def _trace_ring(labels, start_y, start_x, seen, corners, n):
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
        if not _is_cell(labels, y + _RIGHT_Y[heading], x + _RIGHT_X[heading], cell):
            turned = (heading + 1) % 4
        elif _is_cell(labels, y + _LEFT_Y[heading], x + _LEFT_X[heading], cell):
            turned = (heading + 3) % 4
        else:
            turned = heading
        if turned != heading:
            if n + 1 >= corners.shape[0]:
                corners = _grown(corners)
            corners[n, 0], corners[n, 1] = x, y
            n += 1
            heading = turned
        if y == start_y and x == start_x and heading == 0:
            break
    corners[n, 0], corners[n, 1] = corners[begin, 0], corners[begin, 1]
    return corners, n + 1, doubled_area // 2


@inner_kernel()
def _is_cell(labels, y, x, cell):
    """Whether a pixel lies in the image and belongs to the cell."""
    return 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x] == cell


@inner_kernel()
def _grown(corners):
    """The same corners in twice the room."""
    larger = np.empty((2 * corners.shape[0], 2), dtype=corners.dtype)
    for place in range(corners.shape[0]):
        larger[place, 0], larger[place, 1] = corners[place, 0], corners[place, 1]
    return larger
