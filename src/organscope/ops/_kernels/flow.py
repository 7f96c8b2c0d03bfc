"""Compiled walk along a field of directions, from every pixel to the core of its cell."""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel

_WEAKEST = 0.2
"""A shorter vector points nowhere: a network that sees two answers gives their mean, which is nearly none."""

_NEXT_SECTOR = 0.41421356
"""Tangent of 22.5 degrees, where one of the eight directions to a neighbor ends."""

_UNDECIDED, _LOST = -2, -1


@kernel()
def follow_flow(cores, flow_y, flow_x, foreground):
    """Give every foreground pixel the core that its flow leads to; 0 where it leads to none.

    The components of the flow run from 0 (up, left) over 0.5 to 1 (down, right).

    Each pixel points to one of its eight neighbors, so that the walks form trees whose roots are cores or
    circles; a walk stops where another one came before, hence linear time.
    """
    labels = cores.copy().reshape(-1)
    is_open = foreground.reshape(-1)
    walk = np.empty(labels.size, dtype=np.int32)
    for start in range(labels.size):
        if labels[start] != 0 or not is_open[start]:
            continue
        pixel, n = start, 0
        while labels[pixel] == 0:
            labels[pixel] = _UNDECIDED
            walk[n] = pixel
            n += 1
            pixel = _next_pixel(pixel, flow_y, flow_x, foreground)
        found = labels[pixel] if labels[pixel] > 0 else _LOST
        for place in range(n):
            labels[walk[place]] = found
    for pixel in range(labels.size):
        if labels[pixel] == _LOST:
            labels[pixel] = 0
    return labels.reshape(cores.shape)


@inner_kernel()
def _next_pixel(pixel, flow_y, flow_x, foreground):
    """The neighbor that the flow points to, within the same connected piece; the pixel itself if there is none."""
    n_rows, n_columns = foreground.shape
    y, x = pixel // n_columns, pixel % n_columns
    down, right = 2 * flow_y[y, x] - 1, 2 * flow_x[y, x] - 1
    if down * down + right * right < _WEAKEST * _WEAKEST:
        return pixel
    dy = 0 if abs(down) < _NEXT_SECTOR * abs(right) else (1 if down > 0 else -1)
    dx = 0 if abs(right) < _NEXT_SECTOR * abs(down) else (1 if right > 0 else -1)
    v, u = y + dy, x + dx
    if not (0 <= v < n_rows and 0 <= u < n_columns) or not foreground[v, u]:
        return pixel
    # A diagonal neighbor belongs to the same piece if one of the two pixels between does.
    if foreground[v, x] or foreground[y, u]:
        return v * n_columns + u
    return pixel
