"""Compiled flooding: the loop over pixels that NumPy cannot express.

Compiled functions live in modules named `*_kernels`, which the shape checks of the tests leave alone.

Compiled search for the cores of cells: peaks that stand out from what surrounds them.

Nothing looks beyond the four neighbors of a foreground pixel, so that each connected piece of foreground is on
its own, and ties go to the first pixel in raster order, so that its place in the image does not matter.
"""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel
from organscope.ops._kernels.components import find_root

N_LEVELS = 256
"""Heights that flooding tells apart; finer steps change no label that a person would see."""


@kernel()
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
            _push_last(pixel, level[pixel], first, last, following)
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
                neighbor = y * n_columns + x
                if open_pixel[neighbor] and labels[neighbor] == 0:
                    labels[neighbor] = labels[pixel]
                    _push_last(neighbor, min(level[neighbor], current), first, last, following)
    return labels.reshape(seeds.shape)


@inner_kernel()
def _push_last(pixel, level, first, last, following):
    """Put a pixel at the end of its level's queue."""
    following[pixel] = -1
    if first[level] < 0:
        first[level] = pixel
    else:
        following[last[level]] = pixel
    last[level] = pixel


@kernel()
def smooth_inside(height, foreground, n_times):
    """Average every foreground pixel with its foreground neighbors on four sides, `n_times` over."""
    n_rows, n_columns = height.shape
    current = height.copy()
    for _ in range(n_times):
        smooth = current.copy()
        for y in range(n_rows):
            for x in range(n_columns):
                if not foreground[y, x]:
                    continue
                total, n = current[y, x], 1
                for side in range(4):
                    v = y + (side == 2) - (side == 0)
                    u = x + (side == 3) - (side == 1)
                    if 0 <= v < n_rows and 0 <= u < n_columns and foreground[v, u]:
                        total += current[v, u]
                        n += 1
                smooth[y, x] = total / n
        current = smooth
    return current


@inner_kernel()
def _pixels_by_level(levels, foreground):
    """Flat positions of the foreground, highest level first, in raster order within a level (counting sort)."""
    start = np.zeros(257, dtype=np.int64)
    level, is_open = levels.reshape(-1), foreground.reshape(-1)
    for pixel in range(level.size):
        if is_open[pixel]:
            start[256 - int(level[pixel])] += 1
    for place in range(1, 257):
        start[place] += start[place - 1]
    order = np.empty(start[256], dtype=np.int32)
    for pixel in range(level.size):
        if is_open[pixel]:
            place = 255 - int(level[pixel])
            order[start[place]] = pixel
            start[place] += 1
    return order


@kernel()
def find_peaks(levels, foreground, least):
    """Mark one pixel of each peak whose dynamics is at least `least` levels, and of the highest of every piece.

    The dynamics of a peak (Grimaud 1992) is how far one has to go down from it to reach a higher one. The
    foreground is flooded from the top with a union-find; where two basins meet, the one with the lower peak
    ends, and its height above the meeting point is its dynamics.
    """
    n_columns = levels.shape[1]
    level = levels.reshape(-1)
    parent = np.empty(level.size, dtype=np.int32)
    for pixel in range(level.size):
        parent[pixel] = -1
    peak = np.empty(level.size, dtype=np.int32)
    is_peak = np.zeros(level.size, dtype=np.bool_)
    order = _pixels_by_level(levels, foreground)
    for place in range(order.size):
        pixel = np.int64(order[place])
        parent[pixel] = pixel
        peak[pixel] = pixel
        for side in range(4):
            neighbor = _step_to(pixel, side, n_columns, level.size)
            if neighbor < 0 or parent[neighbor] < 0:
                continue
            elder, younger = find_root(parent, pixel), find_root(parent, neighbor)
            if elder == younger:
                continue
            if _is_lower(peak[elder], peak[younger], level):
                elder, younger = younger, elder
            if int(level[peak[younger]]) - int(level[pixel]) >= least:
                is_peak[peak[younger]] = True
            parent[younger] = elder
    for pixel in order:
        if parent[pixel] == pixel:
            is_peak[peak[pixel]] = True
    return is_peak.reshape(levels.shape)


@inner_kernel()
def _is_lower(one, other, level):
    """Whether peak `one` is lower than `other`, or as high and later in raster order."""
    return level[one] < level[other] or (level[one] == level[other] and one > other)


@inner_kernel()
def _step_to(pixel, side, n_columns, size):
    """The neighbor above, left, below or right of a flat position; -1 outside the image."""
    if side == 0:
        return pixel - n_columns if pixel >= n_columns else -1
    if side == 1:
        return pixel - 1 if pixel % n_columns > 0 else -1
    if side == 2:
        return pixel + n_columns if pixel + n_columns < size else -1
    return pixel + 1 if pixel % n_columns < n_columns - 1 else -1


@kernel()
def grow_cores(levels, foreground, is_peak, least):
    """Number the cores: all that is connected to a marked peak and less than `least` levels below it.

    Cores of different peaks never meet, because the lower peak is at least `least` above every way between them.
    """
    n_columns = levels.shape[1]
    level, is_open, marked = levels.reshape(-1), foreground.reshape(-1), is_peak.reshape(-1)
    cores = np.zeros(level.size, dtype=np.int32)
    waiting = np.empty(level.size, dtype=np.int32)
    n_cores = 0
    for peak in range(level.size):
        if not marked[peak]:
            continue
        n_cores += 1
        floor = int(level[peak]) - least
        cores[peak] = n_cores
        waiting[0], n_waiting = peak, 1
        while n_waiting > 0:
            n_waiting -= 1
            pixel = np.int64(waiting[n_waiting])
            for side in range(4):
                neighbor = _step_to(pixel, side, n_columns, level.size)
                if neighbor < 0 or not is_open[neighbor] or cores[neighbor] != 0:
                    continue
                if int(level[neighbor]) > floor:
                    cores[neighbor] = n_cores
                    waiting[n_waiting] = neighbor
                    n_waiting += 1
    return cores.reshape(levels.shape)
