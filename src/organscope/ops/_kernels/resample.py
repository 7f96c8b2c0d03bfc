"""Compiled weighted sums along one axis, each in a fixed order."""

import numpy as np

from organscope.ops._kernels import kernel


@kernel(nogil=True)
def blend_columns(pixels, index, weight):
    """Columns of the result as weighted sums of columns: float32 y x c to y n c."""
    n_rows, _, n_channels = pixels.shape
    n_out, n_taps = index.shape
    result = np.zeros((n_rows, n_out, n_channels), dtype=np.float32)
    for y in range(n_rows):
        for x in range(n_out):
            for tap in range(n_taps):
                share = weight[x, tap]
                if share == 0:
                    continue
                for channel in range(n_channels):
                    result[y, x, channel] += share * pixels[y, index[x, tap], channel]
    return result


@kernel(nogil=True)
def blend_rows(pixels, index, weight):
    """Rows of the result as weighted sums of rows: float32 y x c to n x c."""
    _, n_columns, n_channels = pixels.shape
    n_out, n_taps = index.shape
    result = np.zeros((n_out, n_columns, n_channels), dtype=np.float32)
    for y in range(n_out):
        for tap in range(n_taps):
            share = weight[y, tap]
            if share == 0:
                continue
            for x in range(n_columns):
                for channel in range(n_channels):
                    result[y, x, channel] += share * pixels[index[y, tap], x, channel]
    return result
