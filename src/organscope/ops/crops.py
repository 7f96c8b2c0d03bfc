"""Square crops around cells, cut in the same way for training and for prediction."""

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt8

from organscope.errors import ShapeError
from organscope.ops.measure import label_numbers
from organscope.ops.measure_kernels import sum_pixels


def cell_centres(labels: Int32[np.ndarray, "y x"]) -> Float64[np.ndarray, "n 2"]:
    """Mean row and column of the pixels of each cell, in the order of the labels; the first pixel's is 0.

    Raises:
        ValueRangeError: A label is negative.
    """
    dense, ids = label_numbers(labels)
    first, _, sums, _ = sum_pixels(dense, ids.size)
    return first[1:] + sums[1:, 1:3] / sums[1:, :1]


def crop_starts(centres: Float64[np.ndarray, "n 2"], side_px: int | tuple[int, int]) -> Int64[np.ndarray, "n 2"]:
    """First row and column of the square of `side_px`, or of so many rows and columns, with each centre in its middle.

    A square may begin before the image or end after it.
    """
    return np.floor(centres - (np.asarray(side_px) - 1) / 2 + 0.5).astype(np.int64)


def cut_crops(
    pixels: UInt8[np.ndarray, "y x c"], starts: Int64[np.ndarray, "n 2"], side_px: int | tuple[int, int]
) -> UInt8[np.ndarray, "n rows columns c"]:
    """Copy squares, or rectangles of so many rows and columns, out of an image.

    Raises:
        ShapeError: A square leaves the picture.
    """
    height, width, n_channels = pixels.shape
    rows, columns = np.broadcast_to(side_px, 2).tolist()
    if len(starts) and (starts.min() < 0 or np.any(starts.max(axis=0) > (height - rows, width - columns))):
        raise ShapeError(
            f"Expected crops of {rows} x {columns} px inside {height} x {width} px, found one that leaves them."
        )
    crops = np.empty((len(starts), rows, columns, n_channels), pixels.dtype)
    for crop, (y, x) in zip(crops, starts.tolist(), strict=True):
        crop[:] = pixels[y : y + rows, x : x + columns]
    return crops
