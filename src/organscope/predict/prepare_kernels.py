"""Compiled preparation of pixels of which few values exist."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def look_up(pixels, table):
    """Replace every value of a colour by its entry of that colour's column: float32 y x c."""
    n_rows, n_columns, n_colours = pixels.shape
    found = np.empty((n_rows, n_columns, n_colours), dtype=np.float32)
    for y in range(n_rows):
        for x in range(n_columns):
            for colour in range(n_colours):
                found[y, x, colour] = table[pixels[y, x, colour], colour]
    return found
