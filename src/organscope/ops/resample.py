"""Bring an image to another scale so that any part of the result equals the same part of the whole.

Every output pixel is made of the same input pixels with the same weights in the same order, wherever the tile that
it is computed in begins. `ops.resize` serves fields that are whole by themselves.

The one way in which a field of an image is brought to the size that a network takes.

Training and prediction both call it, so that a network meets the same sharpness that it was trained on.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image as PillowImage

from organscope.ops._kernels.resample import blend_columns, blend_rows


@dataclass(frozen=True)
class Taps:
    """What each output pixel of one axis is made of.

    Attributes:
        index: Input pixels of each output pixel, rising; those with weight 0 may repeat an edge.
        weight: Their shares; each row sums to 1.
    """

    index: Int64[np.ndarray, "n taps"]
    weight: Float32[np.ndarray, "n taps"]

    @property
    def start(self) -> int:
        """First input pixel that is needed."""
        return int(self.index[0, 0])

    @property
    def stop(self) -> int:
        """One past the last input pixel that is needed."""
        return int(self.index[-1, -1]) + 1

    def part(self, start: int, stop: int) -> "Taps":
        """Those of the output pixels [start, stop)."""
        return Taps(self.index[start:stop], self.weight[start:stop])


def axis_taps(n_in: int, n_out: int) -> Taps:
    """The triangle filter that brings an axis of `n_in` pixels to `n_out`.

    Bilinear interpolation where the axis grows; where it shrinks the triangle widens, so that nothing aliases.
    Beyond the edges there is nothing, and the other shares grow (as Pillow does).
    """
    ratio = n_in / n_out
    support = max(1.0, ratio)
    center = (np.arange(n_out) + 0.5) * ratio
    first = np.floor(center - support).astype(np.int64)
    index = first[:, None] + np.arange(2 * math.ceil(support) + 1)
    weight = np.maximum(0.0, 1.0 - np.abs(index + 0.5 - center[:, None]) / support)
    weight[(index < 0) | (index >= n_in)] = 0.0
    weight /= weight.sum(axis=1, keepdims=True)
    return Taps(np.clip(index, 0, n_in - 1), weight.astype(np.float32))


def resample(
    pixels: Float32[np.ndarray, "y x c"], rows: Taps, columns: Taps, *, top: int = 0, left: int = 0
) -> Float32[np.ndarray, "y2 x2 c"]:
    """The output pixels of these taps.

    Args:
        pixels: At least the input pixels that the taps name.
        rows: Of the output rows that are wanted.
        columns: Of the output columns that are wanted.
        top: Row of the input that `pixels` begins with.
        left: Column of the input that `pixels` begins with.
    """
    across = blend_columns(np.ascontiguousarray(pixels), columns.index - left, columns.weight)
    return blend_rows(across, rows.index - top, rows.weight)


def resize_field(
    field: UInt8[np.ndarray, "y x c"] | Float32[np.ndarray, "y x c"], height_px: int, width_px: int
) -> UInt8[np.ndarray, "y2 x2 c"] | Float32[np.ndarray, "y2 x2 c"]:
    """Resize with a triangle filter that widens when it shrinks the image, so that nothing aliases.

    Args:
        field: Any number of channels; uint8 stays uint8 (rounded), float32 stays float32.
        height_px: Rows of the result.
        width_px: Columns of the result.

    Returns:
        The field in the new size; the very same array when it has that size already.
    """
    if field.shape[:2] == (height_px, width_px):
        return field
    size = (width_px, height_px)
    if field.dtype == np.uint8 and field.shape[2] == 3:
        return np.asarray(PillowImage.fromarray(field).resize(size, PillowImage.Resampling.BILINEAR))
    channels = [
        np.asarray(PillowImage.fromarray(np.ascontiguousarray(channel)).resize(size, PillowImage.Resampling.BILINEAR))
        for channel in np.moveaxis(field, 2, 0)
    ]
    return np.stack(channels, axis=2)
